# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators, allow-untyped-calls
"""Kernels written by hand: E3's product of grid integers on int8 tensor cores, the index add, the check of outputs."""

from __future__ import annotations

import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]

from miner.kernels.triton import arithmetic as am

FLUSH = tl.constexpr(2**16)
"""Terms after which int32 sums are added to the int64 total: 2^16 · 2 · 2^6 · 2^7 = 2^30 at most."""


@triton.jit
def _accumulate(
    a, b, a_plane, b_plane, start, stop, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, EVEN: tl.constexpr
):
    """Σ over k from start to stop of (256·h + l)·(256·h' + l') as int64, from four products of int8."""
    k = tl.arange(0, BK)
    high = tl.zeros((BM, BN), tl.int32)
    middle = tl.zeros((BM, BN), tl.int32)
    low = tl.zeros((BM, BN), tl.int32)
    for at in range(start, stop, BK):
        if EVEN:
            a_high = tl.load(a + at)
            a_low = tl.load(a + a_plane + at)
            b_high = tl.load(b + at)
            b_low = tl.load(b + b_plane + at)
        else:
            a_high = tl.load(a + at, mask=(k < K - at)[None, :], other=0)
            a_low = tl.load(a + a_plane + at, mask=(k < K - at)[None, :], other=0)
            b_high = tl.load(b + at, mask=(k < K - at)[:, None], other=0)
            b_low = tl.load(b + b_plane + at, mask=(k < K - at)[:, None], other=0)
        high = tl.dot(a_high, b_high, high, out_dtype=tl.int32)
        middle = tl.dot(a_high, b_low, middle, out_dtype=tl.int32)
        middle = tl.dot(a_low, b_high, middle, out_dtype=tl.int32)
        low = tl.dot(a_low, b_low, low, out_dtype=tl.int32)
    return (high.to(tl.int64) << 16) + (middle.to(tl.int64) << 8) + low.to(tl.int64)


@triton.jit
def multiply(
    a, a_exponents, b, b_exponents, out, M, N, K, a_plane, b_plane, a_row, b_row, a_batch, b_batch, a_exponent_batch,
    b_exponent_batch, twice_bits, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, EVEN: tl.constexpr,
    SHORT: tl.constexpr,
):  # fmt: skip
    """One tile of a batch of products. Both operands lie as rows of K int8 in two planes; M × K and N × K."""
    pid = tl.program_id(0)
    batch = tl.program_id(1)
    tiles = tl.cdiv(N, BN)
    m = pid // tiles * BM + tl.arange(0, BM)
    n = pid % tiles * BN + tl.arange(0, BN)
    k = tl.arange(0, BK)
    a = a + batch * a_batch + tl.minimum(m, M - 1)[:, None] * a_row + k[None, :]
    b = b + batch * b_batch + tl.minimum(n, N - 1)[None, :] * b_row + k[:, None]
    if SHORT:
        total = _accumulate(a, b, a_plane, b_plane, 0, K, K, BM, BN, BK, EVEN)
    else:
        total = tl.zeros((BM, BN), tl.int64)
        for start in range(0, K, FLUSH):
            total += _accumulate(a, b, a_plane, b_plane, start, tl.minimum(start + FLUSH, K), K, BM, BN, BK, EVEN)
    e_a = tl.load(a_exponents + batch * a_exponent_batch + m, mask=m < M, other=0)
    e_b = tl.load(b_exponents + batch * b_exponent_batch + n, mask=n < N, other=0)
    value = am.rescale(total, e_a[:, None] + e_b[None, :] - twice_bits)
    where = batch * (M * N) + m[:, None] * N + n[None, :]
    tl.store(out + where, value, mask=(m < M)[:, None] & (n < N)[None, :])


@triton.jit
def column_maxima(values, keys, flags, count, columns, BM: tl.constexpr, BN: tl.constexpr):
    """Index add, first pass: the largest magnitude of each column, as uint32 patterns."""
    tiles = tl.cdiv(columns, BN)
    m = (tl.program_id(0) // tiles * BM + tl.arange(0, BM))[None, :]
    n = (tl.program_id(0) % tiles * BN + tl.arange(0, BN))[:, None]
    valid = (m < count) & (n < columns)
    key = am.largest(tl.load(values + m * columns + n, mask=valid, other=0), valid)
    am.mark(flags, 0, am.is_wrong(key))
    tl.atomic_max(keys + n, key.to(tl.uint32, bitcast=True), mask=n < columns, sem="relaxed")


@triton.jit
def scatter(values, index, keys, sums, flags, count, columns, rows, BM: tl.constexpr, BN: tl.constexpr):
    """Index add, second pass: adds grid integers to int64 rows."""
    tiles = tl.cdiv(columns, BN)
    m = (tl.program_id(0) // tiles * BM + tl.arange(0, BM))[:, None]
    n = (tl.program_id(0) % tiles * BN + tl.arange(0, BN))[None, :]
    valid = (m < count) & (n < columns)
    key = tl.load(keys + n, mask=n < columns, other=0).to(tl.int32, bitcast=True)
    q = am.on_grid(tl.load(values + m * columns + n, mask=valid, other=0), am.exponent_of(key), am.SUM_BITS)
    row = tl.load(index + m, mask=m < count, other=0)
    legal = (row >= 0) & (row < rows)
    am.mark(flags, 1, (m < count) & (legal == 0))
    row = tl.where(legal, row, 0).to(tl.int32)
    tl.atomic_add(sums + row * columns + n, q.to(tl.int64), mask=valid, sem="relaxed")


@triton.jit
def round_rows(keys, sums, out, size, columns, BLOCK: tl.constexpr):
    """Index add, third pass: the roundings."""
    i = (tl.program_id(0) * BLOCK + tl.arange(0, BLOCK))[None, :]
    inside = i < size
    key = tl.load(keys + i % columns, mask=inside, other=0).to(tl.int32, bitcast=True)
    tl.store(out + i, am.rounded(tl.load(sums + i, mask=inside, other=0), key), mask=inside)


@triton.jit
def find_wrong(values, flags, size, BLOCK: tl.constexpr):
    """Set a flag where an f32 is an infinity or a NaN."""
    i = (tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK))[None, :]
    inside = i < size
    am.mark(flags, 0, am.is_wrong(am.bits_of(am.magnitude(tl.load(values + i, mask=inside, other=0)))) & inside)
