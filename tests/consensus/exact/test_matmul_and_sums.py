"""E3 and E4: exact products and sums do not depend on order and are what integers of any size give."""

from fractions import Fraction

import numpy as np
import pytest

from consensus.exact.errors import IndexOutOfRange, InexactBound, NonFiniteState
from consensus.exact.matmul import check_bound, macs, matmul
from consensus.exact.sums import MAX_TERMS, add_rows, check_terms, reduce_sum

F = np.float32


def made(shape: tuple[int, ...], seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return (generator.standard_normal(shape) * 10.0 ** generator.integers(-6, 6, shape)).astype(F)


def to_f32(value: Fraction) -> np.float32:
    """One correct rounding: through float64 only when that is exact."""
    assert Fraction(float(value)) == value
    return F(float(value)) + F(0)


def grid(values: list[float], bits: int) -> tuple[list[int], int]:
    """E2 in Python's integers and fractions."""
    largest = max(Fraction(abs(v)) for v in values)
    exponent = -96
    while Fraction(2) ** exponent <= largest:
        exponent += 1
    return [round(Fraction(v) * Fraction(2) ** (bits - exponent)) for v in values], exponent


@pytest.mark.parametrize("bits", [1, 12, 14])
def test_matmul_is_what_python_integers_give(bits: int) -> None:
    a, b = made((3, 17), 1), made((17, 4), 2)
    found = matmul(a, b, bits)
    for i in range(3):
        q_a, e_a = grid(a[i].tolist(), bits)
        for j in range(4):
            q_b, e_b = grid(b[:, j].tolist(), bits)
            total = sum(x * y for x, y in zip(q_a, q_b, strict=True))
            assert found[i, j] == to_f32(Fraction(total) * Fraction(2) ** (e_a + e_b - 2 * bits))


def test_matmul_with_k_permuted_gives_the_same_bytes() -> None:
    a, b = made((8, 257), 3), made((257, 9), 4)
    order = np.random.default_rng(5).permutation(257)
    assert matmul(a, b).tobytes() == matmul(a[:, order], b[order]).tobytes()


def test_matmul_of_cancelling_rows_is_positive_zero() -> None:
    found = matmul(np.array([[-1.0, 1.0]], dtype=F), np.array([[2.0], [2.0]], dtype=F))
    assert found[0, 0] == 0 and not np.signbit(found[0, 0])


def test_bound_of_k() -> None:
    check_bound(2**25 - 1, 14)
    with pytest.raises(InexactBound):
        check_bound(2**25, 14)


@pytest.mark.parametrize("bits", [0, 15])
def test_invalid_bits(bits: int) -> None:
    with pytest.raises(InexactBound):
        check_bound(1, bits)


def test_macs_count_every_product() -> None:
    assert macs(2, 3, 5, 7) == 210


def test_sum_is_what_python_integers_give() -> None:
    values = made((40,), 6)
    quantised, exponent = grid(values.tolist(), 28)
    assert reduce_sum(values, (0,))[0] == to_f32(Fraction(sum(quantised)) * Fraction(2) ** (exponent - 28))


def test_sum_permuted_gives_the_same_bytes() -> None:
    values = made((1000,), 7)
    shuffled = np.random.default_rng(8).permutation(values)
    assert reduce_sum(values, (0,)).tobytes() == reduce_sum(shuffled, (0,)).tobytes()


def test_sum_of_infinity_ends_the_unit() -> None:
    with pytest.raises(NonFiniteState):
        reduce_sum(np.array([np.inf], dtype=F), (0,))


def test_terms_at_and_over_the_bound() -> None:
    check_terms(MAX_TERMS)
    with pytest.raises(InexactBound):
        check_terms(MAX_TERMS + 1)


def test_add_rows_adds_equal_indices_and_leaves_others_zero() -> None:
    values = np.array([[1.0, -2.0], [3.0, 2.0], [0.5, 0.0]], dtype=F)
    found = add_rows(values, np.array([2, 2, 0]), 4)
    assert found.tolist() == [[0.5, 0.0], [0.0, 0.0], [4.0, 0.0], [0.0, 0.0]]
    assert not np.signbit(found).any()


@pytest.mark.parametrize("index", [-1, 4])
def test_add_rows_refuses_an_index_outside(index: int) -> None:
    with pytest.raises(IndexOutOfRange):
        add_rows(np.ones((1, 2), dtype=F), np.array([index]), 4)


def test_a_mean_is_a_division_not_a_multiplication_by_a_reciprocal() -> None:
    totals = np.arange(1, 2000, dtype=F)
    assert (totals / F(3) != totals * (F(1) / F(3))).any()
