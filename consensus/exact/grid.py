"""E2: integers on a power-of-two grid.

For a set of f32 with largest magnitude m, let e ≥ −96 be the least exponent with m < 2^e (an all-zero set has e = −96).
A value x becomes q = round-half-even(x · 2^(bits−e)), so |q| ≤ 2^bits. The maximum is free of order, hence so is q.

Scaling in f32 is exact enough to be the definition: x · 2^(bits−e) is exact unless it falls under the smallest normal
number, where it rounds to the integer 0 either way. The factor lies within 2^−127 … 2^124; 2^−127 (one bit, e = 128) is
subnormal, so that a kernel which builds the factor from its exponent field must treat it apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from consensus.exact.errors import NonFiniteState

Array = npt.NDArray[Any]

MIN_EXPONENT = -96
"""Least exponent of a grid; smaller sets use it too and lose their low bits."""

SUM_BITS = 28
"""Bits of the grid of E4."""

MAX_MATMUL_BITS = 14
"""Largest grid of E3: two of them and K = 2^25 stay under 2^53."""


def exponents(magnitudes: Array, where: str = "grid") -> Array:
    """The grid exponents (int32) for largest magnitudes ``magnitudes`` (f32, not negative).

    Raises `NonFiniteState` when one of them is NaN or infinite.
    """
    if not np.isfinite(magnitudes).all():
        raise NonFiniteState(where)
    exponent = np.frexp(magnitudes)[1]
    exponent = np.where(magnitudes == 0, MIN_EXPONENT, exponent)
    return np.maximum(exponent, MIN_EXPONENT).astype(np.int32)


def quantise(values: Array, axis: int | tuple[int, ...], bits: int, where: str = "grid") -> tuple[Array, Array]:
    """Put f32 values on the grid over ``axis``.

    Returns the integers as int64 (|q| ≤ 2^bits) and the exponents as int32 with the reduced axes kept as 1.
    Raises `NonFiniteState`.
    """
    exponent = exponents(np.max(np.abs(values), axis=axis, keepdims=True), where)
    scaled = np.ldexp(values, bits - exponent)
    return np.rint(scaled).astype(np.int64), exponent


def power_of_two(exponent: Array) -> Array:
    """2^exponent as float64, exact for −1,022 ≤ exponent ≤ 1,023."""
    return np.ldexp(np.float64(1.0), exponent)


def rescale(sums: Array, exponent: Array) -> Array:
    """f32(S · 2^exponent) in one rounding, a zero being +0.

    ``sums``: int64, |S| < 2^53. The float64 product is exact (its exponent stays above −1,022), so that the conversion
    is the only rounding. A result beyond f32 becomes an infinity, which the next grid refuses (E8).
    """
    with np.errstate(over="ignore"):
        result = (sums.astype(np.float64) * power_of_two(exponent)).astype(np.float32)
    return np.asarray(result + np.float32(0.0))
