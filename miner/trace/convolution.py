"""Convolution as windows and one matrix product, and its two gradients as the same with other operands.

Shapes: x (N × C × H × W), weight (O × C/g × KH × KW), result (N × O × OH × OW), g groups. A row of the product is a
place of the result, so that its grid (E2) spans one window; a column is a filter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from miner.trace.emit import Emitter, Value


@dataclass(frozen=True)
class Geometry:
    """Kernel, stride, padding and dilation of the two axes, and the number of groups."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int = 1


def convolve(e: Emitter, x: Value, weight: Value, g: Geometry) -> Value:
    """The convolution (cross-correlation, as PyTorch's) without a bias."""
    padded = e.pad(x, (0, 0, *g.padding), (0, 0, *g.padding), (0, 0, 0, 0))
    filters = e.shape(weight)[0]
    columns = e.reshape(weight, (g.groups, filters // g.groups, -1))
    return _multiply(e, padded, e.swap(columns, 1, 2), g.kernel, g.stride, g.dilation, g.groups)


def _multiply(
    e: Emitter, x: Value, columns: Value, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int],
    groups: int,
) -> Value:  # fmt: skip
    """Windows of x times ``columns`` (g × C/g·KH·KW × O/g): (N × O × OH × OW)."""
    rows, (height, width) = _unfold(e, x, kernel, stride, dilation, groups)
    images, filters = e.shape(x)[0], e.shape(columns)[2]
    if groups == 1:
        product = e.matmul(e.reshape(rows, e.shape(rows)[1:]), e.reshape(columns, e.shape(columns)[1:]))
        return e.permute(e.reshape(product, (images, height, width, filters)), (0, 3, 1, 2))
    product = e.reshape(e.matmul(rows, columns), (groups, images, height, width, filters))
    return e.reshape(e.permute(product, (1, 0, 4, 2, 3)), (images, groups * filters, height, width))


def _unfold(
    e: Emitter, x: Value, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int], groups: int
) -> tuple[Value, tuple[int, int]]:
    """Rows (g × N·OH·OW × C/g·KH·KW) of all windows, and (OH, OW)."""
    images, channels = e.shape(x)[:2]
    found = e.windows(x, kernel, stride, dilation)
    height, width = e.shape(found)[2:4]
    split = e.reshape(found, (images, groups, channels // groups, height, width, *kernel))
    rows = e.permute(split, (1, 0, 3, 4, 2, 5, 6))
    return e.reshape(rows, (groups, images * height * width, -1)), (height, width)


def weight_gradient(e: Emitter, grad: Value, x: Value, shape: Sequence[int], g: Geometry) -> Value:
    """Gradient of `convolve` for the weight: windowsᵀ · grad, over all places."""
    padded = e.pad(x, (0, 0, *g.padding), (0, 0, *g.padding), (0, 0, 0, 0))
    images, filters, height, width = e.shape(grad)
    rows, found = _unfold(e, padded, g.kernel, g.stride, g.dilation, g.groups)
    if found != (height, width):
        raise AssertionError(f"the gradient has {(height, width)} places, the convolution {found}")
    by_group = e.reshape(grad, (images, g.groups, filters // g.groups, height * width))
    by_filter = e.reshape(e.permute(by_group, (1, 2, 0, 3)), (g.groups, filters // g.groups, -1))
    if g.groups == 1:
        product = e.matmul(e.reshape(by_filter, (filters, -1)), e.reshape(rows, e.shape(rows)[1:]))
    else:
        product = e.matmul(by_filter, rows)
    return e.reshape(product, shape)


def input_gradient(e: Emitter, grad: Value, weight: Value, size: Sequence[int], g: Geometry) -> Value:
    """Gradient of `convolve` for x of H × W = ``size``, and the transposed convolution.

    With a stride s each of the s² phases of places (y mod s, x mod s) is a convolution of stride 1 with those taps that
    reach it, so that no multiplication meets a zero between strides.
    """
    if g.dilation != (1, 1) and g.stride != (1, 1):
        spread = [0, 0, g.stride[0] - 1, g.stride[1] - 1]
        dense = Geometry(g.kernel, (1, 1), g.padding, g.dilation, g.groups)
        return input_gradient(e, e.pad(grad, (0,) * 4, (0,) * 4, spread), weight, size, dense)
    rows: list[Value | None] = []
    for y in range(min(g.stride[0], size[0])):
        phases = [_phase_gradient(e, grad, weight, size, g, (y, x)) for x in range(min(g.stride[1], size[1]))]
        rows.append(_interleave(e, phases, 3, size[1]))
    found = _interleave(e, rows, 2, size[0])
    return e.full((e.shape(grad)[0], e.shape(weight)[1] * g.groups, *size), 0.0) if found is None else found


def _phase_gradient(
    e: Emitter, grad: Value, weight: Value, size: Sequence[int], g: Geometry, phase: Sequence[int]
) -> Value | None:
    """The gradient at the places phase, phase + stride, … of both axes; None where no tap reaches them.

    x[phase + s·m] meets tap i of the output place o where o·s + i·d − padding = phase + s·m. With d = 1 the taps are
    those with i ≡ phase + padding (mod s), i = first + s·t, and o = m + (phase + padding − first)/s − t.
    """
    filters = e.shape(weight)[0]
    shape = [len(range(phase[axis], size[axis], g.stride[axis])) for axis in range(2)]
    first = [(phase[a] + g.padding[a]) % g.stride[a] for a in range(2)]
    taps = [len(range(first[a], g.kernel[a], g.stride[a])) for a in range(2)]
    channels = e.shape(weight)[1] * g.groups
    if 0 in taps:
        return None
    low, high = [0, 0], [0, 0]
    for axis in range(2):
        reach = g.dilation[axis] * (taps[axis] - 1)
        shift = (phase[axis] + g.padding[axis] - first[axis]) // g.stride[axis]
        low[axis] = reach - shift
        high[axis] = shape[axis] + shift - e.shape(grad)[2 + axis]
    padded = e.pad(grad, (0, 0, *low), (0, 0, *high), (0,) * 4)
    columns = _reversed_taps(e, weight, first, taps, g)
    per_group = e.permute(
        e.reshape(columns, (taps[0] * taps[1], g.groups, filters // g.groups, -1)), (1, 2, 0, 3)
    )
    flat = e.reshape(per_group, (g.groups, filters // g.groups * taps[0] * taps[1], channels // g.groups))
    return _multiply(e, padded, flat, taps, (1, 1), g.dilation, g.groups)


def _reversed_taps(e: Emitter, weight: Value, first: Sequence[int], taps: Sequence[int], g: Geometry) -> Value:
    """The taps first, first + s, … of both axes, last one first: (TH·TW × O × C/g)."""
    filters, channels = e.shape(weight)[:2]
    by_tap = e.permute(e.reshape(weight, (filters, channels, -1)), (2, 0, 1))
    index = []
    for axis in range(2):
        last = first[axis] + (taps[axis] - 1) * g.stride[axis]
        index.append(e.sub(last, e.mul(e.iota(taps[axis]), g.stride[axis])))
    places = e.add(e.mul(e.reshape(index[0], (taps[0], 1)), g.kernel[1]), e.reshape(index[1], (1, taps[1])))
    if e.shape(by_tap)[0] == 1:
        return by_tap
    return e.take_rows(by_tap, e.reshape(places, (-1,)))


def _interleave(e: Emitter, phases: Sequence[Value | None], axis: int, size: int) -> Value | None:
    """Element i of phase p becomes element p + i·s of an axis of ``size``; phases that are None, zeros."""
    known = [(place, phase) for place, phase in enumerate(phases) if phase is not None]
    if not known:
        return None
    rank, count = len(e.shape(known[0][1])), len(phases)

    def along(amount: int) -> list[int]:
        return [amount if a == axis else 0 for a in range(rank)]

    if len(known) == 1:
        place, phase = known[0]
        reach = (e.shape(phase)[axis] - 1) * count + 1
        return e.pad(phase, along(place), along(size - place - reach), along(count - 1))
    longest = -(-size // count)
    parts = []
    for found in phases:
        kept = known[0][1] if found is None else found
        full = e.pad(kept, along(0), along(longest - e.shape(kept)[axis]), along(0))
        shape = e.shape(full)
        own = full if found is not None else e.full(shape, 0.0)
        parts.append(e.reshape(own, (*shape[: axis + 1], 1, *shape[axis + 1 :])))
    shape = e.shape(e.concat(parts, axis + 1))
    joined = e.reshape(e.concat(parts, axis + 1), (*shape[:axis], longest * count, *shape[axis + 2 :]))
    return e.slice(joined, axis, 0, size)
