"""The moves: one dataclass a call of pallet Disputes, with the bytes of its arguments.

``encode(move, game)`` gives the call's arguments in SCALE, as `docs/disputes.md` ("Calls") has them: the game's number,
then the fields in order. Hashes are 32 bytes, lists have a compact length, f32 bits are u32.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from consensus.arbiter.codec import encode_bytes, encode_form, encode_hashes, encode_list, encode_node
from consensus.arbiter.opening import Opening, encode_opening
from consensus.commit.hashing import Hash32, encode_hash, encode_u8, encode_u16, encode_u32
from consensus.commit.records import SegmentRecord
from consensus.commit.tensor import DTYPES, TensorForm
from consensus.dispute.execution import StepLeaf
from consensus.graph.node import Node

Siblings = tuple[Hash32, ...]
"""A Merkle proof's siblings, from the leaf up."""


class Way(IntEnum):
    """Where the challenger goes on; the numbers are the codes."""

    DESCEND = 0
    """Into the tree of this level: history, trace, tiles."""
    WITNESS = 1
    """The history is right, the salted witness of the record is not that of its losses."""
    LOSS = 2
    GRAD_NORM = 3
    STATE = 4
    """The trace is right, but the step's loss, norm or new state is not what it gives."""
    INPUT = 5
    """The node does not read what the trace has there; ``number`` is the input."""
    ENDS = 6
    """The unit ends at this node: it has no value."""
    PART = 7
    """The ``number``-th claim is wrong, or the ``number``-th element of a posted tile in the tile's order."""
    RESULT = 8
    """The claims are right, the place's value is not what they give."""




@dataclass(frozen=True)
class Opened:
    """A segment's record under the transcript root."""

    record: SegmentRecord
    proof: Siblings

    def encode(self) -> bytes:
        """SCALE."""
        return self.record.encode() + encode_hashes(self.proof)


@dataclass(frozen=True)
class Open:
    """C: this segment of the unit is wrong. Names no game: it makes one."""

    task: int
    unit: int
    opening: Opened
    previous: Opened | None
    """The record before, whose end is the start; None for segment 0."""

    def encode(self) -> bytes:
        """SCALE."""
        previous = b"\x00" if self.previous is None else b"\x01" + self.previous.encode()
        return encode_u32(self.task) + encode_u32(self.unit) + self.opening.encode() + previous


@dataclass(frozen=True)
class CommitHistory:
    """D: the history's root, whose last leaf ends in the record's end state."""

    root: Hash32
    last: StepLeaf
    siblings: Siblings

    def encode(self) -> bytes:
        """SCALE."""
        return encode_hash(self.root) + self.last.encode() + encode_hashes(self.siblings)


@dataclass(frozen=True)
class Choose:
    """C: where to go on."""

    way: Way
    number: int = 0

    def encode(self) -> bytes:
        """SCALE."""
        number = {Way.INPUT: encode_u16, Way.PART: encode_u32}.get(self.way)
        return encode_u8(self.way) + (number(self.number) if number else b"")


@dataclass(frozen=True)
class ProveWitness:
    """D: all of the history."""

    leaves: tuple[StepLeaf, ...]

    def encode(self) -> bytes:
        """SCALE."""
        return encode_list(self.leaves, StepLeaf.encode)


@dataclass(frozen=True)
class Narrow:
    """D: the nodes of the tree four levels down."""

    children: tuple[Hash32, ...]

    def encode(self) -> bytes:
        """SCALE."""
        return encode_hashes(self.children)


@dataclass(frozen=True)
class Pick:
    """C: the first wrong one of the children; ``counter`` is what C has there (zeros where its execution has ended)."""

    child: int
    counter: Hash32

    def encode(self) -> bytes:
        """SCALE."""
        return encode_u8(self.child) + encode_hash(self.counter)


@dataclass(frozen=True)
class CommitTrace:
    """D: the disputed step's leaf, the one before it, and the step's trace root."""

    after: StepLeaf
    before: tuple[StepLeaf, Siblings] | None
    """None for the segment's first step."""
    trace_root: Hash32

    def encode(self) -> bytes:
        """SCALE."""
        before = b"\x00"
        if self.before is not None:
            before = b"\x01" + self.before[0].encode() + encode_hashes(self.before[1])
        return self.after.encode() + before + encode_hash(self.trace_root)


@dataclass(frozen=True)
class OutputLink:
    """An output node of the graph with its place in graph and trace."""

    index: int
    node: Node
    node_siblings: Siblings
    trace_siblings: Siblings

    def encode(self) -> bytes:
        """SCALE."""
        proofs = encode_hashes(self.node_siblings) + encode_hashes(self.trace_siblings)
        return encode_u32(self.index) + encode_bytes(encode_node(self.node)) + proofs


