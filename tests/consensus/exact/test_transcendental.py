"""E5: each program stays within its ulp bound against mpmath, and keeps its special values and bytes."""

import hashlib
import math
from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.special

from consensus.exact.random import derive_key, uniform
from consensus.exact.transcendental import (
    _HALF_PI,
    ANGLE_MAX,
    EXP_MAX,
    FUNCTIONS,
    ULP_BOUND,
    ULP_WORST,
    cos,
    erf,
    exp,
    log,
    sin,
    tanh,
)

F = np.float32
RANGES = {
    "exp": [(-87.0, 88.7), (-2.0, 2.0)],
    "log": [(1e-3, 100.0), (0.5, 2.0)],
    "tanh": [(-10.0, 10.0), (-1.0, 1.0)],
    "erf": [(-4.0, 4.0), (-1.2, 1.2)],
    "sin": [(-8192.0, 8192.0), (-20.0, 20.0), (-1.6, 1.6)],
    "cos": [(-8192.0, 8192.0), (-20.0, 20.0), (-1.6, 1.6)],
}


def ulp_error(name: str, x: float, found: float) -> float:
    true = getattr(mpmath, name)(mpmath.mpf(x))
    if true == 0:
        return 0.0 if found == 0 else math.inf
    exponent = max(int(mpmath.floor(mpmath.log(abs(true), 2))), -126)
    return float(abs(mpmath.mpf(found) - true) / mpmath.mpf(2) ** (exponent - 23))


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_error_within_the_ulp_bound(name: str) -> None:
    with mpmath.workprec(80):
        for stream, (low, high) in enumerate(RANGES[name]):
            drawn = uniform(derive_key(bytes(32), name), stream, 0, (1500,))
            xs = (F(low) + drawn * F(high - low)).astype(F)
            worst = max(ulp_error(name, x, y) for x, y in zip(xs.tolist(), FUNCTIONS[name](xs).tolist(), strict=True))
            assert worst <= ULP_BOUND[name]


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_largest_error_is_where_and_what_it_says(name: str) -> None:
    bits, worst = ULP_WORST[name]
    x = np.array(bits, dtype=np.uint32).view(F)
    with mpmath.workprec(120):
        error = ulp_error(name, float(x), float(FUNCTIONS[name](x)))
    assert worst - 1e-4 <= error <= worst <= ULP_BOUND[name]


def in_float64(name: str, x: Any) -> Any:
    """The function in float64, good to some 10^−8 of an ulp of f32."""
    return scipy.special.erf(x) if name == "erf" else getattr(np, name)(x)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_no_larger_error_among_each_4001st_number(name: str) -> None:
    """All exponents, both signs. The sweep of all numbers that gave `ULP_WORST` takes a quarter of an hour."""
    x = np.arange(0, 2**32, 4001, dtype=np.uint64).astype(np.uint32).view(F)
    legal = {"exp": (x >= -87) & (x <= EXP_MAX), "log": x > 0, "sin": np.abs(x) <= ANGLE_MAX}
    x = x[np.isfinite(x) & legal.get("sin" if name == "cos" else name, np.isfinite(x))]
    true = in_float64(name, x.astype(np.float64))
    ulp = np.ldexp(1.0, np.maximum(np.frexp(true)[1] - 1, -126) - 23)
    assert (np.abs(FUNCTIONS[name](x).astype(np.float64) - true) <= ULP_WORST[name][1] * ulp).all()


def test_log_of_all_binades_and_subnormals() -> None:
    xs = np.array([2.0**k for k in range(-149, 128)], dtype=F)
    assert max(ulp_error("log", x, y) for x, y in zip(xs.tolist(), log(xs).tolist(), strict=True)) <= ULP_BOUND["log"]


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_error_stays_within_the_bound_at_multiples_of_a_quarter_turn(name: str) -> None:
    """The f32 numbers nearest to the zeros, where the reduced argument loses most of its bits, and between them."""
    with mpmath.workprec(120):
        for eighths in (0.0, 0.5):
            near = ((np.arange(0, 5200, 3) + eighths) * (math.pi / 2)).astype(F)
            xs = np.concatenate([near, np.nextafter(near, F(0)), np.nextafter(near, ANGLE_MAX)])
            worst = max(ulp_error(name, x, y) for x, y in zip(xs.tolist(), FUNCTIONS[name](xs).tolist(), strict=True))
            assert worst <= ULP_BOUND[name]


