"""Step records chain every public field; transcripts open one segment; witnesses cannot be copied."""

import dataclasses

import pytest

from consensus.commit.hashing import AccountId, FieldRangeError, Hash32, blake2_256
from consensus.commit.records import (
    SEGMENT_RECORD_BYTES,
    Opening,
    OpeningError,
    SegmentRecord,
    StepOutcome,
    compute_opening,
    compute_salted_witness,
    compute_step_record,
    compute_transcript_root,
    compute_unit_start_record,
    compute_witness,
    make_record,
    verify_opening,
)

SOLVER, COPYIST = AccountId(b"s" * 32), AccountId(b"c" * 32)


def h(label: str) -> Hash32:
    return blake2_256(label.encode())


def transcript(segments: int = 5) -> list[SegmentRecord]:
    return [
        make_record(
            SOLVER, i, (h(f"state {i}"), h(f"state {i + 1}")), (h(f"first {i}"), h(f"last {i}")), h(f"witness {i}"),
        )
        for i in range(segments)
    ]  # fmt: skip


def test_every_field_changes_the_step_record() -> None:
    base = (h("unit"), 3, h("previous"), h("batch"), StepOutcome(1.5, 0.25))
    variants = [
        base, (h("u"), *base[1:]), (base[0], 4, *base[2:]), (*base[:2], h("p"), *base[3:]),
        (*base[:3], h("b"), base[4]), (*base[:4], StepOutcome(1.25, 0.25)), (*base[:4], StepOutcome(1.5, 0.5)),
    ]  # fmt: skip
    assert len({compute_step_record(*v) for v in variants}) == len(variants)
    assert len({compute_unit_start_record(*p) for p in ((h("u"), h("s")), (h("s"), h("u")), (h("u"), h("u")))}) == 3


def test_witness_depends_on_every_outcome() -> None:
    outcomes = [StepOutcome(float(i), 0.5) for i in range(4)]
    witness = compute_witness(outcomes)
    assert compute_witness(outcomes[::-1]) != witness
    assert compute_witness(outcomes[:-1]) != witness
    assert compute_witness([*outcomes[:-1], StepOutcome(3.0, -0.5)]) != witness


def test_record_has_fixed_width() -> None:
    record = transcript()[3]
    assert len(record.encode()) == SEGMENT_RECORD_BYTES == 194
    assert record.encode()[:2] == b"\x03\x00"
    with pytest.raises(FieldRangeError):
        dataclasses.replace(record, index=2**16).encode()
    with pytest.raises(FieldRangeError):
        dataclasses.replace(record, end_state_root=Hash32(b"short")).encode()


@pytest.mark.parametrize("segments", [1, 2, 5, 32])
def test_valid_opening_of_every_segment(segments: int) -> None:
    records = transcript(segments)
    root = compute_transcript_root(records)
    for i in range(segments):
        opening = compute_opening(records, i, h(f"witness {i}"))
        verify_opening(opening, root, h(f"state {segments}"), segments, SOLVER)


def refused(opening: Opening, match: str, solver: AccountId = SOLVER, end: str = "state 5") -> None:
    with pytest.raises(OpeningError, match=match):
        verify_opening(opening, compute_transcript_root(transcript()), h(end), 5, solver)


def test_copied_transcript_fails_the_salted_witness() -> None:
    """Who copies the records does not know the witness, and the right one salts to another value for him."""
    records = transcript()
    refused(compute_opening(records, 2, h("witness 2")), "not the salted one", solver=COPYIST)
    refused(compute_opening(records, 2, h("guessed")), "not the salted one")
    copied = [dataclasses.replace(r, salted_witness=compute_salted_witness(COPYIST, h("guessed"))) for r in records]
    assert compute_transcript_root(copied) != compute_transcript_root(records)


def test_invalid_openings() -> None:
    records = transcript()
    last = compute_opening(records, 4, h("witness 4"))
    refused(last, "submitted end state", end="state 4")
    refused(dataclasses.replace(last, proof=last.proof * 17), "at most 16")
    refused(dataclasses.replace(last, proof=()), "too few")
    refused(dataclasses.replace(last, record=dataclasses.replace(last.record, index=3)), "Merkle|siblings|root")
    refused(dataclasses.replace(last, record=dataclasses.replace(last.record, index=5)), "not one of")
    with pytest.raises(OpeningError, match="order the records"):
        compute_transcript_root(records[::-1])
