"""Launches E3's product kernel with the tile shape that measures fastest for its sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from miner.kernels.lowering import Gemm
from miner.kernels.triton import library
from miner.kernels.triton.codegen import get_row_stride


@dataclass(frozen=True)
class TileShape:
    """Rows, columns and terms of a tile, and how its program is laid out."""

    m: int
    n: int
    k: int
    warps: int
    stages: int


TILES = (
    TileShape(64, 64, 64, 4, 4),
    TileShape(64, 64, 128, 4, 3),
    TileShape(128, 64, 64, 8, 4),
    TileShape(128, 64, 128, 8, 3),
    TileShape(64, 128, 64, 4, 3),
    TileShape(64, 128, 64, 8, 4),
    TileShape(64, 128, 128, 8, 3),
    TileShape(128, 128, 64, 8, 3),
    TileShape(64, 32, 128, 4, 4),
    TileShape(32, 64, 128, 4, 4),
    TileShape(32, 32, 128, 4, 4),
)
"""Candidates; any gives the same bytes."""
INTERPRETED = TileShape(32, 32, 256, 4, 1)
SMALL = 2**22
"""Products of up to so many MACs (= 4,194,304) are not worth measuring: the first tile does them."""
REPEATS = 5
"""Calls of one measurement."""

Buffers = tuple[Any, Any, Any, Any, Any]
"""Planes and exponents of A, those of B, the result."""

_fastest: dict[tuple[int, ...], TileShape] = {}


def launch(gemm: Gemm, buffers: Buffers, tile: TileShape) -> None:
    """Queue one batch of products."""
    grid = (-(-gemm.m // tile.m) * -(-gemm.n // tile.n), gemm.batch)
    library.multiply[grid](*buffers, *_sizes(gemm), **_options(gemm, tile))


def compile_candidates(gemm: Gemm) -> None:
    """Ask for the kernels that `choose_tile` will try."""
    types = (torch.int8, torch.int32, torch.int8, torch.int32, torch.float32)
    for tile in _candidates(gemm):
        library.multiply.warmup(*types, *_sizes(gemm), grid=(1,), **_options(gemm, tile))


def _candidates(gemm: Gemm) -> tuple[TileShape, ...]:
    """Tiles worth compiling and measuring for a product."""
    return TILES if gemm.batch * gemm.m * gemm.n * gemm.k > SMALL else TILES[:1]


def _sizes(gemm: Gemm) -> tuple[int, ...]:
    """The kernel's integers."""
    stride, is_batch = get_row_stride(gemm.k), [gemm.a_strides[2] != 0, gemm.b_strides[2] != 0]
    batches = [rows * stride if several else 0 for rows, several in zip((gemm.m, gemm.n), is_batch, strict=True)]
    planes = [
        rows * stride * (gemm.batch if several else 1)
        for rows, several in zip((gemm.m, gemm.n), is_batch, strict=True)
    ]
    return (gemm.m, gemm.n, gemm.k, *planes, stride, stride, *batches, *gemm.exponent_strides, 2 * gemm.bits)


def _options(gemm: Gemm, tile: TileShape) -> dict[str, Any]:
    return {
        "BM": tile.m, "BN": tile.n, "BK": tile.k, "EVEN": gemm.k % tile.k == 0,
        "SHORT": gemm.k <= int(library.FLUSH.value), "num_warps": tile.warps, "num_stages": tile.stages,
        "enable_fp_fusion": False,
    }  # fmt: skip


def choose_tile(gemm: Gemm, buffers: Buffers) -> TileShape:
    """The fastest tile for a product's sizes on this device, measured at the first asking."""
    if not buffers[0].is_cuda:
        return INTERPRETED
    candidates, key = _candidates(gemm), (gemm.batch, gemm.m, gemm.n, gemm.k)
    if len(candidates) == 1:
        return candidates[0]
    if key not in _fastest:
        _fastest[key] = min(candidates, key=lambda tile: _measure(lambda: launch(gemm, buffers, tile)))
    return _fastest[key]


def _measure(call: Callable[[], None]) -> float:
    """Least milliseconds of some calls that the device makes one after another, without waiting for the host."""
    call()
    captured = torch.cuda.CUDAGraph()
    with torch.cuda.graph(captured):
        for _ in range(REPEATS):
            call()
    times = []
    for _ in range(3):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        captured.replay()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return float(min(times))
