"""How long a game can get and how large a move, by formula; `tests/consensus/dispute/test_bounds.py` plays such games.

Every narrowing is two moves (`Narrow`, `Pick`), every place that needs claims two (`PostClaims`, `Choose`), a tile of
elements two (`PostTile`, `Choose`). The longest way ends in a leaf of a tree of partials.
"""

from __future__ import annotations

from consensus.arbiter.bounds import largest_opening
from consensus.arbiter.compute import is_by_element
from consensus.arbiter.reductions import QUANTITIES, count_levels
from consensus.arbiter.statement import ATTRIBUTES, Statement
from consensus.commit.tensor import TensorForm
from consensus.dispute.narrowing import count_narrowings
from consensus.dispute.referee import MAX_WITNESS_LEAVES

WITNESS_BYTES = 4 + 2 + 40 * MAX_WITNESS_LEAVES
"""`ProveWitness` of the longest segment (= 40,966)."""


def count_place_moves(statement: Statement) -> int:
    """Most moves from a tile of the node to the settlement, that included."""
    moves = 2 if is_by_element(statement.node) else 0
    if statement.node.op in QUANTITIES:
        trees = [len(count_levels(statement, quantity)) for quantity in QUANTITIES[statement.node.op]]
        moves += 2 + 2 * (max(trees) - 1)
    return moves + 1


def count_moves(steps: int, nodes: int, statement: Statement) -> int:
    """Most moves of a game about a node's value, in a segment of ``steps`` and a graph of ``nodes``.

    ``Open``, ``CommitHistory``, ``Choose``; ``CommitTrace``, ``Choose``; ``OpenNode``, ``Choose``; after each the way
    down a tree; at last the way inside a tile.
    """
    tiles = TensorForm(statement.node.dtype, statement.node.shape).tile_count
    narrowings = count_narrowings(steps) + count_narrowings(nodes) + count_narrowings(tiles)
    return 3 + 2 + 2 + 2 * narrowings + count_place_moves(statement)


def largest_move() -> int:
    """Bytes that no move's arguments exceed: those of the largest opening (with the game's number and a length), or of
    the longest history."""
    return max(WITNESS_BYTES, 4 + 4 + max(largest_opening(op) for op in ATTRIBUTES if op != "input"))
