"""Duplicate, renamed and re-signed units: work that was done once, or by somebody else, is handed in again.

Source: docs/protocol.md, "Unit seed": it holds task, unit, attempt, the assignment's block and the solver, so that
every public field of a unit changes the data order, and with it every root.
"""

from consensus.commit.hashing import Hash32, blake2_256
from consensus.protocol.units import UnitRef, compute_unit_seed
from tests.attacks.arena import OTHER_SEED, SEED, SEGMENTS, SOLVER, THIEF, serve, sign, train, verify


def test_the_same_work_for_another_unit_task_epoch_or_solver() -> None:
    block, other_block = blake2_256(b"block"), blake2_256(b"the next block")
    own = compute_unit_seed(UnitRef(1, 2, 0), block, SOLVER)
    others: list[Hash32] = [
        compute_unit_seed(UnitRef(1, 3, 0), block, SOLVER),
        compute_unit_seed(UnitRef(4, 2, 0), block, SOLVER),
        compute_unit_seed(UnitRef(1, 2, 1), block, SOLVER),
        compute_unit_seed(UnitRef(1, 2, 0), other_block, SOLVER),
        compute_unit_seed(UnitRef(1, 2, 0), block, THIEF),
    ]
    results = train(own)
    for seed in others:
        for index in range(SEGMENTS):
            assert not verify(sign(results), serve(results), index, seed).is_match
    assert verify(sign(results), serve(results), 0, own).is_match


def test_a_copied_transcript_carries_its_owner_s_witness() -> None:
    """The thief has the public records, not the bare witnesses that it would have to salt with its own account."""
    results = train()
    report = verify(sign(results), serve(results), 1, SEED, THIEF)
    assert not report.is_match
    assert report.detail == "different: salted_witness"


def test_a_re_signed_transcript_needs_the_witness_and_the_thief_s_own_seed() -> None:
    """Even with the witnesses, which only an execution gives, the data order is another solver's."""
    results = train()
    assert not verify(sign(results, THIEF), serve(results), 0, OTHER_SEED, THIEF).is_match
