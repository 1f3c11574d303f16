"""How the families get what they need: one operand after the other, named by its source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from consensus.arbiter.errors import BadOperands
from consensus.arbiter.geometry import locate
from consensus.arbiter.statement import Ending, Input, Operand, Source, Statement
from consensus.commit.tensor import TILE_SIDE, TensorForm
from consensus.exact.values import with_one_nan

Array = npt.NDArray[Any]


class UnitEnds(Exception):
    """An operand ends the unit; `consensus.arbiter.compute` returns its ``ending``."""

    def __init__(self, ending: Ending) -> None:
        self.ending = ending
        super().__init__(ending.name)


class Operands(Protocol):
    """A supply of operands."""

    def take(self, source: Source, size: int) -> bytes:
        """The ``size`` bytes at ``source``; raises `BadOperands`."""
        ...


class GivenOperands:
    """Operands as a party of a dispute hands them over: exactly those needed, in order."""

    def __init__(self, operands: Sequence[Operand]) -> None:
        self._left = list(reversed(operands))

    def take(self, source: Source, size: int) -> bytes:
        """Raises `BadOperands` for another operand than the next, or another length."""
        if not self._left:
            raise BadOperands(f"no operand left for {source}")
        operand = self._left.pop()
        if operand.source != source or len(operand.data) != size:
            raise BadOperands(f"{operand.source} of {len(operand.data)} bytes stands where {source} of {size} belongs")
        return operand.data

    def finish(self) -> None:
        """Raises `BadOperands` when operands are left over."""
        if self._left:
            raise BadOperands(f"{len(self._left)} operands too many")


class BlankOperands:
    """Zeros for whatever is asked, written down: what a place needs, and how much of it."""

    def __init__(self) -> None:
        self.taken: list[Operand] = []

    def take(self, source: Source, size: int) -> bytes:
        """Zeros."""
        self.taken.append(Operand(source, bytes(size)))
        return self.taken[-1].data


def read_array(data: bytes, form: TensorForm) -> Array:
    """Elements of ``form``'s dtype; a truth value is false for the byte 0 and true for any other."""
    if form.dtype == "bool":
        return np.asarray(np.frombuffer(data, np.uint8) != 0)
    return np.frombuffer(data, form.numpy_dtype)


def take_tile(statement: Statement, operands: Operands, number: int, tile: int) -> Array:
    """Tile ``tile`` of input ``number``, 32×32. What lies in its padding is never used: it may be anything."""
    form = statement.inputs[number]
    return read_array(operands.take(Input(number, tile), form.tile_bytes), form).reshape(TILE_SIDE, TILE_SIDE)


def take_part(
    statement: Statement, operands: Operands, number: int, start: tuple[int, int, int], size: tuple[int, int]
) -> Array:
    """``size`` rows and columns from ``start`` (matrix, row, column) on of the matrices that are input ``number``.

    They lie in one tile when no multiple of 32 parts them (`TensorForm.matrices`).
    """
    form, (matrix, row, column) = statement.inputs[number], start
    _, rows, columns = form.matrices
    first = (matrix * rows + row) * columns + column
    y, x = np.ogrid[: size[0], : size[1]]
    _, places = locate(form, np.asarray(first + y * columns + x, np.int64))
    return np.asarray(take_tile(statement, operands, number, locate(form, first)[0]).reshape(-1)[places])


def write(values: Array) -> bytes:
    """Little-endian bytes, every NaN as `consensus.exact.values.NAN_BITS`."""
    values = with_one_nan(values)
    return values.astype(values.dtype.newbyteorder("<")).tobytes()


def write_tile(values: Array) -> bytes:
    """A tile from what lies inside the tensor (at most 32×32), zero padded."""
    tile = np.zeros((TILE_SIDE, TILE_SIDE), values.dtype)
    tile[: values.shape[0], : values.shape[1]] = values
    return write(tile)


def check_finite(values: Array) -> None:
    """Raises `UnitEnds` for a NaN or an infinity (rule E8)."""
    if not np.isfinite(values).all():
        raise UnitEnds(Ending.NON_FINITE)


def check_no_top(values: Array) -> None:
    """Raises `UnitEnds` for a NaN or +inf, of which ``amax`` gives no maximum (rule E8)."""
    if np.isnan(values).any() or np.isposinf(values).any():
        raise UnitEnds(Ending.NON_FINITE)


def check_index(index: Array, size: int) -> None:
    """Raises `UnitEnds` unless all of 0 ≤ index < size."""
    if (index < 0).any() or (index >= size).any():
        raise UnitEnds(Ending.INDEX_OUT_OF_RANGE)
