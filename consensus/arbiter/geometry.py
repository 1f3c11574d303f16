"""Where the elements of a tensor lie in its tiles."""

from __future__ import annotations

from dataclasses import dataclass

from consensus.commit.tensor import TILE_SIDE, TensorForm

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Region:
    """What a tile covers of its tensor, without the padding."""

    batch: int
    """Row-major index over the leading dimensions."""
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


def tile_at(form: TensorForm, batch: int, row: int, column: int) -> int:
    """The tile that holds an element."""
    _, rows, columns = form.grid
    return (batch * tiles_over(rows) + row // TILE_SIDE) * tiles_over(columns) + column // TILE_SIDE


def locate(form: TensorForm, element: int) -> tuple[int, int, int]:
    """Tile, row in the tile and column in the tile of a row-major element."""
    _, rows, columns = form.grid
    rest, column = divmod(element, columns)
    batch, row = divmod(rest, rows)
    return tile_at(form, batch, row, column), row % TILE_SIDE, column % TILE_SIDE


def unravel(shape: Shape, index: int) -> list[int]:
    """Coordinates of a row-major index."""
    coordinates = []
    for size in reversed(shape):
        index, coordinate = divmod(index, size)
        coordinates.append(coordinate)
    return coordinates[::-1]


def ravel(shape: Shape, coordinates: list[int]) -> int:
    """Row-major index of coordinates."""
    index = 0
    for size, coordinate in zip(shape, coordinates, strict=True):
        index = index * size + coordinate
    return index
