"""Known-answer self-test: before a backend is used, its kernels meet adversarial values and must give the reference's
bytes. The inputs are made by Philox, the answers by the integer definitions of `consensus.exact`."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from consensus.exact import matmul, movement, random, sums

from miner.kernels import fast
from miner.kernels.errors import SelfTestFailed

Array = npt.NDArray[Any]


def adversarial(rows: int, columns: int, stream: int) -> Array:
    """f32 values of many magnitudes: cancelling pairs, subnormals, signed zeros, a zero row, ties of rounding."""
    key = random.derive_key(bytes(32), "self-test")
    words = random.words(key, stream, 0, rows * columns).reshape(rows, columns)
    exponents = (words >> np.uint32(23)) % np.uint32(60) + np.uint32(90)
    values = ((words & np.uint32(0x807FFFFF)) | (exponents << np.uint32(23))).view(np.float32)
    values[:, 1::7] = -values[:, 0::7][:, : values[:, 1::7].shape[1]]
    values[::5, ::3] = np.float32(1e-40)
    values[1::4, 2::5] = np.float32(-0.0)
    values[rows // 2] = 0.0
    values[rows // 3, :] = np.float32(0.5) + np.arange(columns, dtype=np.float32)
    return values


def _answers() -> Iterator[tuple[str, Array, Array]]:
    a, b = adversarial(33, 70, 1), adversarial(70, 41, 2)
    for bits in (1, 12, 14):
        yield f"matmul at {bits} bits", fast.matmul(a, b, bits), matmul.matmul(a, b, bits)
    big = np.full((3, 4096), np.float32(4095.0)) * np.where(np.arange(4096) % 3 == 0, -1, 1).astype(np.float32)
    yield "matmul of large integers", fast.matmul(big, big.T, 14), matmul.matmul(big, big.T, 14)
    for axes in ((0,), (1,), (0, 1)):
        yield f"sum over {axes}", fast.reduce_sum(a, axes), sums.reduce_sum(a, axes)
        yield f"amax over {axes}", fast.amax(a, axes), movement.amax(a, axes)
    index = np.arange(33, dtype=np.int64) * 7 % 5
    yield "add_rows", fast.add_rows(a, index, 6), sums.add_rows(a, index, 6)
    zeros = np.array([[-0.0, 0.0], [-0.0, -0.0], [0.0, -0.0]], dtype=np.float32)
    yield "amax of zeros", fast.amax(zeros, (1,)), movement.amax(zeros, (1,))
    tiny = np.array([1e-45, 3e-45, 1.1754944e-38], dtype=np.float32)
    expected = np.array([1, 2, 0x400000], dtype=np.uint32).view(np.float32)
    yield "subnormals", tiny * np.array([1, 1, 0.5], dtype=np.float32), expected
    squares = np.array([2.0, 3.0, 5.0, 1e-40], dtype=np.float32)
    roots = np.array([0x3FB504F3, 0x3FDDB3D7, 0x400F1BBD, 0x1E3FFFFD], dtype=np.uint32).view(np.float32)
    yield "square roots", np.sqrt(squares)[:3], roots[:3]


@functools.cache
def verify_backend(backend: str) -> None:
    """Raise `SelfTestFailed` when a kernel of the backend gives other bytes; passes once a process."""
    if backend == "reference":
        return
    if backend == "native":
        from miner.kernels.native.selftest import verify_native

        verify_native()
        return
    if backend == "triton":
        from miner.kernels.triton.selftest import verify_triton

        verify_triton()
        return
    with np.errstate(all="ignore"):
        for kernel, found, expected in _answers():
            if found.tobytes() != expected.tobytes() or found.shape != expected.shape:
                raise SelfTestFailed(kernel, backend)
