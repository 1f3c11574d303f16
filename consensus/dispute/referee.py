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

from consensus.arbiter.codec import MAX_OPENING_BYTES
from consensus.arbiter.compute import check_node, is_by_element, required
from consensus.arbiter.errors import ArbiterError
from consensus.arbiter.geometry import elements_of, locate, tile_region
from consensus.arbiter.opening import Agreed, arbitrate, compute_claim_hash, encode_opening
from consensus.arbiter.operands import write_tile
from consensus.arbiter.statement import Check, Element, Ending, Input, Place, Tile
from consensus.commit.hashing import HASH_BYTES, Hash32, blake2_256
from consensus.commit.merkle import (
    MerkleProof,
    ProofError,
    compute_leaf_hash,
    compute_root,
    compute_root_from_proof,
)
from consensus.commit.records import compute_salted_witness
from consensus.commit.state import StateNameError, encode_state_leaf
from consensus.commit.tensor import Array, TensorForm, compute_tensor_root, compute_tensor_root_of_hashes
from consensus.dispute.batches import array_of, find_element, read_element
from consensus.dispute.errors import (
    BadTile,
    NoSuchPart,
    NothingToRefute,
    NotYourTurn,
    OutOfTime,
    Refused,
    SameHash,
    TooLarge,
    WrongChildren,
    WrongClaims,
    WrongForm,
    WrongNode,
    WrongProof,
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
from consensus.dispute.view import (
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
    NodeClaim,
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
    name_of,
)
from consensus.exact.random import derive_key
from consensus.graph.node import Node

MAX_WITNESS_LEAVES = 2**10
"""Most leaves of `ProveWitness` (= 1,024, 40 KiB), and so most steps of a segment."""
SEED_PURPOSE = "step/v1"
"""What a graph's own random numbers are keyed with."""

PROVED = Verdict(Side.DEFENDER, Reason.PROVED)
REFUTED = Verdict(Side.CHALLENGER, Reason.REFUTED)

Next = GameView | Verdict


# --- the frame: turns and clocks ---------------------------------------------------------------------------------


def open_game(unit: Unit, move: Open, clock: int, now: int) -> GameView:
    """A new game with ``clock`` blocks for each side; raises `WrongProof`.

    The segment starts where the record before it ends, whatever its own record says; the last one ends where the unit
    was submitted to end.
    """
    record, previous = move.opening.record, move.previous
    _verify(unit.transcript_root, record.encode(), record.index, unit.segments, move.opening.proof)
    if (previous is None) != (record.index == 0):
        raise WrongProof("the record before is opened for every segment but the first")
    start = unit.start
    if previous is not None:
        if previous.record.index != record.index - 1:
            raise WrongProof(f"record {previous.record.index} is not the one before {record.index}")
        _verify(unit.transcript_root, previous.record.encode(), record.index - 1, unit.segments, previous.proof)
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
            return _open_node(view, s, m)
        case (StateInput(), ProveStateInput() as m):
            leaf = _encode_state_leaf(name_of(_node(view).node), _node(view).root)
            _verify(_step(view).start, leaf, m.index, view.unit.state_count, m.siblings)
            return PROVED
        case (LinkStage() as s, ProveLink() as m):
            return _prove_link(view, s, m)
        case (TileStage() as s, PostTile() as m):
            return _post_tile(view, s, m)
        case (ClaimsStage() as s, PostClaims() as m):
            if len(m.claims) != len(claim_places(_node(view), s.place)):
                raise WrongClaims(f"{len(m.claims)} claims for {s.place}")
            return replace(view, stage=ClaimsPick(s.place, s.hash, m.claims))
        case (EndsStage() | Arbitration(), Settle() as m):
            return _settle(view, m)
        case (DataStage() as s, SettleData() as m):
            return _settle_data(view, s, m)
        case (HistoryPick() | StepPick() | NodePick() | TilePick() | ClaimsPick(), Choose() as m):
            return _choose(view, m)
    raise WrongStage(type(view.stage).__name__, type(move).__name__)


def _choose(view: GameView, move: Choose) -> Next:
    match (view.stage, move.way):
        case (HistoryPick(), Way.DESCEND):
            return _enter_tree(view, Level.HISTORY, view.unit.steps, _history(view))
        case (HistoryPick(), Way.WITNESS):
            return replace(view, stage=WitnessStage())
        case (StepPick(), Way.DESCEND):
            return _enter_tree(view, Level.TRACE, view.unit.node_count, _step(view).trace_root)
        case (StepPick(), Way.GRAD_NORM) if _step(view).after.grad_norm == 0:
            return replace(view, stage=OutputRefute())  # right where the graph has none, which nobody could show
        case (StepPick(), Way.LOSS | Way.GRAD_NORM):
            return replace(view, stage=OutputStage(move.way))
        case (StepPick(), Way.STATE):
            return _enter_tree(view, Level.STATE, view.unit.state_count, _step(view).after.state)
        case (NodePick(), Way.DESCEND):
            return _enter_tree(view, Level.TILES, _node(view).form.tile_count, _node(view).inner_root)
        case (NodePick(), Way.INPUT) if move.number < len(_node(view).input_roots):
            return replace(view, stage=LinkStage(move.number))
        case (NodePick(), Way.ENDS) if not _node(view).is_batch:
            return replace(view, stage=EndsStage())
        case (TilePick() as s, Way.PART):
            return _choose_element(view, s, move.number)
        case (ClaimsPick() as s, Way.PART) if move.number < len(s.claims):
            return _choose_claim(view, s, move.number)
        case (ClaimsPick() as s, Way.RESULT):
            return replace(view, stage=Arbitration(s.place, s.hash, s.claims))
    raise NoSuchPart(f"{type(view.stage).__name__} offers no {move.way.name} {move.number}")


# --- segment and step --------------------------------------------------------------------------------------------


def _commit_history(view: GameView, move: CommitHistory) -> Next:
    steps = view.unit.steps
    _verify(move.root, move.last.encode(), steps - 1, steps, move.siblings)
    if move.last.state != view.record.end_state_root:
        raise WrongProof("the history does not end in the record's end state")
    return replace(view, stage=HistoryPick(), history_root=move.root)


def _prove_witness(view: GameView, move: ProveWitness) -> Next:
    if len(move.leaves) > MAX_WITNESS_LEAVES:
        raise TooLarge("leaves of a history", len(move.leaves), MAX_WITNESS_LEAVES)
    if len(move.leaves) != view.unit.steps or compute_root([leaf.encode() for leaf in move.leaves]) != _history(view):
        raise WrongProof("these are not the leaves of the history")
    witness = compute_witness_of_leaves(move.leaves)
    if compute_salted_witness(view.unit.solver, witness) != view.record.salted_witness:
        raise WrongProof("the history's witness is not the record's")
    return PROVED


def _commit_trace(view: GameView, stage: StepStage, move: CommitTrace) -> Next:
    if compute_leaf_hash(move.after.encode()) != stage.hash:
        raise WrongProof(f"this is not leaf {stage.index} of the history")
    if (move.before is None) != (stage.index == 0):
        raise WrongProof("the leaf before is given for every step but the first")
    start = view.start
    if move.before is not None:
        leaf, siblings = move.before
        _verify(_history(view), leaf.encode(), stage.index - 1, view.unit.steps, siblings)
        start = leaf.state
    return replace(view, stage=StepPick(), step=StepClaim(stage.index, start, move.after, move.trace_root))


def _prove_output(view: GameView, stage: OutputStage, move: ProveOutput) -> Next:
    after = _step(view).after
    bits, kind = (after.loss, "loss") if stage.way is Way.LOSS else (after.grad_norm, "grad_norm")
    _verify_output(view, move.link, kind, None, compute_scalar_root(bits))
    return PROVED


def _prove_state(view: GameView, stage: StateStage, move: ProveState) -> Next:
    if compute_leaf_hash(_encode_state_leaf(move.name, move.root)) != stage.hash:
        raise WrongProof(f"this is not leaf {stage.index} of the state after the step")
    before = _encode_state_leaf(move.name, move.before_root)
    _verify(_step(view).start, before, stage.index, view.unit.state_count, move.before_siblings)
    if move.link is not None:
        _verify_output(view, move.link, "state", move.name, move.root)
        return PROVED
    if move.root != move.before_root:
        raise WrongProof("a tensor without an output cannot change")
    return replace(view, stage=StateRefute(move.name, move.root))


def _refute(view: GameView, link: OutputLink, kind: str, name: str | None, value: Hash32, claimed: Hash32) -> Next:
    """The challenger wins if the trace has another ``value`` at that output than is claimed."""
    _verify_output(view, link, kind, name, value)
    if value == claimed:
        raise NothingToRefute(f"the trace has the claimed value at its {kind}")
    return REFUTED


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
    return _enter_place(view, Tile(index), hash_)


def _narrow(view: GameView, stage: Narrowing, move: Narrow) -> Next:
    if not stage.cursor.fits(move.children):
        raise WrongChildren(f"{len(stage.cursor.children)} hashes must combine to {stage.cursor.hash.hex()}")
    return replace(view, stage=Picking(stage.level, stage.cursor, move.children))


def _pick(view: GameView, stage: Picking, move: Pick) -> Next:
    if move.child >= len(stage.children):
        raise NoSuchPart(f"there are {len(stage.children)} children, no {move.child}")
    if move.counter == stage.children[move.child]:
        raise SameHash(f"child {move.child} is what the challenger says itself")
    return _enter_cursor(view, stage.level, stage.cursor.descend(stage.children, move.child))


# --- node and place ----------------------------------------------------------------------------------------------


def _open_node(view: GameView, stage: NodeStage, move: OpenNode) -> Next:
    node = move.node
    _verify(view.unit.graph_root, node.to_bytes(), stage.index, view.unit.node_count, move.siblings)
    if not len(node.inputs) == len(move.input_forms) == len(move.input_inner_roots):
        raise WrongForm(f"the node reads {len(node.inputs)} inputs")
    pairs = zip(move.input_forms, move.input_inner_roots, strict=True)
    input_roots = tuple(compute_tensor_root_of_hashes(form, [inner]) for form, inner in pairs)
    claim = NodeClaim(stage.index, node, move.inner_root, input_roots, move.input_forms)
    if compute_leaf_hash(claim.root) != stage.hash:
        raise WrongProof(f"this is not leaf {stage.index} of the trace")
    if node.op != "input":
        _check_node(claim)
    elif node.attrs["kind"] == "state":
        return replace(view, stage=StateInput(), node=claim)
    elif not claim.is_batch:
        return PROVED if claim.root == compute_tensor_root(compute_own_input(view, node)) else REFUTED
    return replace(view, stage=NodePick(), node=claim)


def compute_own_input(view: GameView, node: Node) -> Array:
    """What an input of kind seed or step holds: the key of the unit seed, or the step's number over the unit."""
    if node.attrs["kind"] == "step":
        return np.array(view.step_number, np.int64)
    return np.array(derive_key(view.unit.seed, SEED_PURPOSE), np.uint32)


def _check_node(claim: NodeClaim) -> None:
    try:
        check_node(claim.node, claim.input_forms)
    except ArbiterError as error:
        raise Refused(error.code, str(error)) from error


def _prove_link(view: GameView, stage: LinkStage, move: ProveLink) -> Next:
    node = _node(view)
    read = node.node.inputs[stage.input]
    _verify(_step(view).trace_root, node.input_roots[stage.input], read, view.unit.node_count, move.siblings)
    return PROVED


def claim_places(node: NodeClaim, place: Place) -> list[Place]:
    """The places whose values a place needs as claims, in order."""
    return [o.source for o in required(node.state(place)) if not isinstance(o.source, Input)]


def _enter_place(view: GameView, place: Place, hash_: Hash32) -> Next:
    """To a place: a tile that is posted, claims that are posted, or none that are not accepted already."""
    node = _node(view)
    if isinstance(place, Tile) and (node.is_batch or is_by_element(node.node)):
        return replace(view, stage=TileStage(place.tile, hash_))
    needed, accepted = claim_places(node, place), dict(node.accepted)
    if all(source in accepted for source in needed):
        return replace(view, stage=Arbitration(place, hash_, tuple(accepted[source] for source in needed)))
    return replace(view, stage=ClaimsStage(place, hash_))


def split_tile(form: TensorForm, tile: int, data: bytes) -> list[tuple[int, bytes]]:
    """The elements of a tile row by row, without the padding: row-major index in the tensor, and bytes.

    Raises `BadTile` unless the padding is zero and NaNs are canonical.
    """
    if len(data) != form.tile_bytes:
        raise BadTile(f"a tile of {form.dtype} has {form.tile_bytes} bytes, not {len(data)}")
    elements = elements_of(form, tile_region(form, tile))
    places = locate(form, elements)[1]
    if write_tile(np.frombuffer(data, form.numpy_dtype)[places]) != data:
        raise BadTile("the padding is not zero, or a NaN is not canonical")
    size = form.numpy_dtype.itemsize
    at = (places.ravel() * size).tolist()
    return [(e, data[i : i + size]) for e, i in zip(elements.ravel().tolist(), at, strict=True)]


def _post_tile(view: GameView, stage: TileStage, move: PostTile) -> Next:
    split_tile(_node(view).form, stage.tile, move.data)
    if compute_leaf_hash(move.data) != stage.hash:
        raise BadTile(f"this is not tile {stage.tile} of the node's value")
    return replace(view, stage=TilePick(stage.tile, move.data))


def _choose_element(view: GameView, stage: TilePick, number: int) -> Next:
    node = _node(view)
    elements = split_tile(node.form, stage.tile, stage.data)
    if number >= len(elements):
        raise NoSuchPart(f"the tile has {len(elements)} elements, no {number}")
    element, value = elements[number]
    hash_ = compute_claim_hash(Element(element), value)
    if node.is_batch:
        return replace(view, stage=DataStage(element, hash_))
    return _enter_place(view, Element(element), hash_)


def _choose_claim(view: GameView, stage: ClaimsPick, number: int) -> Next:
    node = _node(view)
    places = claim_places(node, stage.place)
    if isinstance(stage.place, Tile | Element):
        passed = zip(places[:number], stage.claims[:number], strict=True)
        view = replace(view, node=replace(node, accepted=tuple(passed)))
    return _enter_place(view, places[number], stage.claims[number])


# --- settlement --------------------------------------------------------------------------------------------------


def _settle(view: GameView, move: Settle) -> Next:
    node, stage, place = _node(view), view.stage, move.opening.statement.place
    size = len(encode_opening(move.opening))
    if size > MAX_OPENING_BYTES:
        raise TooLarge("opening", size, MAX_OPENING_BYTES)
    if isinstance(stage, Arbitration):
        asked, claims = place == stage.place, stage.claims
    else:
        asked, claims = isinstance(place, Check), ()
    if not asked:
        raise NoSuchPart(f"the game is not about {place}")
    agreed = Agreed(view.unit.graph_root, view.unit.node_count, node.index, node.input_roots, claims)
    try:
        outcome = arbitrate(agreed, move.opening)
    except ArbiterError as error:
        raise Refused(error.code, str(error)) from error
    if isinstance(outcome, Ending):
        return REFUTED
    if isinstance(stage, Arbitration) and compute_claim_hash(place, outcome) != stage.hash:
        return REFUTED
    return PROVED


def _settle_data(view: GameView, stage: DataStage, move: SettleData) -> Next:
    node, rule, form = _node(view), view.unit.data, move.form
    name = name_of(node.node)
    root = compute_tensor_root_of_hashes(form, [move.inner_root])
    _verify(rule.root, _encode_state_leaf(array_of(name, rule.windows), root), move.index, rule.arrays, move.siblings)
    source = find_element(
        view.unit.seed, view.step_number, name, node.form, stage.element, form, windows=rule.windows
    )
    if len(move.data) != form.tile_bytes:
        raise BadTile(f"a tile of {form.dtype} has {form.tile_bytes} bytes, not {len(move.data)}")
    _verify(move.inner_root, move.data, locate(form, source)[0], form.tile_count, move.tile_siblings)
    right = compute_claim_hash(Element(stage.element), read_element(move.data, form, source, rule.windows))
    return PROVED if right == stage.hash else REFUTED


# --- helpers -----------------------------------------------------------------------------------------------------


def compute_witness_of_leaves(leaves: Sequence[StepLeaf]) -> Hash32:
    """`consensus.commit.records.compute_witness` from the bits."""
    return blake2_256(b"losses/v1", *(leaf.encode()[HASH_BYTES:] for leaf in leaves))


def _verify(root: bytes, leaf: bytes, index: int, count: int, siblings: Sequence[Hash32]) -> None:
    """Raises `WrongProof` unless ``leaf`` is leaf ``index`` of ``count`` under the root."""
    try:
        if compute_root_from_proof(compute_leaf_hash(leaf), MerkleProof(index, count, tuple(siblings))) != root:
            raise WrongProof(f"leaf {index} leads to another root")
    except ProofError as error:
        raise WrongProof(error.reason) from error


def _verify_output(view: GameView, link: OutputLink, kind: str, name: str | None, value: Hash32) -> None:
    """Raises `WrongProof` unless the graph has this node and the trace ``value`` as its tensor root, `WrongNode` unless
    it is an output of the kind (and name, if given); a loss or gradient norm is an f32 scalar."""
    node, count = link.node, view.unit.node_count
    _verify(view.unit.graph_root, node.to_bytes(), link.index, count, link.node_siblings)
    if node.op != "output" or node.attrs["kind"] != kind or name not in (None, name_of(node)):
        raise WrongNode(f"not an output of kind {kind} {name or ''}")
    if kind != "state" and (node.dtype, node.shape) != ("f32", ()):
        raise WrongNode(f"a {kind} is an f32 scalar")
    _verify(_step(view).trace_root, value, link.index, count, link.trace_siblings)


def compute_scalar_root(bits: int) -> Hash32:
    """The tensor root of an f32 scalar."""
    return compute_tensor_root(np.array(bits, "<u4").view("<f4"))


def _encode_state_leaf(name: str, root: Hash32) -> bytes:
    try:
        return encode_state_leaf(name, root)
    except StateNameError as error:
        raise WrongProof(error.reason) from error


def _history(view: GameView) -> Hash32:
    if view.history_root is None:
        raise ValueError("a view in this stage has a history root")
    return view.history_root


def _step(view: GameView) -> StepClaim:
    if view.step is None:
        raise ValueError("a view in this stage has a step")
    return view.step


def _node(view: GameView) -> NodeClaim:
    if view.node is None:
        raise ValueError("a view in this stage has a node")
    return view.node
