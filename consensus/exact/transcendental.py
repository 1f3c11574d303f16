"""E5: exp, log, tanh, erf, sin and cos as fixed programs of single-rounded f32 operations.

Ideas after Cephes (argument reduction with a split constant, short polynomials); the coefficients are our own Chebyshev
fits, rounded to f32 and given as bit patterns. The order of the operations below is the definition: every line is one
f32 operation with one rounding; there is no FMA. ``ULP_BOUND`` is the largest error, in units in the last place of the
true value, that the tests (against mpmath) allow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

MACS_PER_ELEMENT = 16
"""Cost of one transcendental result: about the operations of its program."""

ULP_BOUND = {"exp": 1.5, "log": 1.5, "tanh": 2.0, "erf": 2.0, "sin": 1.5, "cos": 1.5}
"""Largest error in ulp of the true value; exp: where the result is normal; sin, cos: for |x| ≤ `ANGLE_MAX`."""

ULP_WORST = {
    "exp": (0xC2A2C743, 1.0446),
    "log": (0x3FB2DE68, 0.8234),
    "tanh": (0x3F218C1D, 1.332),
    "erf": (0x3F7ED34F, 1.3366),
    "sin": (0x44999BC4, 1.4896),
    "cos": (0x450F126E, 1.4919),
}
"""Bits of the argument with the largest error found, and that error, rounded up.

