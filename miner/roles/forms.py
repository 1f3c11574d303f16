"""Commitments in the form of the chain's calls."""

from __future__ import annotations

from consensus.commit.records import Opening
from pallets_abi import jackpot, verification


def to_abi_opening(opening: Opening) -> verification.Opening:
    """An opening in the form of the call."""
    finding = to_abi_finding(opening)
    return verification.Opening(finding.record, finding.witness, finding.proof)


def to_abi_finding(opening: Opening) -> jackpot.Finding:
    """An opened segment in the form of the call."""
    record = opening.record
    hashes = (
        record.start_state_root, record.end_state_root, record.first_step_record, record.last_step_record,
        record.salted_witness, record.claims,
    )  # fmt: skip
    return jackpot.Finding(
        verification.SegmentRecord(record.index, *("0x" + value.hex() for value in hashes)),
        ["0x" + sibling.hex() for sibling in opening.proof],
        "0x" + opening.witness.hex(),
    )
