"""E6: operations that only move or pick values; exact by nature."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from consensus.exact.errors import IndexOutOfRange, NonFiniteState

Array = npt.NDArray[Any]


def _ordered(bits: Array) -> Array:
    """Map f32 bit patterns (int32) to integers in the order of the values, −0 under +0; its own inverse."""
    return np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits)


def amax(values: Array, axes: tuple[int, ...]) -> Array:
    """Largest value over ``axes`` (kept as 1), with −0 < +0. −inf is legal; NaN and +inf raise `NonFiniteState`."""
    if np.isnan(values).any() or np.isposinf(values).any():
        raise NonFiniteState("amax")
    keys = _ordered(np.asarray(values, order="C").view(np.int32))
    return np.asarray(_ordered(keys.max(axis=axes, keepdims=True)).view(np.float32))


def take_rows(table: Array, index: Array) -> Array:
    """Rows of ``table`` (R × …) at int64 ``index`` of any shape; raises `IndexOutOfRange`."""
    if index.min() < 0 or index.max() >= table.shape[0]:
        raise IndexOutOfRange("take_rows", table.shape[0])
    return np.asarray(table[index])


def pick(values: Array, index: Array) -> Array:
    """J elements of each row of the last axis: values (… × C), int64 index (… × J); raises `IndexOutOfRange`."""
    if index.min() < 0 or index.max() >= values.shape[-1]:
        raise IndexOutOfRange("pick", values.shape[-1])
    return np.take_along_axis(values, index, axis=-1)


def slice_axis(values: Array, axis: int, start: int, stop: int, step: int) -> Array:
    """values[start:stop:step] along one axis; 0 ≤ start < stop ≤ size, step ≥ 1."""
    selection = [slice(None)] * values.ndim
    selection[axis] = slice(start, stop, step)
    return values[tuple(selection)]


def pad(
    values: Array, fill: Array, low: tuple[int, ...], high: tuple[int, ...], interior: tuple[int, ...]
) -> Array:
    """``values`` with ``fill`` (a scalar) around and between: per axis ``low`` before, ``high`` after, ``interior``
    between neighbours (XLA's Pad with amounts ≥ 0)."""
    steps = [i + 1 for i in interior]
    shape = [b + (n - 1) * s + 1 + a for n, b, a, s in zip(values.shape, low, high, steps, strict=True)]
    result = np.full(shape, fill, dtype=values.dtype)
    places = [slice(b, b + (n - 1) * s + 1, s) for n, b, s in zip(values.shape, low, steps, strict=True)]
    result[tuple(places)] = values
    return result


def windows(
    values: Array, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> Array:
    """All windows of the last two axes (… × H × W): result (… × OH × OW × KH × KW) with element
    (…, y, x, i, j) = values[…, y·stride₀ + i·dilation₀, x·stride₁ + j·dilation₁]. Nothing is padded (see `pad`)."""
    span = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    every = np.lib.stride_tricks.sliding_window_view(values, span, axis=(-2, -1))
    return every[..., :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
