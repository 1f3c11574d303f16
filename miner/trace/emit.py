"""Helpers that emit exact nodes for arithmetic with values and Python numbers mixed, as ATen calls have them.

Broadcasts are kept out of the way: an elementwise op reads the small operand itself, and what an ``expand`` feeds is
computed before the expansion, so that no kernel has to fill a tensor with copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from consensus.exact.matmul import DEFAULT_BITS
from consensus.graph import GraphBuilder
from consensus.graph.graph import MAX_INPUTS
from consensus.graph.node import Attribute
from consensus.graph.ops import OPS

Array = npt.NDArray[Any]
Shape = tuple[int, ...]

MIN_TAIL = 2**9
"""Shortest rows of long-tailed values that are split in products (= 512)."""


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
        self.row_sums: dict[int, Value] = {}
        """Sums over the last axis (kept as 1) of values whose making tells them without adding up."""
        self.long_tailed: set[int] = set()
        """Values whose rows are a few large numbers and thousands of tiny ones that count together."""
        self._streams = 0
        self._known: dict[int, Array | None] = {}

    def shape(self, value: Value) -> Shape:
        """Shape of a value."""
        return self.builder.shape(value.id)

    def dtype(self, value: Value) -> str:
        """Dtype of a value."""
        return self.builder.dtype(value.id)

    def evaluate(self, value: Value) -> Array | None:
        """The elements of a value that depends on no input of the graph, by the reference; None for others."""
        if value.id not in self._known:
            node = self.builder.node(value.id)
            inputs = [self.evaluate(Value(i)) for i in node.inputs]
            run = OPS[node.op].run
            given = [array for array in inputs if array is not None]
            self._known[value.id] = None if run is None or len(given) < len(inputs) else np.asarray(run(node, given))
        return self._known[value.id]

    def constant(self, value: Operand, dtype: str) -> Value:
        """A scalar of ``dtype``; a `Value` is cast."""
        if isinstance(value, Value):
            return self.cast(value, dtype)
        if dtype == "bool":
            return Value(self.builder.add("const", attrs={"value": str(int(value))}, dtype="bool"))
        return Value(self.builder.i64(int(value)) if dtype == "i64" else self.builder.f32(float(value)))

    def cast(self, value: Value, dtype: str) -> Value:
        """Convert to a dtype."""
        if self.dtype(value) == dtype:
            return value
        source = self._source(value)
        return self.expand(Value(self.builder.cast(source.id, dtype)), self.shape(value))

    def _dtype_of(self, operand: Operand) -> str:
        if isinstance(operand, Value):
            return self.dtype(operand)
        return "bool" if isinstance(operand, bool) else "i64" if isinstance(operand, int) else "f32"

    def promote(self, *operands: Operand) -> tuple[Value, ...]:
        """Bring operands to one dtype: f32 over i64 over bool; Python numbers do not raise the kind without need."""
        order = ("bool", "i64", "f32")
        dtype = max((self._dtype_of(o) for o in operands), key=order.index)
        return tuple(self.constant(o, dtype) for o in operands)

    def _source(self, value: Value) -> Value:
        """What a value expands, or the value."""
        node = self.builder.node(value.id)
        return Value(node.inputs[0]) if node.op == "expand" else value

    def _elementwise(self, name: str, *operands: Value) -> Value:
        """An op of its operands before any expansion; the result is expanded where no operand had its shape."""
        full = np.broadcast_shapes(*(self.shape(o) for o in operands))
        return self.expand(Value(self.builder.add(name, *(self._source(o).id for o in operands))), full)

    def op(self, name: str, *operands: Operand) -> Value:
        """An elementwise op after promotion."""
        return self._elementwise(name, *self.promote(*operands))

    def unary(self, name: str, value: Value) -> Value:
        """An elementwise op of one operand."""
        return self._elementwise(name, value)

    def add(self, a: Operand, b: Operand) -> Value:
        """a + b; a number 0 is left out."""
        if isinstance(a, Value) and not isinstance(b, Value) and b == 0:
            return self.promote(a, b)[0]
        return self.op("add", a, b)

    def sub(self, a: Operand, b: Operand) -> Value:
        """a − b."""
        return self.op("sub", a, b)

    def mul(self, a: Operand, b: Operand) -> Value:
        """a · b; a number 1 is left out."""
        if isinstance(a, Value) and not isinstance(b, Value) and b == 1:
            return self.promote(a, b)[0]
        return self.op("mul", a, b)

    def div(self, a: Operand, b: Operand) -> Value:
        """a / b in f32; a number 1 as divisor is left out."""
        if isinstance(a, Value) and not isinstance(b, Value) and b == 1:
            return self.cast(a, "f32")
        return self._elementwise("div", self.constant(a, "f32"), self.constant(b, "f32"))

    def where(self, condition: Value, a: Operand, b: Operand) -> Value:
        """a where the condition holds, else b."""
        return self._elementwise("where", condition, *self.promote(a, b))

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
        source = self._source(value)
        if source != value and prod(self.shape(source)) == 1:
            return self.expand(Value(self.builder.reshape(source.id, ())), tuple(target))
        return Value(self.builder.reshape(value.id, tuple(target)))

    def expand(self, value: Value, shape: Sequence[int]) -> Value:
        """Broadcast; −1 keeps a dimension."""
        own = self.shape(value)
        lead = len(shape) - len(own)
        target = tuple(own[i - lead] if n == -1 else n for i, n in enumerate(shape))
        if target == own:
            return value
        return Value(self.builder.expand(self._source(value).id, target))

    def permute(self, value: Value, perm: Sequence[int]) -> Value:
        """Permute the axes; two permutations become one."""
        rank = len(self.shape(value))
        order = [p % rank for p in perm]
        node = self.builder.node(value.id)
        inner = node.attrs.get("perm")
        if node.op == "transpose" and isinstance(inner, tuple):
            return Value(self.builder.transpose(node.inputs[0], [inner[p] for p in order]))
        source = self._source(value)
        if source != value:
            narrow = (1,) * (rank - len(self.shape(source))) + self.shape(source)
            return self.expand(
                self.permute(self.reshape(source, narrow), order), [self.shape(value)[p] for p in order]
            )
        return Value(self.builder.transpose(value.id, order))

    def swap(self, value: Value, a: int, b: int) -> Value:
        """Exchange two axes."""
        perm = list(range(len(self.shape(value))))
        perm[a], perm[b] = perm[b], perm[a]
        return self.permute(value, perm)

    def slice(self, value: Value, axis: int, start: int, stop: int, step: int = 1) -> Value:
        """value[start:stop:step] along one axis."""
        return Value(self.builder.slice(value.id, axis, start, stop, step))

    def concat(self, values: Sequence[Value], axis: int) -> Value:
        """Join along an axis; more than a node may read are joined in groups first."""
        if len(values) == 1:
            return values[0]
        if len(values) > MAX_INPUTS:
            parts = [values[i : i + MAX_INPUTS] for i in range(0, len(values), MAX_INPUTS)]
            return self.concat([self.concat(part, axis) for part in parts], axis)
        return Value(self.builder.add("concat", *(v.id for v in values), attrs={"axis": axis}))

    def full(self, shape: Sequence[int], value: Operand, dtype: str = "f32") -> Value:
        """A constant tensor."""
        return self.expand(self.constant(value, dtype), tuple(shape))

    def iota(self, n: int) -> Value:
        """0 … n − 1."""
        return Value(self.builder.add("iota", attrs={"n": n}))

    def pad(
        self, value: Value, low: Sequence[int], high: Sequence[int], interior: Sequence[int], fill: float = 0.0
    ) -> Value:
        """``fill`` before, after and between the elements of each axis; a negative amount cuts off."""
        attrs: dict[str, Attribute] = {
            "low": tuple(max(0, n) for n in low),
            "high": tuple(max(0, n) for n in high),
            "interior": tuple(interior),
        }
        if any((*interior, *(n > 0 for n in (*low, *high)))):
            value = Value(self.builder.add("pad", value.id, self.constant(fill, self.dtype(value)).id, attrs=attrs))
        for axis, (before, after) in enumerate(zip(low, high, strict=True)):
            value = self.slice(value, axis, max(0, -before), self.shape(value)[axis] + min(0, after))
        return value

    def windows(self, value: Value, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Value:
        """All windows of the last two axes: (… × H × W) to (… × OH × OW × KH × KW)."""
        attrs: dict[str, Attribute] = {"kernel": tuple(kernel), "stride": tuple(stride), "dilation": tuple(dilation)}
        return Value(self.builder.add("windows", value.id, attrs=attrs))

    def take_rows(self, table: Value, index: Value) -> Value:
        """table[index] along the first axis."""
        return Value(self.builder.add("take_rows", table.id, index.id))

    def pick(self, values: Value, index: Value) -> Value:
        """Elements of the last axis at (… × J)."""
        return Value(self.builder.add("pick", values.id, index.id))

    def add_rows(self, values: Value, index: Value, rows: int) -> Value:
        """Index add of the rows of ``values`` (N × D) into ``rows`` rows of zeros."""
        return Value(self.builder.add("add_rows", values.id, index.id, attrs={"rows": rows}))

    def matmul(self, a: Value, b: Value) -> Value:
        """Exact product with the emitter's bits; over K = 1 it is an elementwise product without a grid.

        Rows of a long-tailed left operand go to two grids, the numbers under max · 2^−(bits/2) to one of their own: on
        the grid of a probability near 1 all those under 2^−bits would be 0, and with them what they say together.
        """
        if self.shape(a)[-1] == 1:
            return self.mul(a, b)
        if self._is_long_tailed(a):
            size = self.unary("abs", a)
            large = self.op("gt", size, self.mul(self.reduce("amax", size, [-1]), 2.0 ** -(self.bits // 2)))
            head, tail = self.where(large, a, 0.0), self.where(large, 0.0, a)
            return self.add(self._product(head, b), self._product(tail, b))
        return self._product(a, b)

    def _product(self, a: Value, b: Value) -> Value:
        return Value(self.builder.matmul(a.id, b.id, self.bits))

    def _is_long_tailed(self, value: Value) -> bool:
        """Whether rows of a value, seen through reshapes, are those of a long-tailed one."""
        node, size = self.builder.node(value.id), self.shape(value)[-1]
        while node.op == "reshape" and value.id not in self.long_tailed:
            value = Value(node.inputs[0])
            node = self.builder.node(value.id)
        return value.id in self.long_tailed and self.shape(value)[-1] == size >= MIN_TAIL

    def uniform(self, shape: Sequence[int]) -> Value:
        """Fresh f32 in [0, 1) by the unit's seed and the step (E7); each call has a stream of its own."""
        seed = self.builder.input("seed", "seed", "u32", (2,))
        attrs: dict[str, Attribute] = {"stream": self._streams}
        self._streams += 1
        return Value(self.builder.add("uniform", seed, self.step().id, attrs=attrs, shape=tuple(shape)))

    def step(self) -> Value:
        """Number of the step within its unit, i64 ()."""
        return Value(self.builder.input("step", "step", "i64", ()))
