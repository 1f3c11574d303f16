"""Games stay within 40 transactions of at most 64 KiB, at the sizes of a GPT of 10 million parameters and above."""

from __future__ import annotations

from functools import partial

import pytest

from consensus.arbiter.statement import Statement, Tile
from consensus.commit.tensor import TensorForm
from consensus.dispute.bounds import WITNESS_BYTES, count_moves, largest_move
from consensus.dispute.defender import defend
from consensus.dispute.execution import StepLeaf
from consensus.dispute.moves import Choose, ProveWitness, Way, encode
from consensus.dispute.referee import MAX_WITNESS_LEAVES
from consensus.dispute.view import ClaimsPick, Level, TilePick
from consensus.graph import Node
from tests.consensus.dispute.false_challengers import SteeredChallenger
from tests.consensus.dispute.games import play_game
from tests.consensus.dispute.liars import find
from tests.consensus.dispute.tasks import language
from tests.vectors.dispute_games import ON, honest

MAX_TRANSACTIONS, MAX_BYTES = 40, 2**16
STEPS, NODES, K = 32, 4096, 4096
F32, I64 = "f32", "i64"


def state(op: str, shape: tuple[int, ...], *inputs: TensorForm, **attrs: int | tuple[int, ...]) -> Statement:
    """A statement about a tile."""
    return Statement(Node(op, tuple(range(len(inputs))), F32, shape, attrs), inputs, Tile(0))


LARGE = {
    "matmul": state("matmul", (2442, 4096), TensorForm(F32, (2442, K)), TensorForm(F32, (K, 4096)), bits=12),
    "matmul of a long K": state("matmul", (1, 1), TensorForm(F32, (1, 10**7)), TensorForm(F32, (10**7, 1)), bits=1),
    "sum of all": state("sum", (1, 1), TensorForm(F32, (2442, 4096)), axes=(0, 1)),
    "sum of columns": state("sum", (1, 4096), TensorForm(F32, (2442, 4096)), axes=(0,)),
    "amax": state("amax", (2442, 1), TensorForm(F32, (2442, 4096)), axes=(1,)),
    "add_rows": state("add_rows", (2442, 4096), TensorForm(F32, (K, 4096)), TensorForm(I64, (K,)), rows=2442),
    "transpose": state("transpose", (2442, 4096), TensorForm(F32, (4096, 2442)), perm=(1, 0)),
    "exp": state("exp", (2442, 4096), TensorForm(F32, (2442, 4096))),
}
"""Nodes whose largest tensor has 10^7 elements."""


@pytest.mark.parametrize("name", LARGE)
def test_moves_at_the_sizes_of_a_gpt_of_ten_million_parameters(name: str) -> None:
    """32 steps a segment, 4,096 nodes; K = 4,096, or as long as a tensor of 10^7 elements can be."""
    moves = count_moves(STEPS, NODES, LARGE[name])
    print(f"{name}: at most {moves} transactions")
    assert moves <= MAX_TRANSACTIONS


def test_the_longest_game() -> None:
    """7 moves, 2 + 3 + 4 narrowings, the claims of the tile and of 4 levels of sums, the settlement."""
    assert count_moves(STEPS, NODES, LARGE["matmul"]) == 7 + 2 * (2 + 3 + 4) + 2 * (1 + 4) + 1 == 36
    longest = {name: count_moves(STEPS, NODES, statement) for name, statement in LARGE.items()}
    assert max(moves for name, moves in longest.items() if name != "matmul of a long K") == 36


@pytest.mark.parametrize(
    ("op", "number", "tile"), [("matmul", 2, 4), ("matmul", 1, 19), ("sum", 3, 0), ("add_rows", 0, 1), ("amax", 0, 1),
                               ("exp", 0, 3), ("transpose", 0, 5), ("const", 0, 0)],
)  # fmt: skip
def test_games_are_as_long_as_the_formula_says(op: str, number: int, tile: int) -> None:
    """A false challenger that goes down to a leaf of the deepest tree."""
    task = language()
    node, transcript = find(task.graph, op, number), honest(task)
    claims = {"matmul": 2, "sum": 1, "add_rows": 1}.get(op, 0)
    says = {**ON, TilePick: [Choose(Way.PART, 0)], ClaimsPick: [Choose(Way.PART, claims), Choose(Way.PART, 0)]}
    player = SteeredChallenger({Level.HISTORY: 3, Level.TRACE: node, Level.TILES: tile}, says)
    game = play_game(transcript, 1, partial(defend, transcript.executions[1]), player)
    statement = transcript.executions[1].evaluation(3, node).state(Tile(tile))
    assert game.transactions == count_moves(task.steps, len(task.graph.nodes), statement)


def test_the_largest_move() -> None:
    """An opening of 32 KiB of sums, or the leaves of the longest history: both under 64 KiB."""
    print(f"largest move: {largest_move():,} bytes")
    assert largest_move() <= MAX_BYTES


def test_the_witness_of_the_longest_segment() -> None:
    leaf = StepLeaf(honest(language()).unit.start, 0, 0)
    assert len(encode(ProveWitness((leaf,) * MAX_WITNESS_LEAVES))) == WITNESS_BYTES <= MAX_BYTES
