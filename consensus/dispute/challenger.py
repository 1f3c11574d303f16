"""The challenger: opens a game about a segment, and picks the first part that differs from its own execution.

It needs no memory, only the game as the chain has it. All before its pick is as it executed it, so that what it picked
is wrong: either the defender cannot answer, or the answer takes the game one level down, until the chain computes.
"""

from __future__ import annotations

from collections.abc import Sequence

from consensus.arbiter.errors import ArbiterError, BadPlace
from consensus.arbiter.evaluate import Evaluation, read_tile
from consensus.arbiter.statement import Check, Ending
from consensus.commit.merkle import compute_leaf_hash, compute_proof, compute_root_of_hashes
from consensus.commit.records import SegmentRecord, compute_salted_witness
from consensus.dispute.errors import DisputeError
from consensus.dispute.execution import Execution
from consensus.dispute.moves import Choose, Move, Open, Opened, Pick, RefuteOutput, RefuteState, Way
from consensus.dispute.narrowing import compute_children
from consensus.dispute.places import split_tile
from consensus.dispute.proofs import (
    hash_history,
    hash_leaves,
    hash_trace,
    is_useful,
    link_output,
    settle_data,
    settle_place,
)
from consensus.dispute.referee import compute_witness_of_leaves
from consensus.dispute.view import (
    Arbitration,
    ClaimsPick,
    DataStage,
    EndsStage,
    GameView,
    HistoryPick,
    NodePick,
    OutputRefute,
    Picking,
    Side,
    StateRefute,
    StepPick,
    TilePick,
    node_of,
    step_of,
)


def open_segment(task: int, unit: int, records: Sequence[SegmentRecord], index: int) -> Open:
    """The move that disputes a segment of a transcript."""
    leaves = [record.encode() for record in records]
    opened = [Opened(records[i], compute_proof(leaves, i).siblings) for i in range(max(0, index - 1), index + 1)]
    return Open(task, unit, opened[-1], opened[0] if index else None)


def challenge(execution: Execution, view: GameView) -> Move | None:
    """The challenger's next move; None when it has none: it waits for the defender, or has nothing to object.

    Where the chain can settle it does not wait for the defender.
    """
    try:
        move = _object(execution, view)
    except (ArbiterError, DisputeError):  # only a liar's: the chain would refuse it
        return None
    return move if move is not None and is_useful(view, move, Side.CHALLENGER) else None


def _object(execution: Execution, view: GameView) -> Move | None:
    match view.stage:
        case HistoryPick():
            return _choose_in_history(execution, view)
        case Picking():
            return _pick(execution, view, view.stage)
        case StepPick():
            return _choose_in_step(execution, view)
        case OutputRefute():
            linked = link_output(execution, view, "grad_norm")
            return None if linked is None else RefuteOutput(*linked)
        case StateRefute(name):
            linked = link_output(execution, view, "state", name)
            return None if linked is None else RefuteState(*linked)
        case NodePick():
            return _choose_in_node(execution, view)
        case EndsStage():
            check = find_ending(execution.evaluation(step_of(view).index, node_of(view).index))
            return None if check is None else settle_place(execution, view, check)
        case TilePick():
            return _choose_element(execution, view, view.stage)
        case ClaimsPick(place, _, claims):
            own = execution.evaluation(step_of(view).index, node_of(view).index).claims(place)
            wrong = _first_difference(own, claims)
            return Choose(Way.RESULT) if wrong is None else Choose(Way.PART, wrong)
        case Arbitration(place):
            return settle_place(execution, view, place)
        case DataStage(element):
            return settle_data(execution, view, element)
    return None


def _choose_in_history(execution: Execution, view: GameView) -> Move | None:
    history = execution.history()
    if compute_root_of_hashes(hash_history(history)) != view.history_root:
        return Choose(Way.DESCEND)
    witness = compute_salted_witness(view.unit.solver, compute_witness_of_leaves(history))
    return Choose(Way.WITNESS) if witness != view.record.salted_witness else None


def _pick(execution: Execution, view: GameView, stage: Picking) -> Move | None:
    own = compute_children(hash_leaves(execution, view, stage.level), stage.cursor)
    wrong = _first_difference(own, stage.children)
    if wrong is None:
        return None
    return Pick(wrong, own[wrong] or compute_leaf_hash(stage.children[wrong]))


def _choose_in_step(execution: Execution, view: GameView) -> Move | None:
    step = step_of(view)
    if compute_root_of_hashes(hash_trace(execution.trace(step.index))) != step.trace_root:
        return Choose(Way.DESCEND)
    own = execution.history()[step.index]
    if own.loss != step.after.loss:
        return Choose(Way.LOSS)
    if own.grad_norm != step.after.grad_norm:
        return Choose(Way.GRAD_NORM)
    return Choose(Way.STATE) if own.state != step.after.state else None


def _choose_in_node(execution: Execution, view: GameView) -> Move:
    node, trace = node_of(view), execution.trace(step_of(view).index)
    wrong = _first_difference([trace[i] for i in node.node.inputs], node.input_roots)
    if wrong is not None:
        return Choose(Way.INPUT, wrong)
    return Choose(Way.DESCEND if node.index < len(trace) else Way.ENDS)


def _choose_element(execution: Execution, view: GameView, stage: TilePick) -> Move | None:
    node = node_of(view)
    value = execution.value(step_of(view).index, node.index)
    own = split_tile(node.form, stage.tile, read_tile(value, node.form, stage.tile))
    wrong = _first_difference(own, split_tile(node.form, stage.tile, stage.data))
    return None if wrong is None else Choose(Way.PART, wrong)


def find_ending(evaluation: Evaluation) -> Check | None:
    """An input tile that ends the unit at a node; None where none does."""
    for number, form in enumerate(evaluation.forms):
        for tile in range(form.tile_count):
            try:
                if isinstance(evaluation.value(Check(number, tile)), Ending):
                    return Check(number, tile)
            except BadPlace:  # nothing in this input ends a unit
                break
    return None


def _first_difference(own: Sequence[object], theirs: Sequence[object]) -> int | None:
    """The first place at which the two differ; None where nowhere."""
    return next((i for i, (a, b) in enumerate(zip(own, theirs, strict=True)) if a != b), None)
