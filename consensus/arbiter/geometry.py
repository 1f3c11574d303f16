"""Where the elements of a tensor lie in its tiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from consensus.commit.tensor import TILE_SIDE, TensorForm

Shape = tuple[int, ...]
Index = TypeVar("Index", int, npt.NDArray[np.int64])
"""One index or an array of them."""


@dataclass(frozen=True)
class Region:
    """What a tile covers of its tensor, without the padding."""

    batch: int
    """Row-major index over the leading axes of the grid."""
    row: int
    column: int
    """First row and column."""
    height: int
    width: int
    """1 … 32 each."""


def tiles_over(count: int) -> int:
    """Tiles (or chunks of 32) that cover ``count`` rows or columns."""
    return -(-count // TILE_SIDE)


def tile_region(form: TensorForm, tile: int) -> Region:
    """The region of tile 0 ≤ ``tile`` < ``form.tile_count``."""
    _, rows, columns = form.grid
    rest, across = divmod(tile, tiles_over(columns))
    batch, band = divmod(rest, tiles_over(rows))
    row, column = band * TILE_SIDE, across * TILE_SIDE
    return Region(batch, row, column, min(TILE_SIDE, rows - row), min(TILE_SIDE, columns - column))


def elements_of(form: TensorForm, region: Region) -> npt.NDArray[np.int64]:
    """Row-major indices of a region's elements, height × width."""
    _, rows, columns = form.grid
    y, x = np.ogrid[: region.height, : region.width]
    return np.asarray((region.batch * rows + region.row + y) * columns + region.column + x, np.int64)


def locate(form: TensorForm, element: Index) -> tuple[Index, Index]:
    """Tile of a row-major element and its place among the tile's 1,024."""
    _, rows, columns = form.grid
    rest, column = divmod(element, columns)
    batch, row = divmod(rest, rows)
    tile = (batch * tiles_over(rows) + row // TILE_SIDE) * tiles_over(columns) + column // TILE_SIDE
    return tile, row % TILE_SIDE * TILE_SIDE + column % TILE_SIDE


def unravel(shape: Shape, index: Index) -> list[Index]:
    """Coordinates of a row-major index."""
    coordinates: list[Index] = []
    for size in reversed(shape):
        index, coordinate = divmod(index, size)
        coordinates.append(coordinate)
    return coordinates[::-1]


def ravel(shape: Shape, coordinates: list[Index]) -> Index | int:
    """Row-major index of coordinates; 0 of none."""
    index: Index | int = 0
    for size, coordinate in zip(shape, coordinates, strict=True):
        index = index * size + coordinate
    return index
