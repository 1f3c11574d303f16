"""What the arbiter is asked and what it answers; `consensus.arbiter.codec` has the bytes.

A node's value is known place by place. A *place* is a tile of the output, one element of it, a partial of a reduction,
or the check of an input tile; `consensus.arbiter.compute` gives the bytes of any place from a few *operands*: tiles of
the inputs, and the bytes of lower places, on which both sides of the dispute agree. So a dispute walks down from a tile
to the first place whose operands are agreed and whose value is not, and the arbiter computes that one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from consensus.commit.tensor import TensorForm
from consensus.graph.node import Node

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "const": ("value",), "iota": (), "add": (), "sub": (), "mul": (), "div": (),
    "eq": (), "ne": (), "lt": (), "le": (), "gt": (), "ge": (), "and": (), "or": (), "not": (),
    "neg": (), "abs": (), "sqrt": (), "exp": (), "log": (), "tanh": (), "erf": (), "sin": (), "cos": (),
    "where": (), "cast": (), "sum": ("axes",), "amax": ("axes",), "matmul": ("bits",),
    "reshape": (), "expand": (), "transpose": ("perm",), "slice": ("axis", "start", "stop", "step"),
    "concat": ("axis",), "pad": ("low", "high", "interior"), "windows": ("kernel", "stride", "dilation"),
    "take_rows": (), "pick": (), "add_rows": (), "uniform": ("stream",), "output": ("kind", "name"),
    "input": ("kind", "name"),
}  # fmt: skip
"""Every op with the attributes that its encoding carries, in order; an op's position here is its code (0 … 41).

The shape tells the others: ``n`` of iota and ``rows`` of add_rows are its first dimension. ``input`` is encoded, for
its leaf in the graph root, and never computed: its value is the step's start state, batch, seed or number.
"""
OP_CODES = {name: code for code, name in enumerate(ATTRIBUTES)}


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
    """Position among the node's inputs."""
    tile: int


Source = Input | Place
"""Where an operand comes from: an input tile, or the agreed value (a *claim*) of a lower place."""


@dataclass(frozen=True)
class Operand:
    """Bytes with where they come from."""

    source: Source
    data: bytes


@dataclass(frozen=True)
class Statement:
    """A place of a node."""

    node: Node
    """The node as the committed graph has it."""
    inputs: tuple[TensorForm, ...]
    """Dtype and shape of what the node reads, in the order of ``node.inputs``."""
    place: Place


class Ending(IntEnum):
    """Why a unit ends at a node: its execution cannot go on."""

    NON_FINITE = 0
    """Rule E8."""
    INDEX_OUT_OF_RANGE = 1
    """An index of take_rows, pick or add_rows outside its table."""


Outcome = bytes | Ending
"""The bytes of a place, or that an operand ends the unit."""
