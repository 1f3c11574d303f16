"""One rule per ATen operator: how its call is lowered to exact nodes. What has no rule is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from miner.trace import decompositions as d
from miner.trace.emit import Emitter, Value

Rule = Callable[..., Any]

RULES: dict[str, Rule] = {}
"""Rules by operator name; each is called with the emitter and the operator's own arguments."""


class RuleRefusal(Exception):
    """A rule cannot lower this use of its operator; the message says why."""


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register a rule for operators ``aten.<name>``."""

    def register(function: Rule) -> Rule:
        RULES.update({f"aten.{name}": function for name in names})
        return function

    return register


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise RuleRefusal(reason)


for _aten, _op in {"mul": "mul", "eq": "eq", "ne": "ne", "lt": "lt", "le": "le", "gt": "gt", "ge": "ge"}.items():
    RULES[f"aten.{_aten}.Tensor"] = RULES[f"aten.{_aten}.Scalar"] = lambda e, a, b, _op=_op: e.op(_op, a, b)
for _aten in ("neg", "abs", "sqrt", "exp", "log", "tanh", "erf"):
    RULES[f"aten.{_aten}.default"] = lambda e, a, _op=_aten: e.unary(_op, e.cast(a, "f32"))
for _aten, _op in {"logical_and": "and", "bitwise_and": "and", "logical_or": "or", "bitwise_or": "or"}.items():
    RULES[f"aten.{_aten}.default"] = RULES[f"aten.{_aten}.Tensor"] = lambda e, a, b, _op=_op: _logic(e, _op, a, b)


def _logic(e: Emitter, op: str, a: Value, b: Value) -> Value:
    _require(e.dtype(a) == e.dtype(b) == "bool", "works on bools only")
    return e.op(op, a, b)


@rule("logical_not.default", "bitwise_not.default")
def _not(e: Emitter, a: Value) -> Value:
    _require(e.dtype(a) == "bool", "works on bools only")
    return e.unary("not", a)


@rule("add.Tensor", "add.Scalar")
def _add(e: Emitter, a: Any, b: Any, alpha: Any = 1) -> Value:
    return e.add(a, b if alpha == 1 else e.mul(b, alpha))


@rule("sub.Tensor", "sub.Scalar")
def _sub(e: Emitter, a: Any, b: Any, alpha: Any = 1) -> Value:
    return e.sub(a, b if alpha == 1 else e.mul(b, alpha))


@rule("rsub.Scalar", "rsub.Tensor")
def _rsub(e: Emitter, a: Any, b: Any, alpha: Any = 1) -> Value:
    return e.sub(b, a if alpha == 1 else e.mul(a, alpha))


@rule("div.Tensor", "div.Scalar")
def _div(e: Emitter, a: Any, b: Any) -> Value:
    return e.div(a, b)


@rule("sgn.default", "sign.default")
def _sign(e: Emitter, a: Value) -> Value:
    return e.where(e.op("gt", a, 0.0), 1.0, e.where(e.op("lt", a, 0.0), -1.0, 0.0))


@rule("reciprocal.default")
def _reciprocal(e: Emitter, a: Value) -> Value:
    return e.div(1.0, a)


@rule("rsqrt.default")
def _rsqrt(e: Emitter, a: Value) -> Value:
    return e.div(1.0, e.unary("sqrt", a))


@rule("pow.Tensor_Scalar")
def _pow(e: Emitter, a: Value, exponent: float) -> Value:
    result = d.power(e, a, exponent)
    _require(result is not None, f"has no exact form for the exponent {exponent}")
    return result or a


@rule("relu.default")
def _relu(e: Emitter, a: Value) -> Value:
    return e.where(e.op("gt", a, 0.0), a, 0.0)


@rule("threshold_backward.default")
def _threshold_backward(e: Emitter, grad: Value, a: Value, threshold: float) -> Value:
    return e.where(e.op("gt", a, float(threshold)), grad, 0.0)


@rule("maximum.default")
def _maximum(e: Emitter, a: Value, b: Value) -> Value:
    return e.where(e.op("gt", a, b), a, b)


@rule("minimum.default")
def _minimum(e: Emitter, a: Value, b: Value) -> Value:
    return e.where(e.op("lt", a, b), a, b)


@rule("clamp.default")
def _clamp(e: Emitter, a: Value, low: float | None = None, high: float | None = None) -> Value:
    a = a if low is None else e.where(e.op("lt", a, low), low, a)
    return a if high is None else e.where(e.op("gt", a, high), high, a)


@rule("where.self", "where.ScalarOther", "where.ScalarSelf", "where.Scalar")
def _where(e: Emitter, condition: Value, a: Any, b: Any) -> Value:
    return e.where(condition, a, b)


@rule("masked_fill.Scalar", "masked_fill.Tensor")
def _masked_fill(e: Emitter, a: Value, mask: Value, value: Any) -> Value:
    return e.where(mask, e.constant(value, e.dtype(a)), a)


@rule("sigmoid.default")
def _sigmoid(e: Emitter, a: Value) -> Value:
    return d.sigmoid(e, a)


@rule("sigmoid_backward.default")
def _sigmoid_backward(e: Emitter, grad: Value, y: Value) -> Value:
    return e.mul(grad, e.mul(e.sub(1.0, y), y))


@rule("tanh_backward.default")
def _tanh_backward(e: Emitter, grad: Value, y: Value) -> Value:
    return e.mul(grad, e.sub(1.0, e.mul(y, y)))


@rule("silu.default")
def _silu(e: Emitter, a: Value) -> Value:
    return d.silu(e, a)


@rule("silu_backward.default")
def _silu_backward(e: Emitter, grad: Value, a: Value) -> Value:
    return d.silu_backward(e, grad, a)


@rule("gelu.default")
def _gelu(e: Emitter, a: Value, approximate: str = "none") -> Value:
    return d.gelu(e, a, approximate == "tanh")


@rule("gelu_backward.default")
def _gelu_backward(e: Emitter, grad: Value, a: Value, approximate: str = "none") -> Value:
    return d.gelu_backward(e, grad, a, approximate == "tanh")


@rule("mm.default", "bmm.default")
def _mm(e: Emitter, a: Value, b: Value) -> Value:
    return e.matmul(a, b)


@rule("addmm.default", "baddbmm.default")
def _addmm(e: Emitter, bias: Value, a: Value, b: Value, beta: float = 1, alpha: float = 1) -> Value:
    return d.addmm(e, bias, a, b, beta, alpha)


@rule("native_layer_norm.default")
def _layer_norm(e: Emitter, x: Value, shape: list[int], weight: Any, bias: Any, eps: float) -> tuple[Value, ...]:
    return d.layer_norm(e, x, len(shape), weight, bias, eps)


@rule("native_layer_norm_backward.default")
def _layer_norm_backward(
    e: Emitter, grad: Value, x: Value, shape: list[int], mean: Value, rstd: Value, weight: Any, bias: Any, mask: Any
) -> tuple[Value, ...]:
    return d.layer_norm_backward(e, grad, x, len(shape), mean, rstd, weight)


@rule("_softmax.default", "_safe_softmax.default")
def _softmax(e: Emitter, x: Value, dim: int, half_to_float: Any = False) -> Value:
    return d.softmax(e, x, dim)


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
def _nll_loss(e: Emitter, x: Value, target: Value, weight: Any, reduction: int, ignore: int) -> tuple[Value, ...]:
    _require(weight is None and reduction in (1, 2), "takes no class weights and needs reduction mean or sum")
    _require(len(e.shape(x)) == 2, "needs (rows × classes)")
    return d.nll_loss(e, x, target, reduction == 1)


@rule("nll_loss_backward.default")
def _nll_loss_backward(
    e: Emitter, grad: Value, x: Value, target: Value, weight: Any, reduction: int, ignore: int, total: Any
) -> Value:
    return d.nll_loss_backward(e, grad, x, target, reduction == 1)


@rule("embedding.default")
def _embedding(e: Emitter, table: Value, index: Value, *options: Any) -> Value:
    return Value(e.builder.add("take_rows", table.id, index.id))


@rule("embedding_dense_backward.default")
def _embedding_backward(e: Emitter, grad: Value, index: Value, rows: int, padding: int, scale: bool) -> Value:
    _require(padding < 0 and not scale, "takes no padding index and no frequency scaling")
    return d.embedding_backward(e, grad, index, rows)


@rule("sum.dim_IntList")
def _sum(e: Emitter, a: Value, dims: list[int] | None, keepdim: bool = False, dtype: Any = None) -> Value:
    return e.sum(e.cast(a, "f32"), dims or None, keepdim)


@rule("sum.default")
def _sum_all(e: Emitter, a: Value, dtype: Any = None) -> Value:
    return e.sum(e.cast(a, "f32"), None, False)


@rule("mean.dim")
def _mean(e: Emitter, a: Value, dims: list[int] | None, keepdim: bool = False, dtype: Any = None) -> Value:
    return e.mean(a, dims or range(len(e.shape(a))), keepdim)


@rule("mean.default")
def _mean_all(e: Emitter, a: Value, dtype: Any = None) -> Value:
    return e.mean(a, range(len(e.shape(a))), False)


@rule("amax.default")
def _amax(e: Emitter, a: Value, dims: list[int], keepdim: bool = False) -> Value:
    return e.reduce("amax", a, dims or range(len(e.shape(a))), keepdim)


@rule("view.default", "_unsafe_view.default", "reshape.default")
def _view(e: Emitter, a: Value, shape: list[int]) -> Value:
    return e.reshape(a, shape)


@rule("expand.default")
def _expand(e: Emitter, a: Value, shape: list[int], implicit: bool = False) -> Value:
    return e.expand(a, shape)


@rule("t.default")
def _t(e: Emitter, a: Value) -> Value:
    return e.swap(a, 0, 1) if len(e.shape(a)) == 2 else a


@rule("transpose.int")
def _transpose(e: Emitter, a: Value, x: int, y: int) -> Value:
    return e.swap(a, x, y)


@rule("permute.default")
def _permute(e: Emitter, a: Value, dims: list[int]) -> Value:
    return e.permute(a, dims)


@rule("alias.default", "clone.default", "detach.default", "contiguous.default", "lift_fresh_copy.default")
def _same(e: Emitter, a: Value, **options: Any) -> Value:
    return a


@rule("unsqueeze.default")
def _unsqueeze(e: Emitter, a: Value, dim: int) -> Value:
    shape = list(e.shape(a))
    shape.insert(dim % (len(shape) + 1), 1)
    return e.reshape(a, shape)


@rule("squeeze.dim", "squeeze.dims")
def _squeeze(e: Emitter, a: Value, dims: int | list[int]) -> Value:
    shape = e.shape(a)
    chosen = {x % len(shape) for x in ([dims] if isinstance(dims, int) else dims)}
    return e.reshape(a, [n for i, n in enumerate(shape) if not (i in chosen and n == 1)])


@rule("slice.Tensor")
def _slice(e: Emitter, a: Value, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Value:
    axis = dim % len(e.shape(a))
    first, last, _ = slice(start, end).indices(e.shape(a)[axis])
    return e.slice(a, axis, first, last, step)


@rule("slice_backward.default")
def _slice_backward(e: Emitter, grad: Value, shape: list[int], dim: int, start: int, end: int, step: int) -> Value:
    _require(step == 1, "needs a step of 1")
    axis = dim % len(shape)
    first, last, _ = slice(start, end).indices(shape[axis])
    return d.pad_slice(e, grad, shape, axis, first, last)


@rule("select.int")
def _select(e: Emitter, a: Value, dim: int, index: int) -> Value:
    shape = e.shape(a)
    axis = dim % len(shape)
    place = index % shape[axis]
    return e.reshape(e.slice(a, axis, place, place + 1), [n for i, n in enumerate(shape) if i != axis])


@rule("select_backward.default")
def _select_backward(e: Emitter, grad: Value, shape: list[int], dim: int, index: int) -> Value:
    axis = dim % len(shape)
    place = index % shape[axis]
    kept = e.reshape(grad, [1 if i == axis else n for i, n in enumerate(shape)])
    return d.pad_slice(e, kept, shape, axis, place, place + 1)


@rule("split.Tensor")
def _split(e: Emitter, a: Value, size: int, dim: int = 0) -> tuple[Value, ...]:
    axis = dim % len(e.shape(a))
    total = e.shape(a)[axis]
    return tuple(e.slice(a, axis, i, min(i + size, total)) for i in range(0, total, size))


@rule("split_with_sizes.default")
def _split_sizes(e: Emitter, a: Value, sizes: list[int], dim: int = 0) -> tuple[Value, ...]:
    axis = dim % len(e.shape(a))
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return tuple(e.slice(a, axis, s, s + n) for s, n in zip(starts, sizes, strict=True))


@rule("cat.default")
def _cat(e: Emitter, values: list[Value], dim: int = 0) -> Value:
    return e.concat(values, dim % len(e.shape(values[0])))


@rule("stack.default")
def _stack(e: Emitter, values: list[Value], dim: int = 0) -> Value:
    return e.concat([_unsqueeze(e, v, dim) for v in values], dim % (len(e.shape(values[0])) + 1))


@rule("arange.default")
def _arange(e: Emitter, end: int, **options: Any) -> Value:
    return e.iota(int(end))


@rule("arange.start")
def _arange_start(e: Emitter, start: int, end: int, **options: Any) -> Value:
    return e.add(e.iota(int(end - start)), int(start))


def _our_dtype(dtype: Any, default: str) -> str:
    names = {torch.float32: "f32", torch.int64: "i64", torch.bool: "bool", None: default}
    _require(dtype in names, f"has the dtype {dtype}, only float32, int64 and bool are exact")
    return names[dtype]


@rule("ones_like.default")
def _ones_like(e: Emitter, a: Value, dtype: Any = None, **options: Any) -> Value:
    return e.full(e.shape(a), 1, _our_dtype(dtype, e.dtype(a)))


@rule("zeros_like.default")
def _zeros_like(e: Emitter, a: Value, dtype: Any = None, **options: Any) -> Value:
    return e.full(e.shape(a), 0, _our_dtype(dtype, e.dtype(a)))


@rule("full_like.default")
def _full_like(e: Emitter, a: Value, value: float, dtype: Any = None, **options: Any) -> Value:
    return e.full(e.shape(a), value, _our_dtype(dtype, e.dtype(a)))


@rule("zeros.default", "new_zeros.default")
def _zeros(e: Emitter, *arguments: Any, dtype: Any = None, **options: Any) -> Value:
    return e.full(arguments[-1], 0, _our_dtype(dtype, "f32"))


@rule("ones.default", "new_ones.default")
def _ones(e: Emitter, *arguments: Any, dtype: Any = None, **options: Any) -> Value:
    return e.full(arguments[-1], 1, _our_dtype(dtype, "f32"))


@rule("full.default")
def _full(e: Emitter, shape: list[int], value: float, dtype: Any = None, **options: Any) -> Value:
    kind = "bool" if isinstance(value, bool) else "i64" if isinstance(value, int) else "f32"
    return e.full(shape, value, _our_dtype(dtype, kind))


@rule("scalar_tensor.default")
def _scalar_tensor(e: Emitter, value: float, dtype: Any = None, **options: Any) -> Value:
    return e.constant(value, _our_dtype(dtype, "f32"))


@rule("_to_copy.default")
def _to_copy(e: Emitter, a: Value, dtype: Any = None, **options: Any) -> Value:
    target = _our_dtype(dtype, e.dtype(a))
    _require((e.dtype(a), target) not in {("f32", "i64"), ("f32", "bool"), ("i64", "bool")}, f"has no cast to {target}")
    return e.cast(a, target)


@rule("triu.default")
def _triu(e: Emitter, a: Value, diagonal: int = 0) -> Value:
    return e.where(_column_minus_row(e, a, "ge", diagonal), a, e.constant(0, e.dtype(a)))


@rule("tril.default")
def _tril(e: Emitter, a: Value, diagonal: int = 0) -> Value:
    return e.where(_column_minus_row(e, a, "le", diagonal), a, e.constant(0, e.dtype(a)))


def _column_minus_row(e: Emitter, a: Value, op: str, diagonal: int) -> Value:
    rows, columns = e.shape(a)[-2:]
    distance = e.sub(e.reshape(e.iota(columns), (1, columns)), e.reshape(e.iota(rows), (rows, 1)))
    return e.op(op, distance, diagonal)
