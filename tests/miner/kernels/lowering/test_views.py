"""Views against NumPy's strides: every movement of a random chain that is a view reads the same elements."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miner.kernels.lowering.views import View, compute_points, compute_strides, is_chain, make_identity, merge


def read(view: View, buffer: np.ndarray) -> np.ndarray:
    """The view's elements, by its factors."""
    places = np.array([view.offset])
    for size, stride in view.factors:
        places = (places[:, None] + np.arange(size) * stride).reshape(-1)
    return buffer[places].reshape(view.shape)


@st.composite
def chains(draw: st.DrawFn) -> tuple[tuple[int, ...], list[tuple[str, object]]]:
    """A shape and movements of it."""
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=4)))
    start, moves = shape, []
    for _ in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(["transpose", "reshape", "slice", "expand"]))
        if kind == "transpose":
            perm = draw(st.permutations(range(len(shape))))
            moves.append((kind, tuple(perm)))
            shape = tuple(shape[p] for p in perm)
        elif kind == "slice":
            axis = draw(st.integers(0, len(shape) - 1))
            first = draw(st.integers(0, shape[axis] - 1))
            last, step = draw(st.integers(first + 1, shape[axis])), draw(st.integers(1, 3))
            moves.append((kind, (axis, first, last, step)))
            shape = (*shape[:axis], len(range(first, last, step)), *shape[axis + 1 :])
        elif kind == "reshape":
            cuts = [n for n in range(1, prod(shape) + 1) if prod(shape) % n == 0]
            n = draw(st.sampled_from(cuts))
            shape = (n, prod(shape) // n)
            moves.append((kind, shape))
        else:
            shape = (draw(st.integers(1, 3)), *(n if n > 1 else draw(st.integers(1, 3)) for n in shape))
            moves.append((kind, shape))
    return start, moves


@settings(max_examples=150, deadline=None)
@given(chains())
def test_views_read_what_numpy_reads(chain: tuple[tuple[int, ...], list[tuple[str, object]]]) -> None:
    shape, moves = chain
    buffer = np.arange(prod(shape))
    array, view = buffer.reshape(shape), make_identity(0, shape)
    for kind, argument in moves:
        if kind == "transpose":
            array, moved = array.transpose(argument), view.transpose(argument)
        elif kind == "slice":
            axis, first, last, step = argument
            array = array[(slice(None),) * axis + (slice(first, last, step),)]
            moved = view.slice(axis, first, last, step)
        elif kind == "reshape":
            array, moved = array.reshape(argument), view.reshape(argument)
        else:
            array, moved = np.broadcast_to(array, argument), view.expand(argument)
        if moved is None:
            assert kind in ("slice", "reshape")
            return
        view = moved
        assert view.shape == array.shape
        assert np.array_equal(read(view, buffer), array)


def test_windows_are_a_view_of_plain_axes() -> None:
    buffer = np.arange(2 * 7 * 9)
    view = make_identity(0, (2, 7, 9)).windows((3, 2), (2, 3), (1, 2))
    assert view is not None
    plain = np.lib.stride_tricks.sliding_window_view(buffer.reshape(2, 7, 9), (3, 3), axis=(1, 2))
    assert np.array_equal(read(view, buffer), plain[:, ::2, ::3, :, ::2])


def test_windows_of_joined_axes_are_copied() -> None:
    joined = make_identity(0, (2, 3, 4, 5)).transpose((0, 2, 1, 3)).reshape((2, 12, 5))
    assert joined is not None
    assert len(merge(joined.axes[1])) == 2
    assert joined.windows((2, 2), (1, 1), (1, 1)) is None


@pytest.mark.parametrize(
    ("factors", "merged"),
    [(((2, 12), (3, 4), (4, 1)), ((24, 1),)), (((2, 4), (3, 8)), ((2, 4), (3, 8))), ((), ())],
)
def test_neighbours_of_one_stride_are_joined(factors: tuple[tuple[int, int], ...], merged: object) -> None:
    assert merge(factors) == merged


def test_strides_at_finer_points() -> None:
    factors = ((6, 10), (4, 1))
    points = sorted(compute_points(factors) | {2, 8})
    assert points == [1, 2, 4, 8, 24]
    assert compute_strides(factors, points) == (20, 10, 2, 1)


def test_points_that_do_not_divide_each_other_are_no_chain() -> None:
    assert is_chain(frozenset({1, 4, 24}))
    assert not is_chain(frozenset({1, 4, 6}))
