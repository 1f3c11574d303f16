# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators, allow-untyped-calls
"""Device functions of E1, E2, E5 and E7, operation by operation those of `consensus.exact`.

Triton compiles the bodies; types are the device's. Every f32 line is one rounding: the launcher switches contraction
off, division and square root are the IEEE ones, nothing comes from a device library. Traps that are avoided on purpose:
``-x`` is ``0 − x`` in Triton and loses the sign of zero; ``/`` is the approximate division; Python floats under 2^−126
become float64; ``tl.exp``, ``tl.fma`` and the like round as they please.
"""

from __future__ import annotations

import numpy as np
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]
from consensus.exact import grid, transcendental, values


def _constants(values):
    return [tl.constexpr(float(v)) for v in values]


_EXP0, _EXP1, _EXP2, _EXP3, _EXP4 = _constants(transcendental._EXP)
_LOG0, _LOG1, _LOG2, _LOG3, _LOG4, _LOG5, _LOG6, _LOG7, _LOG8 = _constants(transcendental._LOG)
_TANH0, _TANH1, _TANH2, _TANH3, _TANH4 = _constants(transcendental._TANH)
_ERF0, _ERF1, _ERF2, _ERF3, _ERF4, _ERF5, _ERF6 = _constants(transcendental._ERF)
_ERFC0, _ERFC1, _ERFC2, _ERFC3, _ERFC4, _ERFC5, _ERFC6, _ERFC7, _ERFC8 = _constants(transcendental._ERFC)
_SIN0, _SIN1, _SIN2, _SIN3 = _constants(transcendental._SIN)
_COS0, _COS1, _COS2 = _constants(transcendental._COS)
_PI0, _PI1, _PI2, _PI3, _PI4 = _constants(transcendental._HALF_PI)
_LOG2E = tl.constexpr(float(transcendental._LOG2E))
_LN2_HIGH = tl.constexpr(float(transcendental._LN2_HIGH))
_LN2_LOW = tl.constexpr(float(transcendental._LN2_LOW))
_SQRT_HALF = tl.constexpr(float(transcendental._SQRT_HALF))
_TWO_OVER_PI = tl.constexpr(float(transcendental._TWO_OVER_PI))
_ANGLE_MAX = tl.constexpr(float(transcendental.ANGLE_MAX))
_EXP_MAX = tl.constexpr(float(transcendental.EXP_MAX))
_EXP_MIN = tl.constexpr(float(transcendental.EXP_MIN))
_TINY = tl.constexpr(float(np.float32(2.0**-126)))
_INF = tl.constexpr(float("inf"))
_NAN = tl.constexpr(values.NAN_BITS)
_MAGIC = tl.constexpr(float(2**23))
_MAGNITUDE = tl.constexpr(0x7FFFFFFF)
_INFINITE = tl.constexpr(0x7F800000)
_SIGN = tl.constexpr(-(2**31))
_MIN_EXPONENT = tl.constexpr(grid.MIN_EXPONENT)
SUM_BITS = tl.constexpr(grid.SUM_BITS)
_DRAW = tl.constexpr(2.0**-24)


@triton.jit
def bits_of(x):
    """The pattern of an f32 as int32."""
    return x.to(tl.int32, bitcast=True)


@triton.jit
def float_of(pattern):
    """The f32 of an int32 pattern."""
    return pattern.to(tl.float32, bitcast=True)


@triton.jit
def magnitude(x):
    """|x|, by its pattern."""
    return float_of(bits_of(x) & _MAGNITUDE)


@triton.jit
def negate(x):
    """−x by its sign bit, zeros and NaNs too."""
    return float_of(bits_of(x) ^ _SIGN)


@triton.jit
def copysign(x, sign):
    """|x| with the sign bit of ``sign``."""
    return float_of((bits_of(x) & _MAGNITUDE) | (bits_of(sign) & _SIGN))


