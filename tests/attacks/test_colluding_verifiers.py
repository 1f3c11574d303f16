"""A pair of verifiers that agrees on a lie about an honest solver, and one that covers for a lying solver.

Source: DESIGN §5 (the chain compares roots, nobody votes) and §6; the interim rule of the first issue, under which two
verifiers outvoted a solver, is what this replaces.
"""

import pytest

from miner.lab.ledger import CallRefused
from pallets_abi import stakes, tasks, verification
from tests.attacks.court import SOLVER, UNIT, VERIFIERS, Court


def test_two_who_agree_on_a_lie_lose_their_bonds_and_the_solver_is_paid() -> None:
    court = Court()
    work = court.hand_in(SOLVER, 0)
    court.pass_until_drawn()
    liars, segments = court.drawn(0), court.duty(0).segments
    lie = court.execute(SOLVER, 0, cheated=4).attest(segments, False)
    assert lie != work.attest(segments, True)
    for key in liars:
        court.commit(key, 0, lie)
    for key in liars:
        court.reveal(key, 0, lie)
    court.open_segments(SOLVER, 0, work)
    court.ledger.pass_blocks(1)
    assert court.state(0) == "Disputed" and court.bond(stakes.Role.SOLVER, SOLVER) == 200 * UNIT
    court.ledger.pass_blocks(12)
    assert [court.bond(stakes.Role.VERIFIER, key) for key in liars] == [0, 0]
    reasons = {event.reason for event in court.find(stakes.SlashedEvent)}
    assert reasons == {stakes.SlashReason.WRONG_ATTESTATION}
    court.ledger.pass_blocks(6)
    assert court.state(0) == "Final"
    assert [event.solver for event in court.find(tasks.UnitFinalEvent)] == [SOLVER.address]


def test_an_accomplice_of_a_lying_solver_falls_with_it() -> None:
    court = Court()
    work = court.hand_in(SOLVER, 0, cheated=4)
    court.pass_until_drawn()
    honest, accomplice = court.drawn(0)
    court.verify(0, work, SOLVER, lambda key: key is honest)
    court.ledger.pass_blocks(1)
    court.open_game(honest, 0, work, court.find(verification.MismatchedEvent)[0].segment)
    court.ledger.pass_blocks(42)  # the liar has no answer: its clock of 40 blocks runs out
    assert court.state(0) == "Open"
    assert court.bond(stakes.Role.SOLVER, SOLVER) == 0
    assert court.bond(stakes.Role.VERIFIER, accomplice) == 0
    assert court.bond(stakes.Role.VERIFIER, honest) == 100 * UNIT


def test_only_who_was_drawn_has_a_say() -> None:
    court = Court()
    work = court.hand_in(SOLVER, 0)
    court.pass_until_drawn()
    outsider = next(key for key in VERIFIERS if key not in court.drawn(0))
    truth = work.attest(court.duty(0).segments, True)
    with pytest.raises(CallRefused, match="NotVerifier"):
        court.commit(outsider, 0, truth)
    for key in court.drawn(0):
        court.commit(key, 0, truth)
    with pytest.raises(CallRefused, match="NotVerifier"):
        court.reveal(outsider, 0, truth)
    with pytest.raises(CallRefused, match="NotSolver"):
        court.open_segments(outsider, 0, work)
