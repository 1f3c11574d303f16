"""What both players make of an execution: the leaves of each level's tree, and proofs."""

from __future__ import annotations

from collections.abc import Sequence

from consensus.arbiter.evaluate import read_tile
from consensus.arbiter.geometry import locate
from consensus.arbiter.statement import Place
from consensus.commit.hashing import Hash32
from consensus.commit.merkle import compute_leaf_hash, compute_proof_of_hashes, compute_root_of_hashes
from consensus.commit.tensor import compute_tile_hashes
from consensus.dispute.batches import array_of, find_element
from consensus.dispute.errors import DisputeError
from consensus.dispute.execution import Execution, StepLeaf
from consensus.dispute.moves import Move, OutputLink, Settle, SettleData, Siblings
from consensus.dispute.referee import play
from consensus.dispute.view import GameView, Level, Side, Verdict, find_node, name_of, node_of, step_of


def hash_history(leaves: Sequence[StepLeaf]) -> list[Hash32]:
    """The leaf hashes of a history."""
    return [compute_leaf_hash(leaf.encode()) for leaf in leaves]


def hash_trace(roots: Sequence[Hash32]) -> list[Hash32]:
    """The leaf hashes of a trace."""
    return [compute_leaf_hash(root) for root in roots]


def hash_state(execution: Execution, step: int) -> list[Hash32]:
    """The leaf hashes of S_step."""
    return [compute_leaf_hash(entry.encode()) for entry in execution.state(step)]


def hash_leaves(execution: Execution, view: GameView, level: Level) -> Sequence[Hash32]:
    """The leaf hashes of a level's tree as the execution has them; fewer where the unit ends."""
    if level is Level.HISTORY:
        return hash_history(execution.history())
    step = step_of(view).index
    if level is Level.TRACE:
        return hash_trace(execution.trace(step))
    if level is Level.STATE:
        return hash_state(execution, step + 1)
    return execution.tiles(step, node_of(view).index)


def prove(leaves: Sequence[Hash32], index: int) -> Siblings:
    """Siblings of a leaf; raises `ProofError` when there is no such leaf."""
    return compute_proof_of_hashes(leaves, index).siblings


def prove_node(execution: Execution, index: int) -> Siblings:
    """The way of a node to the graph root."""
    return prove([compute_leaf_hash(node.to_bytes()) for node in execution.graph.nodes], index)


def link_output(
    execution: Execution, view: GameView, kind: str, name: str | None = None
) -> tuple[OutputLink, Hash32] | None:
    """An output of the graph with its proofs, and its value's root; None where the graph has none of kind and name."""
    index = find_node(execution.graph.nodes, "output", kind, name)
    if index is None:
        return None
    trace = execution.trace(step_of(view).index)
    siblings = prove_node(execution, index), prove(hash_trace(trace), index)
    return OutputLink(index, execution.graph.nodes[index], *siblings), trace[index]


def settle_place(execution: Execution, view: GameView, place: Place) -> Settle:
    """The opening of a place of the disputed node; raises an `ArbiterError`."""
    index = node_of(view).index
    evaluation = execution.evaluation(step_of(view).index, index)
    return Settle(evaluation.open(place, prove_node(execution, index)))


def settle_data(execution: Execution, view: GameView, element: int) -> SettleData:
    """The opening of the data set at an element of the disputed batch; raises `BadArray`."""
    node, data = node_of(view), execution.data()
    name = array_of(name_of(node.node), data.windows)
    names = [entry.name for entry in data.commitment.entries]
    index = names.index(name)
    form, array = data.commitment.entries[index].form, data.arrays[name]
    tiles = compute_tile_hashes(array)
    source = find_element(
        view.unit.seed, view.step_number, name_of(node.node), node.form, element, form, windows=data.windows
    )
    tile = locate(form, source)[0]
    siblings = prove([compute_leaf_hash(entry.encode()) for entry in data.commitment.entries], index)
    inner = compute_root_of_hashes(tiles)
    return SettleData(form, inner, index, siblings, read_tile(array, form, tile), prove(tiles, tile))


def is_useful(view: GameView, move: Move, side: Side) -> bool:
    """Whether the chain takes the move and does not end the game against the mover with it."""
    try:
        after = play(view, move, side, view.began)
    except DisputeError:
        return False
    return not (isinstance(after, Verdict) and after.winner is not side)