@triton.jit
def rint(x):
    """Nearest integer, ties to even, sign kept: |x| + 2^23 − 2^23 rounds at the units where |x| < 2^23."""
    a = magnitude(x)
    whole = a + _MAGIC
    whole = whole - _MAGIC
    return copysign(tl.where(a < _MAGIC, whole, a), x)


@triton.jit
def two_to(n):
    """2^n as f32 for int32 −127 ≤ n ≤ 127; the least is subnormal."""
    return float_of(tl.where(n < -126, 0x00400000, (n + 127) << 23))


@triton.jit
def exponent_of(key):
    """Grid exponent (int32) of a largest magnitude's pattern; meaningless for NaN and infinity."""
    return tl.maximum((key >> 23) - 126, _MIN_EXPONENT)


@triton.jit
def is_wrong(key):
    """Whether a pattern without its sign is that of an infinity or a NaN."""
    return key >= _INFINITE


@triton.jit
def is_wrong_maximum(key, greatest):
    """Whether `largest` and `highest` show a NaN or +inf."""
    return (key > _INFINITE) | (greatest >= _INFINITE)


@triton.jit
def on_grid(x, exponent, bits):
    """E2's integer as int32 of a finite x with |x| < 2^exponent."""
    return rint(x * two_to(0 - exponent + bits)).to(tl.int32)


@triton.jit
def rescale(total, exponent):
    """f32(S · 2^exponent), one rounding, a zero being +0: int64 |S| < 2^53, int32 exponent from −1,022 to 1,023."""
    factor = ((exponent.to(tl.int64) + 1023) << 52).to(tl.float64, bitcast=True)
    result = (total.to(tl.float64) * factor).to(tl.float32)
    return tl.where(result == 0.0, 0.0, result)


@triton.jit
def ordered(pattern):
    """int32 in the order of the f32 values of the patterns, −0 under +0; its own inverse."""
    return tl.where(pattern < 0, pattern ^ _MAGNITUDE, pattern)


@triton.jit
def _then(p, x, c):
    """One step of Horner's scheme, two roundings."""
    p = p * x
    return p + c


@triton.jit
def exp(x):
    """E5 exp."""
    inside = tl.where((x >= _EXP_MIN) & (x <= _EXP_MAX), x, 0.0)
    n = rint(inside * _LOG2E)
    r = inside - n * _LN2_HIGH
    r = r - n * _LN2_LOW
    p = r * _EXP0
    p = p + _EXP1
    p = _then(p, r, _EXP2)
    p = _then(p, r, _EXP3)
    p = _then(p, r, _EXP4)
    p = p * r
    p = p * r
    p = p + r
    p = p + 1.0
    whole = n.to(tl.int32)
    half = whole >> 1
    result = p * two_to(half)
    result = result * two_to(whole - half)
    result = tl.where(x > _EXP_MAX, _INF, result)
    result = tl.where(x < _EXP_MIN, 0.0, result)
    return tl.where(x != x, x, result)


@triton.jit
def log(x):
    """E5 log."""
    legal = (x > 0.0) & (x < _INF)
    inside = tl.where(legal, x, 1.0)
    tiny = inside < _TINY
    pattern = bits_of(tl.where(tiny, inside * 33554432.0, inside))
    exponent = (pattern >> 23) - 126
    mantissa = float_of((pattern & 0x007FFFFF) | 0x3F000000)
    small = mantissa < _SQRT_HALF
    exponent = exponent - small.to(tl.int32) - tl.where(tiny, 25, 0)
    f = tl.where(small, mantissa * 2.0, mantissa) - 1.0
    e = exponent.to(tl.float32)
    z = f * f
    y = f * _LOG0
    y = y + _LOG1
    y = _then(y, f, _LOG2)
    y = _then(y, f, _LOG3)
    y = _then(y, f, _LOG4)
    y = _then(y, f, _LOG5)
    y = _then(y, f, _LOG6)
    y = _then(y, f, _LOG7)
    y = _then(y, f, _LOG8)
    y = y * f
    y = y * z
    y = y + e * _LN2_LOW
    y = y - z * 0.5
    result = f + y
    result = result + e * _LN2_HIGH
    result = tl.where(x == 0.0, -_INF, result)
    result = tl.where(x == _INF, x, result)
    return float_of(tl.where((x < 0.0) | (x != x), _NAN, bits_of(result)))


