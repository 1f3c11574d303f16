"""What the arbiter is asked, and its SCALE encoding: `devnet/runtime/exact/src/types.rs` has the same types.

A node's value is known place by place. A *place* is a tile of the output, one element of it, or a partial of a
reduction; `consensus.arbiter.compute` gives the bytes of any place from a few *operands*: tiles of the inputs, opened
under their roots, and values of lower places, on which both sides of the dispute agree. So a dispute walks down from a
tile to the first place whose operands are agreed and whose value is not, and the arbiter computes that one.

Encoding (all integers little-endian; ``[x]`` is a compact length, then the items):

    Statement  node, place
    Node       op u8 with its attributes, inputs [Form], output Form
    Form       dtype u8 (f32 0, i64 1, bool 2, u32 3), shape [u32]
    Place      0 Tile: tile u32 · 1 Element: element u32
               2 Partial: quantity u8, of u32, level u8, index u32 · 3 Check: input u16, tile u32
    Operand    source, data [u8];  operands are [Operand]
    Source     0 Input: input u16, tile u32 · 1 Claim: place
    Answer     0, Outcome · 1, error u8 (its ``code``)
    Outcome    0 Value: [u8] · 1 Ends: Ending u8
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from consensus.arbiter.errors import ArbiterError, BadNode
from consensus.commit.hashing import encode_u8, encode_u16, encode_u32, encode_u64
from consensus.commit.tensor import TensorForm
from consensus.graph.node import Node
from consensus.graph.ops import constant_value

MAX_OPENING_BYTES = 2**16
"""Most bytes of statement, operands and Merkle proofs together (= 65,536)."""
MAX_STATEMENT_BYTES = 2**14
"""Most bytes of a statement (= 16,384)."""
MAX_INPUTS = 2**8
"""Most inputs of a node that can be arbitrated (= 256; concat has any number)."""

DTYPE_CODES = {"f32": 0, "i64": 1, "bool": 2, "u32": 3}
OUTPUT_KIND_CODES = {"state": 0, "loss": 1, "grad_norm": 2, "result": 3}

# The position is the op's code, and the attributes are encoded in this order.
_OP_ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "const": ("value",), "iota": (), "add": (), "sub": (), "mul": (), "div": (),
    "eq": (), "ne": (), "lt": (), "le": (), "gt": (), "ge": (), "and": (), "or": (), "not": (),
    "neg": (), "abs": (), "sqrt": (), "exp": (), "log": (), "tanh": (), "erf": (), "sin": (), "cos": (),
    "where": (), "cast": (), "sum": ("axes",), "amax": ("axes",), "matmul": ("bits",),
    "reshape": (), "expand": (), "transpose": ("perm",), "slice": ("axis", "start", "stop", "step"),
    "concat": ("axis",), "pad": ("low", "high", "interior"), "windows": ("kernel", "stride", "dilation"),
    "take_rows": (), "pick": (), "add_rows": (), "uniform": ("stream",), "output": ("kind",),
}  # fmt: skip
OP_CODES = {name: code for code, name in enumerate(_OP_ATTRIBUTES)}
"""Every op that can be arbitrated: all but ``input``, whose value is the step's start state or batch."""
_WIDE = {"start", "stop", "step", "low", "high", "interior", "kernel", "stride", "dilation", "stream"}


class Quantity(IntEnum):
    """What a partial of a reduction holds."""

    MAXIMUM = 0
    """Largest magnitude (for amax: largest value) of the set; for matmul of 32 rows of the left operand."""
    RIGHT_MAXIMUM = 1
    """Largest magnitudes of 32 columns of matmul's right operand."""
    SUM = 2
    """Exact integer sum on the agreed grid."""


@dataclass(frozen=True)
class Tile:
    """A 32×32 tile of the output: its padded bytes."""

    tile: int
    """Index in the order of the tensor root's leaves."""


@dataclass(frozen=True)
class Element:
    """One element of the output: its bytes."""

    element: int
    """Row-major index."""


@dataclass(frozen=True)
class Partial:
    """A node in the tree of partials of a reduction."""

    quantity: Quantity
    of: int
    """Which set: see `consensus.arbiter.reductions` for each op."""
    level: int
    """0 for leaves."""
    index: int
    """Place among the nodes of the level."""


@dataclass(frozen=True)
class Check:
    """Whether a tile of an input ends the unit at this node; the value is empty if not."""

    input: int
    tile: int


Place = Tile | Element | Partial | Check
"""Where in a node's computation."""


@dataclass(frozen=True)
class Input:
    """A tile of an input, opened under that input's tensor root."""

    input: int
    tile: int


Source = Input | Place
"""Where an operand comes from: an input tile, or the agreed value of a lower place."""


@dataclass(frozen=True)
class Operand:
    """Bytes with where they come from."""

    source: Source
    data: bytes


@dataclass(frozen=True)
class Statement:
    """A place of a node. ``node.inputs`` is not looked at: ``inputs`` tells what the node reads."""

    node: Node
    inputs: tuple[TensorForm, ...]
    place: Place


