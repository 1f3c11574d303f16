"""Reductions as trees of partials: sum, amax, add_rows by output element, matmul by output tile.

A reduction's set is cut into parts of its input's tiles; a leaf is what one part contributes. Leaves combine by `FAN`
(or `MATMUL_FAN`) to the root. First the largest magnitude, which fixes the grid (E2); then, on that grid, the exact
sum; at last one rounding.

    op        of (set)                        leaves                       quantities            top
    sum       MAXIMUM, SUM: output element    the parts that meet          MAXIMUM, SUM          element
                                              the set, row-major
    amax      MAXIMUM: output element         the same                     MAXIMUM               element
    add_rows  MAXIMUM: column d               ⌈N/32⌉ value tiles           MAXIMUM               element
              SUM: output element (r, d)      value tile + index tile      SUM
    matmul    MAXIMUM: matrix · ⌈M/32⌉ + I    ⌈K/32⌉ parts of A            MAXIMUM of 32 rows    tile, or
              RIGHT_MAXIMUM: matrix · ⌈N/32⌉  ⌈K/32⌉ parts of B            … of 32 columns       element
              + J · SUM: (matrix, I, J)       a part of A and one of B     32×32 SUM

Cut are the matrices of the last two axes, at multiples of 32: a part lies in one tile even where small axes count as
one. There a tile of a matmul's output holds several matrices and is made of elements; elsewhere (matrix, I, J) is its
number.

Values: a maximum is 4 bytes a lane (the f32's bits), a sum 8 bytes (int64); lanes are 1, for matmul 32 and 1,024.
Operands of a leaf: its input tiles, then the roots of the maxima that a sum needs; of an inner node: its children;
of the top: the roots of the maxima, then of the sum.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from consensus.arbiter.errors import BadPlace, Inconsistent
from consensus.arbiter.geometry import ravel, tiles_over, unravel
from consensus.arbiter.operands import (
    Operands,
    check_finite,
    check_index,
    check_no_top,
    take_part,
    take_tile,
    write,
    write_tile,
)
from consensus.arbiter.statement import Partial, Quantity, Statement
from consensus.commit.tensor import TILE_ELEMENTS, TILE_SIDE, TensorForm
from consensus.exact.grid import SUM_BITS, exponents, rescale

Array = npt.NDArray[Any]

FAN = 16
"""Children of an inner node."""
MATMUL_FAN = 4
"""Children of an inner node of matmul's sums, 8 KiB each (= 32,768 bytes)."""
SUM_LIMIT = 2**53
"""No partial sum reaches it (= 9,007,199,254,740,992; rules E3 and E4)."""

_MAXIMUM, _RIGHT, _SUM = Quantity.MAXIMUM, Quantity.RIGHT_MAXIMUM, Quantity.SUM
QUANTITIES: dict[str, tuple[Quantity, ...]] = {
    "sum": (_MAXIMUM, _SUM), "amax": (_MAXIMUM,), "add_rows": (_MAXIMUM, _SUM), "matmul": (_MAXIMUM, _RIGHT, _SUM)
}  # fmt: skip
"""Ops of this module with the quantities of their partials, in the order in which they are agreed."""


# --- the form of a tree ------------------------------------------------------------------------------------------


def get_lanes(op: str, quantity: Quantity) -> int:
    """Numbers in one partial."""
    return 1 if op != "matmul" else TILE_ELEMENTS if quantity is _SUM else TILE_SIDE


def get_fan(op: str, quantity: Quantity) -> int:
    """Children of an inner node."""
    return MATMUL_FAN if op == "matmul" and quantity is _SUM else FAN


def value_size(op: str, quantity: Quantity) -> int:
    """Bytes of one partial."""
    return get_lanes(op, quantity) * (8 if quantity is _SUM else 4)


def count_sets(statement: Statement, quantity: Quantity) -> int:
    """How many sets the quantity is reduced over."""
    op, shape = statement.node.op, statement.node.shape
    if op == "add_rows" and quantity is _MAXIMUM:
        return shape[1]
    if op == "matmul":
        down = 1 if quantity is _RIGHT else tiles_over(shape[-2])
        across = 1 if quantity is _MAXIMUM else tiles_over(shape[-1])
        return prod(shape[:-2]) * down * across
    return prod(shape)


