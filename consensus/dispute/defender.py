"""The defender: answers every pick from its execution. It needs no memory, only the game as the chain has it.

An honest one can prove whatever is picked. A liar gives its lie as long as that holds together; what it cannot prove it
does not send, and its clock runs out.
"""

from __future__ import annotations

from consensus.arbiter.errors import ArbiterError
from consensus.arbiter.evaluate import read_tile
from consensus.commit.merkle import ProofError, compute_root_of_hashes
from consensus.commit.tensor import TensorForm
from consensus.dispute.errors import DisputeError
from consensus.dispute.execution import Execution
from consensus.dispute.moves import (
    CommitHistory,
    CommitTrace,
    Move,
    Narrow,
    OpenNode,
    PostClaims,
    PostTile,
    ProveLink,
    ProveOutput,
    ProveState,
    ProveStateInput,
    ProveWitness,
    Way,
)
from consensus.dispute.narrowing import compute_children
from consensus.dispute.proofs import (
    hash_history,
    hash_leaves,
    hash_state,
    hash_trace,
    is_useful,
    link_output,
    prove,
    prove_node,
    settle_data,
    settle_place,
)
from consensus.dispute.view import (
    Arbitration,
    ClaimsStage,
    DataStage,
    GameView,
    HistoryStage,
    LinkStage,
    Narrowing,
    NodeStage,
    OutputStage,
    Side,
    StateInput,
    StateStage,
    StepStage,
    TileStage,
    WitnessStage,
    name_of,
    node_of,
    step_of,
)


def defend(execution: Execution, view: GameView) -> Move | None:
    """The defender's next move; None when it is not its turn, or it has nothing that would hold."""
    try:
        move = answer(execution, view)
    except (ArbiterError, DisputeError, ProofError):  # only a liar's: its own lies do not fit together
        return None
    return move if move is not None and is_useful(view, move, Side.DEFENDER) else None


def answer(execution: Execution, view: GameView) -> Move | None:
    """What the execution has to say, whether it holds or not; raises the errors of proofs and of the arbiter."""
    match view.stage:
        case HistoryStage():
            return _commit_history(execution, view)
        case WitnessStage():
            return ProveWitness(tuple(execution.history()))
        case Narrowing(level, cursor):
            children = compute_children(hash_leaves(execution, view, level), cursor)
            return Narrow(tuple(child for child in children if child is not None))
        case StepStage(index):
            return _commit_trace(execution, index)
        case OutputStage(way):
            linked = link_output(execution, view, "loss" if way is Way.LOSS else "grad_norm")
            return None if linked is None else ProveOutput(linked[0])
        case StateStage(index):
            return _prove_state(execution, view, index)
        case NodeStage(index):
            return _open_node(execution, view, index)
        case StateInput():
            step = step_of(view).index
            index = [entry.name for entry in execution.state(step)].index(name_of(node_of(view).node))
            return ProveStateInput(index, prove(hash_state(execution, step), index))
        case LinkStage(number):
            trace = hash_trace(execution.trace(step_of(view).index))
            return ProveLink(prove(trace, node_of(view).node.inputs[number]))
        case TileStage(tile):
            value = execution.value(step_of(view).index, node_of(view).index)
            return PostTile(read_tile(value, node_of(view).form, tile))
        case ClaimsStage(place):
            return PostClaims(execution.evaluation(step_of(view).index, node_of(view).index).claims(place))
        case Arbitration(place):
            return settle_place(execution, view, place)
        case DataStage(element):
            return settle_data(execution, view, element)
    return None


def _commit_history(execution: Execution, view: GameView) -> Move | None:
    history = execution.history()
    if len(history) < view.unit.steps:
        return None
    leaves = hash_history(history)
    return CommitHistory(compute_root_of_hashes(leaves), history[-1], prove(leaves, len(leaves) - 1))


def _commit_trace(execution: Execution, index: int) -> Move:
    history = execution.history()
    before = (history[index - 1], prove(hash_history(history), index - 1)) if index else None
    return CommitTrace(history[index], before, compute_root_of_hashes(hash_trace(execution.trace(index))))


def _prove_state(execution: Execution, view: GameView, index: int) -> Move:
    step = step_of(view).index
    entry, before = execution.state(step + 1)[index], execution.state(step)[index]
    linked = link_output(execution, view, "state", entry.name)
    siblings = prove(hash_state(execution, step), index)
    return ProveState(entry.name, entry.root, before.root, siblings, linked and linked[0])


def _open_node(execution: Execution, view: GameView, index: int) -> Move:
    nodes, step = execution.graph.nodes, step_of(view).index
    node = nodes[index]
    inner_roots = [compute_root_of_hashes(execution.tiles(step, number)) for number in (index, *node.inputs)]
    forms = tuple(TensorForm(nodes[i].dtype, nodes[i].shape) for i in node.inputs)
    return OpenNode(node, prove_node(execution, index), inner_roots[0], forms, tuple(inner_roots[1:]))
