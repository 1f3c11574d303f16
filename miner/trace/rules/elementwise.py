"""Rules of elementwise operators, activations and their backward forms."""

from __future__ import annotations

import math
from typing import Any

from miner.trace import decompositions as d
from miner.trace.emit import Emitter, Operand, Value
from miner.trace.rules.registry import RULES, Blank, require, rule

for _op in ("eq", "ne", "lt", "le", "gt", "ge"):
    for _form in ("Tensor", "Scalar"):
        RULES[f"aten.{_op}.{_form}"] = lambda e, a, b, _op=_op: _compare(e, _op, a, b)
for _op in ("sqrt", "exp", "log", "tanh", "erf", "sin", "cos"):
    RULES[f"aten.{_op}.default"] = lambda e, a, _op=_op: e.unary(_op, e.cast(a, "f32"))
for _op in ("neg", "abs"):
    RULES[f"aten.{_op}.default"] = lambda e, a, _op=_op: e.unary(_op, a)
for _name, _op in {"logical_and": "and", "bitwise_and": "and", "logical_or": "or", "bitwise_or": "or"}.items():
    RULES[f"aten.{_name}.default"] = RULES[f"aten.{_name}.Tensor"] = lambda e, a, b, _op=_op: _logic(e, _op, a, b)


def _compare(e: Emitter, op: str, a: Operand, b: Operand) -> Value:
    a, b = e.promote(a, b)
    return e.op(op, *(e.cast(v, "i64") if e.dtype(v) == "bool" else v for v in (a, b)))


def _logic(e: Emitter, op: str, a: Value, b: Value) -> Value:
    require(e.dtype(a) == e.dtype(b) == "bool", "works on bools only")
    return e.op(op, a, b)


@rule("logical_not.default", "bitwise_not.default")
def _not(e: Emitter, a: Value) -> Value:
    require(e.dtype(a) == "bool", "works on bools only")
    return e.unary("not", a)


@rule("mul.Tensor", "mul.Scalar")
def _mul(e: Emitter, a: Operand, b: Operand) -> Value:
    a, b = e.promote(a, b) if isinstance(b, bool | Value) else (a, b)
    return e.op("and", a, b) if isinstance(b, Value) and e.dtype(b) == "bool" else e.mul(a, b)


@rule("add.Tensor", "add.Scalar")
def _add(e: Emitter, a: Operand, b: Operand, alpha: float = 1) -> Value:
    return e.add(a, b if alpha == 1 else e.mul(b, alpha))


@rule("sub.Tensor", "sub.Scalar")
def _sub(e: Emitter, a: Operand, b: Operand, alpha: float = 1) -> Value:
    return e.sub(a, b if alpha == 1 else e.mul(b, alpha))


@rule("rsub.Scalar", "rsub.Tensor")
def _rsub(e: Emitter, a: Operand, b: Operand, alpha: float = 1) -> Value:
    return e.sub(b, a if alpha == 1 else e.mul(a, alpha))


@rule("div.Tensor", "div.Scalar")
def _div(e: Emitter, a: Operand, b: Operand) -> Value:
    return e.div(a, b)


@rule("addcmul.default")
def _addcmul(e: Emitter, a: Value, b: Value, c: Value, value: float = 1) -> Value:
    return e.add(a, e.mul(e.mul(b, c), value))


@rule("lerp.Scalar", "lerp.Tensor")
def _lerp(e: Emitter, a: Value, b: Value, weight: Operand) -> Value:
    return e.add(a, e.mul(e.sub(b, a), weight))


@rule("sgn.default", "sign.default")
def _sign(e: Emitter, a: Value) -> Value:
    return d.sign(e, a)


@rule("reciprocal.default")
def _reciprocal(e: Emitter, a: Value) -> Value:
    return e.div(1.0, a)


@rule("rsqrt.default")
def _rsqrt(e: Emitter, a: Value) -> Value:
    return e.div(1.0, e.unary("sqrt", a))


@rule("log1p.default")
def _log1p(e: Emitter, a: Value) -> Value:
    return e.unary("log", e.add(a, 1.0))


@rule("square.default")
def _square(e: Emitter, a: Value) -> Value:
    return e.mul(a, a)