@triton.jit
def tanh(x):
    """E5 tanh."""
    a = magnitude(x)
    z = x * x
    low = tl.where(z > 1.0, 1.0, z)
    small = low * _TANH0
    small = small + _TANH1
    small = _then(small, low, _TANH2)
    small = _then(small, low, _TANH3)
    small = _then(small, low, _TANH4)
    small = small * z
    small = small * x
    small = small + x
    twice = a + a
    large = exp(tl.where(twice > 20.0, 20.0, twice))
    large = large + 1.0
    large = tl.div_rn(tl.full(large.shape, 2.0, tl.float32), large)
    large = 1.0 - large
    result = copysign(tl.where(a < 0.625, small, large), x)
    return tl.where(x != x, x, result)


@triton.jit
def erf(x):
    """E5 erf."""
    a = magnitude(x)
    a = tl.where(a > 4.0, 4.0, a)
    z = a * a
    low = tl.where(z > 1.0, 1.0, z)
    small = low * _ERF0
    small = small + _ERF1
    small = _then(small, low, _ERF2)
    small = _then(small, low, _ERF3)
    small = _then(small, low, _ERF4)
    small = _then(small, low, _ERF5)
    small = _then(small, low, _ERF6)
    small = small * x
    small = small + x
    large = a * _ERFC0
    large = large + _ERFC1
    large = _then(large, a, _ERFC2)
    large = _then(large, a, _ERFC3)
    large = _then(large, a, _ERFC4)
    large = _then(large, a, _ERFC5)
    large = _then(large, a, _ERFC6)
    large = _then(large, a, _ERFC7)
    large = _then(large, a, _ERFC8)
    large = 1.0 - exp(negate(large))
    large = copysign(large, x)
    result = tl.where(a < 1.0, small, large)
    return tl.where(x != x, x, result)


@triton.jit
def rotate(x, QUARTERS: tl.constexpr, ODD: tl.constexpr):
    """E5 sin (0, odd) and cos (1, even)."""
    a = magnitude(x)
    legal = a <= _ANGLE_MAX
    a = tl.where(legal, a, 0.0)
    n = rint(a * _TWO_OVER_PI)
    a = a - n * _PI0
    a = a - n * _PI1
    third = n * _PI2
    b = a - third
    lost = a - b
    lost = lost - third
    fourth = n * _PI3
    c = b - fourth
    lost_too = b - c
    lost_too = lost_too - fourth
    lost = lost + lost_too
    lost = lost - n * _PI4
    r = c + lost
    z = r * r
    sine = z * _SIN0
    sine = sine + _SIN1
    sine = _then(sine, z, _SIN2)
    sine = _then(sine, z, _SIN3)
    sine = sine * z
    sine = sine * r
    sine = sine + r
    cosine = z * _COS0
    cosine = cosine + _COS1
    cosine = _then(cosine, z, _COS2)
    cosine = cosine * z
    cosine = cosine * z
    cosine = cosine - z * 0.5
    cosine = cosine + 1.0
    quadrant = n.to(tl.int32) + QUARTERS
    value = bits_of(tl.where((quadrant & 1) == 0, sine, cosine))
    sign = (quadrant & 2) << 30
    if ODD:
        sign = sign ^ (bits_of(x) & _SIGN)
    return float_of(tl.where(legal, value ^ sign, _NAN))


