"""The rules from a node down: what it reads, its tiles, the places inside a tile, and how the chain settles one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from consensus.arbiter.codec import MAX_OPENING_BYTES
from consensus.arbiter.compute import check_node, is_by_element, required
from consensus.arbiter.errors import ArbiterError, BadForm
from consensus.arbiter.geometry import elements_of, locate, tile_region
from consensus.arbiter.opening import Agreed, arbitrate, compute_claim_hash, encode_opening
from consensus.arbiter.operands import read_array, write_tile
from consensus.arbiter.statement import Check, Element, Ending, Input, Place, Tile
from consensus.commit.hashing import Hash32
from consensus.commit.merkle import compute_leaf_hash
from consensus.commit.tensor import Array, TensorForm, compute_tensor_root, compute_tensor_root_of_hashes
from consensus.dispute.batches import array_of, find_element, read_element
from consensus.dispute.checks import encode_leaf, verify
from consensus.dispute.errors import BadChoice, BadClaims, BadProof, BadTile, Refused, TooLarge, WrongPlace
from consensus.dispute.moves import OpenNode, PostClaims, PostTile, ProveLink, Settle, SettleData
from consensus.dispute.view import (
    PROVED,
    REFUTED,
    Arbitration,
    ClaimsPick,
    ClaimsStage,
    DataStage,
    GameView,
    LinkStage,
    Next,
    NodeClaim,
    NodePick,
    NodeStage,
    StateInput,
    TilePick,
    TileStage,
    name_of,
    node_of,
    step_of,
)
from consensus.exact.random import derive_key
from consensus.graph.node import Node
from consensus.protocol.units import STEP_PURPOSE


def open_node(view: GameView, stage: NodeStage, move: OpenNode) -> Next:
    """The node of the graph at the picked leaf of the trace. Seed and step number the chain computes at once."""
    node = move.node
    verify(view.unit.graph_root, node.to_bytes(), stage.index, view.unit.node_count, move.siblings)
    if len(move.input_forms) != len(move.input_inner_roots):
        raise Refused(BadForm(f"{len(move.input_inner_roots)} inner roots for {len(move.input_forms)} forms"))
    pairs = zip(move.input_forms, move.input_inner_roots, strict=True)
    input_roots = tuple(compute_tensor_root_of_hashes(form, [inner]) for form, inner in pairs)
    claim = NodeClaim(stage.index, node, move.inner_root, input_roots, move.input_forms)
    if compute_leaf_hash(claim.root) != stage.hash:
        raise BadProof(f"this is not leaf {stage.index} of the trace")
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
    return np.array(derive_key(view.unit.seed, STEP_PURPOSE), np.uint32)


def _check_node(claim: NodeClaim) -> None:
    try:
        check_node(claim.node, claim.input_forms)
    except ArbiterError as error:
        raise Refused(error) from error


def prove_link(view: GameView, stage: LinkStage, move: ProveLink) -> Next:
    """What the node reads is what the trace has at the node that is read."""
    node = node_of(view)
    read = node.node.inputs[stage.input]
    verify(step_of(view).trace_root, node.input_roots[stage.input], read, view.unit.node_count, move.siblings)
    return PROVED


def claim_places(node: NodeClaim, place: Place) -> list[Place]:
    """The places whose values a place needs as claims, in order."""
    return [o.source for o in required(node.state(place)) if not isinstance(o.source, Input)]


def enter_place(view: GameView, place: Place, hash_: Hash32) -> Next:
    """To a place: its tile or its claims are to be posted, or it needs none but accepted ones and can be settled."""
    node = node_of(view)
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
    if write_tile(read_array(data, form)[places]) != data:
        raise BadTile("the padding is not zero, or a NaN is not canonical")
    size = form.numpy_dtype.itemsize
    at = (places.ravel() * size).tolist()
    return [(e, data[i : i + size]) for e, i in zip(elements.ravel().tolist(), at, strict=True)]


def post_claims(view: GameView, stage: ClaimsStage, move: PostClaims) -> Next:
    """The claims that a place needs; which are right shows further down."""
    if len(move.claims) != len(claim_places(node_of(view), stage.place)):
        raise BadClaims(f"{len(move.claims)} claims for {stage.place}")
    return replace(view, stage=ClaimsPick(stage.place, stage.hash, move.claims))


def post_tile(view: GameView, stage: TileStage, move: PostTile) -> Next:
    """A tile whole, so that the challenger can point at an element of it."""
    split_tile(node_of(view).form, stage.tile, move.data)
    if compute_leaf_hash(move.data) != stage.hash:
        raise BadTile(f"this is not tile {stage.tile} of the node's value")
    return replace(view, stage=TilePick(stage.tile, move.data))


def choose_element(view: GameView, stage: TilePick, number: int) -> Next:
    """To the number-th element of a posted tile."""
    node = node_of(view)
    elements = split_tile(node.form, stage.tile, stage.data)
    if number >= len(elements):
        raise BadChoice(f"the tile has {len(elements)} elements, no {number}")
    element, value = elements[number]
    hash_ = compute_claim_hash(Element(element), value)
    if node.is_batch:
        return replace(view, stage=DataStage(element, hash_))
    return enter_place(view, Element(element), hash_)


def choose_claim(view: GameView, stage: ClaimsPick, number: int) -> Next:
    """To the place of the number-th claim; those before it are accepted, and at a tile or element they are kept."""
    node = node_of(view)
    places = claim_places(node, stage.place)
    if isinstance(stage.place, Tile | Element):
        passed = zip(places[:number], stage.claims[:number], strict=True)
        view = replace(view, node=replace(node, accepted=tuple(passed)))
    return enter_place(view, places[number], stage.claims[number])


def settle(view: GameView, move: Settle) -> Next:
    """The chain computes the place from what both accept, or checks an input tile that is said to end the unit."""
    node, stage, place = node_of(view), view.stage, move.opening.statement.place
    if isinstance(stage, Arbitration):
        asked, claims = place == stage.place, stage.claims
    else:
        asked, claims = isinstance(place, Check), ()
    if not asked:
        raise WrongPlace(f"the game is not about {place}")
    agreed = Agreed(view.unit.graph_root, view.unit.node_count, node.index, node.input_roots, claims)
    try:
        size = len(encode_opening(move.opening))
        if size > MAX_OPENING_BYTES:
            raise TooLarge("opening", size, MAX_OPENING_BYTES)
        outcome = arbitrate(agreed, move.opening)
    except ArbiterError as error:
        raise Refused(error) from error
    if isinstance(outcome, Ending):
        return REFUTED
    if isinstance(stage, Arbitration) and compute_claim_hash(place, outcome) != stage.hash:
        return REFUTED
    return PROVED


def settle_data(view: GameView, stage: DataStage, move: SettleData) -> Next:
    """The chain makes the batch's element of the data set."""
    node, rule, form = node_of(view), view.unit.data, move.form
    name = name_of(node.node)
    source = find_element(view.unit.seed, view.step_number, name, node.form, stage.element, form, windows=rule.windows)
    root = compute_tensor_root_of_hashes(form, [move.inner_root])
    verify(rule.root, encode_leaf(array_of(name, rule.windows), root), move.index, rule.arrays, move.siblings)
    if len(move.data) != form.tile_bytes:
        raise BadTile(f"a tile of {form.dtype} has {form.tile_bytes} bytes, not {len(move.data)}")
    verify(move.inner_root, move.data, locate(form, source)[0], form.tile_count, move.tile_siblings)
    right = compute_claim_hash(Element(stage.element), read_element(move.data, form, source, rule.windows))
    return PROVED if right == stage.hash else REFUTED
