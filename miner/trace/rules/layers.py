"""Rules of normalisations, softmax, losses and dropout."""

from __future__ import annotations

from math import prod
from typing import Any

from miner.trace import decompositions as d
from miner.trace.emit import Emitter, Value
from miner.trace.rules.registry import Blank, RuleRefusal, Written, require, rule


@rule("native_layer_norm.default")
def _layer_norm(
    e: Emitter, x: Value, shape: list[int], weight: Value | None, bias: Value | None, eps: float
) -> tuple[Value, ...]:
    return d.layer_norm(e, x, len(shape), weight, bias, eps)


@rule("native_layer_norm_backward.default")
def _layer_norm_backward(
    e: Emitter, grad: Value, x: Value, shape: list[int], mean: Value, rstd: Value,
    weight: Value | None, bias: Value | None, mask: list[bool],
) -> tuple[Value, ...]:  # fmt: skip
    return d.layer_norm_backward(e, grad, x, len(shape), mean, rstd, weight)


@rule("_fused_rms_norm.default")
def _rms_norm(e: Emitter, x: Value, shape: list[int], weight: Value | None, eps: float | None) -> tuple[Value, Value]:
    axes = range(len(e.shape(x)) - len(shape), len(e.shape(x)))
    rstd = d.inverse_root(e, e.mean(e.mul(x, x), axes), 2.0**-23 if eps is None else eps)
    y = e.mul(x, rstd)
    return (y if weight is None else e.mul(y, weight)), rstd


@rule("_fused_rms_norm_backward.default")
def _rms_norm_backward(
    e: Emitter, grad: Value, x: Value, shape: list[int], rstd: Value, weight: Value | None, mask: list[bool]
) -> tuple[Value, Value | None]:
    rank = len(e.shape(x))
    axes = range(rank - len(shape), rank)
    normal = e.mul(x, rstd)
    scaled = grad if weight is None else e.mul(grad, weight)
    inner = e.sub(scaled, e.mul(normal, e.mean(e.mul(scaled, normal), axes)))
    of_weight = None if weight is None else e.sum(e.mul(grad, normal), range(rank - len(shape)), False)
    return e.mul(inner, rstd), of_weight


def _by_channel(e: Emitter, value: Value, rank: int) -> Value:
    """(C,) as (1 × C × 1 …)."""
    return e.reshape(value, (1, -1, *([1] * (rank - 2))))


def _maybe_by_channel(e: Emitter, value: Value | None, rank: int) -> Value | None:
    return None if value is None else _by_channel(e, value, rank)


@rule("native_batch_norm.default")
def _batch_norm(
    e: Emitter, x: Value, weight: Value | None, bias: Value | None, running_mean: Value | None,
    running_variance: Value | None, training: bool, momentum: float, eps: float,
) -> Written:  # fmt: skip
    """Over the channels of (N × C × …); running statistics advance while training, with the unbiased variance."""
    rank, channels = len(e.shape(x)), e.shape(x)[1]
    scale, shift = _maybe_by_channel(e, weight, rank), _maybe_by_channel(e, bias, rank)
    if not training:
        mean, rstd = _running(e, running_mean, running_variance, eps, rank)
        blank = Blank((0,), "f32")
        return Written((d.normalise(e, x, mean, rstd, scale, shift), blank, blank), {})
    spread, mean = d.variance(e, x, [a for a in range(rank) if a != 1])
    rstd = d.inverse_root(e, spread, eps)
    flat_mean, flat_spread, flat_rstd = (e.reshape(v, (channels,)) for v in (mean, spread, rstd))
    written = {}
    if running_mean is not None and running_variance is not None:
        count = prod(e.shape(x)) // channels
        unbiased = e.div(e.mul(flat_spread, float(count)), float(max(count - 1, 1)))
        written = {
            3: e.add(e.mul(running_mean, 1.0 - momentum), e.mul(flat_mean, momentum)),
            4: e.add(e.mul(running_variance, 1.0 - momentum), e.mul(unbiased, momentum)),
        }
    return Written((d.normalise(e, x, mean, rstd, scale, shift), flat_mean, flat_rstd), written)


def _running(
    e: Emitter, mean: Value | None, variance: Value | None, eps: float, rank: int
) -> tuple[Value, Value]:
    if mean is None or variance is None:
        raise RuleRefusal("needs running statistics for evaluation")
    return _by_channel(e, mean, rank), d.inverse_root(e, _by_channel(e, variance, rank), eps)


@rule("native_batch_norm_backward.default", blank=frozenset({5, 6}))
def _batch_norm_backward(
    e: Emitter, grad: Value, x: Value, weight: Value | None, running_mean: Value | None,
    running_variance: Value | None, mean: Value | None, rstd: Value | None, training: bool, eps: float,
    mask: list[bool],
) -> tuple[Value, Value, Value]:  # fmt: skip
    rank = len(e.shape(x))
    axes = [a for a in range(rank) if a != 1]
    scale = _maybe_by_channel(e, weight, rank)
    if training and mean is not None and rstd is not None:
        centre, inverse = _by_channel(e, mean, rank), _by_channel(e, rstd, rank)
        of_x, product = d.normalise_backward(e, grad, x, centre, inverse, scale, axes)
    else:
        centre, inverse = _running(e, running_mean, running_variance, eps, rank)
        product = e.mul(grad, e.mul(e.sub(x, centre), inverse))
        of_x = e.mul(grad if scale is None else e.mul(grad, scale), inverse)
    return of_x, e.sum(product, axes, False), e.sum(grad, axes, False)


