"""Helpers that emit exact nodes for arithmetic with values and Python numbers mixed, as ATen calls have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from consensus.exact.matmul import DEFAULT_BITS
from consensus.graph import GraphBuilder

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Value:
    """A node of the graph under construction, told apart from a Python number."""

    id: int


Operand = Value | float | int | bool


class Emitter:
    """Emits nodes into a `GraphBuilder`."""

    def __init__(self, builder: GraphBuilder, bits: int = DEFAULT_BITS) -> None:
        self.builder = builder
        self.bits = bits

    def shape(self, value: Value) -> Shape:
        """Shape of a value."""
        return self.builder.shape(value.id)

    def dtype(self, value: Value) -> str:
        """Dtype of a value."""
        return self.builder.dtype(value.id)

    def constant(self, value: Operand, dtype: str) -> Value:
        """A scalar of ``dtype``; a `Value` is cast."""
        if isinstance(value, Value):
            return self.cast(value, dtype)
        if dtype == "bool":
            return Value(self.builder.add("const", attrs={"value": str(int(value))}, dtype="bool"))
        return Value(self.builder.i64(int(value)) if dtype == "i64" else self.builder.f32(float(value)))

    def cast(self, value: Value, dtype: str) -> Value:
        """Convert to a dtype."""
        return Value(self.builder.cast(value.id, dtype))

    def _dtype_of(self, operand: Operand) -> str:
        if isinstance(operand, Value):
            return self.dtype(operand)
        return "bool" if isinstance(operand, bool) else "i64" if isinstance(operand, int) else "f32"

    def promote(self, *operands: Operand) -> tuple[Value, ...]:
        """Bring operands to one dtype: f32 over i64 over bool; Python numbers do not raise the kind without need."""
        order = ("bool", "i64", "f32")
        dtype = max((self._dtype_of(o) for o in operands), key=order.index)
        return tuple(self.constant(o, dtype) for o in operands)

    def op(self, name: str, *operands: Operand) -> Value:
        """An elementwise op after promotion."""
        values = self.promote(*operands)
        return Value(self.builder.add(name, *(v.id for v in values)))

    def unary(self, name: str, value: Value) -> Value:
        """An elementwise op of one operand."""
        return Value(self.builder.add(name, value.id))

    def add(self, a: Operand, b: Operand) -> Value:
        """a + b."""
        return self.op("add", a, b)

    def sub(self, a: Operand, b: Operand) -> Value:
        """a − b."""
        return self.op("sub", a, b)

    def mul(self, a: Operand, b: Operand) -> Value:
        """a · b."""
        return self.op("mul", a, b)

    def div(self, a: Operand, b: Operand) -> Value:
        """a / b in f32."""
        return Value(self.builder.add("div", self.constant(a, "f32").id, self.constant(b, "f32").id))

    def where(self, condition: Value, a: Operand, b: Operand) -> Value:
        """a where the condition holds, else b."""
        left, right = self.promote(a, b)
        return Value(self.builder.add("where", condition.id, left.id, right.id))

    def reduce(self, name: str, value: Value, axes: Sequence[int], keepdims: bool = True) -> Value:
        """``sum`` or ``amax``."""
        return Value(self.builder.reduce(name, value.id, axes, keepdims))

    def sum(self, value: Value, axes: Sequence[int] | None = None, keepdims: bool = True) -> Value:
        """Exact sum, over all axes by default."""
        return self.reduce("sum", value, range(len(self.shape(value))) if axes is None else axes, keepdims)

    def mean(self, value: Value, axes: Sequence[int], keepdims: bool = True) -> Value:
        """sum / n."""
        shape = self.shape(value)
        return self.div(self.sum(value, axes, keepdims), float(prod(shape[a] for a in axes)))

    def reshape(self, value: Value, shape: Sequence[int]) -> Value:
        """Row-major reshape; one −1 is worked out."""
        target = list(shape)
        if -1 in target:
            known = prod(n for n in target if n != -1)
            target[target.index(-1)] = prod(self.shape(value)) // known
        return Value(self.builder.reshape(value.id, tuple(target)))

    def expand(self, value: Value, shape: Sequence[int]) -> Value:
        """Broadcast; −1 keeps a dimension."""
        own = self.shape(value)
        lead = len(shape) - len(own)
        target = tuple(own[i - lead] if n == -1 else n for i, n in enumerate(shape))
        return Value(self.builder.expand(value.id, target))

    def permute(self, value: Value, perm: Sequence[int]) -> Value:
        """Permute the axes."""
        rank = len(self.shape(value))
        return Value(self.builder.transpose(value.id, [p % rank for p in perm]))

    def swap(self, value: Value, a: int, b: int) -> Value:
        """Exchange two axes."""
        perm = list(range(len(self.shape(value))))
        perm[a], perm[b] = perm[b], perm[a]
        return self.permute(value, perm)

    def slice(self, value: Value, axis: int, start: int, stop: int, step: int = 1) -> Value:
        """value[start:stop:step] along one axis."""
        return Value(self.builder.slice(value.id, axis, start, stop, step))

    def concat(self, values: Sequence[Value], axis: int) -> Value:
        """Join along an axis."""
        if len(values) == 1:
            return values[0]
        return Value(self.builder.add("concat", *(v.id for v in values), attrs={"axis": axis}))

    def full(self, shape: Sequence[int], value: Operand, dtype: str = "f32") -> Value:
        """A constant tensor."""
        return self.expand(self.constant(value, dtype), shape)

    def iota(self, n: int) -> Value:
        """0 … n − 1."""
        return Value(self.builder.add("iota", attrs={"n": n}))

    def matmul(self, a: Value, b: Value) -> Value:
        """Exact product with the emitter's bits."""
        return Value(self.builder.matmul(a.id, b.id, self.bits))
