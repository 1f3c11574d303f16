"""What a lowered graph consists of: groups of members, one kernel each, and the roots that they make.

Every value is a *root* (it has a buffer, or lives only inside a kernel) or a view of one. A loop group walks N elements
in row-major order, as R rows of I elements once a member reduces rows; its members are vectors (one value an element),
row values (one a row) or reductions of rows. Column and big groups reduce what does not lie in rows. A group may read
only groups before it, so that a node can always join the last group that it reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

import numpy as np
import numpy.typing as npt
from consensus.graph.node import Attribute

from miner.kernels.lowering.views import Factor, View, merge

Array = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Access:
    """Elements of a root, one for each element of a loop."""

    root: int
    offset: int
    factors: tuple[Factor, ...]
    """Row-major; their product is the loop's N."""

    @property
    def numel(self) -> int:
        return prod(n for n, _ in self.factors)

    def is_identity(self) -> bool:
        """Whether element i of the loop is element i of the root."""
        return self.offset == 0 and (not self.factors or (len(self.factors) == 1 and self.factors[0][1] == 1))

    def is_row_broadcast(self, inner: int) -> bool:
        """Whether element i of the loop is element ⌊i/inner⌋ of the root."""
        if inner == 1:
            return self.is_identity()
        if self.offset or not self.factors or self.factors[-1] != (inner, 0):
            return False
        return len(self.factors) == 1 or self.factors[:-1] == ((self.factors[0][0], 1),)

    def repeat(self, inner: int) -> Access:
        """The same element for ``inner`` elements of a row."""
        return self if inner == 1 else Access(self.root, self.offset, merge([*self.factors, (inner, 0)]))


def flatten(view: View) -> Access:
    """The access of a loop over the view's elements."""
    return Access(view.root, view.offset, view.factors)


@dataclass(frozen=True)
class Root:
    """A value with elements of its own."""

    id: int
    dtype: str
    """A graph dtype, or i16 (grid integers) or i32 (grid exponents)."""
    numel: int
    source: tuple[str, str] | None = None
    """(kind, name) of an input of the graph."""
    constant: Array | None = None
    """Elements of a folded constant."""
    node: int = -1
    """The node that needs it, where it is no node's value itself."""


@dataclass(frozen=True)
class Member:
    """One operation of a loop, column or big group."""

    op: str
    """A graph op, or ``copy``, ``quantise``, ``take`` (rows by index)."""
    root: int
    """The root that it makes; quantise makes exponents too, see ``extra``."""
    inputs: tuple[Access, ...]
    form: str
    """``vector``, ``row`` (one value a row) or ``reduce`` (reads vectors, gives a row value)."""
    dtype: str
    attrs: Mapping[str, Attribute] = field(default_factory=dict)
    out: Access | None = None
    """Where a copy writes, when that is not the whole root in order."""
    extra: int = -1
    """Root of the exponents that a quantise makes."""


@dataclass
class Group:
    """Members executed by one kernel (``loop``, ``column``, ``big``), or one library call (``gemm``, ``add_rows``)."""

    index: int
    kind: str
    numel: int
    inner: int | None = None
    """Elements of a row, once known."""
    members: list[Member] = field(default_factory=list)
    points: frozenset[int] = frozenset({1})
    """Where the index must split for all accesses."""
    made: dict[int, Member] = field(default_factory=dict)
    """Members by root."""
    gemm: Gemm | None = None
    post_of: int | None = None
    """Index of the gemm group whose epilogue this loop is."""
    kept: tuple[int, ...] = ()
    """Column groups: sizes of the kept axes, the last one contiguous; the reduced ones are the rest of N."""

    def externals(self) -> list[int]:
        """Roots read that are made elsewhere, each once, in order."""
        roots = [a.root for m in self.members for a in m.inputs if a.root not in self.made]
        if self.gemm is not None:
            roots += [self.gemm.a, self.gemm.a_exponents, self.gemm.b, self.gemm.b_exponents]
        return list(dict.fromkeys(roots))


@dataclass(frozen=True)
class Gemm:
    """A batch of integer products, see c/gemm.h; strides in elements of the quantised buffers."""

    batch: int
    m: int
    n: int
    k: int
    bits: int
    a: int
    a_exponents: int
    a_strides: tuple[int, int, int]
    """(row, k, batch)."""
    b: int
    b_exponents: int
    b_strides: tuple[int, int, int]
    """(column, k, batch)."""
    exponent_strides: tuple[int, int]
    """Batch strides of the two exponent vectors."""
    out: int


@dataclass(frozen=True)
class Quantised:
    """An operand on its grid."""

    root: int
    exponents: int
    strides: tuple[int, int, int]
    exponent_stride: int


@dataclass
class Lowered:
    """Groups in a legal order, with the roots that they make and what the outputs are."""

    groups: list[Group]
    roots: dict[int, Root]
    outputs: dict[tuple[str, str], View]
    """(kind, name) to the view of a root; always an identity of a root of its own shape."""
    owner: dict[int, int]
    """Root to the group that finishes it; −1 for inputs and constants."""
    checked: frozenset[int] = frozenset()
    """Roots of f32 outputs, made by vectors of loops, whose elements must be finite (E8)."""
