"""The error bounds that `docs/exact-v1.md` states for sums and products, against Python's fractions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from consensus.exact.grid import MIN_EXPONENT, SUM_BITS, exponents
from consensus.exact.matmul import matmul
from consensus.exact.sums import add_rows, reduce_sum
from tests.consensus.exact.vectors import adversarial, small, wide

Array = npt.NDArray[Any]
F = np.float32


def half_ulp(value: Fraction) -> Fraction:
    """Half the distance of neighbouring f32 numbers at a value."""
    exponent = -126
    while Fraction(2) ** (exponent + 1) <= abs(value):
        exponent += 1
    return Fraction(2) ** (exponent - 24)


def exponent_of(values: Array) -> int:
    """The grid's exponent of a set."""
    return int(exponents(np.abs(values).max()))


def fractions(values: Array) -> list[Fraction]:
    return [Fraction(float(v)) for v in values.reshape(-1)]


SETS = {
    "adversarial": adversarial((1, 300), 1),
    "uniform": small((1, 300), 2, -1, 1),
    "positive": small((1, 1000), 3, 0.5, 1),
    "tiny": wide((1, 200), 4, 0, 30),
    "at the least grid": wide((1, 200), 5, 20, 31),
    "just under a power of two": np.full((1, 257), np.nextafter(F(4), F(0))),
    "a power of two": np.full((1, 257), F(4)),
    "halves of the grid": np.array([[1.0] + [2.0**-29] * 99], dtype=F),
}


@pytest.mark.parametrize("name", SETS)
def test_error_of_a_sum(name: str) -> None:
    values = SETS[name][0]
    true, found = sum(fractions(values), Fraction(0)), Fraction(float(reduce_sum(values, (0,))[0]))
    e = exponent_of(values)
    grid = len(values) * Fraction(2) ** (e - SUM_BITS - 1)
    assert abs(found - true) <= grid + half_ulp(abs(true) + grid)
    assert Fraction(2) ** e <= max(2 * Fraction(float(np.abs(values).max())), Fraction(2) ** MIN_EXPONENT)


@pytest.mark.parametrize("name", SETS)
def test_error_of_add_rows(name: str) -> None:
    values = SETS[name].T
    index = np.arange(len(values), dtype=np.int64) % 3
    found, e = add_rows(values, index, 4)[:, 0], exponent_of(values)
    for row in range(4):
        chosen = fractions(values[index == row])
        true = sum(chosen, Fraction(0))
        grid = len(chosen) * Fraction(2) ** (e - SUM_BITS - 1)
        assert abs(Fraction(float(found[row])) - true) <= grid + half_ulp(abs(true) + grid)


@pytest.mark.parametrize("bits", [1, 8, 12, 14])
@pytest.mark.parametrize("name", SETS)
def test_error_of_a_product(name: str, bits: int) -> None:
    left, right = SETS[name][0], small(SETS[name].shape, 6, -3, 3)[0]
    true = sum((a * b for a, b in zip(fractions(left), fractions(right), strict=True)), Fraction(0))
    found = Fraction(float(matmul(left[None], right[:, None], bits)[0, 0]))
    scale = Fraction(2) ** (exponent_of(left) + exponent_of(right))
    grid = len(left) * scale * (Fraction(1, 2**bits) + Fraction(1, 4 * 4**bits))
    assert abs(found - true) <= grid + half_ulp(abs(true) + grid)


def test_error_of_a_product_comes_near_its_bound() -> None:
    """Values half a step off the grid, all in one direction: the bound is no more than twice too large."""
    bits, k = 12, 64
    left = np.full(k, np.nextafter(F(1), F(0)) - F(2.0**-13), dtype=F)  # rounds half a step up, e = 0
    true = sum((a * a for a in fractions(left)), Fraction(0))
    found = Fraction(float(matmul(left[None], left[:, None], bits)[0, 0]))
    assert abs(found - true) > k * Fraction(1, 2**bits) / 2
