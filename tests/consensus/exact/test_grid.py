"""E2: integers on a grid."""

import numpy as np
import pytest

from consensus.exact.errors import NonFiniteState
from consensus.exact.grid import MIN_EXPONENT, exponents, quantise, rescale

F = np.float32


def test_exponent_is_the_least_whose_power_exceeds_the_magnitude() -> None:
    found = exponents(np.array([1.0, 0.99999994, 2.0, 3.4028235e38], dtype=F))
    assert found.tolist() == [1, 0, 2, 128]


def test_exponent_of_zeros_and_of_tiny_sets_is_the_floor() -> None:
    found = exponents(np.array([0.0, 1e-45, 2.0**-97, 2.0**-96, 2.0**-95], dtype=F))
    assert found.tolist() == [MIN_EXPONENT, MIN_EXPONENT, MIN_EXPONENT, -95, -94]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_invalid_value_that_is_not_finite(bad: float) -> None:
    with pytest.raises(NonFiniteState):
        quantise(np.array([[1.0, bad]], dtype=F), -1, 12)


def test_ties_go_to_even() -> None:
    values = np.array([[0.5, 1.5, 2.5, 4.0]], dtype=F)  # e = 3, so that 3 bits make steps of one
    quantised, exponent = quantise(values, -1, 3)
    assert exponent.tolist() == [[3]] and quantised.tolist() == [[0, 2, 2, 4]]


def test_magnitude_reaches_two_to_the_bits_and_no_more() -> None:
    quantised, _ = quantise(np.array([[np.nextafter(F(1), F(0)), -1e-3]], dtype=F), -1, 12)
    assert quantised[0, 0] == 2**12


def test_rescale_rounds_once_and_has_no_negative_zero() -> None:
    sums = np.array([2**24 + 1, 2**24 + 3, -1, 0], dtype=np.int64)
    assert rescale(sums, np.array([0, 0, -200, 5])).tolist() == [2.0**24, 2.0**24 + 4, 0.0, 0.0]
    assert not np.signbit(rescale(np.array([-1], dtype=np.int64), np.array([-200]))).any()


def test_rescale_keeps_subnormals() -> None:
    assert rescale(np.array([3], dtype=np.int64), np.array([-149]))[0] == F(3 * 2.0**-149)
