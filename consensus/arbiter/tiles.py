"""Ops that a whole output tile is computed for at once: elementwise ones (E1, E5), expand, output and the sources.

NumPy's broadcasting lines dimensions up from the right, and a tile covers the last two. So an output tile needs exactly
one tile of each input: the one at its place, or the first where the input has one row, one column or one batch.

    tile of          operands, in order              value
    const, iota      none                            from attributes and place
    uniform          seed tile, step tile            Philox words of the tile's elements (E7)
    others           one tile of each input          the op, element by element
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from consensus.arbiter.geometry import Region, ravel, tile_at, tile_region, unravel
from consensus.arbiter.operands import Operands, check_finite, take_tile, write_tile
from consensus.arbiter.statement import Statement
from consensus.commit.tensor import TensorForm
from consensus.exact import elementwise, random, transcendental
from consensus.graph.ops import OPS, constant_value

Array = npt.NDArray[Any]

ELEMENTWISE = frozenset(
    {*elementwise.BINARY, *elementwise.COMPARE, *elementwise.LOGIC, *elementwise.UNARY, *transcendental.FUNCTIONS}
    | {"where", "cast", "expand", "output"}
)
TILE_OPS = ELEMENTWISE | {"const", "iota", "uniform"}
"""Ops of this module."""


def compute_tile(statement: Statement, tile: int, operands: Operands) -> bytes:
    """The padded bytes of an output tile."""
    node = statement.node
    form = TensorForm(node.dtype, node.shape)
    region = tile_region(form, tile)
    if node.op == "const":
        return write_tile(constant_value(node).reshape(1, 1))
    if node.op == "iota":
        return write_tile(np.arange(region.column, region.column + region.width, dtype=np.int64).reshape(1, -1))
    if node.op == "uniform":
        return write_tile(_uniform(statement, form, region, operands))
    taken = [_take_broadcast(statement, operands, number, region) for number in range(len(statement.inputs))]
    if node.op == "expand":
        return write_tile(np.broadcast_to(taken[0], (region.height, region.width)))
    if node.op == "output":
        if node.dtype == "f32":
            check_finite(taken[0])
        return write_tile(taken[0])
    run = OPS[node.op].run
    if run is None:
        raise ValueError(f"{node.op} is no elementwise op")
    return write_tile(np.asarray(run(node, taken)))


def _take_broadcast(statement: Statement, operands: Operands, number: int, region: Region) -> Array:
    """The part of an input that the output's region reads: (1 or height) × (1 or width)."""
    form = statement.inputs[number]
    _, rows, columns = form.grid
    leading, own = statement.node.shape[:-2], form.shape[:-2]
    coordinates = unravel(leading, region.batch)[len(leading) - len(own) :]
    batch = ravel(own, [0 if size == 1 else c for size, c in zip(own, coordinates, strict=True)])
    row, column = (0 if rows == 1 else region.row), (0 if columns == 1 else region.column)
    values = take_tile(statement, operands, number, tile_at(form, batch, row, column))
    return values[: 1 if rows == 1 else region.height, : 1 if columns == 1 else region.width]


def _uniform(statement: Statement, form: TensorForm, region: Region, operands: Operands) -> Array:
    seed, step = (take_tile(statement, operands, number, 0) for number in (0, 1))
    _, rows, columns = form.grid
    y, x = np.ogrid[: region.height, : region.width]
    index = ((region.batch * rows + region.row + y) * columns + region.column + x).astype(np.int64)
    counter = np.zeros((index.size, 4), np.uint32)
    counter[:, 0] = index.ravel() // 4  # fewer than 2^28 elements: the second word stays 0
    counter[:, 2] = int(step[0, 0]) & 0xFFFFFFFF
    counter[:, 3] = np.uint32(int(str(statement.node.attrs["stream"])))
    words = random.philox4x32(counter, (int(seed[0, 0]), int(seed[0, 1])))
    lane = np.take_along_axis(words, (index.reshape(-1, 1) % 4), axis=1).reshape(index.shape)
    return (lane >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
