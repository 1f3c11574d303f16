"""E6 and E7, and E1's division and square root."""

import numpy as np
import pytest

from consensus.exact import elementwise
from consensus.exact.errors import IndexOutOfRange, NonFiniteState
from consensus.exact.movement import amax, pick, slice_axis, take_rows
from consensus.exact.random import below, derive_key, philox4x32, uniform, words

F = np.float32


def test_amax_puts_negative_zero_under_zero() -> None:
    values = np.array([[-0.0, 0.0], [0.0, -0.0], [-0.0, -0.0], [-1.0, -0.0]], dtype=F)
    assert np.signbit(amax(values, (1,)))[:, 0].tolist() == [False, False, True, True]


def test_amax_takes_a_mask_of_negative_infinity() -> None:
    assert amax(np.array([[-np.inf, -3.0]], dtype=F), (1,)).tolist() == [[-3.0]]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_amax_refuses_what_is_not_a_number(bad: float) -> None:
    with pytest.raises(NonFiniteState):
        amax(np.array([bad, 1.0], dtype=F), (0,))


@pytest.mark.parametrize("index", [-1, 3])
def test_gathers_refuse_an_index_outside(index: int) -> None:
    with pytest.raises(IndexOutOfRange):
        take_rows(np.zeros((3, 2), dtype=F), np.array([index]))
    with pytest.raises(IndexOutOfRange):
        pick(np.zeros((1, 3), dtype=F), np.array([[index]]))


def test_pick_and_slice() -> None:
    values = np.arange(6, dtype=F).reshape(2, 3)
    assert pick(values, np.array([[2], [0]])).tolist() == [[2.0], [3.0]]
    assert slice_axis(values, 1, 0, 3, 2).tolist() == [[0.0, 2.0], [3.0, 5.0]]


def test_philox_gives_the_published_vectors() -> None:
    """Known answers of Random123 (kat_vectors, philox4x32 10)."""
    ones = 0xFFFFFFFF
    zero = philox4x32(np.zeros((1, 4), dtype=np.uint32), (0, 0))[0]
    full = philox4x32(np.full((1, 4), ones, dtype=np.uint32), (ones, ones))[0]
    digits = np.array([[0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344]], dtype=np.uint32)
    pi = philox4x32(digits, (0xA4093822, 0x299F31D0))[0]
    assert [hex(w) for w in zero] == ["0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]
    assert [hex(w) for w in full] == ["0x408f276d", "0x41c83b0e", "0xa20bc7c6", "0x6d5451fd"]
    assert [hex(w) for w in pi] == ["0xd16cfe09", "0x94fdcceb", "0x5001e420", "0x24126ea1"]


def test_words_depend_on_key_stream_and_step_and_extend() -> None:
    key = derive_key(b"a" * 32, "x")
    assert (words(key, 0, 0, 10) == words(key, 0, 0, 13)[:10]).all()
    others = [words(derive_key(b"b" * 32, "x"), 0, 0, 8), words(derive_key(b"a" * 32, "y"), 0, 0, 8)]
    others += [words(key, 1, 0, 8), words(key, 0, 1, 8)]
    assert all((o != words(key, 0, 0, 8)).any() for o in others)


def test_uniform_and_below_stay_in_range_and_spread() -> None:
    key = derive_key(bytes(32), "range")
    drawn, counts = uniform(key, 0, 0, (5000,)), np.bincount(below(key, 1, 0, 5000, 7), minlength=7)
    assert drawn.min() >= 0 and drawn.max() < 1 and abs(float(drawn.mean()) - 0.5) < 0.02
    assert len(counts) == 7 and counts.min() > 600


def test_sqrt_is_correctly_rounded() -> None:
    xs = (uniform(derive_key(bytes(32), "sqrt"), 0, 0, (20000,)) * F(100)).astype(F)
    assert (elementwise.UNARY["sqrt"](xs) == np.sqrt(xs.astype(np.float64)).astype(F)).all()


def test_division_keeps_subnormals() -> None:
    found = elementwise.BINARY["div"](np.array([1e-38], dtype=F), np.array([1000.0], dtype=F))
    assert 0 < found[0] < np.finfo(F).tiny
