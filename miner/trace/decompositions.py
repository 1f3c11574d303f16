"""Our own frozen decompositions of PyTorch's composite operators into exact ones (DESIGN §2): PyTorch's own may change
between versions, these define the graph. Each takes and returns `Value`s; formulas follow PyTorch's documentation."""

from __future__ import annotations

import math
from collections.abc import Sequence

from miner.trace.emit import Emitter, Operand, Value


def layer_norm(
    e: Emitter, x: Value, size: int, weight: Value | None, bias: Value | None, eps: float
) -> tuple[Value, Value, Value]:
    """Normalise over the last ``size`` axes; returns (y, mean, 1/√(var + eps))."""
    axes = range(len(e.shape(x)) - size, len(e.shape(x)))
    mean = e.mean(x, axes)
    centred = e.sub(x, mean)
    variance = e.mean(e.mul(centred, centred), axes)
    rstd = e.div(1.0, e.unary("sqrt", e.add(variance, eps)))
    y = e.mul(centred, rstd)
    if weight is not None:
        y = e.mul(y, weight)
    if bias is not None:
        y = e.add(y, bias)
    return y, mean, rstd


def layer_norm_backward(
    e: Emitter, grad: Value, x: Value, size: int, mean: Value, rstd: Value, weight: Value | None
) -> tuple[Value, Value, Value]:
    """Gradients of `layer_norm` for (x, weight, bias)."""
    rank = len(e.shape(x))
    axes, outer = range(rank - size, rank), range(rank - size)
    normal = e.mul(e.sub(x, mean), rstd)
    scaled = grad if weight is None else e.mul(grad, weight)
    inner = e.sub(scaled, e.mean(scaled, axes))
    inner = e.sub(inner, e.mul(normal, e.mean(e.mul(scaled, normal), axes)))
    return e.mul(inner, rstd), e.sum(e.mul(grad, normal), outer, False), e.sum(grad, outer, False)


def softmax(e: Emitter, x: Value, axis: int) -> Value:
    """e^(x − max) / Σ e^(x − max)."""
    powers = e.unary("exp", e.sub(x, e.reduce("amax", x, [axis])))
    return e.div(powers, e.sum(powers, [axis]))


def softmax_backward(e: Emitter, grad: Value, y: Value, axis: int) -> Value:
    """y · (g − Σ g·y)."""
    product = e.mul(grad, y)
    return e.mul(y, e.sub(grad, e.sum(product, [axis])))


def log_softmax(e: Emitter, x: Value, axis: int) -> Value:
    """(x − max) − log Σ e^(x − max)."""
    shifted = e.sub(x, e.reduce("amax", x, [axis]))
    return e.sub(shifted, e.unary("log", e.sum(e.unary("exp", shifted), [axis])))


def log_softmax_backward(e: Emitter, grad: Value, y: Value, axis: int) -> Value:
    """g − e^y · Σ g."""
    return e.sub(grad, e.mul(e.unary("exp", y), e.sum(grad, [axis])))


def nll_loss(e: Emitter, logits: Value, target: Value, mean: bool) -> tuple[Value, Value]:
    """Negative log-likelihood of (N × C) log-probabilities, summed or averaged; returns (loss, N)."""
    rows = e.shape(logits)[0]
    picked = Value(e.builder.add("pick", logits.id, e.reshape(target, (rows, 1)).id))
    total = e.unary("neg", e.sum(picked, None, False))
    return (e.div(total, float(rows)) if mean else total), e.constant(float(rows), "f32")


def nll_loss_backward(e: Emitter, grad: Value, logits: Value, target: Value, mean: bool) -> Value:
    """−g/N at the target's place, else 0."""
    rows, classes = e.shape(logits)
    share = e.unary("neg", e.div(grad, float(rows)) if mean else grad)
    hit = e.op("eq", e.reshape(target, (rows, 1)), e.reshape(e.iota(classes), (1, classes)))
    return e.where(hit, share, 0.0)


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


def power(e: Emitter, x: Value, exponent: float) -> Value | None:
    """x^n for n = 0.5, −0.5, −1 and whole 1 … 8, by multiplications from the left; None for others."""
    if exponent in (0.5, -0.5):
        root = e.unary("sqrt", x)
        return root if exponent > 0 else e.div(1.0, root)
    if exponent == -1:
        return e.div(1.0, x)
    if exponent not in range(1, 9):
        return None
    result = x
    for _ in range(int(exponent) - 1):
        result = e.mul(result, x)
    return result


def embedding_backward(e: Emitter, grad: Value, index: Value, rows: int) -> Value:
    """Index add of the gradient's rows."""
    count, columns = math.prod(e.shape(index)), e.shape(grad)[-1]
    flat, places = e.reshape(grad, (count, columns)), e.reshape(index, (count,))
    return Value(e.builder.add("add_rows", flat.id, places.id, attrs={"rows": rows}))


def pad_slice(e: Emitter, grad: Value, shape: Sequence[int], axis: int, start: int, stop: int) -> Value:
    """Gradient of a slice: zeros around it."""
    before, after = [*shape], [*shape]
    before[axis], after[axis] = start, shape[axis] - stop
    parts = [grad]
    if start:
        parts.insert(0, e.full(before, 0.0))
    if after[axis]:
        parts.append(e.full(after, 0.0))
    return e.concat(parts, axis)


def addmm(e: Emitter, bias: Value, a: Value, b: Value, beta: Operand, alpha: Operand) -> Value:
    """beta·bias + alpha·(a·b); factors of one are left out."""
    product = e.matmul(a, b)
    if alpha != 1:
        product = e.mul(product, float(alpha) if not isinstance(alpha, Value) else alpha)
    if beta != 1:
        bias = e.mul(bias, float(beta) if not isinstance(beta, Value) else beta)
    return e.add(product, bias)
