"""Where elements lie in tiles, and that an operand is one tile however small the last axes are."""

from __future__ import annotations

import numpy as np
import pytest

from consensus.arbiter.geometry import elements_of, locate, tile_region
from consensus.arbiter.operands import BlankOperands, take_part
from consensus.arbiter.statement import Input, Source, Statement, Tile
from consensus.arbiter.tiles import compute_tile
from consensus.commit.tensor import TILE_SIDE, TensorForm, compute_tile_hashes, compute_tiles_reference
from consensus.graph.node import Node

Shape = tuple[int, ...]


def make_shapes(count: int, seed: int) -> list[Shape]:
    """Shapes of up to six axes whose last ones are mostly small."""
    random = np.random.default_rng(seed)
    sizes = (1, 1, 2, 3, 3, 4, 5, 8, 31, 32, 33, 40)
    shapes = [tuple(int(random.choice(sizes)) for _ in range(random.integers(0, 7))) for _ in range(count)]
    return [shape for shape in shapes if np.prod(shape, dtype=np.int64) <= 60_000]


@pytest.mark.parametrize(
    ("shape", "grid"),
    [
        ((), (1, 1, 1)),
        ((7,), (1, 1, 7)),
        ((3, 3), (1, 3, 3)),
        ((64, 32, 3, 3), (64, 32, 9)),
        ((64, 3, 7, 7), (192, 7, 7)),
        ((8, 16, 2, 16), (8, 16, 32)),
        ((8, 16, 3, 11), (128, 3, 11)),
        ((5, 4, 2, 2, 2), (1, 5, 32)),
        ((10, 1, 1, 1), (1, 10, 1)),
        ((2, 0, 3), (1, 2, 0)),
    ],
)
def test_small_last_axes_count_as_one(shape: Shape, grid: tuple[int, int, int]) -> None:
    assert TensorForm("f32", shape).grid == grid


def test_tiles_partition_their_tensor() -> None:
    for shape in make_shapes(300, 1):
        form = TensorForm("i64", shape)
        tensor = np.arange(1, form.byte_count // 8 + 1, dtype=np.int64).reshape(shape)
        for tile, data in enumerate(compute_tiles_reference(tensor)):
            elements = elements_of(form, tile_region(form, tile)).ravel()
            tiles, places = locate(form, elements)
            assert (tiles == tile).all()
            values = np.frombuffer(data, "<i8")
            assert (values[places] == elements + 1).all()
            assert np.count_nonzero(values) == elements.size
        assert len(compute_tile_hashes(tensor)) == form.tile_count


def test_a_part_between_multiples_of_32_lies_in_one_tile() -> None:
    for shape in make_shapes(300, 2):
        form = TensorForm("f32", shape)
        matrices, rows, columns = form.matrices
        elements = np.arange(matrices * rows * columns).reshape(matrices, rows, columns)
        for top in range(0, rows, TILE_SIDE):
            for left in range(0, columns, TILE_SIDE):
                part = elements[-1, top : top + TILE_SIDE, left : left + TILE_SIDE]
                assert len(set(locate(form, part)[0].ravel().tolist())) == 1


def test_a_tile_of_a_broadcast_op_reads_one_tile_of_each_operand() -> None:
    random = np.random.default_rng(3)
    for shape in make_shapes(300, 4):
        kept = random.integers(0, 2, len(shape))
        narrow = tuple(size if keep else 1 for size, keep in zip(shape, kept, strict=True))
        narrow = narrow[random.integers(0, len(shape) + 1) :]
        form, operand = TensorForm("i64", shape), TensorForm("i64", narrow)
        values = np.arange(operand.byte_count // 8, dtype=np.int64).reshape(narrow)
        wide = np.broadcast_to(values, shape).reshape(-1)
        for tile in range(form.tile_count):
            read = wide[elements_of(form, tile_region(form, tile))]
            assert len(set(locate(operand, read)[0].ravel().tolist())) == 1
        blank = BlankOperands()
        compute_tile(Statement(Node("expand", (0,), "i64", shape), (operand,), Tile(form.tile_count - 1)),
                     form.tile_count - 1, blank)  # fmt: skip
        assert len(blank.taken) == 1


def test_a_part_is_read_where_it_lies() -> None:
    form = TensorForm("f32", (6, 5, 3, 3))
    values = np.arange(6 * 45, dtype=np.float32).reshape(form.shape)
    tiles = compute_tiles_reference(values)

    class Tiles:
        def take(self, source: Source, size: int) -> bytes:
            assert isinstance(source, Input) and size == form.tile_bytes
            return tiles[source.tile]

    statement = Statement(Node("neg", (0,), "f32", form.shape), (form,), Tile(0))
    for matrix in range(30):
        part = take_part(statement, Tiles(), 0, (matrix, 1, 0), (2, 3))
        assert (part == values.reshape(30, 3, 3)[matrix, 1:]).all()