@rule("pow.Tensor_Scalar")
def _pow(e: Emitter, a: Value, exponent: float) -> Value:
    result = d.power(e, a, exponent)
    require(result is not None, f"has no exact form for the exponent {exponent}")
    return result or a


@rule("pow.Scalar")
def _pow_of_number(e: Emitter, base: float, a: Value) -> Value:
    require(base > 0, f"has no exact form for the base {base}")
    return e.unary("exp", e.mul(e.cast(a, "f32"), math.log(base)))


@rule("relu.default")
def _relu(e: Emitter, a: Value) -> Value:
    return e.where(e.op("gt", a, 0.0), a, 0.0)


@rule("threshold_backward.default")
def _threshold_backward(e: Emitter, grad: Value, a: Value, threshold: float) -> Value:
    return e.where(e.op("gt", a, float(threshold)), grad, 0.0)


@rule("leaky_relu.default")
def _leaky_relu(e: Emitter, a: Value, slope: float = 0.01) -> Value:
    return e.where(e.op("gt", a, 0.0), a, e.mul(a, slope))


@rule("leaky_relu_backward.default")
def _leaky_relu_backward(e: Emitter, grad: Value, a: Value, slope: float, is_result: bool) -> Value:
    return e.where(e.op("gt", a, 0.0), grad, e.mul(grad, slope))


@rule("hardtanh.default")
def _hardtanh(e: Emitter, a: Value, low: float = -1.0, high: float = 1.0) -> Value:
    return _clamp(e, a, float(low), float(high))


@rule("hardtanh_backward.default")
def _hardtanh_backward(e: Emitter, grad: Value, a: Value, low: float, high: float) -> Value:
    inside = e.op("and", e.op("gt", a, float(low)), e.op("lt", a, float(high)))
    return e.where(inside, grad, 0.0)


@rule("hardswish.default")
def _hardswish(e: Emitter, a: Value) -> Value:
    return e.div(e.mul(a, _clamp(e, e.add(a, 3.0), 0.0, 6.0)), 6.0)


@rule("hardswish_backward.default")
def _hardswish_backward(e: Emitter, grad: Value, a: Value) -> Value:
    slope = e.add(e.div(a, 3.0), 0.5)
    slope = e.where(e.op("ge", a, 3.0), 1.0, e.where(e.op("le", a, -3.0), 0.0, slope))
    return e.mul(grad, slope)


@rule("hardsigmoid.default")
def _hardsigmoid(e: Emitter, a: Value) -> Value:
    return e.div(_clamp(e, e.add(a, 3.0), 0.0, 6.0), 6.0)


@rule("hardsigmoid_backward.default")
def _hardsigmoid_backward(e: Emitter, grad: Value, a: Value) -> Value:
    inside = e.op("and", e.op("gt", a, -3.0), e.op("lt", a, 3.0))
    return e.where(inside, e.div(grad, 6.0), 0.0)


