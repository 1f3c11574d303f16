"""Liars of every kind lose their game, on either side, against the same player code over an honest execution."""

import pytest

from consensus.dispute.view import Reason, Side
from miner.work.cheat import HONEST, Cheat, CheatKind
from tests.miner.disputes.games import DisputedUnit

MODEL = "digits-mlp-tiny"
LIES = [Cheat(CheatKind.OP), Cheat(CheatKind.DATA), Cheat(CheatKind.SKIP, 0.5), Cheat(CheatKind.SKIP, 0.25)]


@pytest.mark.parametrize("lie", LIES, ids=str)
def test_lying_solver_loses(lie: Cheat) -> None:
    game = DisputedUnit(MODEL, lie).play(1, HONEST)
    assert game.verdict is not None and game.verdict.winner is Side.CHALLENGER
    assert game.transactions <= 40 and game.largest <= 2**16


def test_flipped_bit_is_found_by_the_chain_itself() -> None:
    game = DisputedUnit(MODEL, Cheat(CheatKind.OP)).play(0, HONEST)
    assert game.verdict is not None and game.verdict.reason is Reason.REFUTED
    assert game.stages[-1] == "Arbitration"


def test_wrong_element_of_a_batch_is_found_by_the_chain_itself() -> None:
    game = DisputedUnit(MODEL, Cheat(CheatKind.DATA)).play(0, HONEST)
    assert game.verdict is not None and game.verdict.reason is Reason.REFUTED
    assert game.stages[-1] == "DataStage"


@pytest.mark.parametrize("lie", [Cheat(CheatKind.OP), Cheat(CheatKind.DATA), Cheat(CheatKind.SKIP, 0.5)], ids=str)
def test_lying_challenger_loses(lie: Cheat) -> None:
    game = DisputedUnit(MODEL, HONEST).play(1, lie)
    assert game.verdict is not None and game.verdict.winner is Side.DEFENDER


@pytest.mark.slow
def test_flipped_bit_in_a_language_model() -> None:
    game = DisputedUnit("byte-gpt-tiny", Cheat(CheatKind.OP)).play(0, HONEST)
    assert game.verdict is not None and game.verdict.reason is Reason.REFUTED
    assert game.transactions <= 40 and game.largest <= 2**16
