"""One execution handed in more than once, by its maker or by a thief, and units taken or finished out of turn.

Source: docs/protocol.md, "Verification"; Pearl's and other proofs of useful work must rule out the re-use of work.
"""

import pytest

from miner.lab.ledger import CallRefused
from pallets_abi import stakes
from tests.attacks.court import RIVAL, SOLVER, UNIT, Court


def test_a_transcript_counts_once_whoever_brings_it() -> None:
    court = Court()
    work = court.hand_in(SOLVER, 0)
    court.claim(SOLVER, 1)
    with pytest.raises(CallRefused, match="DuplicateTranscript"):
        court.submit(SOLVER, 1, work)
    court.claim(RIVAL, 2)
    with pytest.raises(CallRefused, match="DuplicateTranscript"):
        court.submit(RIVAL, 2, work)
    with pytest.raises(CallRefused, match="DuplicateTranscript"):
        court.submit(SOLVER, 0, work)


def test_a_thief_who_is_first_cannot_open_what_it_copied() -> None:
    """It sees the transcript's root in the pool and pays more for its place; the witnesses are salted with another."""
    court = Court()
    court.claim(SOLVER, 0)
    court.claim(RIVAL, 1)
    work = court.execute(SOLVER, 0)
    court.submit(RIVAL, 1, work)
    court.pass_until_drawn()
    for key in court.drawn(1):
        court.commit(key, 1, work.attest(court.duty(1).segments, True))
    with pytest.raises(CallRefused, match="BadWitness"):
        court.open_segments(RIVAL, 1, work)
    court.ledger.pass_blocks(12)
    assert court.bond(stakes.Role.SOLVER, RIVAL) == 0


def test_a_unit_of_another_solver_cannot_be_taken_or_finished() -> None:
    court = Court()
    court.claim(SOLVER, 0)
    with pytest.raises(CallRefused, match="UnitNotOpen"):
        court.claim(RIVAL, 0)
    with pytest.raises(CallRefused, match="NotAssigned"):
        court.submit(RIVAL, 0, court.execute(RIVAL, 0))
    court.ledger.pass_blocks(14)
    with pytest.raises(CallRefused, match="NotAssigned"):
        court.submit(SOLVER, 0, court.execute(SOLVER, 0))  # too late: listed again
    court.claim(RIVAL, 0)
    assert court.bond(stakes.Role.SOLVER, SOLVER) == 200 * UNIT  # being slow is no guilt
