"""Arbitration: an opening checked against what both sides of a dispute agree on, then computed.

A tile of an input opens under the input's tensor root (`consensus.commit.tensor`): leaf H(0x00 ‖ padded tile), inner
H(0x01 ‖ left ‖ right), an odd node promoted, on top H("tensor/v1" ‖ dtype ‖ rank ‖ dimensions ‖ inner root). The top
proves dtype and shape, so that one ``inner_root`` for each input proves its form, opened or not. The node is a leaf
of the graph root: H(0x00 ‖ canonical JSON).

A side's claim about a place is `compute_claim_hash`. For a tile it is the leaf of the output's tensor root, so that the
walk through the output's tree ends in two claims about a tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from consensus.arbiter.codec import (
    Reader,
    encode_answer,
    encode_bytes,
    encode_hashes,
    encode_list,
    encode_place,
    encode_source,
    encode_statement,
)
from consensus.arbiter.compute import check_node, compute
from consensus.arbiter.errors import ArbiterError, BadForm, BadOperands, BadProof, NotAgreed
from consensus.arbiter.statement import Input, Operand, Outcome, Place, Source, Statement, Tile
from consensus.commit.hashing import Hash32, blake2_256, encode_hash, encode_u32
from consensus.commit.merkle import (
    MerkleProof,
    ProofError,
    compute_leaf_hash,
    compute_root_from_proof,
    verify_proof,
)
from consensus.commit.tensor import compute_tensor_root_of_hashes


@dataclass(frozen=True)
class Agreed:
    """What both sides accept and the chain has stored."""

    graph_root: Hash32
    """Root of the task's graph."""
    node_count: int
    """Number of its nodes, which fixes the form of its tree."""
    node_index: int
    """The first node of the step on whose output the sides differ."""
    input_roots: tuple[Hash32, ...]
    """Tensor roots of what that node reads."""
    claims: tuple[Hash32, ...]
    """`compute_claim_hash` of the operands that are claims, in order."""


@dataclass(frozen=True)
class Opened:
    """An operand with its proof."""

    source: Source
    data: bytes
    siblings: tuple[Hash32, ...]
    """For an input tile the way to the inner root, from the leaf up; empty for a claim."""


@dataclass(frozen=True)
class Opening:
    """What either side hands over to have a place computed: at most `codec.MAX_OPENING_BYTES` in all."""

    statement: Statement
    node_siblings: tuple[Hash32, ...]
    """The node's way to the graph root."""
    inner_roots: tuple[Hash32, ...]
    """For each input the root of its tree of tiles."""
    operands: tuple[Opened, ...]


def compute_claim_hash(place: Place, data: bytes) -> Hash32:
    """A side's word on a place: H(0x00 ‖ data) for a tile, else H("claim/v1" ‖ place ‖ data)."""
    if isinstance(place, Tile):
        return compute_leaf_hash(data)
    return blake2_256(b"claim/v1", encode_place(place), data)


def encode_agreed(agreed: Agreed) -> bytes:
    """SCALE; see `consensus.arbiter.codec`."""
    numbers = encode_u32(agreed.node_count) + encode_u32(agreed.node_index)
    return encode_hash(agreed.graph_root) + numbers + encode_hashes(agreed.input_roots) + encode_hashes(agreed.claims)


def decode_agreed(data: bytes) -> Agreed:
    """What `encode_agreed` wrote; raises `TooLarge`, `Malformed`."""
    reader = Reader(data, "agreed")
    agreed = Agreed(reader.hash(), reader.u32(), reader.u32(), reader.hashes(), reader.hashes())
    reader.finish()
    return agreed


def encode_opening(opening: Opening) -> bytes:
    """SCALE; see `consensus.arbiter.codec`. Raises `BadNode` when the statement cannot be put."""
    proofs = encode_hashes(opening.node_siblings) + encode_hashes(opening.inner_roots)
    return encode_statement(opening.statement) + proofs + encode_list(opening.operands, _encode_opened)


def _encode_opened(opened: Opened) -> bytes:
    return encode_source(opened.source) + encode_bytes(opened.data) + encode_hashes(opened.siblings)


