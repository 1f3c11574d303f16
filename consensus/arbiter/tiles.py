"""Ops that a whole output tile is computed for at once: elementwise ones (E1, E5), expand, output and the sources.

NumPy's broadcasting lines dimensions up from the right, and a tile covers the last two, or more where they are small.
So an output tile needs exactly one tile of each input, that of the element which its first element comes from.

    tile of          operands, in order              value
    const, iota      none                            from attributes and place
    uniform          seed tile, step tile            Philox words of the tile's elements (E7)
    others           one tile of each input          the op, element by element
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from consensus.arbiter.geometry import Region, elements_of, locate, ravel, tile_region, unravel
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
        return write_tile(taken[0])
    if node.op == "output":
        if node.dtype == "f32":
            check_finite(taken[0])
        return write_tile(taken[0])
    run = OPS[node.op].run
    if run is None:
        raise ValueError(f"{node.op} is no elementwise op")
    return write_tile(np.asarray(run(node, taken)))


def _take_broadcast(statement: Statement, operands: Operands, number: int, region: Region) -> Array:
    """The elements of an input that those of the output's region come from, height × width."""
    form, shape = statement.inputs[number], statement.node.shape
    coordinates = unravel(shape, elements_of(TensorForm(statement.node.dtype, shape), region))
    aligned = coordinates[len(shape) - len(form.shape) :]
    origin = np.zeros((region.height, region.width), np.int64)
    source = [origin if size == 1 else at for size, at in zip(form.shape, aligned, strict=True)]
    tiles, places = locate(form, ravel(form.shape, source) + origin)
    return np.asarray(take_tile(statement, operands, number, int(tiles[0, 0])).reshape(-1)[places])


def _uniform(statement: Statement, form: TensorForm, region: Region, operands: Operands) -> Array:
    seed, step = (take_tile(statement, operands, number, 0) for number in (0, 1))
    index = elements_of(form, region)
    counter = np.zeros((index.size, 4), np.uint32)
    counter[:, 0] = index.ravel() // 4  # fewer than 2^28 elements: the second word stays 0
    counter[:, 2] = int(step[0, 0]) & 0xFFFFFFFF
    counter[:, 3] = np.uint32(int(str(statement.node.attrs["stream"])))
    words = random.philox4x32(counter, (int(seed[0, 0]), int(seed[0, 1])))
    lane = np.take_along_axis(words, (index.reshape(-1, 1) % 4), axis=1).reshape(index.shape)
    return (lane >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
