"""E3: matrix products on integer grids.

Rows of A (… × M × K) and columns of B (… × K × N) each go to a grid of ``bits``; S = q_A · q_B is exact and
|S| < 2^53; the result is f32(S · 2^(e_a + e_b − 2·bits)) in one rounding, a zero being +0.
That is the whole definition: any backend that gets the integers right gives the same bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from consensus.exact.errors import InexactBound
from consensus.exact.grid import MAX_MATMUL_BITS, quantise, rescale

Array = npt.NDArray[Any]

DEFAULT_BITS = 12
"""Bits of a matmul's grid unless its node says otherwise."""


def check_bound(k: int, bits: int) -> None:
    """Raise `InexactBound` unless 1 ≤ bits ≤ 14 and K · 2^(2·bits) < 2^53."""
    if not 1 <= bits <= MAX_MATMUL_BITS:
        raise InexactBound("matmul bits", bits, MAX_MATMUL_BITS)
    bound = 2 ** (53 - 2 * bits) - 1
    if k > bound:
        raise InexactBound("matmul K", k, bound)


def matmul(a: Array, b: Array, bits: int = DEFAULT_BITS) -> Array:
    """The product of f32 arrays (… × M × K) · (… × K × N) with equal leading dimensions.

    Raises `InexactBound`, `NonFiniteState`.
    """
    check_bound(a.shape[-1], bits)
    q_a, e_a = quantise(a, -1, bits, "matmul, left operand")
    q_b, e_b = quantise(b, -2, bits, "matmul, right operand")
    columns = np.ascontiguousarray(q_b.swapaxes(-1, -2))  # integers in any order; this one is 5 times as fast
    return rescale(np.einsum("...mk,...nk->...mn", q_a, columns), e_a + e_b - 2 * bits)


def macs(batch: int, m: int, k: int, n: int) -> int:
    """Multiply-accumulates of ``batch`` products of M × K by K × N."""
    return batch * m * k * n
