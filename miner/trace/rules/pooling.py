"""Rules of pooling; the backward of a maximum walks over the taps of a window, the first largest one taking all."""

from __future__ import annotations

import math
from collections.abc import Sequence

from miner.trace.emit import Emitter, Value
from miner.trace.rules.registry import Blank, require, rule


def _pair(values: Sequence[int], default: Sequence[int] = ()) -> tuple[int, int]:
    given = list(values) or list(default)
    return (given[0], given[-1])


def _needed_high(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil: bool) -> tuple[int, int]:
    """Number of windows, and the padding after the last element that they need (PyTorch's rule of ceil mode)."""
    span = dilation * (kernel - 1) + 1
    room = size + 2 * padding - span
    count = (room + (stride - 1 if ceil else 0)) // stride + 1
    if ceil and (count - 1) * stride >= size + padding:
        count -= 1
    return count, max(0, (count - 1) * stride + span - size - padding)


def _pad(e: Emitter, x: Value, low: Sequence[int], high: Sequence[int], fill: float) -> Value:
    lead = (0,) * (len(e.shape(x)) - 2)
    return e.pad(x, (*lead, *low), (*lead, *high), (*lead, 0, 0), fill)


@rule("max_pool2d_with_indices.default")
def _max_pool(
    e: Emitter, x: Value, kernel: list[int], stride: Sequence[int] = (), padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,), ceil: bool = False,
) -> tuple[Value, Blank]:  # fmt: skip
    windows, _ = _max_windows(e, x, kernel, stride, padding, dilation, ceil)
    rank = len(e.shape(windows))
    values = e.reduce("amax", windows, [rank - 2, rank - 1], False)
    return values, Blank(e.shape(values), "i64")


def _max_windows(
    e: Emitter, x: Value, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
    ceil: bool,
) -> tuple[Value, tuple[int, int]]:  # fmt: skip
    """Windows over x padded with −∞, and the padding at the end."""
    size, steps, around, between = _pair(kernel), _pair(stride, kernel), _pair(padding), _pair(dilation)
    high = [
        _needed_high(e.shape(x)[a - 2], size[a], steps[a], around[a], between[a], ceil)[1] for a in range(2)
    ]  # fmt: skip
    return e.windows(_pad(e, x, around, high, -math.inf), size, steps, between), (high[0], high[1])


@rule("max_pool2d_with_indices_backward.default", blank=frozenset({7}))
def _max_pool_backward(
    e: Emitter, grad: Value, x: Value, kernel: list[int], stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], ceil: bool, indices: None,
) -> Value:  # fmt: skip
    windows, after = _max_windows(e, x, kernel, stride, padding, dilation, ceil)
    size, steps, around, between = _pair(kernel), _pair(stride, kernel), _pair(padding), _pair(dilation)
    rank = len(e.shape(windows))
    largest = e.reduce("amax", windows, [rank - 2, rank - 1], False)
    taken: Value | None = None
    total: Value | None = None
    for y in range(size[0]):
        for x_tap in range(size[1]):
            tap = e.slice(e.slice(windows, rank - 2, y, y + 1), rank - 1, x_tap, x_tap + 1)
            hit = e.op("eq", e.reshape(tap, e.shape(largest)), largest)
            first = hit if taken is None else e.op("and", hit, e.unary("not", taken))
            taken = hit if taken is None else e.op("or", taken, hit)
            offset = (y * between[0], x_tap * between[1])
            part = _place(e, e.where(first, grad, 0.0), e.shape(x), offset, steps, around, after)
            total = part if total is None else e.add(total, part)
    require(total is not None, "has an empty kernel")
    return total or grad


def _place(
    e: Emitter, grad: Value, shape: Sequence[int], offset: Sequence[int], stride: Sequence[int], low: Sequence[int],
    high: Sequence[int],
) -> Value:  # fmt: skip
    """A gradient of windows at one tap, at the places that the tap reads in x of ``shape``; the rest is 0."""
    rank = len(shape)
    before, after, between = [0] * rank, [0] * rank, [0] * rank
    for axis in range(2):
        place = rank - 2 + axis
        reach = (e.shape(grad)[place] - 1) * stride[axis] + 1
        before[place] = offset[axis] - low[axis]
        between[place] = stride[axis] - 1
        after[place] = shape[place] - before[place] - reach
    return e.pad(grad, before, after, between)


@rule("avg_pool2d.default")
def _avg_pool(
    e: Emitter, x: Value, kernel: list[int], stride: Sequence[int] = (), padding: Sequence[int] = (0,),
    ceil: bool = False, count_padding: bool = True, divisor: int | None = None,
) -> Value:  # fmt: skip
    size, steps, around = _pair(kernel), _pair(stride, kernel), _pair(padding)
    require(not ceil and (count_padding or around == (0, 0)), "has no ceil mode and counts its padding")
    windows = e.windows(_pad(e, x, around, around, 0.0), size, steps, (1, 1))
    rank = len(e.shape(windows))
    return e.div(e.sum(windows, [rank - 2, rank - 1], False), float(divisor or size[0] * size[1]))


@rule("avg_pool2d_backward.default")
def _avg_pool_backward(
    e: Emitter, grad: Value, x: Value, kernel: list[int], stride: Sequence[int], padding: Sequence[int], ceil: bool,
    count_padding: bool, divisor: int | None,
) -> Value:  # fmt: skip
    size, steps, around = _pair(kernel), _pair(stride, kernel), _pair(padding)
    require(not ceil and (count_padding or around == (0, 0)), "has no ceil mode and counts its padding")
    share = e.div(grad, float(divisor or size[0] * size[1]))
    total: Value | None = None
    for y in range(size[0]):
        for x_tap in range(size[1]):
            part = _place(e, share, e.shape(x), (y, x_tap), steps, around, around)
            total = part if total is None else e.add(total, part)
    return total or share


@rule("_adaptive_avg_pool2d.default")
def _adaptive_avg_pool(e: Emitter, x: Value, size: list[int]) -> Value:
    split, axes = _adaptive_blocks(e, x, size)
    return e.mean(e.reshape(x, split), axes, False)


@rule("_adaptive_avg_pool2d_backward.default")
def _adaptive_avg_pool_backward(e: Emitter, grad: Value, x: Value) -> Value:
    size = e.shape(grad)[-2:]
    split, axes = _adaptive_blocks(e, x, size)
    share = e.div(grad, float(math.prod(split[a] for a in axes)))
    kept = [1 if a in axes else n for a, n in enumerate(split)]
    return e.reshape(e.expand(e.reshape(share, kept), split), e.shape(x))


def _adaptive_blocks(e: Emitter, x: Value, size: Sequence[int]) -> tuple[list[int], list[int]]:
    """(… × OH × BH × OW × BW), and the axes of the blocks."""
    *lead, height, width = e.shape(x)
    require(height % size[0] == 0 and width % size[1] == 0, f"needs {height} × {width} to be multiples of {size}")
    split = [*lead, size[0], height // size[0], size[1], width // size[1]]
    return split, [len(lead) + 1, len(lead) + 3]