def count_levels(statement: Statement, quantity: Quantity) -> list[int]:
    """Number of nodes of each level, leaves first, the last 1."""
    op, form = statement.node.op, statement.inputs[0]
    if op == "add_rows":
        counts = [tiles_over(form.shape[0])]
    elif op == "matmul":
        counts = [tiles_over(form.shape[-1])]
    else:
        counts = [prod(_reduced_counts(statement))]
    while counts[-1] > 1:
        counts.append(-(-counts[-1] // get_fan(op, quantity)))
    return counts


def get_root(statement: Statement, quantity: Quantity, of: int) -> Partial:
    """The place of a tree's root."""
    return Partial(quantity, of, len(count_levels(statement, quantity)) - 1, 0)


def _as_matrix(statement: Statement) -> tuple[tuple[int, ...], frozenset[int]]:
    """Shape of sum's or amax's input and its reduced axes, with a dimension 1 in front of rank 1."""
    shape, axes = statement.inputs[0].shape, statement.node.attrs["axes"]
    missing = max(0, 2 - len(shape))
    reduced = frozenset(axis + missing for axis in axes) if isinstance(axes, tuple) else frozenset[int]()
    return (1,) * missing + shape, reduced


def _reduced_counts(statement: Statement) -> list[int]:
    """Pieces that tiles cut each axis of the set into: 1 where it is not reduced."""
    shape, reduced = _as_matrix(statement)
    pieces = [*shape[:-2], tiles_over(shape[-2]), tiles_over(shape[-1])]
    return [n if axis in reduced else 1 for axis, n in enumerate(pieces)]


# --- values ------------------------------------------------------------------------------------------------------


def compute_partial(statement: Statement, place: Partial, operands: Operands) -> bytes:
    """The value of a node of a tree; raises `BadPlace`, `Inconsistent`, `UnitEnds`."""
    op, quantity = statement.node.op, place.quantity
    if quantity not in QUANTITIES[op]:
        raise BadPlace(f"{op} has no partials of {quantity.name}")
    counts = count_levels(statement, quantity)
    if place.of >= count_sets(statement, quantity) or place.level >= len(counts) or place.index >= counts[place.level]:
        raise BadPlace(f"{op} has no {place}")
    if place.level == 0:
        leaf = {"sum": _set_leaf, "amax": _set_leaf, "add_rows": _rows_leaf, "matmul": _matmul_leaf}[op]
        return leaf(statement, place, operands)
    fan = get_fan(op, quantity)
    first = place.index * fan
    last = min(first + fan, counts[place.level - 1])
    children = [Partial(quantity, place.of, place.level - 1, index) for index in range(first, last)]
    values = np.stack([_take(statement, child, operands) for child in children])
    if quantity is not _SUM:
        return write(_largest(values, 0))
    total = values.sum(axis=0)  # under 2^57
    if (np.abs(total) >= SUM_LIMIT).any():
        raise Inconsistent("a partial sum reaches 2^53")
    return write(total)


def compute_top(statement: Statement, of: int, operands: Operands) -> bytes:
    """An output element from the roots of its trees; of a matmul the 32×32 results at (matrix, I, J)."""
    op = statement.node.op
    if op == "matmul":
        batch, rest = divmod(of, tiles_over(statement.node.shape[-2]) * tiles_over(statement.node.shape[-1]))
        exponent_a, exponent_b = _take_matmul_exponents(statement, batch, rest, operands)
        total = _take(statement, get_root(statement, _SUM, of), operands).reshape(TILE_SIDE, TILE_SIDE)
        return write_tile(rescale(total, exponent_a + exponent_b - 2 * _bits(statement)))
    maximum_of = of % statement.node.shape[1] if op == "add_rows" else of
    largest = _take(statement, get_root(statement, _MAXIMUM, maximum_of), operands)
    if op == "amax":
        return write(largest)
    total = _take(statement, get_root(statement, _SUM, of), operands)
    return write(rescale(total, exponents(largest) - SUM_BITS))


def compute_product_element(statement: Statement, element: int, operands: Operands) -> bytes:
    """An element of a matmul whose matrices have at most 32 elements each, and so one 32×32 result each."""
    _, rows, columns = TensorForm(statement.node.dtype, statement.node.shape).matrices
    matrix, rest = divmod(element, rows * columns)
    at = rest // columns * TILE_SIDE + rest % columns
    size = 4  # of an f32
    return compute_top(statement, matrix, operands)[at * size :][:size]


def _take(statement: Statement, place: Partial, operands: Operands) -> Array:
    """An agreed partial: f32 maxima or int64 sums. Raises `Inconsistent` for one that no execution has."""
    op, quantity = statement.node.op, place.quantity
    data = operands.take(place, value_size(op, quantity))
    if quantity is _SUM:
        sums = np.frombuffer(data, "<i8")
        if not ((sums > -SUM_LIMIT) & (sums < SUM_LIMIT)).all():
            raise Inconsistent(f"{place}: a sum reaches 2^53")
        return sums
    maxima = np.frombuffer(data, "<f4")
    legal = ~np.isnan(maxima) & ~np.isposinf(maxima)
    if op != "amax":
        legal &= ~np.signbit(maxima)
    if not legal.all():
        raise Inconsistent(f"{place}: no such maximum")
    return maxima


def _largest(values: Array, axis: int | None) -> Array:
    """Maximum of f32 over an axis (None: of all, as one lane), with −0 < +0."""
    bits = np.ascontiguousarray(values, "<f4").view("<i4")
    keys = np.where(bits < 0, bits ^ 0x7FFFFFFF, bits).max(axis=axis).reshape(-1)
    return np.asarray(np.where(keys < 0, keys ^ 0x7FFFFFFF, keys).astype("<i4").view("<f4"))


def _quantise(values: Array, largest: Array, bits: int) -> Array:
    """Finite values on the grid of their agreed maximum (E2); raises `Inconsistent` for a value above it."""
    if (np.abs(values) > largest).any():
        raise Inconsistent("a value is above the agreed maximum of its set")
    return np.asarray(np.rint(np.ldexp(values, bits - exponents(largest))).astype(np.int64))


def _set_leaf(statement: Statement, place: Partial, operands: Operands) -> bytes:
    shape, reduced = _as_matrix(statement)
    counts = _reduced_counts(statement)
    kept = [1 if axis in reduced else n for axis, n in enumerate(shape)]
    piece, fixed = unravel(tuple(counts), place.index), unravel(tuple(kept), place.of)
    batch = ravel(shape[:-2], [p + f for p, f in zip(piece[:-2], fixed[:-2], strict=True)])
    ranges = []
    for axis in (len(shape) - 2, len(shape) - 1):
        start = piece[axis] * TILE_SIDE if axis in reduced else fixed[axis]
        ranges.append((start, min(TILE_SIDE, shape[axis] - start) if axis in reduced else 1))
    (row, height), (column, width) = ranges
    values = take_part(statement, operands, 0, (batch, row, column), (height, width))
    if statement.node.op == "amax":
        check_no_top(values)
        return write(_largest(values, None))
    if place.quantity is _MAXIMUM:
        check_finite(values)
        return write(_largest(np.abs(values), None))
    largest = _take(statement, get_root(statement, _MAXIMUM, place.of), operands)
    check_finite(values)
    return write(_quantise(values, largest, SUM_BITS).sum().reshape(1))


def _rows_leaf(statement: Statement, place: Partial, operands: Operands) -> bytes:
    rows, columns = statement.node.shape
    row, column = place.index * TILE_SIDE, place.of % columns
    count = min(TILE_SIDE, statement.inputs[0].shape[0] - row)
    values = take_part(statement, operands, 0, (0, row, column), (count, 1))[:, 0]
    if place.quantity is _MAXIMUM:
        check_finite(values)
        return write(_largest(np.abs(values), None))
    index = take_tile(statement, operands, 1, place.index)[0, :count]
    largest = _take(statement, get_root(statement, _MAXIMUM, column), operands)
    check_finite(values)
    check_index(index, rows)
    quantised = _quantise(values, largest, SUM_BITS)
    return write(quantised[index == place.of // columns].sum(dtype=np.int64).reshape(1))


def _matmul_leaf(statement: Statement, place: Partial, operands: Operands) -> bytes:
    m, n = statement.node.shape[-2:]
    k = place.index * TILE_SIDE
    depth = min(TILE_SIDE, statement.inputs[0].shape[-1] - k)
    down = 1 if place.quantity is _RIGHT else tiles_over(m)
    across = 1 if place.quantity is _MAXIMUM else tiles_over(n)
    batch, rest = divmod(place.of, down * across)
    row, column = rest // across * TILE_SIDE, rest % across * TILE_SIDE
    height, width = min(TILE_SIDE, m - row), min(TILE_SIDE, n - column)
    magnitudes = np.zeros(TILE_SIDE, np.float32)
    if place.quantity is _MAXIMUM:
        a = take_part(statement, operands, 0, (batch, row, k), (height, depth))
        check_finite(a)
        magnitudes[:height] = np.abs(a).max(axis=1)
        return write(magnitudes)
    if place.quantity is _RIGHT:
        b = take_part(statement, operands, 1, (batch, k, column), (depth, width))
        check_finite(b)
        magnitudes[:width] = np.abs(b).max(axis=0)
        return write(magnitudes)
    a = take_part(statement, operands, 0, (batch, row, k), (height, depth))
    b = take_part(statement, operands, 1, (batch, k, column), (depth, width))
    largest_a, largest_b = _take_matmul_maxima(statement, batch, rest, operands)
    check_finite(a)
    check_finite(b)
    q_a = _quantise(a, largest_a[:height, None], _bits(statement))
    q_b = _quantise(b, largest_b[None, :width], _bits(statement))
    return write_tile(q_a @ q_b)


def _take_matmul_maxima(statement: Statement, batch: int, rest: int, operands: Operands) -> tuple[Array, Array]:
    """Agreed maxima of the 32 rows and 32 columns of output tile ``rest`` of a batch."""
    down, across = (tiles_over(size) for size in statement.node.shape[-2:])
    left = get_root(statement, _MAXIMUM, batch * down + rest // across)
    right = get_root(statement, _RIGHT, batch * across + rest % across)
    return _take(statement, left, operands), _take(statement, right, operands)


def _take_matmul_exponents(statement: Statement, batch: int, rest: int, operands: Operands) -> tuple[Array, Array]:
    left, right = _take_matmul_maxima(statement, batch, rest, operands)
    return exponents(left)[:, None], exponents(right)[None, :]


def _bits(statement: Statement) -> int:
    bits = statement.node.attrs["bits"]
    return bits if isinstance(bits, int) else 0
