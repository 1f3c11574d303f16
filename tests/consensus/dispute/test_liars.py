"""Whatever a defender lies about, the honest challenger wins, at the place where the lie was made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest

from consensus.arbiter.statement import Element, Partial, Quantity, Tile
from consensus.commit.hashing import blake2_256
from consensus.dispute.challenger import challenge
from consensus.dispute.execution import DataSet
from consensus.dispute.view import Arbitration, ClaimsPick, GameView, Reason, Side, Verdict
from tests.consensus.dispute.games import Game, play_executions, play_game
from tests.consensus.dispute.liars import (
    BitLiar,
    EndlessLiar,
    InputLiar,
    MadeUpLeaf,
    MadeUpNode,
    MadeUpTile,
    OtherBatchLiar,
    OutcomeLiar,
    PlaceLiar,
    StateLiar,
    find,
    keep_tensor,
    meddle,
    turn_tensor,
)
from tests.consensus.dispute.memory import MemoryExecution, Task, Transcript, commit_to, make_transcript
from tests.consensus.dispute.tasks import language, vector

MAX_TRANSACTIONS = 40
MAX_BYTES = 2**16

Make = Callable[..., MemoryExecution]


@cache
def honest(task_name: str) -> tuple[Task, list[MemoryExecution]]:
    """A task and the honest execution of its first two segments."""
    task = {"language": language, "vector": vector}[task_name]()
    first = MemoryExecution(task)
    return task, [first, MemoryExecution(task, 1, first.states[-1])]


def lie(make: Make, *args: object, task_name: str = "language", **kwargs: object) -> tuple[Transcript, MemoryExecution]:
    """A unit of two segments of which the second is a liar's, and the liar."""
    task, (first, _) = honest(task_name)
    liar = make(task, 1, first.states[-1], *args, **kwargs)
    return make_transcript(task, [lambda i, s: first, lambda i, s: liar]), liar


def beat(make: Make, *args: object, task_name: str = "language", **kwargs: object) -> Game:
    """The game that the honest challenger wins."""
    transcript, liar = lie(make, *args, task_name=task_name, **kwargs)
    game = play_executions(transcript, 1, liar, honest(task_name)[1][1])
    check(game)
    return game


def check(game: Game) -> None:
    """The challenger has won within the bounds."""
    assert game.verdict is not None and game.verdict.winner is Side.CHALLENGER, (game.stages, game.verdict)
    assert game.transactions <= MAX_TRANSACTIONS and game.largest <= MAX_BYTES


def place_of(game: Game) -> object:
    """The place that was computed."""
    stage = game.views[-1].stage
    assert isinstance(stage, Arbitration), game.stages
    return stage.place


LANGUAGE_OPS = sorted({node.op for node in language().graph.nodes} - {"input"})
VECTOR_OPS = sorted({node.op for node in vector().graph.nodes} - {"input"} - set(LANGUAGE_OPS))


@pytest.mark.parametrize("op", LANGUAGE_OPS + VECTOR_OPS)
def test_one_turned_bit_in_the_value_of_a_node(op: str) -> None:
    """Every op: the game ends at that node of that step."""
    task_name = "language" if op in LANGUAGE_OPS else "vector"
    task, (_, right) = honest(task_name)
    found = 0
    for number in range(sum(node.op == op for node in task.graph.nodes)):
        node = find(task.graph, op, number)
        transcript, liar = lie(BitLiar, task_name=task_name, step=2, node=node)
        if len(liar.history()) < task.steps:
            continue  # the liar's own unit has ended
        game = play_executions(transcript, 1, liar, right)
        check(game)
        last = game.views[-1]
        assert last.step is not None and last.node is not None
        assert (last.step.index, last.node.index) == (2, node)
        assert game.verdict == Verdict(Side.CHALLENGER, Reason.REFUTED)
        found += 1
        if found == 2:
            break
    assert found


