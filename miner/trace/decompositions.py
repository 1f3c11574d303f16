"""Our own frozen decompositions of PyTorch's composite operators into exact ones (DESIGN §2): PyTorch's own may change
between versions, these define the graph. Each takes and returns `Value`s; formulas follow PyTorch's documentation."""

from __future__ import annotations

import math
from collections.abc import Sequence

from miner.trace.emit import Emitter, Operand, Value


def sign(e: Emitter, x: Value) -> Value:
    """1, 0 or −1."""
    return e.where(e.op("gt", x, 0.0), 1.0, e.where(e.op("lt", x, 0.0), -1.0, 0.0))


def minimum(e: Emitter, a: Value, b: Operand) -> Value:
    """The smaller one."""
    return e.where(e.op("lt", a, b), a, b)


def normal(e: Emitter, shape: Sequence[int]) -> Value:
    """Standard normal numbers by Box and Muller (1958) from two uniform ones."""
    radius = e.unary("sqrt", e.mul(e.unary("log", e.sub(1.0, e.uniform(shape))), -2.0))
    return e.mul(radius, e.unary("cos", e.mul(e.uniform(shape), 2.0 * math.pi)))


def variance(e: Emitter, x: Value, axes: Sequence[int], correction: float = 0.0) -> tuple[Value, Value]:
    """Σ (x − mean)² / (n − correction) and the mean, reduced axes kept as 1."""
    count = math.prod(e.shape(x)[a] for a in axes)
    mean = e.mean(x, axes)
    centred = e.sub(x, mean)
    return e.div(e.sum(e.mul(centred, centred), axes), count - correction), mean


def normalise(
    e: Emitter, x: Value, mean: Value, rstd: Value, weight: Value | None, bias: Value | None
) -> Value:
    """(x − mean) · rstd · weight + bias, operands broadcast."""
    y = e.mul(e.sub(x, mean), rstd)
    if weight is not None:
        y = e.mul(y, weight)
    return y if bias is None else e.add(y, bias)


def inverse_root(e: Emitter, variance: Value, eps: float) -> Value:
    """1/√(variance + eps)."""
    return e.div(1.0, e.unary("sqrt", e.add(variance, eps)))


def normalise_backward(
    e: Emitter, grad: Value, x: Value, mean: Value, rstd: Value, weight: Value | None, axes: Sequence[int]
) -> tuple[Value, Value]:
    """Gradient of `normalise` for x, mean and rstd being those of ``axes`` of x; and grad · (x − mean) · rstd, whose
    sum is the weight's gradient."""
    normal = e.mul(e.sub(x, mean), rstd)
    scaled = grad if weight is None else e.mul(grad, weight)
    inner = e.sub(scaled, e.mean(scaled, axes))
    inner = e.sub(inner, e.mul(normal, e.mean(e.mul(scaled, normal), axes)))
    return e.mul(inner, rstd), e.mul(grad, normal)


def layer_norm(
    e: Emitter, x: Value, size: int, weight: Value | None, bias: Value | None, eps: float
) -> tuple[Value, Value, Value]:
    """Normalise over the last ``size`` axes; returns (y, mean, 1/√(var + eps))."""
    axes = range(len(e.shape(x)) - size, len(e.shape(x)))
    spread, mean = variance(e, x, axes)
    rstd = inverse_root(e, spread, eps)
    return normalise(e, x, mean, rstd, weight, bias), mean, rstd


def layer_norm_backward(
    e: Emitter, grad: Value, x: Value, size: int, mean: Value, rstd: Value, weight: Value | None
) -> tuple[Value, Value, Value]:
    """Gradients of `layer_norm` for (x, weight, bias)."""
    rank = len(e.shape(x))
    axes, outer = range(rank - size, rank), range(rank - size)
    of_x, product = normalise_backward(e, grad, x, mean, rstd, weight, axes)
    return of_x, e.sum(product, outer, False), e.sum(grad, outer, False)


def softmax(e: Emitter, x: Value, axis: int) -> Value:
    """e^(x − max) / Σ e^(x − max)."""
    powers = e.unary("exp", e.sub(x, e.reduce("amax", x, [axis])))
    return e.div(powers, e.sum(powers, [axis]))


def safe_softmax(e: Emitter, x: Value, axis: int) -> Value:
    """`softmax`, but zeros where all are −∞."""
    largest = e.reduce("amax", x, [axis])
    masked = e.op("eq", largest, -math.inf)
    powers = e.unary("exp", e.sub(x, e.where(masked, 0.0, largest)))
    return e.div(powers, e.where(masked, 1.0, e.sum(powers, [axis])))


def softmax_backward(e: Emitter, grad: Value, y: Value, axis: int) -> Value:
    """y · (g − Σ g·y)."""
    product = e.mul(grad, y)
    return e.mul(y, e.sub(grad, e.sum(product, [axis])))


def log_softmax(e: Emitter, x: Value, axis: int) -> Value:
    """(x − max) − log Σ e^(x − max)."""
    shifted = e.sub(x, e.reduce("amax", x, [axis]))
    return e.sub(shifted, e.unary("log", e.sum(e.unary("exp", shifted), [axis])))