@triton.jit
def philox_word(block, lane, step, stream, key_0, key_1):
    """Lane ``lane`` (int32) of Philox4x32-10 for int64 counters ``block``; the others are uint32."""
    c0 = block.to(tl.uint32)
    c1 = (block >> 32).to(tl.uint32)
    c2 = tl.zeros_like(c0) + step
    c3 = tl.zeros_like(c0) + stream
    k0 = key_0
    k1 = key_1
    for _ in tl.static_range(10):
        high_0 = tl.umulhi(c0, tl.full(c0.shape, 0xD2511F53, tl.uint32))
        high_1 = tl.umulhi(c2, tl.full(c0.shape, 0xCD9E8D57, tl.uint32))
        low_0 = c0 * tl.full(c0.shape, 0xD2511F53, tl.uint32)
        low_1 = c2 * tl.full(c0.shape, 0xCD9E8D57, tl.uint32)
        c0 = high_1 ^ c1 ^ k0
        c1 = low_1
        c2 = high_0 ^ c3 ^ k1
        c3 = low_0
        k0 = k0 + tl.full(k0.shape, 0x9E3779B9, tl.uint32)
        k1 = k1 + tl.full(k1.shape, 0xBB67AE85, tl.uint32)
    low = tl.where(lane == 0, c0, c1)
    high = tl.where(lane == 2, c2, c3)
    return tl.where(lane < 2, low, high)


@triton.jit
def uniform(index, stream, step, key_0, key_1):
    """E7: f32 in [0, 1) at int32 places ``index``; stream and keys are uint32 patterns, step is int64."""
    word = philox_word(
        (index >> 2).to(tl.int64), index & 3, step.to(tl.uint32), stream.to(tl.uint32),
        key_0.to(tl.uint32, bitcast=True), key_1.to(tl.uint32, bitcast=True),
    )  # fmt: skip
    return (word >> 8).to(tl.int32).to(tl.float32) * _DRAW


@triton.jit
def literal(PATTERN: tl.constexpr):
    """An f32 constant by its pattern, as a tile of one element."""
    return float_of(tl.full((1, 1), PATTERN, tl.int32))


@triton.jit
def largest(x, valid):
    """Pattern of the largest magnitude of each row of a tile, where ``valid``; over `INFINITE` when one is a NaN."""
    return tl.max(tl.where(valid, bits_of(x) & _MAGNITUDE, 0), 1)[:, None]


@triton.jit
def highest(x, valid):
    """`ordered` key of the greatest value of each row of a tile, where ``valid``."""
    return tl.max(tl.where(valid, ordered(bits_of(x)), _SIGN), 1)[:, None]


@triton.jit
def total(x, key, valid):
    """E4's int64 sum of each row of a tile, where ``valid``, on the grid of the rows' largest magnitudes."""
    q = on_grid(x, exponent_of(key), SUM_BITS)
    return tl.sum(tl.where(valid, q, 0).to(tl.int64), 1)[:, None]


@triton.jit
def rounded(sums, key):
    """E4's sum from its integer."""
    return rescale(sums, exponent_of(key) - SUM_BITS)


@triton.jit
def picked(x, place, index):
    """The element of each row of a tile (f32 or int) at the column ``index``."""
    return tl.sum(tl.where(place == index, x, 0), 1)[:, None]


@triton.jit
def store_split(planes, where, PLANE: tl.constexpr, q, mask):
    """q = 256·h + l, |q| ≤ 2^14: h goes to the first plane of int8, l, its sign-extended low byte, to the second."""
    tl.store(planes + where, ((q + 128) >> 8).to(tl.int8), mask=mask)
    tl.store(planes + where + PLANE, q.to(tl.int8), mask=mask)


@triton.jit
def mark(flags, SLOT: tl.constexpr, wrong):
    """Set a flag where a tile of truth values has a one."""
    tl.store(flags + tl.where(wrong, SLOT, SLOT), 1, mask=wrong)


@triton.jit
def unsigned(key):
    """An `ordered` key as uint32 of the same order, all above 0."""
    return (key ^ _SIGN).to(tl.uint32, bitcast=True)


@triton.jit
def signed(key):
    """The key that `unsigned` was given."""
    return key.to(tl.int32, bitcast=True) ^ _SIGN
