"""A challenger that knows nothing: it opens a game about honest work and sits out its clock, or calls out of turn.

Source: DESIGN §6 after BoLD (Arbitrum): a bogus challenge costs its maker its bonds, and delays by at most two clocks.
"""

import pytest

from consensus.commit.merkle import compute_leaf_hash
from miner.lab.duties import to_hex
from miner.lab.ledger import CallRefused
from pallets_abi import disputes, stakes
from tests.attacks.court import OWNER, RIVAL, SOLVER, UNIT, VERIFIERS, Court

LEVELS = 3
FEES = UNIT // 100
"""Above what one transaction costs."""


def watched() -> tuple[Court, disputes.StepLeaf, str]:
    """An honest unit in its watch window; the history of its segment 0, one step long, and that history's root."""
    court = Court()
    work = court.hand_in(SOLVER, 0)
    court.pass_until_drawn()
    court.verify(0, work, SOLVER, lambda _: True)
    assert court.state(0) == "Challengeable"
    court.open_game(RIVAL, 0, work, 0)
    end = work.records[0].end_state_root
    return court, disputes.StepLeaf(to_hex(end), 0, 0), to_hex(end)


def test_who_sits_out_its_clock_loses_all_levels_half_of_them_to_the_defender() -> None:
    court, last, end = watched()
    params = court.ledger.query(disputes.PARAMS)
    liar, solver = court.wealth(RIVAL), court.wealth(SOLVER)
    root = compute_leaf_hash(bytes.fromhex(end[2:]) + bytes(8))
    court.ledger.submit(SOLVER, disputes.CommitHistoryCall(0, to_hex(root), last, []))
    court.ledger.pass_blocks(42)
    ended = court.find(disputes.GameEndedEvent)
    assert [(event.verdict.value, event.winner, event.loser) for event in ended] == [
        ("Clock", SOLVER.address, RIVAL.address)
    ]
    lost = LEVELS * params.level_bond
    assert liar - court.wealth(RIVAL) == lost == 3 * UNIT // 10
    won = lost * params.reward_share // 10**6
    assert won - FEES < court.wealth(SOLVER) - solver <= won
    assert court.bond(stakes.Role.SOLVER, SOLVER) == 200 * UNIT
    court.ledger.pass_blocks(6)
    assert court.state(0) == "Final"


def test_moves_out_of_turn_by_strangers_and_about_closed_games_change_nothing() -> None:
    court, last, root = watched()
    before = court.ledger.query(disputes.GAMES, 0)
    move = disputes.CommitHistoryCall(0, root, last, [])
    for key, call, name in (
        (RIVAL, move, "NotYourTurn"),
        (VERIFIERS[0], move, "NotYourTurn"),
        (SOLVER, disputes.CommitHistoryCall(7, root, last, []), "NoGame"),
        (SOLVER, disputes.NarrowCall(0, []), "WrongStage"),
        (SOLVER, disputes.CommitHistoryCall(0, root, last, [root]), "BadProof"),
    ):
        with pytest.raises(CallRefused, match=name):
            court.ledger.submit(key, call)
    assert court.ledger.query(disputes.GAMES, 0) == before


def test_a_game_about_the_own_unit_a_second_one_and_one_without_a_bond_are_refused() -> None:
    court, _, _ = watched()
    work = court.execute(SOLVER, 0)
    with pytest.raises(CallRefused, match="OwnUnit"):
        court.open_game(SOLVER, 0, work, 1)
    with pytest.raises(CallRefused, match="AlreadyOpen"):
        court.open_game(RIVAL, 0, work, 1)
    with pytest.raises(CallRefused, match="NotEligible"):
        court.open_game(OWNER, 0, work, 1)