class Ending(IntEnum):
    """Why a unit ends at a node: its execution cannot go on."""

    NON_FINITE = 0
    """Rule E8."""
    INDEX_OUT_OF_RANGE = 1
    """An index of take_rows, pick or add_rows outside its table."""


Outcome = bytes | Ending
"""The bytes of a place, or that an operand ends the unit."""


def canonical_nan(array: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> np.ndarray[
    tuple[int, ...], np.dtype[np.float32]
]:
    """``array`` (f32) with every NaN written as 0x7fc00000.

    Hosts differ in the sign and payload of the NaNs that they make, and no op of exact/v1 lets either reach a number.
    So NaNs are canonical in whatever is hashed for a dispute: an execution's trace hashes ``canonical_nan`` of every
    f32 tensor, and the arbiter writes its results so. Committed states hold no NaN at all (rule E8).
    """
    return np.where(np.isnan(array), np.float32(np.nan), array)


def encode_compact(value: int) -> bytes:
    """SCALE's compact form of 0 ≤ value < 2^30."""
    if value < 1 << 6:
        return encode_u8(value << 2)
    if value < 1 << 14:
        return encode_u16(value << 2 | 1)
    return encode_u32(value << 2 | 2)


def encode_bytes(data: bytes) -> bytes:
    """``[u8]``."""
    return encode_compact(len(data)) + data


def encode_form(form: TensorForm) -> bytes:
    """A dtype and shape; raises `BadNode` for a dtype that graphs do not have."""
    if form.dtype not in DTYPE_CODES:
        raise BadNode(f"dtype {form.dtype} does not occur in graphs")
    dimensions = b"".join(encode_u32(n, "dimension") for n in form.shape)
    return encode_u8(DTYPE_CODES[form.dtype]) + encode_compact(len(form.shape)) + dimensions


def _encode_attribute(node: Node, name: str) -> bytes:
    """Axes, bits and perm are u8, others u32; a slice beyond 2^32 − 1 saturates there, which means the same."""
    value = node.attrs[name]
    if name == "value":
        bits = constant_value(node)
        return encode_u64(int(bits.view(np.uint32)) if node.dtype == "f32" else int(bits) % 2**64)
    if name == "kind":
        return encode_u8(OUTPUT_KIND_CODES[str(value)])
    encode = encode_u32 if name in _WIDE else encode_u8
    if isinstance(value, tuple):
        return encode_compact(len(value)) + b"".join(encode(item, name) for item in value)
    if not isinstance(value, int):
        raise BadNode(f"attribute {name} of {node.op} is no integer")
    return encode(min(value, 2**32 - 1) if node.op == "slice" and name in _WIDE else value, name)


def encode_node(node: Node, inputs: tuple[TensorForm, ...]) -> bytes:
    """A node as the chain's arbiter reads it; raises `BadNode` for ``input`` nodes."""
    if node.op not in OP_CODES:
        raise BadNode(f"{node.op} computes nothing: compare it with the step's start state or batch")
    attributes = b"".join(_encode_attribute(node, name) for name in _OP_ATTRIBUTES[node.op])
    forms = encode_compact(len(inputs)) + b"".join(encode_form(form) for form in inputs)
    return encode_u8(OP_CODES[node.op]) + attributes + forms + encode_form(TensorForm(node.dtype, node.shape))


def encode_place(place: Place) -> bytes:
    """A place."""
    if isinstance(place, Tile):
        return encode_u8(0) + encode_u32(place.tile)
    if isinstance(place, Element):
        return encode_u8(1) + encode_u32(place.element)
    if isinstance(place, Partial):
        numbers = encode_u8(place.quantity) + encode_u32(place.of) + encode_u8(place.level) + encode_u32(place.index)
        return encode_u8(2) + numbers
    return encode_u8(3) + encode_u16(place.input) + encode_u32(place.tile)


def encode_source(source: Source) -> bytes:
    """A source."""
    if isinstance(source, Input):
        return encode_u8(0) + encode_u16(source.input) + encode_u32(source.tile)
    return encode_u8(1) + encode_place(source)


def encode_statement(statement: Statement) -> bytes:
    """A statement; raises `BadNode` when it cannot be put."""
    return encode_node(statement.node, statement.inputs) + encode_place(statement.place)


def encode_operands(operands: list[Operand]) -> bytes:
    """Operands in order."""
    parts = [encode_source(operand.source) + encode_bytes(operand.data) for operand in operands]
    return encode_compact(len(parts)) + b"".join(parts)


def encode_answer(answer: Outcome | ArbiterError) -> bytes:
    """What the runtime's `ExactApi_compute` returns for an outcome or an error."""
    if isinstance(answer, ArbiterError):
        return encode_u8(1) + encode_u8(answer.code)
    if isinstance(answer, Ending):
        return encode_u8(0) + encode_u8(1) + encode_u8(answer)
    return encode_u8(0) + encode_u8(0) + encode_bytes(answer)
