"""What a unit's execution leaves behind: step records, witness, segment records, transcript root, openings.

A step record is due every step and cheap; a state root only at a segment's end. The witness is a value that only an
execution yields and that no public record holds; salted with an account it can be checked but not copied (DESIGN §3).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from consensus.commit.hashing import AccountId, Hash32, blake2_256, encode_f32, encode_hash, encode_u16, encode_u32
from consensus.commit.merkle import MerkleProof, ProofError, compute_proof, compute_root, verify_proof

SEGMENT_RECORD_BYTES = 2 + 6 * 32  # (= 194)
CLAIMS = 16
"""Claims of a record, two bytes each, of which one may be a decoy (docs/jackpot.md)."""

MAX_OPENING_SIBLINGS = 16  # bound of `Opening.proof` on chain: at most 2**16 segments a unit


class OpeningError(ValueError):
    """An opening of a segment does not fit what the solver submitted."""

    def __init__(self, segment: int, reason: str) -> None:
        super().__init__(f"opening of segment {segment} refused: {reason}")
        self.segment = segment
        self.reason = reason


@dataclass(frozen=True)
class StepOutcome:
    """What one step reports: its f32 loss and gradient norm (floats that hold exact f32 values)."""

    loss: float
    grad_norm: float


@dataclass(frozen=True)
class SegmentRecord:
    """The committed summary of a segment; `index` counts from 0 in the unit, the step records are its ends."""

    index: int
    start_state_root: Hash32
    end_state_root: Hash32
    first_step_record: Hash32
    last_step_record: Hash32
    salted_witness: Hash32
    claims: Hash32

    def encode(self) -> bytes:
        """SCALE, 194 bytes; raises `FieldRangeError`."""
        return encode_u16(self.index, "index") + b"".join(
            encode_hash(value, name)
            for name, value in (
                ("start_state_root", self.start_state_root),
                ("end_state_root", self.end_state_root),
                ("first_step_record", self.first_step_record),
                ("last_step_record", self.last_step_record),
                ("salted_witness", self.salted_witness),
                ("claims", self.claims),
            )
        )


@dataclass(frozen=True)
class Opening:
    """A solver's answer to a drawn segment: its record, the bare witness, the way to the transcript root."""

    record: SegmentRecord
    witness: Hash32
    proof: tuple[Hash32, ...]


def compute_unit_start_record(unit_seed: bytes, start_state_root: bytes) -> Hash32:
    """r_{−1}: what the first step's record is chained to."""
    return blake2_256(b"unit-start/v1", encode_hash(unit_seed), encode_hash(start_state_root))


def compute_step_record(
    unit_seed: bytes, step: int, previous: bytes, batch_digest: bytes, outcome: StepOutcome
) -> Hash32:
    """r_k; `step` counts from 0 over the whole unit, `batch_digest` is the state root of the batch's arrays."""
    return blake2_256(
        b"step/v1",
        encode_hash(unit_seed),
        encode_u32(step, "step"),
        encode_hash(previous),
        encode_hash(batch_digest),
        encode_f32(outcome.loss),
        encode_f32(outcome.grad_norm),
    )


def compute_witness(outcomes: Iterable[StepOutcome]) -> Hash32:
    """H over all loss and gradient-norm bits of the segment in step order."""
    bits = b"".join(encode_f32(outcome.loss) + encode_f32(outcome.grad_norm) for outcome in outcomes)
    return blake2_256(b"losses/v1", bits)


def compute_salted_witness(account: AccountId, witness: bytes) -> Hash32:
    """The witness bound to who executed; another account's is another value."""
    return blake2_256(b"witness/v1", encode_hash(account, "account"), encode_hash(witness, "witness"))


def compute_claims(account: AccountId, witness: bytes, decoy: int | None = None) -> Hash32:
    """The witness once more, as 16 claims of two bytes; the one at place `decoy` is made false. Raises `IndexError`.

    Who does not know the witness cannot tell a false claim from a true one (DESIGN §5, forced errors).
    """
    claims = bytearray(blake2_256(b"claims/v1", encode_hash(account, "account"), encode_hash(witness, "witness")))
    if decoy is not None:
        if not 0 <= decoy < CLAIMS:
            raise IndexError(f"no claim {decoy}: there are {CLAIMS}")
        claims[2 * decoy] ^= 0xFF
        claims[2 * decoy + 1] ^= 0xFF
    return Hash32(bytes(claims))


def is_claim_false(record: SegmentRecord, account: AccountId, witness: bytes, place: int) -> bool:
    """Whether the claim at `place` of a record of `account` is not that of the witness."""
    true, claimed = compute_claims(account, witness), record.claims
    return true[2 * place : 2 * place + 2] != claimed[2 * place : 2 * place + 2]


def make_record(
    account: AccountId, index: int, states: tuple[Hash32, Hash32], steps: tuple[Hash32, Hash32], witness: bytes,
    decoy: int | None = None,
) -> SegmentRecord:  # fmt: skip
    """The record of an account's execution: states before and after, first and last step record, witness."""
    salted, claims = compute_salted_witness(account, witness), compute_claims(account, witness, decoy)
    return SegmentRecord(index, *states, *steps, salted, claims)


def compute_transcript_root(records: Sequence[SegmentRecord]) -> Hash32:
    """Merkle root over the encoded records in order of index; raises `OpeningError` on a gap in the indices."""
    for position, record in enumerate(records):
        if record.index != position:
            raise OpeningError(record.index, f"it stands at position {position}; order the records by index")
    return compute_root([record.encode() for record in records])


def compute_opening(records: Sequence[SegmentRecord], index: int, witness: Hash32) -> Opening:
    """Opening of segment `index`; raises `ProofError` when there is no such segment."""
    proof = compute_proof([record.encode() for record in records], index)
    return Opening(records[index], witness, proof.siblings)


def verify_opening(
    opening: Opening, transcript_root: bytes, end_state_root: bytes, segments: int, solver: AccountId
) -> None:
    """Raises `OpeningError` unless the opening is the solver's, of this transcript, as `reveal_solver` checks on chain.

    Still trusted afterwards: that the segment was executed at all; only a replay shows that.
    """
    index = opening.record.index
    if len(opening.proof) > MAX_OPENING_SIBLINGS:
        raise OpeningError(index, f"{len(opening.proof)} siblings, at most {MAX_OPENING_SIBLINGS} are allowed")
    try:
        verify_proof(transcript_root, opening.record.encode(), MerkleProof(index, segments, opening.proof))
    except ProofError as error:
        raise OpeningError(index, error.reason) from error
    if compute_salted_witness(solver, opening.witness) != opening.record.salted_witness:
        raise OpeningError(index, "the witness is not the salted one of this solver")
    if index == segments - 1 and opening.record.end_state_root != end_state_root:
        raise OpeningError(index, "the last segment does not end in the submitted end state")
