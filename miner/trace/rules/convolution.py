"""Rules of convolutions and transposed convolutions in one and two dimensions."""

from __future__ import annotations

from collections.abc import Sequence

from miner.trace import convolution as c
from miner.trace.emit import Emitter, Value
from miner.trace.rules.registry import require, rule


def _geometry(
    e: Emitter, weight: Value, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int
) -> c.Geometry:
    pairs = [_pair(values, fill) for values, fill in ((stride, 1), (padding, 0), (dilation, 1))]
    kernel = e.shape(_planar(e, weight))[2:]
    return c.Geometry((kernel[0], kernel[1]), pairs[0], pairs[1], pairs[2], groups)


def _pair(values: Sequence[int], fill: int) -> tuple[int, int]:
    """Two numbers; a single one is that of the second axis."""
    return (fill, values[0]) if len(values) == 1 else (values[0], values[1])


def _planar(e: Emitter, value: Value) -> Value:
    """(N × C × L) as (N × C × 1 × L)."""
    shape = e.shape(value)
    require(len(shape) in (3, 4), "has one or two dimensions only")
    return value if len(shape) == 4 else e.reshape(value, (*shape[:2], 1, shape[2]))


def _like(e: Emitter, value: Value, original: Value) -> Value:
    """Back from a plane to the rank of the original."""
    if len(e.shape(original)) == 4:
        return value
    return e.reshape(value, (*e.shape(value)[:2], e.shape(value)[3]))


@rule("convolution.default")
def _convolution(
    e: Emitter, x: Value, weight: Value, bias: Value | None, stride: list[int], padding: list[int], dilation: list[int],
    transposed: bool, output_padding: list[int], groups: int,
) -> Value:  # fmt: skip
    g = _geometry(e, weight, stride, padding, dilation, groups)
    plane, filters = _planar(e, x), _planar(e, weight)
    if transposed:
        extra = _pair(output_padding, 0)
        spans = [g.dilation[a] * (g.kernel[a] - 1) + 1 + extra[a] - 2 * g.padding[a] for a in range(2)]
        size = [(e.shape(plane)[2 + a] - 1) * g.stride[a] + spans[a] for a in range(2)]
        result = c.input_gradient(e, plane, filters, size, g)
    else:
        result = c.convolve(e, plane, filters, g)
    if bias is not None:
        result = e.add(result, e.reshape(bias, (1, -1, 1, 1)))
    return _like(e, result, x)


@rule("convolution_backward.default")
def _convolution_backward(
    e: Emitter, grad: Value, x: Value, weight: Value, bias: list[int] | None, stride: list[int], padding: list[int],
    dilation: list[int], transposed: bool, output_padding: list[int], groups: int, mask: list[bool],
) -> tuple[Value | None, Value | None, Value | None]:  # fmt: skip
    g = _geometry(e, weight, stride, padding, dilation, groups)
    plane, filters, wide = _planar(e, x), _planar(e, weight), _planar(e, grad)
    of_x = of_weight = None
    if mask[0]:
        found = c.convolve(e, wide, filters, g) if transposed else (
            c.input_gradient(e, wide, filters, e.shape(plane)[2:], g)
        )  # fmt: skip
        of_x = _like(e, found, x)
    if mask[1]:
        left, right = (plane, wide) if transposed else (wide, plane)
        of_weight = _like(e, c.weight_gradient(e, left, right, e.shape(filters), g), weight)
    return of_x, of_weight, e.sum(wide, [0, 2, 3], False) if mask[2] else None