@pytest.mark.parametrize(
    ("op", "number", "place", "tile"),
    [
        ("matmul", 2, Partial(Quantity.SUM, 4, 0, 5), 4),
        ("matmul", 2, Partial(Quantity.SUM, 4, 1, 1), 4),
        ("matmul", 2, Partial(Quantity.MAXIMUM, 1, 0, 3), 4),
        ("matmul", 2, Partial(Quantity.RIGHT_MAXIMUM, 1, 1, 0), 4),
        ("sum", 3, Partial(Quantity.SUM, 0, 0, 17), 0),
        ("sum", 3, Partial(Quantity.MAXIMUM, 0, 1, 1), 0),
        ("add_rows", 0, Partial(Quantity.SUM, 7, 0, 1), 0),
        ("amax", 0, Partial(Quantity.MAXIMUM, 3, 0, 0), 0),
    ],
)
def test_a_turned_bit_deep_inside_a_reduction(op: str, number: int, place: Partial, tile: int) -> None:
    """The partial is wrong, all above it is computed from it: the chain computes that very partial."""
    task = honest("language")[0]
    game = beat(PlaceLiar, step=2, node=find(task.graph, op, number), place=place, tile=tile)
    assert place_of(game) == place


def test_claims_that_contradict_the_node_s_value_end_at_once() -> None:
    """The value is a lie, the claims below it are true."""
    task = honest("language")[0]
    assert isinstance(place_of(beat(BitLiar, step=2, node=find(task.graph, "matmul", 2))), Tile)
    assert isinstance(place_of(beat(BitLiar, step=2, node=find(task.graph, "add_rows"))), Element)


@pytest.mark.parametrize(
    ("kind", "name", "stage"),
    [
        ("state", "param/second", "StateInput"), ("state", "counter", "StateInput"), ("batch", "inputs", "DataStage"),
        ("batch", "targets", "DataStage"), ("seed", "seed", "NodeStage"), ("step", "step", "NodeStage"),
    ],
)  # fmt: skip
def test_an_input_that_is_not_what_the_step_reads(kind: str, name: str, stage: str) -> None:
    assert beat(InputLiar, step=2, kind=kind, name=name).stages[-1] == stage


def test_an_input_of_rows_that_is_not_in_the_data_set() -> None:
    assert beat(InputLiar, step=16, kind="batch", name="words", task_name="vector").stages[-1] == "DataStage"


def test_batches_of_other_steps() -> None:
    game = beat(OtherBatchLiar)
    assert game.stages[-1] == "DataStage" and game.views[-1].step_number == 5
    assert beat(OtherBatchLiar, task_name="vector").stages[-1] == "DataStage"


@pytest.mark.parametrize("change", [turn_tensor, keep_tensor])
@pytest.mark.parametrize("name", ["param/first", "counter"])
def test_a_state_that_is_not_what_the_trace_gives(change: Callable[..., object], name: str) -> None:
    """The tensor of an output, changed afterwards or kept as it was."""
    assert "StateStage" in beat(StateLiar, step=2, change=partial(change, name)).stages


def test_an_output_that_is_said_not_to_exist() -> None:
    """The defender calls a tensor unchanged, without a link: the challenger shows the output."""
    transcript, liar = lie(StateLiar, step=2, change=partial(keep_tensor, "counter"))
    player = meddle(liar, link=lambda link: None)
    game = play_game(transcript, 1, player, partial(challenge, honest("language")[1][1]))
    check(game)
    assert game.stages[-1] == "StateRefute" and game.verdict == Verdict(Side.CHALLENGER, Reason.REFUTED)


def test_a_tensor_without_an_output_that_changes() -> None:
    assert beat(StateLiar, step=2, change=partial(turn_tensor, "buffer")).stages[-1] == "StateStage"


@pytest.mark.parametrize("step", [0, 2, 4])
@pytest.mark.parametrize("wrong", [{"loss": 1.5}, {"grad_norm": 1.5}, {"grad_norm": -0.0}, {"loss": -0.0}])
def test_a_loss_or_a_norm_that_the_trace_has_not(step: int, wrong: dict[str, float]) -> None:
    assert beat(OutcomeLiar, step=step, **wrong).stages[-1] == "OutputStage"


def test_a_gradient_norm_that_is_said_not_to_exist() -> None:
    game = beat(OutcomeLiar, step=2, grad_norm=0.0)
    assert game.stages[-1] == "OutputRefute" and game.verdict == Verdict(Side.CHALLENGER, Reason.REFUTED)


