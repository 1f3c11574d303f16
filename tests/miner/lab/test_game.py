"""Real lies about a real training, disputed on the runtime's pallets; both sides killed before every single move."""

import pytest

from consensus.dispute.view import Side
from miner.kernels import Executor
from miner.lab.game import SOLVER, VERIFIER, LiePlay, Work
from miner.work.cheat import parse_cheat
from miner.work.data import make_dataset
from pallets_abi import disputes, stakes, tasks
from tests.miner.work.regression import INITIAL, ORDER, make_graph, make_rows

STEPS = 5


def make_work() -> Work:
    """One segment of the small regression."""
    return Work(Executor(make_graph(), "numpy"), make_dataset(make_rows(200, 1), ORDER), INITIAL, STEPS)


@pytest.mark.parametrize("lie", ["op", "data"])
def test_the_chain_refutes_the_lie_though_both_sides_forget_everything_before_each_move(lie: str) -> None:
    play = LiePlay(make_work(), parse_cheat(lie), is_forgetful=True)
    figures = play.run()
    ended = figures.ended
    assert ended is not None and ended.winner is disputes.Side.CHALLENGER
    assert ended.verdict is disputes.Verdict.REFUTED
    assert 4 < len(figures.moves) == figures.blocks + 1 <= 40
    assert figures.largest_bytes <= 2**16
    assert play.ledger.query(stakes.BONDS, "Solver", SOLVER.address) == 0
    assert play.ledger.query(stakes.BONDS, "Verifier", VERIFIER.address) > 0
    assert play.ledger.query(tasks.UNITS, 0, 0).state.name == "Open"


def test_who_remembers_makes_the_same_moves() -> None:
    forgetful, other = (LiePlay(make_work(), parse_cheat("op"), forgets).run() for forgets in (True, False))
    assert forgetful.moves == other.moves
    assert set(other.cpu) == set(Side)
