"""Each constant is what its derivation says."""

import mpmath
import numpy as np
import pytest

from consensus.commit.tensor import MAX_RANK as MAX_TENSOR_RANK
from consensus.commit.tensor import TILE_ELEMENTS
from consensus.exact import grid, matmul, random, sums
from consensus.exact import transcendental as t
from consensus.exact.values import NAN_BITS
from consensus.graph import graph, node, ops

F = np.float32
EXACT_BOUND = 2**53
"""Integers of smaller magnitude are exact in float64."""


def nearest(value: object) -> np.float32:
    """The f32 nearest to a number."""
    return F(mpmath.nstr(value, 30))


def test_bits_of_grids_keep_products_and_sums_under_two_to_the_53() -> None:
    assert sums.MAX_TERMS * 2**grid.SUM_BITS < EXACT_BOUND <= (sums.MAX_TERMS + 1) * 2**grid.SUM_BITS
    for bits in range(1, grid.MAX_MATMUL_BITS + 1):
        k = EXACT_BOUND // 4**bits - 1
        matmul.check_bound(k, bits)
        with pytest.raises(Exception, match="matmul K"):
            matmul.check_bound(k + 1, bits)
        assert k * 4**bits < EXACT_BOUND
    assert 2 * grid.MAX_MATMUL_BITS == grid.SUM_BITS  # so that K has the bound of a sum's terms
    assert 1 <= matmul.DEFAULT_BITS <= grid.MAX_MATMUL_BITS


def test_exponents_of_grids_keep_scaling_exact() -> None:
    """The factor 2^(bits−e) is an f32, 2^(e_a+e_b−2·bits) a normal f64 that a 53-bit integer can multiply."""
    most = 128
    assert np.ldexp(F(1), 1 - most) == F(2.0**-127) > 0
    assert np.isfinite(np.ldexp(F(1), grid.SUM_BITS - grid.MIN_EXPONENT))
    lowest = 2 * grid.MIN_EXPONENT - grid.SUM_BITS
    assert lowest > -1022 and 2 * most - 2 + 53 < 1023
    assert grid.SUM_BITS - grid.MIN_EXPONENT <= 127 < grid.SUM_BITS + 4 - grid.MIN_EXPONENT  # 2^124: the room is used


def test_a_quantised_value_is_exact_or_rounds_to_zero_either_way() -> None:
    """Scaling in f32 loses bits only where the result is far under one half."""
    values = np.array([1, 3, 0x7FFFFF, 0x800001, 0x0FFFFFFF], dtype=np.uint32).view(F)
    for exponent in (grid.MIN_EXPONENT, 0, 128):
        for bits in (1, 12, 14, 28):
            exact = np.ldexp(values.astype(np.float64), bits - exponent)
            assert (np.rint(np.ldexp(values, bits - exponent)) == np.rint(exact)).all()


def test_exp_constants() -> None:
    with mpmath.workprec(120):
        assert nearest(1 / mpmath.log(2)) == t._LOG2E
        parts = mpmath.mpf(float(t._LN2_HIGH)) + mpmath.mpf(float(t._LN2_LOW))
        assert abs(parts - mpmath.log(2)) < mpmath.mpf(2) ** -36
        assert int(t._LN2_HIGH.view(np.uint32)) & 0x3FFF == 0  # 24 − 14 = 10 bits
        overflow = mpmath.mpf(2) ** 128 - mpmath.mpf(2) ** 103  # rounds to infinity from here on
        assert mpmath.exp(float(t.EXP_MAX)) < overflow <= mpmath.exp(float(np.nextafter(t.EXP_MAX, F(np.inf))))
        assert mpmath.exp(float(t.EXP_MIN)) < mpmath.mpf(2) ** -150  # under half of the least subnormal
        assert float(t.EXP_MAX) * float(t._LOG2E) < 2**14


def test_log_and_angle_constants() -> None:
    with mpmath.workprec(120):
        assert nearest(mpmath.sqrt(mpmath.mpf(1) / 2)) == t._SQRT_HALF
        assert nearest(2 / mpmath.pi) == t._TWO_OVER_PI
    assert float(t.ANGLE_MAX) == 2**13


def test_saturation_of_tanh_and_erf() -> None:
    """From there on the true value is within half an ulp of one."""
    with mpmath.workprec(80):
        assert 1 - mpmath.tanh(10) < mpmath.mpf(2) ** -25 and 1 - mpmath.erf(4) < mpmath.mpf(2) ** -25
    assert t.tanh(np.array(10, dtype=F)) == 1 and t.erf(np.array(4, dtype=F)) == 1


