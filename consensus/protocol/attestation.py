"""Verifiers' attestations and the beacon: commit to a hash first, open it later (DESIGN §5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from consensus.commit.hashing import AccountId, FieldRangeError, Hash32, blake2_256, encode_hash, encode_u32

MAX_ATTESTED_SEGMENTS = 16  # bound of `Duty.segments` on chain
SECRET_BYTES = 32


class Outcome(IntEnum):
    """What a verifier says of its duty; the numbers are the SCALE variant indices."""

    EXECUTED = 0
    UNAVAILABLE = 1
    INCONCLUSIVE = 2


@dataclass(frozen=True)
class SegmentClaim:
    """What a verifier's own execution of a drawn segment gave."""

    end_state_root: Hash32
    witness: Hash32


@dataclass(frozen=True)
class Attestation:
    """Outcome and, only when executed, the claims in the order of `Duty.segments`."""

    outcome: Outcome
    segments: tuple[SegmentClaim, ...] = ()

    def encode(self) -> bytes:
        """SCALE; raises `FieldRangeError`."""
        if len(self.segments) > MAX_ATTESTED_SEGMENTS:
            raise FieldRangeError("segments", len(self.segments), f"at most {MAX_ATTESTED_SEGMENTS} claims")
        if self.outcome is not Outcome.EXECUTED and self.segments:
            raise FieldRangeError("segments", len(self.segments), "empty unless the outcome is Executed")
        body = b"".join(encode_hash(s.end_state_root) + encode_hash(s.witness) for s in self.segments)
        # SCALE's compact length: one byte (n << 2) for n < 64; MAX_ATTESTED_SEGMENTS is below.
        return bytes([self.outcome, len(self.segments) << 2]) + body


def compute_attestation_commitment(
    account: AccountId, task: int, unit: int, attestation: Attestation, salt: bytes
) -> Hash32:
    """What `commit` of the Verification pallet takes; `salt` is 32 random bytes kept until the reveal."""
    return blake2_256(
        b"attest/v1",
        encode_hash(account, "account"),
        encode_u32(task, "task"),
        encode_u32(unit, "unit"),
        attestation.encode(),
        encode_hash(salt, "salt"),
    )


def compute_beacon_commitment(account: AccountId, epoch: int, secret: bytes) -> Hash32:
    """What `commit` of the Beacon pallet takes; `secret` is 32 random bytes kept until the reveal."""
    return blake2_256(
        b"beacon/v1", encode_hash(account, "account"), encode_u32(epoch, "epoch"), encode_hash(secret, "secret")
    )


def compute_next_seed(seed: bytes, reveals: Mapping[AccountId, bytes]) -> Hash32:
    """seed_{e+1} from seed_e and the epoch's reveals in order of account id."""
    opened = b"".join(
        encode_hash(account, "account") + encode_hash(reveals[account], "secret") for account in sorted(reveals)
    )
    return blake2_256(b"seed/v1", encode_hash(seed), opened)


def is_commit_slot(slot_in_epoch: int, slots_per_epoch: int) -> bool:
    """Commits are taken in the first third of the epoch: slot < ⌊N/3⌋."""
    return 0 <= slot_in_epoch < slots_per_epoch // 3


def is_reveal_slot(slot_in_epoch: int, slots_per_epoch: int) -> bool:
    """Reveals are taken in the second third: ⌊N/3⌋ ≤ slot < ⌊2N/3⌋."""
    return slots_per_epoch // 3 <= slot_in_epoch < 2 * slots_per_epoch // 3


def compute_draw_epoch(submitted_epoch: int, slot_in_epoch: int, slots_per_epoch: int) -> int:
    """Epoch whose closing rotation draws a unit: this one only if its beacon's commits were still open."""
    return submitted_epoch if is_commit_slot(slot_in_epoch, slots_per_epoch) else submitted_epoch + 1