Tried were all f32 with ¼ ≤ x ≤ 4 (log), 2^−26 ≤ |x| (exp) or 2^−14 ≤ x (tanh, erf, sin, cos) up to where the function
saturates or ends, and each 61st elsewhere.
"""


def _f32(*patterns: int) -> tuple[np.float32, ...]:
    return tuple(np.array(patterns, dtype=np.uint32).view(np.float32))


# (exp r − 1 − r) / r² on |r| ≤ 1.01·(ln 2)/2, highest power first
_EXP = _f32(0x3AB68B03, 0x3C090836, 0x3D2AAA8B, 0x3E2AAA6C, 0x3F000000)
# (log(1+f) − f + f²/2) / f³ on √½ − 1 ≤ f ≤ √2 − 1
_LOG = _f32(
    0x3D8EC753, 0xBDEB1ADE, 0x3DEF5141, 0xBDFE7A63, 0x3E11E90D, 0xBE2AADA5, 0x3E4CCEAD, 0xBE7FFFFE, 0x3EAAAAAA
)
# (tanh x / x − 1) / x² in z = x² on |x| ≤ 0.625
_TANH = _f32(0xBBC7C6F2, 0x3CAC0247, 0xBD5C92C5, 0x3E08870E, 0xBEAAAAA9)
# erf x / x − 1 in z = x² on |x| ≤ 1
_ERF = _f32(0x38A52B48, 0xBA522844, 0x3BAA0938, 0xBCDBFD5D, 0x3DE71688, 0xBEC0939F, 0x3E0375D4)
# −log(erfc a) on 1 ≤ a ≤ 4
_ERFC = _f32(
    0xB5DBBC18, 0x38412E72, 0xBA1C72F3, 0x3B9BF663, 0xBCD87123, 0x3DE171AB, 0x3F21BF5A, 0x3F90AB7D, 0xB9A7D834
)
(_LOG2E,) = _f32(0x3FB8AA3B)
# ln 2 = _LN2_HIGH + _LN2_LOW; the high part has 10 bits, so that n · _LN2_HIGH is exact for |n| < 2^14
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
(_SQRT_HALF,) = _f32(0x3F3504F3)
# (sin r / r − 1) / r² in z = r² on |r| ≤ 0.787
_SIN = _f32(0x3636DCDF, 0xB95009CD, 0x3C088887, 0xBE2AAAAB)
# (cos r − 1 + r²/2) / r⁴ in z = r² on |r| ≤ 0.787
_COS = _f32(0x37CDEA18, 0xBAB60965, 0x3D2AAAAA)
(_TWO_OVER_PI,) = _f32(0x3F22F983)
# π/2 = the sum of these to 2^-78; the first four have 11 bits each, so that n · part is exact for 0 ≤ n < 2^13
_HALF_PI = _f32(0x3FC90000, 0x39FDA000, 0x33A22000, 0x2C346000, 0x248D3132)

ANGLE_MAX = np.float32(8192.0)
"""Largest |x| of sin and cos (= 2^13 = 8,192): over it the result is NaN."""

EXP_MAX = np.float32(88.72283172607422)
"""Largest argument with a finite exp."""
EXP_MIN = np.float32(-104.0)
"""Under this, exp is +0."""

_ONE, _TWO, _HALF = np.float32(1.0), np.float32(2.0), np.float32(0.5)


def _horner(coefficients: tuple[np.float32, ...], x: Array) -> Array:
    result: Any = np.full(x.shape, coefficients[0], dtype=np.float32)
    for coefficient in coefficients[1:]:
        np.multiply(result, x, out=result)
        np.add(result, coefficient, out=result)
    return np.asarray(result)


def _two_to(n: Array) -> Array:
    """2^n in f32 for int32 −126 ≤ n ≤ 127."""
    return ((n + np.int32(127)) << np.int32(23)).view(np.float32)


def exp(x: Array) -> Array:
    """e^x. exp(−inf) = +0, over `EXP_MAX` +inf, NaN stays NaN; subnormal results are rounded twice at most."""
    with np.errstate(all="ignore"):
        x = np.asarray(x, order="C")
        inside = np.where((x >= EXP_MIN) & (x <= EXP_MAX), x, np.float32(0.0))
        n: Any = np.rint(inside * _LOG2E)
        r = inside - n * _LN2_HIGH
        r = r - n * _LN2_LOW
        p = _horner(_EXP, r)
        p = p * r
        p = p * r
        p = p + r
        p = p + _ONE
        whole = n.astype(np.int32)
        half = whole >> np.int32(1)
        result = p * _two_to(half)
        result = result * _two_to(whole - half)
        result = np.where(x > EXP_MAX, np.float32(np.inf), result)
        result = np.where(x < EXP_MIN, np.float32(0.0), result)
        return np.asarray(np.where(np.isnan(x), x, result))


def log(x: Array) -> Array:
    """Natural logarithm; log(±0) = −inf, log(+inf) = +inf, negative arguments give NaN, subnormals are exact."""
    with np.errstate(all="ignore"):
        x = np.asarray(x, order="C")
        legal = (x > 0) & (x < np.float32(np.inf))
        inside = np.where(legal, x, _ONE)
        tiny = inside < np.float32(2.0**-126)
        bits = np.where(tiny, inside * np.float32(2.0**25), inside).view(np.int32)
        exponent = (bits >> np.int32(23)) - np.int32(126)
        mantissa = ((bits & np.int32(0x007FFFFF)) | np.int32(0x3F000000)).view(np.float32)
        small = mantissa < _SQRT_HALF
        exponent = exponent - small.astype(np.int32) - np.where(tiny, np.int32(25), np.int32(0))
        f = np.where(small, mantissa * _TWO, mantissa) - _ONE
        e = exponent.astype(np.float32)
        z = f * f
        y = _horner(_LOG, f)
        y = y * f
        y = y * z
        y = y + e * _LN2_LOW
        y = y - z * _HALF
        result = f + y
        result = result + e * _LN2_HIGH
        result = np.where(x == 0, np.float32(-np.inf), result)
        result = np.where(x == np.float32(np.inf), x, result)
        return np.asarray(np.where((x < 0) | np.isnan(x), np.float32(np.nan), result))


def tanh(x: Array) -> Array:
    """Hyperbolic tangent; ±1 from |x| ≥ 10; odd, zeros keep their sign."""
    with np.errstate(all="ignore"):
        x = np.asarray(x, order="C")
        a = np.abs(x)
        z = x * x
        small = _horner(_TANH, np.minimum(z, _ONE))
        small = small * z
        small = small * x
        small = small + x
        large = exp(np.minimum(a + a, np.float32(20.0)))
        large = large + _ONE
        large = _TWO / large
        large = _ONE - large
        result = np.copysign(np.where(a < np.float32(0.625), small, large), x)
        return np.asarray(np.where(np.isnan(x), x, result))


def erf(x: Array) -> Array:
    """Error function; ±1 from |x| ≥ 4; odd, zeros keep their sign."""
    with np.errstate(all="ignore"):
        x = np.asarray(x, order="C")
        a = np.minimum(np.abs(x), np.float32(4.0))
        z = a * a
        small = _horner(_ERF, np.minimum(z, _ONE))
        small = small * x
        small = small + x
        large = _ONE - exp(-_horner(_ERFC, a))
        large = np.copysign(large, x)
        result = np.where(a < _ONE, small, large)
        return np.asarray(np.where(np.isnan(x), x, result))


def _rotate(x: Array, quarters: np.int32, odd: bool) -> Array:
    """sin(|x| + quarters · π/2), negated where ``odd`` and x has its sign bit set; NaN where |x| > `ANGLE_MAX` or NaN.

    |x| = n · π/2 + r with |r| < 0.787. The first two products and differences are exact; the errors of the next two
    differences are caught (in ``lost``) and given back with the last product, so that r has one rounding.
    """
    with np.errstate(all="ignore"):
        x = np.asarray(x, order="C")
        a = np.abs(x)
        legal = a <= ANGLE_MAX
        a = np.where(legal, a, np.float32(0.0))
        n: Any = np.rint(a * _TWO_OVER_PI)
        a = a - n * _HALF_PI[0]
        a = a - n * _HALF_PI[1]
        third = n * _HALF_PI[2]
        b = a - third
        lost = a - b
        lost = lost - third
        fourth = n * _HALF_PI[3]
        c = b - fourth
        lost_too = b - c
        lost_too = lost_too - fourth
        lost = lost + lost_too
        lost = lost - n * _HALF_PI[4]
        r = c + lost
        z = r * r
        sine = _horner(_SIN, z)
        sine = sine * z
        sine = sine * r
        sine = sine + r
        cosine = _horner(_COS, z)
        cosine = cosine * z
        cosine = cosine * z
        cosine = cosine - z * _HALF
        cosine = cosine + _ONE
        quadrant = n.astype(np.int32) + quarters
        value = np.where((quadrant & np.int32(1)) == 0, sine, cosine).view(np.int32)
        sign = (quadrant & np.int32(2)) << np.int32(30)
        if odd:
            sign = sign ^ (x.view(np.int32) & np.int32(-(2**31)))
        return np.asarray(np.where(legal, (value ^ sign).view(np.float32), np.float32(np.nan)))


def sin(x: Array) -> Array:
    """Sine of radians; odd, zeros keep their sign; NaN where |x| > `ANGLE_MAX`, for ±inf and for NaN."""
    return _rotate(x, np.int32(0), odd=True)


def cos(x: Array) -> Array:
    """Cosine of radians; cos(±0) = 1; NaN where |x| > `ANGLE_MAX`, for ±inf and for NaN."""
    return _rotate(x, np.int32(1), odd=False)


FUNCTIONS = {"exp": exp, "log": log, "tanh": tanh, "erf": erf, "sin": sin, "cos": cos}
"""The programs by op name."""
