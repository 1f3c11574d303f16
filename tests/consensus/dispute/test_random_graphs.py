"""Games about random graphs of every op, NaNs and infinities among their values: lies lose, the truth wins."""

from __future__ import annotations

from functools import partial
from random import Random

import numpy as np
import pytest

from consensus.dispute.defender import defend
from consensus.dispute.execution import DataSet
from consensus.dispute.view import Reason, Side, Verdict
from tests.consensus.dispute.false_challengers import RandomChallenger
from tests.consensus.dispute.games import play_executions, play_game
from tests.consensus.dispute.liars import BitLiar
from tests.consensus.dispute.memory import MemoryExecution, Task, make_transcript
from tests.consensus.graph.random_graphs import make_random_graph

ROWS = 9
"""Of every array of the data set."""


def make_task(seed: int) -> Task:
    """A random graph's training step, two steps a segment, over rows of what the graph was made for."""
    graph, inputs = make_random_graph(seed, 40, train=True)
    state = {name: value for (kind, name), value in inputs.items() if kind == "state"}
    batch = {name: value for (kind, name), value in inputs.items() if kind == "batch"}
    arrays = {name: np.resize(value, (ROWS, *value.shape[1:])) for name, value in batch.items()}
    return Task(graph, DataSet(arrays, windows=False), state, 2)


@pytest.mark.parametrize("seed", range(20))
def test_a_random_graph(seed: int) -> None:
    task, random = make_task(seed), Random(seed)
    right = MemoryExecution(task)
    truth = make_transcript(task, [lambda i, s: right])
    for number in range(4):
        challenger = RandomChallenger(random, right, settles=number % 2 == 0)
        game = play_game(truth, 0, partial(defend, right), challenger)
        assert game.verdict is not None and game.verdict.winner is Side.DEFENDER
    computed = [index for index, node in enumerate(task.graph.nodes) if node.op != "input"]
    for node in random.sample(computed, 4):
        liar = BitLiar(task, 0, None, step=random.randrange(2), node=node)
        if len(liar.history()) == task.steps:
            game = play_executions(make_transcript(task, [lambda i, s, liar=liar: liar]), 0, liar, right)
            assert game.verdict == Verdict(Side.CHALLENGER, Reason.REFUTED), (node, game.stages)
            assert game.views[-1].node is not None and game.views[-1].node.index == node
