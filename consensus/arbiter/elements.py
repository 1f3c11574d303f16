"""Ops that move values from scattered places: one output element at a time.

    element of                     operands, in order                       value
    reshape transpose slice        the input's tile that holds it           the element there
    concat windows                 the tile of the input that holds it      the element there
    pad                            as concat, or the fill's tile            the element there, or the fill
    take_rows pick                 index tile, then the tile that the       the element there; ends the unit where the
                                   index names                              index is out of range
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from consensus.arbiter.errors import BadPlace
from consensus.arbiter.geometry import locate, ravel, unravel
from consensus.arbiter.operands import Operands, check_index, take_tile, write
from consensus.arbiter.statement import Statement
from consensus.graph.node import Node

Array = npt.NDArray[Any]

MOVEMENT = frozenset({"reshape", "transpose", "slice", "concat", "pad", "windows", "take_rows", "pick"})
"""Ops of this module."""


def compute_element(statement: Statement, element: int, operands: Operands) -> bytes:
    """The bytes of an output element."""
    if statement.node.op in ("take_rows", "pick"):
        number, index = 0, _gather(statement, element, operands)
    else:
        number, index = find_source(statement, element)
    return write(_take_element(statement, number, index, operands).reshape(1))


def _gather(statement: Statement, element: int, operands: Operands) -> int:
    """Row-major index in the table, or in the values, of what the index says."""
    source, index = statement.inputs
    if statement.node.op == "take_rows":
        row_size = 1
        for size in source.shape[1:]:
            row_size *= size
        which, rest = divmod(element, row_size)
        picked = _read_index(statement, which, source.shape[0], operands)
        return picked * row_size + rest
    row = element // index.shape[-1]
    return row * source.shape[-1] + _read_index(statement, element, source.shape[-1], operands)


def _read_index(statement: Statement, element: int, size: int, operands: Operands) -> int:
    value = _take_element(statement, 1, element, operands)
    check_index(value, size)
    return int(value)


def _take_element(statement: Statement, number: int, index: int, operands: Operands) -> Array:
    """A row-major element of an input, from the tile that holds it."""
    tile, place = locate(statement.inputs[number], index)
    return np.asarray(take_tile(statement, operands, number, tile).reshape(-1)[place])


def find_source(statement: Statement, element: int) -> tuple[int, int]:
    """The input, and the row-major index in it, that an output element is a copy of (no take_rows, no pick)."""
    node, inputs = statement.node, statement.inputs
    if node.op == "reshape":
        return 0, element
    at = unravel(node.shape, element)
    if node.op == "transpose":
        source = [0] * len(at)
        for position, axis in enumerate(_ints(node, "perm")):
            source[axis] = at[position]
        return 0, ravel(inputs[0].shape, source)
    if node.op == "slice":
        axis, start, step = (_int(node, name) for name in ("axis", "start", "step"))
        at[axis] = start + at[axis] * step
        return 0, ravel(inputs[0].shape, at)
    if node.op == "concat":
        axis, number = _int(node, "axis"), 0
        while at[axis] >= inputs[number].shape[axis]:
            at[axis] -= inputs[number].shape[axis]
            number += 1
        return number, ravel(inputs[number].shape, at)
    if node.op == "windows":
        *leading, y, x, i, j = at
        stride, dilation = _ints(node, "stride"), _ints(node, "dilation")
        return 0, ravel(
            inputs[0].shape, [*leading, y * stride[0] + i * dilation[0], x * stride[1] + j * dilation[1]]
        )
    if node.op == "pad":
        for axis, (low, interior) in enumerate(zip(_ints(node, "low"), _ints(node, "interior"), strict=True)):
            at[axis], between = divmod(at[axis] - low, interior + 1)
            if between or not 0 <= at[axis] < inputs[0].shape[axis]:
                return 1, 0
        return 0, ravel(inputs[0].shape, at)
    raise BadPlace(f"{node.op} moves nothing")


def _ints(node: Node, name: str) -> tuple[int, ...]:
    value = node.attrs[name]
    return value if isinstance(value, tuple) else ()


def _int(node: Node, name: str) -> int:
    value = node.attrs[name]
    return value if isinstance(value, int) else 0