def evaluate(coefficients: list[mpmath.mpf], x: mpmath.mpf) -> mpmath.mpf:
    """A polynomial, highest power first, in mpmath's precision."""
    result = mpmath.mpf(0)
    for coefficient in coefficients:
        result = result * x + coefficient
    return result


def _quotient(name: str, x: mpmath.mpf) -> mpmath.mpf:
    """What the polynomial stands for, at x ≠ 0."""
    return {
        "_EXP": lambda: (mpmath.exp(x) - 1 - x) / x**2,
        "_LOG": lambda: (mpmath.log1p(x) - x + x**2 / 2) / x**3,
        "_TANH": lambda: (mpmath.tanh(x) / x - 1) / x**2,
        "_ERF": lambda: mpmath.erf(x) / x - 1,
        "_ERFC": lambda: -mpmath.log(mpmath.erfc(x)),
        "_SIN": lambda: (mpmath.sin(x) / x - 1) / x**2,
        "_COS": lambda: (mpmath.cos(x) - 1 + x**2 / 2) / x**4,
    }[name]()


POLYNOMIALS = {
    # name: lowest and highest argument, whether in x², power of x that multiplies it, the function's own scale
    "_EXP": (-0.35, 0.35, False, 2, mpmath.exp),
    "_LOG": (2**-0.5 - 1, 2**0.5 - 1, False, 3, mpmath.log1p),
    "_TANH": (0.001, 0.625, True, 3, mpmath.tanh),
    "_ERF": (0.001, 1.0, True, 1, mpmath.erf),
    "_SIN": (0.001, 0.787, True, 3, mpmath.sin),
    "_COS": (0.001, 0.787, True, 4, mpmath.cos),
}
"""Polynomials that approximate a part of a function."""


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_polynomials_approximate_within_half_an_ulp(name: str) -> None:
    """In real arithmetic: what the coefficients leave out of the function is under 2^−25 of its value (half an ulp)."""
    low, high, squared, power, function = POLYNOMIALS[name]
    coefficients = [mpmath.mpf(float(c)) for c in getattr(t, name)]
    with mpmath.workprec(120):
        worst = mpmath.mpf(0)
        for index in range(401):
            x = mpmath.mpf(low) + (mpmath.mpf(high) - low) * index / 400
            if abs(x) < 1e-9:
                continue
            found = evaluate(coefficients, x * x if squared else x)
            worst = max(worst, abs((found - _quotient(name, x)) * x**power / function(x)))
        assert worst < mpmath.mpf(2) ** -25


def test_polynomial_of_erfc_leaves_out_less_than_half_an_ulp_of_erf() -> None:
    coefficients = [mpmath.mpf(float(c)) for c in t._ERFC]
    with mpmath.workprec(120):
        for index in range(301):
            x = 1 + mpmath.mpf(3) * index / 300
            assert abs(mpmath.exp(-evaluate(coefficients, x)) - mpmath.erfc(x)) < mpmath.mpf(2) ** -25


def test_philox_constants_are_those_of_the_paper() -> None:
    assert (int(random._M0), int(random._M1)) == (0xD2511F53, 0xCD9E8D57)
    assert (random._W0, random._W1) == (0x9E3779B9, 0xBB67AE85)
    assert random.ROUNDS == 10


def test_the_one_nan_is_quiet_positive_and_empty() -> None:
    assert np.array(np.nan, dtype=F).view(np.uint32) == NAN_BITS == 0x7F800000 | 1 << 22


def test_limits_of_graphs_fit_each_other() -> None:
    most_brackets_of_a_node = 1 + 1 + 1 + 1 + max(list(op.attrs.values()).count("ints") for op in ops.OPS.values())
    assert graph.MAX_NODES * most_brackets_of_a_node + 2 <= graph.MAX_BRACKETS
    assert graph.MAX_RANK == MAX_TENSOR_RANK
    assert graph.MAX_ELEMENTS < 2**31 < node.MAX_INTEGER  # indices fit int32
    assert graph.MAX_TOTAL_ELEMENTS * 8 < 2**63 and graph.MAX_ELEMENTS % TILE_ELEMENTS == 0
    assert graph.MAX_MACS <= node.MAX_INTEGER and graph.MAX_MACS * 10_000 < 2**64
    assert node.MAX_INTEGER == 2**53 - 1
    # the largest shape that an op's rule can compute before it is compared with the declared one stays small
    assert graph.MAX_ELEMENTS * (ops.MAX_PAD + 1) + 2 * ops.MAX_PAD + 1 < 2**63
