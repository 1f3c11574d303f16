"""E4: sums on a grid of 28 bits over the summed set; exact in int64, one rounding, a zero being +0.

A mean is ``sum / n`` (one E1 division), never ``sum · (1/n)``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from consensus.exact.errors import IndexOutOfRange, InexactBound
from consensus.exact.grid import SUM_BITS, quantise, rescale

Array = npt.NDArray[Any]

MAX_TERMS = 2**25 - 1
"""Most terms of one sum (= 33,554,431): 2^25 terms of 2^28 would reach 2^53."""

MACS_PER_TERM = 1
"""Cost of one summed element."""


def check_terms(terms: int) -> None:
    """Raise `InexactBound` when a sum has more than `MAX_TERMS` terms."""
    if terms > MAX_TERMS:
        raise InexactBound("terms of a sum", terms, MAX_TERMS)


def reduce_sum(values: Array, axes: tuple[int, ...]) -> Array:
    """Sum f32 values over ``axes``, kept as 1. Raises `InexactBound`, `NonFiniteState`."""
    check_terms(int(np.prod([values.shape[axis] for axis in axes], dtype=np.int64)))
    quantised, exponent = quantise(values, axes, SUM_BITS, "sum")
    return rescale(quantised.sum(axis=axes, keepdims=True), exponent - SUM_BITS)


def add_rows(values: Array, index: Array, rows: int) -> Array:
    """Index add: result[index[i]] += values[i], for f32 values (N × D), int64 index (N,); result (rows × D).

    One grid per column over all N source rows, whatever the index. Raises `IndexOutOfRange` and as `reduce_sum`.
    """
    check_terms(values.shape[0])
    if index.min() < 0 or index.max() >= rows:
        raise IndexOutOfRange("add_rows", rows)
    quantised, exponent = quantise(values, 0, SUM_BITS, "add_rows")
    total = np.zeros((rows, values.shape[1]), dtype=np.int64)
    np.add.at(total, index, quantised)
    return rescale(total, exponent - SUM_BITS)