def test_parts_of_half_pi_are_what_they_say() -> None:
    with mpmath.workprec(200):
        parts = [mpmath.mpf(float(part)) for part in _HALF_PI]
        assert abs(mpmath.fsum(parts) - mpmath.pi / 2) < mpmath.mpf(2) ** -78
    assert all((int(part.view(np.uint32)) & 0x1FFF) == 0 for part in _HALF_PI[:4])  # 24 − 13 = 11 bits
    assert float(ANGLE_MAX) * 2 / math.pi < 2**13


def test_special_values_of_sin_and_cos() -> None:
    over = np.nextafter(ANGLE_MAX, F(np.inf))
    illegal = np.array([over, -over, np.inf, -np.inf, np.nan], dtype=F)
    for function in (sin, cos):
        found = function(illegal)
        assert (found.view(np.uint32) == 0x7FC00000).all()
        assert np.isfinite(function(np.array([ANGLE_MAX, -ANGLE_MAX], dtype=F))).all()
    zeros = sin(np.array([0.0, -0.0], dtype=F))
    assert zeros.tolist() == [0, 0] and np.signbit(zeros).tolist() == [False, True]
    assert cos(np.array([0.0, -0.0], dtype=F)).tolist() == [1, 1]
    tiny = np.array([1e-45, -1e-45, 1e-39], dtype=F)
    assert sin(tiny).tobytes() == tiny.tobytes()


def test_sin_is_odd_and_cos_even() -> None:
    xs = uniform(derive_key(bytes(32), "symmetry"), 0, 0, (4096,)) * ANGLE_MAX
    assert sin(-xs).tobytes() == (-sin(xs)).tobytes() and cos(-xs).tobytes() == cos(xs).tobytes()


def test_special_values_of_exp() -> None:
    above = np.nextafter(EXP_MAX, F(np.inf))
    found = exp(np.array([-np.inf, -105, 0, -0.0, EXP_MAX, above, np.inf], dtype=F))
    assert found[:4].tolist() == [0, 0, 1, 1] and np.isfinite(found[4]) and np.isposinf(found[5:]).all()
    assert np.isnan(exp(np.array([np.nan], dtype=F)))[0]


def test_exp_gives_subnormals_where_they_are_due() -> None:
    assert 0 < exp(np.array([-100.0], dtype=F))[0] < np.finfo(F).tiny


def test_special_values_of_log() -> None:
    found = log(np.array([0.0, -0.0, 1.0, np.inf, -1.0, np.nan], dtype=F))
    assert np.isneginf(found[:2]).all() and found[2] == 0 and np.isposinf(found[3]) and np.isnan(found[4:]).all()


@pytest.mark.parametrize("function", [tanh, erf])
def test_odd_functions_saturate_and_keep_the_sign_of_zero(function: object) -> None:
    xs = np.array([0.0, -0.0, 1e-45, np.inf, -np.inf, 0.7, -0.7], dtype=F)
    found = function(xs)  # type: ignore[operator]
    assert np.signbit(found[:2]).tolist() == [False, True] and found[3:5].tolist() == [1, -1]
    assert found[2] > 0 and found[5] == -found[6]


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_bytes_do_not_depend_on_length_or_stride(name: str) -> None:
    xs = uniform(derive_key(bytes(32), "stride"), 0, 0, (64, 33)) * F(3) + F(0.01)
    whole = FUNCTIONS[name](xs)
    assert FUNCTIONS[name](xs.T).T.tobytes() == whole.tobytes()
    assert np.concatenate([FUNCTIONS[name](row[:7]) for row in xs]).tobytes() == whole[:, :7].tobytes()


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_scalar_stays_a_scalar(name: str) -> None:
    assert FUNCTIONS[name](np.array(0.5, dtype=F)).shape == ()


GOLDEN = {
    "erf": "3144ae216ae0c94d",
    "exp": "78e9b5e7129c3393",
    "log": "3a340259a85cd39f",
    "tanh": "fdc31001dbbe9517",
    "sin": "5ae6bef9ac8e3944",
    "cos": "50f3517317f4de2a",
}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_golden_digest(name: str) -> None:
    xs = uniform(derive_key(bytes(32), "golden"), 0, 0, (4096,)) * F(8) - F(4 if name != "log" else -1)
    assert hashlib.blake2b(FUNCTIONS[name](xs).tobytes(), digest_size=8).hexdigest() == GOLDEN[name]
