"""A liar that is found out plays for time, and hands in more false units while its clock runs.

Source: seen in our own devnet: a cheater that stayed until its clock ended buried two honest verifiers under so many
units that they missed their windows and were fined.
"""

import pytest

from miner.lab.ledger import CallRefused
from pallets_abi import stakes, tasks, verification
from tests.attacks.court import RIVAL, SOLVER, Court

MAX_CLAIMS = 4


def test_it_may_have_few_unfinished_units_and_loses_all_of_them_undrawn() -> None:
    court = Court()
    works = [court.hand_in(SOLVER, unit, cheated=4) for unit in range(2)]
    court.pass_until_drawn()
    accuser = court.drawn(0)[0]
    court.verify(0, works[0], SOLVER, lambda _: True)
    court.ledger.pass_blocks(1)
    court.open_game(accuser, 0, works[0], court.find(verification.MismatchedEvent)[0].segment)
    for unit in range(2, MAX_CLAIMS):
        court.hand_in(SOLVER, unit, cheated=4)
    with pytest.raises(CallRefused, match="UnderDispute"):
        court.claim(SOLVER, MAX_CLAIMS)
    court.claim(RIVAL, MAX_CLAIMS)  # nobody else is held up
    load = court.ledger.query(tasks.LOADS, SOLVER.address)
    assert (load.assigned, load.awaiting, load.disputed) == (0, MAX_CLAIMS, 1)
    court.ledger.pass_blocks(42)
    assert court.bond(stakes.Role.SOLVER, SOLVER) == 0
    with pytest.raises(CallRefused, match="NotEligible"):
        court.claim(SOLVER, 7)
    court.ledger.pass_blocks(3 * 12)
    assert {court.state(unit) for unit in range(MAX_CLAIMS)} == {"Open"}
    assert not court.find(tasks.UnitFinalEvent)


def test_units_that_wait_for_their_draw_are_dropped_with_the_bond() -> None:
    court = Court()
    work = court.hand_in(SOLVER, 0, cheated=4)
    court.pass_until_drawn()
    accuser = court.drawn(0)[0]
    court.verify(0, work, SOLVER, lambda _: True)
    court.ledger.pass_blocks(1)
    court.open_game(accuser, 0, work, court.find(verification.MismatchedEvent)[0].segment)
    court.ledger.pass_blocks(38)  # of its clock's 40
    court.hand_in(SOLVER, 1, cheated=4)
    court.ledger.pass_blocks(4)
    assert court.bond(stakes.Role.SOLVER, SOLVER) == 0 and court.state(1) == "Submitted"
    drawn = len(court.find(verification.VerifiersDrawnEvent))
    court.ledger.pass_blocks(2 * 12)
    reasons = {(event.unit, event.reason) for event in court.find(tasks.UnitRelistedEvent)}
    assert reasons == {(0, tasks.RelistReason.REFUSED), (1, tasks.RelistReason.NO_BOND)}
    assert court.state(1) == "Open"
    assert len(court.find(verification.VerifiersDrawnEvent)) == drawn