def log_softmax_backward(e: Emitter, grad: Value, y: Value, axis: int) -> Value:
    """g − e^y · Σ g, of which most numbers are tiny."""
    is_last = axis in (-1, len(e.shape(y)) - 1)
    known = e.row_sums.get(grad.id) if is_last else None
    result = e.sub(grad, e.mul(e.unary("exp", y), e.sum(grad, [axis]) if known is None else known))
    if is_last:
        e.long_tailed.add(result.id)
    return result


def nll_loss(e: Emitter, logits: Value, target: Value, ignored: int, mean: bool) -> tuple[Value, Value]:
    """Negative log-likelihood of (N × C) log-probabilities over rows whose target is not ``ignored``.

    Returns (loss, number of rows that count).
    """
    valid, place = _valid_rows(e, logits, target, ignored)
    picked = e.where(valid, _pick(e, logits, place), 0.0)
    total = e.unary("neg", e.sum(picked, None, False))
    count = e.sum(e.cast(valid, "f32"), None, False)
    return (e.div(total, count) if mean else total), count


def _valid_rows(e: Emitter, logits: Value, target: Value, ignored: int) -> tuple[Value, Value]:
    """Which rows count, and their targets, 0 in place of ignored ones; both (N × 1)."""
    place = e.reshape(target, (e.shape(logits)[0], 1))
    valid = e.op("ne", place, ignored)
    return valid, e.where(valid, place, 0)


def _pick(e: Emitter, values: Value, place: Value) -> Value:
    """Elements of rows; of a difference of a matrix and a column they are picked before subtracting."""
    node = e.builder.node(values.id)
    if node.op == "sub" and e.shape(Value(node.inputs[1])) == (e.shape(values)[0], 1):
        return e.sub(_pick(e, Value(node.inputs[0]), place), Value(node.inputs[1]))
    return e.pick(values, place)


def nll_loss_backward(
    e: Emitter, grad: Value, logits: Value, target: Value, ignored: int, mean: bool, count: Value
) -> Value:
    """−g/count at the target's place of rows that count, else 0."""
    rows, classes = e.shape(logits)
    valid, place = _valid_rows(e, logits, target, ignored)
    share = e.where(valid, e.unary("neg", e.div(grad, count) if mean else grad), 0.0)
    hit = e.op("eq", place, e.reshape(e.iota(classes), (1, classes)))
    result = e.where(hit, share, 0.0)
    e.row_sums[result.id] = share
    return result


_SQRT_HALF = math.sqrt(0.5)
_SQRT_2_PI = math.sqrt(2.0 / math.pi)


def gelu(e: Emitter, x: Value, tanh: bool) -> Value:
    """0.5·x·(1 + erf(x/√2)), or its tanh form 0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))."""
    gate = e.unary("tanh", _gelu_inner(e, x)) if tanh else e.unary("erf", e.mul(x, _SQRT_HALF))
    return e.mul(e.mul(x, 0.5), e.add(gate, 1.0))


def _gelu_inner(e: Emitter, x: Value) -> Value:
    cube = e.mul(e.mul(x, x), x)
    return e.mul(e.add(x, e.mul(cube, 0.044715)), _SQRT_2_PI)


def gelu_backward(e: Emitter, grad: Value, x: Value, tanh: bool) -> Value:
    """Gradient of `gelu`."""
    if not tanh:
        cdf = e.mul(e.add(e.unary("erf", e.mul(x, _SQRT_HALF)), 1.0), 0.5)
        density = e.mul(e.unary("exp", e.mul(e.mul(x, x), -0.5)), 1.0 / math.sqrt(2.0 * math.pi))
        return e.mul(grad, e.add(cdf, e.mul(x, density)))
    gate = e.unary("tanh", _gelu_inner(e, x))
    slope = e.mul(e.add(e.mul(e.mul(x, x), 3 * 0.044715), 1.0), _SQRT_2_PI)
    inner = e.mul(e.mul(e.mul(x, 0.5), e.sub(1.0, e.mul(gate, gate))), slope)
    return e.mul(grad, e.add(e.mul(e.add(gate, 1.0), 0.5), inner))


def sigmoid(e: Emitter, x: Value) -> Value:
    """1 / (1 + e^(−x))."""
    return e.div(1.0, e.add(e.unary("exp", e.unary("neg", x)), 1.0))


def silu(e: Emitter, x: Value) -> Value:
    """x · sigmoid(x)."""
    return e.mul(x, sigmoid(e, x))


def silu_backward(e: Emitter, grad: Value, x: Value) -> Value:
    """g · s · (1 + x·(1 − s)) with s = sigmoid(x)."""
    s = sigmoid(e, x)
    return e.mul(grad, e.mul(s, e.add(e.mul(x, e.sub(1.0, s)), 1.0)))


MAX_EXPONENT = 8
"""Largest magnitude of an exponent that is worked out by multiplications."""


def power(e: Emitter, x: Value, exponent: float) -> Value | None:
    """x^n for n = ±0.5, ±1, ±1.5, … ±8, by multiplications from the left and a root; None for others."""
    size = abs(exponent)
    if 2 * size not in range(1, 2 * MAX_EXPONENT + 1):
        return None
    factors = [x] * int(size)
    if size % 1:
        factors.append(e.unary("sqrt", x))
    result = factors[0]
    for factor in factors[1:]:
        result = e.mul(result, factor)
    return result if exponent > 0 else e.div(1.0, result)