def test_a_witness_that_is_not_that_of_the_history() -> None:
    task, (first, right) = honest("language")
    transcript = make_transcript(task, [lambda i, s: first, lambda i, s: right])
    records = [transcript.records[0], replace(transcript.records[1], salted_witness=blake2_256(b"other"))]
    game = play_executions(commit_to(transcript, records), 1, right, right)
    check(game)
    assert game.stages == ["HistoryStage", "HistoryPick", "WitnessStage"]


def test_an_end_state_that_the_history_has_not() -> None:
    task, (first, right) = honest("language")
    transcript = make_transcript(task, [lambda i, s: first, lambda i, s: right])
    records = [transcript.records[0], replace(transcript.records[1], end_state_root=blake2_256(b"other"))]
    game = play_executions(commit_to(transcript, records), 1, right, right)
    check(game)
    assert game.stages == ["HistoryStage"]


@pytest.mark.parametrize(
    ("make", "stage"), [(MadeUpLeaf, "Narrowing"), (MadeUpNode, "NodeStage"), (MadeUpTile, "Arbitration")]
)
def test_hashes_of_what_nobody_computed(make: Make, stage: str) -> None:
    """Trees over them combine; the leaf itself has no preimage."""
    assert beat(make).stages[-1] == stage


def test_an_input_that_is_not_the_trace_s() -> None:
    """The defender opens a node as if it read other values: it cannot link them."""
    task = honest("language")[0]
    transcript, liar = lie(BitLiar, step=2, node=find(task.graph, "matmul", 2))
    player = meddle(liar, input_inner_roots=lambda roots: (roots[0], blake2_256(b"other")))
    game = play_game(transcript, 1, player, partial(challenge, honest("language")[1][1]))
    check(game)
    assert game.stages[-1] == "LinkStage"


def test_claims_that_nobody_computed() -> None:
    """A made-up hash as the root of a sum: nothing opens it, and nothing below it combines to it."""
    task = honest("language")[0]
    transcript, liar = lie(BitLiar, step=2, node=find(task.graph, "matmul", 2))
    player = meddle(liar, claims=lambda claims: (*claims[:-1], blake2_256(b"made up")))
    game = play_game(transcript, 1, player, partial(challenge, honest("language")[1][1]))
    check(game)
    assert any(isinstance(view.stage, ClaimsPick) for view in game.views)


@pytest.mark.parametrize("scale", [1e20, 1.5e38])
def test_a_unit_that_ends_and_goes_on_all_the_same(scale: float) -> None:
    """Weights so large that a product overflows; the liar puts zeros where a value has none."""
    task = language(scale=scale)
    right, liar = MemoryExecution(task), EndlessLiar(task)
    assert right.done[-1].ended and len(liar.history()) == task.steps
    game = play_executions(make_transcript(task, [lambda i, s: liar]), 0, liar, right)
    check(game)
    assert game.stages[-1] == "EndsStage" and game.verdict == Verdict(Side.CHALLENGER, Reason.REFUTED)


def test_silence_loses() -> None:
    task, (first, right) = honest("language")
    transcript = make_transcript(task, [lambda i, s: first, lambda i, s: right])

    def silent(view: GameView) -> None:
        return None

    assert play_game(transcript, 1, silent, partial(challenge, right)).verdict == Verdict(Side.CHALLENGER, Reason.CLOCK)


def test_an_honest_claim_leaves_nothing_to_object() -> None:
    task, (first, right) = honest("language")
    transcript = make_transcript(task, [lambda i, s: first, lambda i, s: right])
    game = play_executions(transcript, 1, right, right)
    assert game.verdict == Verdict(Side.DEFENDER, Reason.CLOCK) and game.stages == ["HistoryStage", "HistoryPick"]
    assert np.isfinite([right.outcome(step).loss for step in range(task.steps)]).all()


def test_an_index_outside_its_table_ends_the_unit() -> None:
    """Tokens above the vocabulary: the liar reads zeros."""
    task = language()
    arrays = {"tokens": task.data.arrays["tokens"] + np.uint16(7)}
    task = replace(task, data=DataSet(arrays, windows=True))
    right, liar = MemoryExecution(task), EndlessLiar(task)
    assert right.done[-1].ended and len(liar.history()) == task.steps
    game = play_executions(make_transcript(task, [lambda i, s: liar]), 0, liar, right)
    check(game)
    last = game.views[-1]
    assert game.stages[-1] == "EndsStage" and last.node is not None and last.node.node.op == "take_rows"