def decode_opening(data: bytes) -> Opening:
    """An opening; raises `TooLarge`, `Malformed`."""
    reader = Reader(data, "opening")
    statement, node_siblings, inner_roots = reader.statement(), reader.hashes(), reader.hashes()
    operands = tuple(reader.many(lambda: Opened(reader.source(), reader.blob(), reader.hashes())))
    reader.finish()
    return Opening(statement, node_siblings, inner_roots, operands)


def arbitrate(agreed: Agreed, opening: Opening) -> Outcome:
    """The only right value of the opened place, or how the unit ends there.

    In this order: the node (`BadNode`, `BadProof`), the inputs' forms (`BadForm`), each operand (`BadProof`,
    `NotAgreed`), then `compute`'s checks. Raises an `ArbiterError`; nothing is settled then.
    Still trusted: that `agreed` is agreed. An honest side never meets `Inconsistent`: both sides have lied.
    """
    statement = opening.statement
    verify_node(agreed, statement, opening.node_siblings)
    verify_forms(agreed, statement, opening.inner_roots)
    verify_operands(agreed, opening)
    return compute(statement, [Operand(opened.source, opened.data) for opened in opening.operands])


def verify_node(agreed: Agreed, statement: Statement, siblings: Sequence[Hash32]) -> None:
    """Raises `BadNode` for a node with no valid rule, `BadProof` unless it is the disputed one of the graph."""
    check_node(statement.node, statement.inputs)
    try:
        proof = MerkleProof(agreed.node_index, agreed.node_count, tuple(siblings))
        verify_proof(agreed.graph_root, statement.node.to_bytes(), proof)
    except ProofError as error:
        raise BadProof(f"node {agreed.node_index}: {error.reason}") from error


def verify_forms(agreed: Agreed, statement: Statement, inner_roots: Sequence[Hash32]) -> None:
    """Raises `BadForm` unless the statement's input forms are those under the agreed roots."""
    if not len(statement.inputs) == len(inner_roots) == len(agreed.input_roots):
        raise BadForm(f"{len(inner_roots)} inner roots for {len(agreed.input_roots)} inputs")
    for number, (form, inner) in enumerate(zip(statement.inputs, inner_roots, strict=True)):
        if compute_tensor_root_of_hashes(form, [inner]) != agreed.input_roots[number]:
            raise BadForm(f"input {number} is no {form.dtype} {form.shape} under its agreed root")


def verify_operands(agreed: Agreed, opening: Opening) -> None:
    """Raises `BadProof` unless input tiles open under their inner roots, `NotAgreed` unless claims are the agreed ones,
    `BadOperands` when there are more or fewer of these. The forms are verified already."""
    claims = list(reversed(agreed.claims))
    for number, opened in enumerate(opening.operands):
        if isinstance(opened.source, Input):
            _verify_tile(opening, number, opened, opened.source)
        elif not claims or opened.siblings:
            raise BadOperands(f"operand {number}: a claim that was not asked for, or one with a proof")
        elif compute_claim_hash(opened.source, opened.data) != claims.pop():
            raise NotAgreed(f"operand {number}: {opened.source} has not the agreed hash")
    if claims:
        raise BadOperands(f"{len(claims)} agreed claims are not opened")


def _verify_tile(opening: Opening, number: int, opened: Opened, source: Input) -> None:
    if source.input >= len(opening.inner_roots):
        raise BadOperands(f"operand {number}: there is no input {source.input}")
    form = opening.statement.inputs[source.input]
    try:
        proof = MerkleProof(source.tile, form.tile_count, opened.siblings)
        inner = compute_root_from_proof(compute_leaf_hash(opened.data), proof)
    except ProofError as error:
        raise BadProof(f"operand {number}: {error.reason}") from error
    if inner != opening.inner_roots[source.input]:
        raise BadProof(f"operand {number}: it leads to another root of input {source.input}")


def answer(agreed: Agreed, opening: bytes) -> bytes:
    """`arbitrate` in bytes, as the runtime answers: an outcome or a refusal, whatever the bytes are."""
    try:
        return encode_answer(arbitrate(agreed, decode_opening(opening)))
    except ArbiterError as error:
        return encode_answer(error)
