"""E1: elementwise operations in f32, one IEEE-754 rounding each (round to nearest, ties to even, subnormals kept).

NumPy's add, subtract, multiply, divide and sqrt on float32 arrays are single IEEE operations and never contract into
an FMA; a backend that cannot say so must not be used. Division is division, never a multiplication by a reciprocal.
Integer operands (int64) are exact; an overflow wraps and is the graph maker's fault.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

MACS_PER_ELEMENT = 1
"""Cost of one elementwise result."""


def _quiet(function: Callable[..., Array]) -> Callable[..., Array]:
    def call(*operands: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(function(*operands))

    return call


BINARY: dict[str, Callable[..., Array]] = {
    "add": _quiet(np.add),
    "sub": _quiet(np.subtract),
    "mul": _quiet(np.multiply),
    "div": _quiet(np.divide),
}
"""Arithmetic of two operands of one dtype, broadcast by NumPy's rule. ``div`` is for f32 only."""

COMPARE: dict[str, Callable[..., Array]] = {
    "eq": _quiet(np.equal),
    "ne": _quiet(np.not_equal),
    "lt": _quiet(np.less),
    "le": _quiet(np.less_equal),
    "gt": _quiet(np.greater),
    "ge": _quiet(np.greater_equal),
}
"""Comparisons of two operands of one dtype, giving bool; IEEE rules (−0 equals +0, NaN differs from all)."""

LOGIC: dict[str, Callable[..., Array]] = {"and": _quiet(np.logical_and), "or": _quiet(np.logical_or)}
"""Operations of two bools."""

UNARY: dict[str, Callable[..., Array]] = {
    "neg": _quiet(np.negative),
    "abs": _quiet(np.abs),
    "sqrt": _quiet(np.sqrt),
    "not": _quiet(np.logical_not),
}
"""Operations of one operand. ``neg`` flips the sign bit, of zeros too; ``sqrt`` is correctly rounded."""


def where(condition: Array, if_true: Array, if_false: Array) -> Array:
    """Pick elementwise: a bool condition and two operands of one dtype, broadcast together."""
    return np.asarray(np.where(condition, if_true, if_false))


def cast(values: Array, dtype: np.dtype[Any]) -> Array:
    """Convert bool or int64 to f32 (one rounding), or bool to int64. Other conversions are not in the set."""
    return np.asarray(values.astype(dtype))
