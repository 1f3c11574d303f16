"""Unit seeds and the draw: which submitted units are challenged, on which segments, by which verifiers (DESIGN §5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from consensus.commit.hashing import AccountId, FieldRangeError, Hash32, blake2_256, encode_hash, encode_u16, encode_u32

STEP_PURPOSE = "step/v1"
"""Of the key that a graph's own random numbers come from."""
PPM = 10**6  # (= 1,000,000): parts per million, the chain's `Permill`
RNG_BYTES = 16  # a draw is a u128
SEGMENT_DRAW_BASE = 1  # rng(0) decides whether, rng(1 + k) which segments
VERIFIER_DRAW_BASE = 1_000  # rng(1000 + k) which verifiers; more than any number of segments drawn


@dataclass(frozen=True)
class UnitRef:
    """Which attempt of which unit of which task."""

    task: int
    unit: int
    attempt: int

    def encode(self) -> bytes:
        """task u32 ‖ unit u32 ‖ attempt u16; raises `FieldRangeError`."""
        return encode_u32(self.task, "task") + encode_u32(self.unit, "unit") + encode_u16(self.attempt, "attempt")


@dataclass(frozen=True)
class DrawRules:
    """The draw's genesis values: `challenge_ppm` = p, `segments` = q of the unit's, `verifiers` = v."""

    challenge_ppm: int
    segments: int
    verifiers: int


@dataclass(frozen=True)
class Draw:
    """Result of a draw; `verifiers` is None when fewer than v were eligible (the unit stays due)."""

    challenged: bool
    segments: tuple[int, ...]
    verifiers: tuple[AccountId, ...] | None


def compute_unit_seed(ref: UnitRef, parent_block_hash: bytes, solver: AccountId) -> Hash32:
    """Drives data order, dropout and noise of one solver's attempt; nobody knows it before the claim's block."""
    return blake2_256(b"unit/v1", ref.encode(), encode_hash(parent_block_hash), encode_hash(solver, "solver"))


def rng16(*parts: bytes) -> int:
    """First 16 bytes of the hash of `parts`, little-endian, as u128."""
    return int.from_bytes(blake2_256(*parts)[:RNG_BYTES], "little")


def compute_draw_number(beacon_seed: bytes, ref: UnitRef, i: int) -> int:
    """rng(i) of one unit's draw."""
    return rng16(b"draw/v1", encode_hash(beacon_seed), ref.encode(), encode_u32(i, "i"))


def is_challenged(beacon_seed: bytes, ref: UnitRef, challenge_ppm: int) -> bool:
    """Whether the unit is re-executed at all: true with probability p."""
    return compute_draw_number(beacon_seed, ref, 0) % PPM < challenge_ppm


def compute_drawn_segments(beacon_seed: bytes, ref: UnitRef, count: int, segments_per_unit: int) -> tuple[int, ...]:
    """`count` different segments of 0..segments_per_unit, ascending; all of them when count is not smaller."""
    if segments_per_unit < 1:
        raise FieldRangeError("segments_per_unit", segments_per_unit, "at least 1")
    order = list(range(segments_per_unit))
    count = min(count, segments_per_unit)
    for k in range(count):
        number = compute_draw_number(beacon_seed, ref, SEGMENT_DRAW_BASE + k)
        other = k + number % (segments_per_unit - k)
        order[k], order[other] = order[other], order[k]
    return tuple(sorted(order[:count]))


def compute_drawn_verifiers(
    beacon_seed: bytes, ref: UnitRef, count: int, stakes: Mapping[AccountId, int], solver: AccountId
) -> tuple[AccountId, ...] | None:
    """`count` different verifiers, chance by stake, never the solver, in order of the draw; None when there are fewer.

    `stakes` holds the eligible verifiers' bonds in plancks.
    """
    candidates = sorted((account, stake) for account, stake in stakes.items() if account != solver and stake > 0)
    if len(candidates) < count:
        return None
    drawn: list[AccountId] = []
    for k in range(count):
        number = compute_draw_number(beacon_seed, ref, VERIFIER_DRAW_BASE + k)
        rest = number % sum(stake for _, stake in candidates)
        position = 0
        while rest >= candidates[position][1]:
            rest -= candidates[position][1]
            position += 1
        drawn.append(candidates.pop(position)[0])
    return tuple(drawn)


def compute_draw(
    beacon_seed: bytes,
    ref: UnitRef,
    rules: DrawRules,
    segments_per_unit: int,
    stakes: Mapping[AccountId, int],
    solver: AccountId,
) -> Draw:
    """The whole draw of one unit, as the Verification pallet makes it at the rotation that ends its draw epoch."""
    if not is_challenged(beacon_seed, ref, rules.challenge_ppm):
        return Draw(False, (), ())
    return Draw(
        True,
        compute_drawn_segments(beacon_seed, ref, rules.segments, segments_per_unit),
        compute_drawn_verifiers(beacon_seed, ref, rules.verifiers, stakes, solver),
    )
