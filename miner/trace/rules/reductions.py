"""Rules of sums, means, variances, largest values and matrix products."""

from __future__ import annotations

from typing import Any

from miner.trace import decompositions as d
from miner.trace.emit import Emitter, Operand, Value
from miner.trace.rules.registry import our_dtype, positive_axes, require, rule


@rule("sum.dim_IntList")
def _sum(e: Emitter, a: Value, dims: list[int] | None, keepdim: bool = False, dtype: Any = None) -> Value:
    require(our_dtype(dtype, "f32") == "f32" and e.dtype(a) != "i64", "adds up f32 and counts bools, as f32")
    return e.sum(e.cast(a, "f32"), positive_axes(dims, len(e.shape(a))), keepdim)


@rule("sum.default")
def _sum_all(e: Emitter, a: Value, dtype: Any = None) -> Value:
    return _sum(e, a, None, False, dtype)


@rule("mean.dim")
def _mean(e: Emitter, a: Value, dims: list[int] | None, keepdim: bool = False, dtype: Any = None) -> Value:
    return e.mean(a, positive_axes(dims, len(e.shape(a))), keepdim)


@rule("mean.default")
def _mean_all(e: Emitter, a: Value, dtype: Any = None) -> Value:
    return _mean(e, a, None)


@rule("var_mean.correction")
def _var_mean(
    e: Emitter, a: Value, dims: list[int] | None = None, *, correction: float | None = None, keepdim: bool = False
) -> tuple[Value, Value]:
    axes = positive_axes(dims, len(e.shape(a)))
    variance, mean = d.variance(e, a, axes, 1.0 if correction is None else float(correction))
    if not keepdim:
        kept = [n for i, n in enumerate(e.shape(a)) if i not in axes]
        variance, mean = e.reshape(variance, kept), e.reshape(mean, kept)
    return variance, mean


@rule("var.correction")
def _var(
    e: Emitter, a: Value, dims: list[int] | None = None, *, correction: float | None = None, keepdim: bool = False
) -> Value:
    return _var_mean(e, a, dims, correction=correction, keepdim=keepdim)[0]


@rule("std.correction")
def _std(
    e: Emitter, a: Value, dims: list[int] | None = None, *, correction: float | None = None, keepdim: bool = False
) -> Value:
    return e.unary("sqrt", _var(e, a, dims, correction=correction, keepdim=keepdim))


@rule("linalg_vector_norm.default")
def _vector_norm(
    e: Emitter, a: Value, order: float = 2, dims: list[int] | None = None, keepdim: bool = False, dtype: Any = None
) -> Value:
    require(order == 2, f"has no exact form for the order {order}")
    return e.unary("sqrt", e.sum(e.mul(a, a), positive_axes(dims, len(e.shape(a))), keepdim))


@rule("amax.default")
def _amax(e: Emitter, a: Value, dims: list[int], keepdim: bool = False) -> Value:
    return e.reduce("amax", a, positive_axes(dims, len(e.shape(a))), keepdim)


@rule("amin.default")
def _amin(e: Emitter, a: Value, dims: list[int], keepdim: bool = False) -> Value:
    return e.unary("neg", _amax(e, e.unary("neg", a), dims, keepdim))


@rule("max.default")
def _max(e: Emitter, a: Value) -> Value:
    return _amax(e, a, [])


@rule("any.default", "any.dim", "any.dims")
def _any(e: Emitter, a: Value, dims: int | list[int] | None = None, keepdim: bool = False) -> Value:
    hit = e.cast(a if e.dtype(a) == "bool" else e.op("ne", a, 0), "f32")
    return e.op("gt", e.reduce("amax", hit, positive_axes(dims, len(e.shape(a))), keepdim), 0.0)


@rule("all.default", "all.dim", "all.dims")
def _all(e: Emitter, a: Value, dims: int | list[int] | None = None, keepdim: bool = False) -> Value:
    return e.unary("not", _any(e, e.unary("not", a if e.dtype(a) == "bool" else e.op("ne", a, 0)), dims, keepdim))


@rule("cumsum.default")
def _cumsum(e: Emitter, a: Value, dim: int, dtype: Any = None) -> Value:
    """By doubling: after step k each element has added up 2^k of its predecessors."""
    a = e.cast(a, our_dtype(dtype, "i64" if e.dtype(a) == "bool" else e.dtype(a)))
    axis = dim % len(e.shape(a))
    size, reach = e.shape(a)[axis], 1
    while reach < size:
        low, high = ([n * (i == axis) for i in range(len(e.shape(a)))] for n in (reach, -reach))
        a = e.add(a, e.pad(a, low, high, [0] * len(low)))
        reach *= 2
    return a


@rule("mm.default", "bmm.default")
def _mm(e: Emitter, a: Value, b: Value) -> Value:
    return e.matmul(a, b)


@rule("mv.default")
def _mv(e: Emitter, a: Value, b: Value) -> Value:
    rows, inner = e.shape(a)
    return e.reshape(e.matmul(a, e.reshape(b, (inner, 1))), (rows,))


@rule("dot.default")
def _dot(e: Emitter, a: Value, b: Value) -> Value:
    return e.reshape(e.matmul(e.reshape(a, (1, -1)), e.reshape(b, (-1, 1))), ())


@rule("addmm.default", "baddbmm.default")
def _addmm(e: Emitter, bias: Value, a: Value, b: Value, beta: Operand = 1, alpha: Operand = 1) -> Value:
    product = e.mul(e.matmul(a, b), alpha)
    return product if beta == 0 else e.add(product, e.mul(bias, beta))

