"""The rules: what pallet Disputes does with a move, as a pure function; `devnet/runtime/pallets/disputes` is its twin.

`open_game` makes a game, `play` takes one move on, `expire` ends a game whose clock has run out. A refused move raises
a `DisputeError`; nothing is changed, as views are immutable. Still trusted: the `Unit`, which the chain knows from its
task and submission; that node and state counts and the data rule are those of the task's graph and data set is checked
by whoever claims a unit, not by the chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from consensus.arbiter.statement import Tile
from consensus.commit.hashing import HASH_BYTES, Hash32, blake2_256
from consensus.commit.merkle import compute_leaf_hash, compute_root
from consensus.commit.records import compute_salted_witness
from consensus.commit.tensor import compute_tensor_root
from consensus.dispute.checks import encode_leaf, verify
from consensus.dispute.errors import (
    BadChildren,
    BadChoice,
    BadNode,
    BadPick,
    BadPrevious,
    BadProof,
    BadWitness,
    NothingToRefute,
    NotYourTurn,
    OutOfTime,
    SameHash,
    TooLarge,
    WrongEnd,
    WrongStage,
)
from consensus.dispute.execution import StepLeaf
from consensus.dispute.moves import (
    Choose,
    CommitHistory,
    CommitTrace,
    Move,
    Narrow,
    Open,
    OpenNode,
    OutputLink,
    Pick,
    PostClaims,
    PostTile,
    ProveLink,
    ProveOutput,
    ProveState,
    ProveStateInput,
    ProveWitness,
    RefuteOutput,
    RefuteState,
    Settle,
    SettleData,
    Way,
)
from consensus.dispute.narrowing import Cursor
from consensus.dispute.places import (
    choose_claim,
    choose_element,
    enter_place,
    open_node,
    post_claims,
    post_tile,
    prove_link,
    settle,
    settle_data,
)
from consensus.dispute.view import (
    PROVED,
    REFUTED,
    Arbitration,
    ClaimsPick,
    ClaimsStage,
    DataStage,
    EndsStage,
    GameView,
    HistoryPick,
    HistoryStage,
    Level,
    LinkStage,
    Narrowing,
    Next,
    NodePick,
    NodeStage,
    OutputRefute,
    OutputStage,
    Picking,
    Reason,
    Side,
    StateInput,
    StateRefute,
    StateStage,
    StepClaim,
    StepPick,
    StepStage,
    TilePick,
    TileStage,
    Unit,
    Verdict,
    WitnessStage,
    history_of,
    name_of,
    node_of,
    step_of,
)

MAX_WITNESS_LEAVES = 2**10
"""Most leaves of `ProveWitness` (= 1,024, 40 KiB), and so most steps of a segment."""


# --- the frame: turns and clocks ---------------------------------------------------------------------------------


def open_game(unit: Unit, move: Open, clock: int, now: int) -> GameView:
    """A new game with ``clock`` blocks for each side; raises `BadProof`, `BadPrevious`.

    The segment starts where the record before it ends, whatever its own record says; the last one ends where the unit
    was submitted to end.
    """
    record, previous = move.opening.record, move.previous
    verify(unit.transcript_root, record.encode(), record.index, unit.segments, move.opening.proof)
    if (previous is None) != (record.index == 0):
        raise BadPrevious("every segment but the first needs the record before it")
    start = unit.start
    if previous is not None:
        if previous.record.index != record.index - 1:
            raise BadPrevious(f"record {previous.record.index} is not the one before {record.index}")
        verify(unit.transcript_root, previous.record.encode(), record.index - 1, unit.segments, previous.proof)
        start = previous.record.end_state_root
    if record.index == unit.segments - 1 and unit.end is not None:
        record = replace(record, end_state_root=unit.end)
    return GameView(unit, record, start, HistoryStage(), now, (clock, clock))


def play(view: GameView, move: Move, side: Side, now: int) -> Next:
    """The game after a move in block ``now``, or how it has ended. Raises a `DisputeError`.

    The clock that runs is always that of whoever's turn it is; a challenger may settle in the defender's turn.
    """
    may_settle = isinstance(view.stage, Arbitration | DataStage) and isinstance(move, Settle | SettleData)
    if side is not view.turn and not may_settle:
        raise NotYourTurn(f"it is the turn of the {view.turn.name.lower()}")
    if now > view.deadline:
        raise OutOfTime(now - view.began, view.clocks[view.turn])
    after = _apply(view, move)
    if isinstance(after, Verdict):
        return after
    clocks = list(view.clocks)
    clocks[view.turn] -= now - view.began
    return replace(after, clocks=(clocks[0], clocks[1]), began=now)


def expire(view: GameView, now: int) -> Verdict | None:
    """The end of a game in the first block after its clock has run out."""
    return Verdict(view.turn.other, Reason.CLOCK) if now > view.deadline else None


def _apply(view: GameView, move: Move) -> Next:
    """The rule for a move in a stage."""
    match (view.stage, move):
        case (HistoryStage(), CommitHistory() as m):
            return _commit_history(view, m)
        case (WitnessStage(), ProveWitness() as m):
            return _prove_witness(view, m)
        case (Narrowing() as s, Narrow() as m):
            return _narrow(view, s, m)
        case (Picking() as s, Pick() as m):
            return _pick(view, s, m)
        case (StepStage() as s, CommitTrace() as m):
            return _commit_trace(view, s, m)
        case (OutputStage() as s, ProveOutput() as m):
            return _prove_output(view, s, m)
        case (OutputRefute(), RefuteOutput() as m):
            return _refute(view, m.link, "grad_norm", None, m.value, compute_scalar_root(0))
        case (StateStage() as s, ProveState() as m):
            return _prove_state(view, s, m)
        case (StateRefute() as s, RefuteState() as m):
            return _refute(view, m.link, "state", s.name, m.value, s.root)
        case (NodeStage() as s, OpenNode() as m):
            return open_node(view, s, m)
        case (StateInput(), ProveStateInput() as m):
            leaf = encode_leaf(name_of(node_of(view).node), node_of(view).root)
            verify(step_of(view).start, leaf, m.index, view.unit.state_count, m.siblings)
            return PROVED
        case (LinkStage() as s, ProveLink() as m):
            return prove_link(view, s, m)
        case (TileStage() as s, PostTile() as m):
            return post_tile(view, s, m)
        case (ClaimsStage() as s, PostClaims() as m):
            return post_claims(view, s, m)
        case (EndsStage() | Arbitration(), Settle() as m):
            return settle(view, m)
        case (DataStage() as s, SettleData() as m):
            return settle_data(view, s, m)
        case (HistoryPick() | StepPick() | NodePick() | TilePick() | ClaimsPick(), Choose() as m):
            return _choose(view, m)
    raise WrongStage(type(view.stage).__name__, type(move).__name__)


def _choose(view: GameView, move: Choose) -> Next:
    match (view.stage, move.way):
        case (HistoryPick(), Way.DESCEND):
            return _enter_tree(view, Level.HISTORY, view.unit.steps, history_of(view))
        case (HistoryPick(), Way.WITNESS):
            return replace(view, stage=WitnessStage())
        case (StepPick(), Way.DESCEND):
            return _enter_tree(view, Level.TRACE, view.unit.node_count, step_of(view).trace_root)
        case (StepPick(), Way.GRAD_NORM) if step_of(view).after.grad_norm == 0:
            return replace(view, stage=OutputRefute())  # right where the graph has none, which nobody could show
        case (StepPick(), Way.LOSS | Way.GRAD_NORM):
            return replace(view, stage=OutputStage(move.way))
        case (StepPick(), Way.STATE):
            return _enter_tree(view, Level.STATE, view.unit.state_count, step_of(view).after.state)
        case (NodePick(), Way.DESCEND):
            return _enter_tree(view, Level.TILES, node_of(view).form.tile_count, node_of(view).inner_root)
        case (NodePick(), Way.INPUT) if move.number < len(node_of(view).node.inputs):
            return replace(view, stage=LinkStage(move.number))
        case (NodePick(), Way.ENDS) if not node_of(view).is_batch:
            return replace(view, stage=EndsStage())
        case (TilePick() as s, Way.PART):
            return choose_element(view, s, move.number)
        case (ClaimsPick() as s, Way.PART) if move.number < len(s.claims):
            return choose_claim(view, s, move.number)
        case (ClaimsPick() as s, Way.RESULT):
            return replace(view, stage=Arbitration(s.place, s.hash, s.claims))
    raise BadChoice(f"{type(view.stage).__name__} offers no {move.way.name} {move.number}")


# --- segment and step --------------------------------------------------------------------------------------------


def _commit_history(view: GameView, move: CommitHistory) -> Next:
    steps = view.unit.steps
    verify(move.root, move.last.encode(), steps - 1, steps, move.siblings)
    if move.last.state != view.record.end_state_root:
        raise WrongEnd("the history does not end in the record's end state")
    return replace(view, stage=HistoryPick(), history_root=move.root)


def _prove_witness(view: GameView, move: ProveWitness) -> Next:
    if len(move.leaves) > MAX_WITNESS_LEAVES:
        raise TooLarge("leaves of a history", len(move.leaves), MAX_WITNESS_LEAVES)
    if len(move.leaves) != view.unit.steps or compute_root([leaf.encode() for leaf in move.leaves]) != history_of(view):
        raise BadProof("these are not the leaves of the history")
    witness = compute_witness_of_leaves(move.leaves)
    if compute_salted_witness(view.unit.solver, witness) != view.record.salted_witness:
        raise BadWitness("the history's witness is not the record's")
    return PROVED


def _commit_trace(view: GameView, stage: StepStage, move: CommitTrace) -> Next:
    if compute_leaf_hash(move.after.encode()) != stage.hash:
        raise BadProof(f"this is not leaf {stage.index} of the history")
    if (move.before is None) != (stage.index == 0):
        raise BadPrevious("every step but the first needs the leaf before it")
    start = view.start
    if move.before is not None:
        leaf, siblings = move.before
        verify(history_of(view), leaf.encode(), stage.index - 1, view.unit.steps, siblings)
        start = leaf.state
    return replace(view, stage=StepPick(), step=StepClaim(stage.index, start, move.after, move.trace_root))


def _prove_output(view: GameView, stage: OutputStage, move: ProveOutput) -> Next:
    after = step_of(view).after
    bits, kind = (after.loss, "loss") if stage.way is Way.LOSS else (after.grad_norm, "grad_norm")
    _verify_output(view, move.link, kind, None, compute_scalar_root(bits))
    return PROVED


def _prove_state(view: GameView, stage: StateStage, move: ProveState) -> Next:
    if compute_leaf_hash(encode_leaf(move.name, move.root)) != stage.hash:
        raise BadProof(f"this is not leaf {stage.index} of the state after the step")
    before = encode_leaf(move.name, move.before_root)
    verify(step_of(view).start, before, stage.index, view.unit.state_count, move.before_siblings)
    if move.link is not None:
        _verify_output(view, move.link, "state", move.name, move.root)
        return PROVED
    if move.root != move.before_root:
        raise BadProof("a tensor without an output cannot change")
    return replace(view, stage=StateRefute(move.name, move.root))


def _refute(view: GameView, link: OutputLink, kind: str, name: str | None, value: Hash32, claimed: Hash32) -> Next:
    """The challenger wins if the trace has another ``value`` at that output than is claimed."""
    _verify_output(view, link, kind, name, value)
    if value == claimed:
        raise NothingToRefute(f"the trace has the claimed value at its {kind}")
    return REFUTED


def _verify_output(view: GameView, link: OutputLink, kind: str, name: str | None, value: Hash32) -> None:
    """Raises `BadProof` unless the graph has this node and the trace ``value`` as its tensor root, `BadNode` unless
    it is an output of the kind (and name, if given); a loss or gradient norm is an f32 scalar."""
    node, count = link.node, view.unit.node_count
    verify(view.unit.graph_root, node.to_bytes(), link.index, count, link.node_siblings)
    if node.op != "output" or node.attrs["kind"] != kind or name not in (None, name_of(node)):
        raise BadNode(f"not an output of kind {kind} {name or ''}")
    if kind != "state" and (node.dtype, node.shape) != ("f32", ()):
        raise BadNode(f"a {kind} is an f32 scalar")
    verify(step_of(view).trace_root, value, link.index, count, link.trace_siblings)


def compute_scalar_root(bits: int) -> Hash32:
    """The tensor root of an f32 scalar."""
    return compute_tensor_root(np.array(bits, "<u4").view("<f4"))


def compute_witness_of_leaves(leaves: Sequence[StepLeaf]) -> Hash32:
    """`consensus.commit.records.compute_witness` from the bits."""
    return blake2_256(b"losses/v1", *(leaf.encode()[HASH_BYTES:] for leaf in leaves))


# --- trees -------------------------------------------------------------------------------------------------------


def _enter_tree(view: GameView, level: Level, count: int, root: Hash32) -> Next:
    """To the root of a tree; a tree of one leaf is that leaf."""
    return _enter_cursor(view, level, Cursor.root(count, root))


def _enter_cursor(view: GameView, level: Level, cursor: Cursor) -> Next:
    if cursor.height:
        return replace(view, stage=Narrowing(level, cursor))
    index, hash_ = cursor.index, cursor.hash
    if level is Level.HISTORY:
        return replace(view, stage=StepStage(index, hash_))
    if level is Level.TRACE:
        return replace(view, stage=NodeStage(index, hash_))
    if level is Level.STATE:
        return replace(view, stage=StateStage(index, hash_))
    return enter_place(view, Tile(index), hash_)


def _narrow(view: GameView, stage: Narrowing, move: Narrow) -> Next:
    if not stage.cursor.fits(move.children):
        raise BadChildren(f"{len(stage.cursor.children)} hashes must combine to {stage.cursor.hash.hex()}")
    return replace(view, stage=Picking(stage.level, stage.cursor, move.children))


def _pick(view: GameView, stage: Picking, move: Pick) -> Next:
    if move.child >= len(stage.children):
        raise BadPick(f"there are {len(stage.children)} children, no {move.child}")
    if move.counter == stage.children[move.child]:
        raise SameHash(f"child {move.child} is what the challenger says itself")
    return _enter_cursor(view, stage.level, stage.cursor.descend(stage.children, move.child))