@rule("elu.default")
def _elu(e: Emitter, a: Value, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Value:
    falling = e.mul(e.sub(e.unary("exp", e.mul(d.minimum(e, a, 0.0), input_scale)), 1.0), alpha)
    return e.mul(e.where(e.op("gt", a, 0.0), a, falling), scale)


@rule("elu_backward.default")
def _elu_backward(
    e: Emitter, grad: Value, alpha: float, scale: float, input_scale: float, is_result: bool, a: Value
) -> Value:
    require(not is_result, "is given its result, needs its input")
    falling = e.mul(e.unary("exp", e.mul(d.minimum(e, a, 0.0), input_scale)), alpha * input_scale * scale)
    return e.mul(grad, e.where(e.op("gt", a, 0.0), float(scale), falling))


@rule("softplus.default")
def _softplus(e: Emitter, a: Value, beta: float = 1.0, threshold: float = 20.0) -> Value:
    scaled = e.mul(a, float(beta))
    soft = e.div(e.unary("log", e.add(e.unary("exp", d.minimum(e, scaled, float(threshold))), 1.0)), float(beta))
    return e.where(e.op("gt", scaled, float(threshold)), a, soft)


@rule("softplus_backward.default")
def _softplus_backward(e: Emitter, grad: Value, a: Value, beta: float, threshold: float) -> Value:
    scaled = e.mul(a, float(beta))
    return e.where(e.op("gt", scaled, float(threshold)), grad, e.mul(grad, d.sigmoid(e, scaled)))


@rule("mish.default")
def _mish(e: Emitter, a: Value) -> Value:
    return e.mul(a, e.unary("tanh", _softplus(e, a)))


@rule("mish_backward.default")
def _mish_backward(e: Emitter, grad: Value, a: Value) -> Value:
    """tanh(s) + x · sigmoid(x) · (1 − tanh²(s)) with s = softplus(x)."""
    gate = e.unary("tanh", _softplus(e, a))
    slope = e.add(gate, e.mul(e.mul(a, d.sigmoid(e, a)), e.sub(1.0, e.mul(gate, gate))))
    return e.mul(grad, slope)


@rule("log_sigmoid_forward.default")
def _log_sigmoid(e: Emitter, a: Value) -> tuple[Value, Blank]:
    tail = e.unary("log", e.add(e.unary("exp", e.unary("neg", e.unary("abs", a))), 1.0))
    return e.sub(d.minimum(e, a, 0.0), tail), Blank((0,), "f32")


@rule("log_sigmoid_backward.default", blank=frozenset({2}))
def _log_sigmoid_backward(e: Emitter, grad: Value, a: Value, buffer: None) -> Value:
    return e.mul(grad, d.sigmoid(e, e.unary("neg", a)))


@rule("maximum.default")
def _maximum(e: Emitter, a: Value, b: Value) -> Value:
    return e.where(e.op("gt", a, b), a, b)


@rule("minimum.default")
def _minimum(e: Emitter, a: Value, b: Value) -> Value:
    return d.minimum(e, a, b)


@rule("clamp.default", "clamp.Tensor")
def _clamp(e: Emitter, a: Value, low: Operand | None = None, high: Operand | None = None) -> Value:
    a = a if low is None else e.where(e.op("lt", a, low), low, a)
    return a if high is None else e.where(e.op("gt", a, high), high, a)


@rule("clamp_min.default")
def _clamp_min(e: Emitter, a: Value, low: float) -> Value:
    return _clamp(e, a, low)


@rule("clamp_max.default")
def _clamp_max(e: Emitter, a: Value, high: float) -> Value:
    return _clamp(e, a, None, high)


@rule("where.self", "where.ScalarOther", "where.ScalarSelf", "where.Scalar")
def _where(e: Emitter, condition: Value, a: Operand, b: Operand) -> Value:
    return e.where(condition, a, b)


@rule("masked_fill.Scalar", "masked_fill.Tensor")
def _masked_fill(e: Emitter, a: Value, mask: Value, value: Operand) -> Value:
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


@rule("bernoulli.p", "bernoulli.default")
def _bernoulli(e: Emitter, a: Value, p: float | None = None, generator: Any = None) -> Value:
    require(generator is None, "draws by the unit's seed only, not by a generator")
    return e.cast(e.op("lt", e.uniform(e.shape(a)), a if p is None else float(p)), "f32")


@rule("rand.default")
def _rand(e: Emitter, shape: list[int], **options: Any) -> Value:
    return e.uniform(shape)


@rule("rand_like.default", "uniform.default")
def _rand_like(
    e: Emitter, a: Value, low: float = 0.0, high: float = 1.0, generator: Any = None, **options: Any
) -> Value:
    require(generator is None, "draws by the unit's seed only, not by a generator")
    return e.add(e.mul(e.uniform(e.shape(a)), high - low), low)


@rule("randn.default")
def _randn(e: Emitter, shape: list[int], **options: Any) -> Value:
    return d.normal(e, shape)


@rule("randn_like.default", "normal_functional.default")
def _randn_like(
    e: Emitter, a: Value, mean: float = 0.0, std: float = 1.0, generator: Any = None, **options: Any
) -> Value:
    require(generator is None, "draws by the unit's seed only, not by a generator")
    return e.add(e.mul(d.normal(e, e.shape(a)), std), mean)
