"""Forced errors: what solvers and whistleblowers commit to, and what finding a decoy is worth (docs/jackpot.md).

After the forced errors of Truebit (Teutsch and Reitwiessner, 2017, section 5), with the decoy in the claims of a record
instead of a false result.
"""

from __future__ import annotations

from dataclasses import dataclass

from consensus.commit.hashing import AccountId, FieldRangeError, Hash32, blake2_256, encode_hash, encode_u16, encode_u32
from consensus.commit.records import CLAIMS
from consensus.protocol.units import PPM, UnitRef

MAX_FINDERS = 8  # bound of `Draw.finders` on chain
PRIZE_SHARE = 720_000  # ppm of the budget: J·Σ 1/(k·2^(k−1)) < 1.3863·J stays within it


@dataclass(frozen=True)
class Decoy:
    """Where a unit's false claim is, and the salt that hides it: a solver's secret until it shows it."""

    place: int
    salt: bytes


def derive_decoy(secret: bytes, ref: UnitRef) -> Decoy:
    """A solver's decoy in a unit: the same after every restart, known to nobody without `secret` (32 bytes)."""
    place = blake2_256(b"decoy-place", encode_hash(secret, "secret"), ref.encode())[0] % CLAIMS
    return Decoy(place, blake2_256(b"decoy-salt", encode_hash(secret, "secret"), ref.encode()))


def compute_decoy_commitment(solver: AccountId, ref: UnitRef, decoy: Decoy) -> Hash32:
    """What `hide` of the Jackpot pallet takes; raises `FieldRangeError`."""
    if not 0 <= decoy.place < CLAIMS:
        raise FieldRangeError("place", decoy.place, f"0 to {CLAIMS - 1}")
    return blake2_256(
        b"decoy/v1", encode_hash(solver, "solver"), ref.encode(), bytes([decoy.place]), encode_hash(decoy.salt, "salt")
    )


def compute_finding_commitment(
    finder: AccountId, task: int, unit: int, segment: int, witness: bytes, salt: bytes
) -> Hash32:
    """What `seal` takes: binds the finding of one account; `salt` is 32 random bytes kept until `find`."""
    return blake2_256(
        b"finding/v1",
        encode_hash(finder, "finder"),
        encode_u32(task, "task"),
        encode_u32(unit, "unit"),
        encode_u16(segment, "segment"),
        encode_hash(witness, "witness"),
        encode_hash(salt, "salt"),
    )


@dataclass(frozen=True)
class Prizes:
    """Prizes of one forced error that cost at most `budget` plancks in all."""

    budget: int

    def compute_each(self, finders: int) -> int:
        """What each of k finders gets: ⌊J/(k·2^(k−1))⌋ plancks, so that all k share J/2^(k−1); 0 for none."""
        single = self.budget * PRIZE_SHARE // PPM
        return single // (finders << (finders - 1)) if finders else 0

    def compute_bonus(self, finders: int) -> int:
        """What the solver gets: what more finders would each have had. A friend costs it what the friend gets."""
        return sum(self.compute_each(count) for count in range(finders + 1, MAX_FINDERS + 1))


def compute_budget(price: int, share: int, challenge_ppm: int) -> int:
    """Most that a forced error may cost, plancks, for the pot's `share` of a price (ppm): units pay what they cost."""
    unchallenged = PPM - challenge_ppm
    return (price * share // PPM) * CLAIMS * PPM // unchallenged if unchallenged else 0