@dataclass(frozen=True)
class ProveOutput:
    """D: the loss or gradient norm is what the trace has at that output."""

    link: OutputLink

    def encode(self) -> bytes:
        """SCALE."""
        return self.link.encode()


@dataclass(frozen=True)
class RefuteOutput:
    """C: the graph has a gradient norm, of which the trace has another value than +0."""

    link: OutputLink
    value: Hash32
    """The tensor root that the trace has there."""

    def encode(self) -> bytes:
        """SCALE."""
        return self.link.encode() + encode_hash(self.value)


@dataclass(frozen=True)
class ProveState:
    """D: a tensor of the new state is what the trace has at its output, or has no output and is the old one."""

    name: str
    root: Hash32
    before_root: Hash32
    before_siblings: Siblings
    link: OutputLink | None

    def encode(self) -> bytes:
        """SCALE."""
        opening = encode_bytes(self.name.encode()) + encode_hash(self.root) + encode_hash(self.before_root)
        link = b"\x00" if self.link is None else b"\x01" + self.link.encode()
        return opening + encode_hashes(self.before_siblings) + link


@dataclass(frozen=True)
class RefuteState:
    """C: the tensor that D calls unchanged has an output, of which the trace has another value."""

    link: OutputLink
    value: Hash32

    def encode(self) -> bytes:
        """SCALE."""
        return self.link.encode() + encode_hash(self.value)


@dataclass(frozen=True)
class OpenNode:
    """D: the disputed node, the root of its value's tiles, and the forms and roots of tiles of what it reads."""

    node: Node
    siblings: Siblings
    inner_root: Hash32
    input_forms: tuple[TensorForm, ...]
    input_inner_roots: tuple[Hash32, ...]

    def encode(self) -> bytes:
        """SCALE."""
        node = encode_bytes(encode_node(self.node)) + encode_hashes(self.siblings) + encode_hash(self.inner_root)
        forms = encode_bytes(encode_list(self.input_forms, encode_form))
        return node + forms + encode_hashes(self.input_inner_roots)


@dataclass(frozen=True)
class ProveStateInput:
    """D: the state that the node reads is that with which the step starts."""

    index: int
    siblings: Siblings

    def encode(self) -> bytes:
        """SCALE."""
        return encode_u32(self.index) + encode_hashes(self.siblings)


@dataclass(frozen=True)
class ProveLink:
    """D: the input's root is the trace's at the node that is read."""

    siblings: Siblings

    def encode(self) -> bytes:
        """SCALE."""
        return encode_hashes(self.siblings)


@dataclass(frozen=True)
class PostTile:
    """D: the whole tile, padded."""

    data: bytes

    def encode(self) -> bytes:
        """SCALE."""
        return encode_bytes(self.data)


@dataclass(frozen=True)
class PostClaims:
    """D: the hashes of the operands that are claims, in order."""

    claims: tuple[Hash32, ...]

    def encode(self) -> bytes:
        """SCALE."""
        return encode_hashes(self.claims)


@dataclass(frozen=True)
class Settle:
    """Either side: let the chain compute the place."""

    opening: Opening

    def encode(self) -> bytes:
        """SCALE."""
        return encode_bytes(encode_opening(self.opening))


@dataclass(frozen=True)
class SettleData:
    """Either side: let the chain look the element up in the data set."""

    form: TensorForm
    """Of the data set's array, whatever dtype of tensor roots it has."""
    inner_root: Hash32
    index: int
    """Of the array under the data set's root, with its proof."""
    siblings: Siblings
    data: bytes
    """The array's tile that holds the element, with its proof."""
    tile_siblings: Siblings

    def encode(self) -> bytes:
        """SCALE."""
        form = encode_u8(DTYPES[self.form.dtype][0]) + encode_list(self.form.shape, encode_u32)
        array = form + encode_hash(self.inner_root) + encode_u32(self.index) + encode_hashes(self.siblings)
        return array + encode_bytes(self.data) + encode_hashes(self.tile_siblings)


Move = (
    CommitHistory | Choose | ProveWitness | Narrow | Pick | CommitTrace | ProveOutput | RefuteOutput | ProveState
    | RefuteState | OpenNode | ProveStateInput | ProveLink | PostTile | PostClaims | Settle | SettleData
)  # fmt: skip
"""Any move of a game that is open."""


def encode(move: Open | Move, game: int = 0) -> bytes:
    """The arguments of the move's call; ``game`` is its number, which `Open` does not have yet."""
    return move.encode() if isinstance(move, Open) else encode_u32(game) + move.encode()