@rule("native_group_norm.default")
def _group_norm(
    e: Emitter, x: Value, weight: Value | None, bias: Value | None, n: int, channels: int, size: int, groups: int,
    eps: float,
) -> tuple[Value, Value, Value]:  # fmt: skip
    """Over each group of channels of (N × C × …)."""
    shape = e.shape(x)
    grouped = e.reshape(x, (n, groups, -1))
    spread, mean = d.variance(e, grouped, [2])
    rstd = d.inverse_root(e, spread, eps)
    y = e.reshape(d.normalise(e, grouped, mean, rstd, None, None), shape)
    scale, shift = _maybe_by_channel(e, weight, len(shape)), _maybe_by_channel(e, bias, len(shape))
    y = y if scale is None else e.mul(y, scale)
    y = y if shift is None else e.add(y, shift)
    return y, e.reshape(mean, (n, groups)), e.reshape(rstd, (n, groups))


@rule("native_group_norm_backward.default")
def _group_norm_backward(
    e: Emitter, grad: Value, x: Value, mean: Value, rstd: Value, weight: Value | None, n: int, channels: int, size: int,
    groups: int, mask: list[bool],
) -> tuple[Value, Value, Value]:  # fmt: skip
    shape = e.shape(x)
    grouped, axes = e.reshape(x, (n, groups, -1)), [a for a in range(len(shape)) if a != 1]
    centre, inverse = e.reshape(mean, (n, groups, 1)), e.reshape(rstd, (n, groups, 1))
    scale = _maybe_by_channel(e, weight, len(shape))
    scaled = e.reshape(grad if scale is None else e.mul(grad, scale), (n, groups, -1))
    of_x, _ = d.normalise_backward(e, scaled, grouped, centre, inverse, None, [2])
    normal = e.reshape(e.mul(e.sub(grouped, centre), inverse), shape)
    return e.reshape(of_x, shape), e.sum(e.mul(grad, normal), axes, False), e.sum(grad, axes, False)


@rule("_softmax.default")
def _softmax(e: Emitter, x: Value, dim: int, half_to_float: bool) -> Value:
    return d.softmax(e, x, dim)


@rule("_safe_softmax.default")
def _safe_softmax(e: Emitter, x: Value, dim: int, dtype: Any = None) -> Value:
    return d.safe_softmax(e, x, dim)


@rule("_softmax_backward_data.default")
def _softmax_backward(e: Emitter, grad: Value, y: Value, dim: int, dtype: Any) -> Value:
    return d.softmax_backward(e, grad, y, dim)


@rule("_log_softmax.default")
def _log_softmax(e: Emitter, x: Value, dim: int, half_to_float: bool) -> Value:
    return d.log_softmax(e, x, dim)


@rule("_log_softmax_backward_data.default")
def _log_softmax_backward(e: Emitter, grad: Value, y: Value, dim: int, dtype: Any) -> Value:
    return d.log_softmax_backward(e, grad, y, dim)


@rule("nll_loss_forward.default")
def _nll_loss(
    e: Emitter, x: Value, target: Value, weight: Value | None, reduction: int, ignored: int
) -> tuple[Value, Value]:
    require(weight is None and reduction in (1, 2), "takes no class weights and needs reduction mean or sum")
    require(len(e.shape(x)) == 2, "needs (rows × classes)")
    return d.nll_loss(e, x, target, ignored, reduction == 1)


@rule("nll_loss_backward.default")
def _nll_loss_backward(
    e: Emitter, grad: Value, x: Value, target: Value, weight: Value | None, reduction: int, ignored: int, count: Value
) -> Value:
    return d.nll_loss_backward(e, grad, x, target, ignored, reduction == 1, count)


@rule("mse_loss.default")
def _mse_loss(e: Emitter, x: Value, target: Value, reduction: int = 1) -> Value:
    difference = e.sub(x, target)
    return _reduce(e, e.mul(difference, difference), reduction)


@rule("mse_loss_backward.default")
def _mse_loss_backward(e: Emitter, grad: Value, x: Value, target: Value, reduction: int) -> Value:
    share = e.div(grad, float(prod(e.shape(x)))) if reduction == 1 else grad
    return e.mul(e.mul(e.sub(x, target), 2.0), share)


@rule("binary_cross_entropy_with_logits.default")
def _bce(
    e: Emitter, x: Value, target: Value, weight: Value | None = None, positive: Value | None = None, reduction: int = 1
) -> Value:
    """max(x, 0) − x·t + log(1 + e^(−|x|)); its gradient arrives as single operators."""
    require(weight is None and positive is None, "takes no weights")
    tail = e.unary("log", e.add(e.unary("exp", e.unary("neg", e.unary("abs", x))), 1.0))
    largest = e.where(e.op("gt", x, 0.0), x, 0.0)
    return _reduce(e, e.add(e.sub(largest, e.mul(x, target)), tail), reduction)


def _reduce(e: Emitter, value: Value, reduction: int) -> Value:
    if reduction == 0:
        return value
    axes = range(len(e.shape(value)))
    return e.mean(value, axes, False) if reduction == 1 else e.sum(value, axes, False)


@rule("native_dropout.default")
def _dropout(e: Emitter, x: Value, p: float, training: bool | None) -> tuple[Value, Value]:
    if not training:
        return x, e.full(e.shape(x), True, "bool")
    mask = e.op("ge", e.uniform(e.shape(x)), float(p))
    return e.where(mask, e.div(x, 1.0 - p), 0.0), mask


@rule("native_dropout_backward.default")
def _dropout_backward(e: Emitter, grad: Value, mask: Value, scale: float) -> Value:
    return e.where(mask, e.mul(grad, scale), 0.0)
