"""Random legal graphs with inputs, for any executor: nodes of every op, adversarial values, nothing that ends the unit.

    graph, inputs = make_random_graph(seed, size, train=False)
    run_reference(graph, inputs)        # and the same bytes from yours

The same arguments give the same graph and inputs. Intermediate values may be NaN or infinite; what goes to a grid or an
output is made finite first, and indices are kept within their tables.
"""

from __future__ import annotations

import random as python_random
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from consensus.graph import Graph, GraphBuilder, GraphError
from consensus.graph.node import Attribute
from tests.consensus.exact.vectors import adversarial, indices, small, wide

Array = npt.NDArray[Any]
Inputs = dict[tuple[str, str], Array]
MAX_COUNT = 3000
"""Most elements of a random node."""
SHAPES = (
    (), (1,), (7,), (33,), (3, 5), (33, 4), (4, 40), (1, 6), (6, 1), (2, 3, 4), (2, 1, 9), (3, 8, 8), (1, 2, 3, 4),
)  # fmt: skip


class RandomGraph:
    """Adds random nodes to a builder."""

    def __init__(self, seed: int) -> None:
        self.choose = python_random.Random(seed)
        self.builder = GraphBuilder()
        self.inputs: Inputs = {}
        self.values: list[int] = []

    def pick(self, dtype: str, rank: int = 0) -> int:
        """A value of a dtype and at least a rank, later ones more often; raises LookupError when there is none."""
        fits = [v for v in self.values if self.builder.dtype(v) == dtype and len(self.builder.shape(v)) >= rank]
        if not fits:
            raise LookupError(dtype)
        return fits[max(self.choose.randrange(len(fits)), self.choose.randrange(len(fits)))]

    def add(self, op: str, *inputs: int, dtype: str | None = None, shape: Any = None, **attrs: Attribute) -> int:
        """A node, as `GraphBuilder.add`."""
        return self.builder.add(op, *inputs, attrs=attrs, dtype=dtype, shape=shape)

    def add_input(self, kind: str, name: str, value: Array) -> None:
        """An input with its value."""
        dtype = {"float32": "f32", "int64": "i64", "bool": "bool"}[value.dtype.name]
        self.values.append(self.builder.input(kind, name, dtype, value.shape))
        self.inputs[(kind, name)] = value

    def make_finite(self, value: int) -> int:
        """The value with 0 in place of NaN and infinities."""
        b = self.builder
        return self.add("where", b.add("eq", b.add("sub", value, value), b.f32(0.0)), value, b.f32(0.0))

    def make_index(self, value: int, size: int) -> int:
        """The i64 value with 0 in place of what is outside 0 … size − 1."""
        b = self.builder
        inside = b.add("and", b.add("ge", value, b.i64(0)), b.add("lt", value, b.i64(size)))
        return self.add("where", inside, value, b.i64(0))

    def grow(self) -> None:
        """Add one random op, unless there is nothing it fits to."""
        makers = [name for name in dir(self) if name.startswith("_make_")]
        try:
            value = getattr(self, self.choose.choice(makers))()
        except (LookupError, GraphError):
            return
        if prod(self.builder.shape(value)) <= MAX_COUNT and len(self.builder.shape(value)) <= 6:
            self.values.append(value)

    def _make_unary(self) -> int:
        op = self.choose.choice(("neg", "abs", "sqrt", "exp", "log", "tanh", "erf", "sin", "cos"))
        return self.add(op, self.pick("f32"))

    def _make_binary(self) -> int:
        dtype = self.choose.choice(("f32", "f32", "i64"))
        op = self.choose.choice(("add", "sub", "mul", "div") if dtype == "f32" else ("add", "sub", "mul"))
        return self.add(op, self.pick(dtype), self.pick(dtype))

    _make_another_binary = _make_binary

    def _make_constant_binary(self) -> int:
        constant = self.builder.f32(self.choose.choice((0.0, -0.0, 1.0, 3.0, 0.1, 1e-40, 3e38, float("-inf"))))
        return self.add(self.choose.choice(("add", "sub", "mul", "div")), self.pick("f32"), constant)

    def _make_comparison(self) -> int:
        dtype = self.choose.choice(("f32", "i64"))
        return self.add(self.choose.choice(("eq", "ne", "lt", "le", "gt", "ge")), self.pick(dtype), self.pick(dtype))

    def _make_logic(self) -> int:
        op = self.choose.choice(("and", "or", "not"))
        return self.add(op, *(self.pick("bool") for _ in range(1 if op == "not" else 2)))

    def _make_where(self) -> int:
        dtype = self.choose.choice(("f32", "f32", "i64", "bool"))
        return self.add("where", self.pick("bool"), self.pick(dtype), self.pick(dtype))

    def _make_cast(self) -> int:
        source, target = self.choose.choice((("bool", "f32"), ("i64", "f32"), ("bool", "i64")))
        return self.add("cast", self.pick(source), dtype=target)

    def _make_reduction(self) -> int:
        value = self.pick("f32", 1)
        rank = len(self.builder.shape(value))
        axes = tuple(sorted(self.choose.sample(range(rank), self.choose.randint(1, rank))))
        return self.add(self.choose.choice(("sum", "amax")), self.make_finite(value), axes=axes)

    def _make_matmul(self) -> int:
        a = self.make_finite(self.pick("f32", 2))
        rank = len(self.builder.shape(a))
        perm = (*range(rank - 2), rank - 1, rank - 2)
        other = self.make_finite(self.pick("f32", 2))
        if self.builder.shape(other) != self.builder.shape(a):
            other = a
        return self.builder.matmul(a, self.builder.transpose(other, perm), bits=self.choose.choice((1, 8, 12, 13, 14)))

    def _any(self, rank: int = 0) -> int:
        return self.pick(self.choose.choice(("f32", "f32", "i64", "bool")), rank)

    def _make_reshape(self) -> int:
        value = self._any()
        count = prod(self.builder.shape(value))
        divisor = self.choose.choice([n for n in range(1, count + 1) if count % n == 0])
        return self.builder.reshape(value, self.choose.choice(((count,), (divisor, count // divisor), (count, 1))))

    def _make_expand(self) -> int:
        value = self._any()
        shape = tuple(self.choose.choice((1, 5)) if n == 1 else n for n in self.builder.shape(value))
        return self.builder.expand(value, (self.choose.choice((1, 2)), *shape))

    def _make_transpose(self) -> int:
        value = self._any(2)
        rank = len(self.builder.shape(value))
        return self.builder.transpose(value, self.choose.sample(range(rank), rank))

    def _make_slice(self) -> int:
        value = self._any(1)
        axis = self.choose.randrange(len(self.builder.shape(value)))
        size = self.builder.shape(value)[axis]
        start = self.choose.randrange(size)
        stop, step = self.choose.randint(start + 1, size), self.choose.choice((1, 1, 2, 3))
        return self.builder.slice(value, axis, start, stop, step)

    def _make_concat(self) -> int:
        value = self._any(1)
        axis = self.choose.randrange(len(self.builder.shape(value)))
        others = [v for v in self.values if self.builder.node(v).dtype == self.builder.dtype(value)]
        return self.add("concat", value, self.choose.choice([value, *others]), value, axis=axis)

    def _make_pad(self) -> int:
        dtype = self.choose.choice(("f32", "i64"))
        value, number = self.pick(dtype), self.choose.choice((0.0, -1.5, float("-inf")))
        fill = self.builder.f32(number) if dtype == "f32" else self.builder.i64(-3)
        low, high, interior = (
            tuple(self.choose.choice((0, 0, 1, 2)) for _ in self.builder.shape(value)) for _ in range(3)
        )
        return self.add("pad", value, fill, low=low, high=high, interior=interior)

    def _make_windows(self) -> int:
        value = self._any(2)
        kernel, stride = (tuple(self.choose.choice((1, 2, 3)) for _ in range(2)) for _ in range(2))
        dilation = tuple(self.choose.choice((1, 1, 2)) for _ in range(2))
        return self.add("windows", value, kernel=kernel, stride=stride, dilation=dilation)

    def _make_take_rows(self) -> int:
        table = self._any(1)
        return self.add("take_rows", table, self.make_index(self.pick("i64"), self.builder.shape(table)[0]))

    def _make_pick(self) -> int:
        value = self.pick("f32", 1)
        positive = self.add("cast", self.add("gt", value, self.builder.f32(0.0)), dtype="i64")
        return self.add("pick", value, self.make_index(positive, self.builder.shape(value)[-1]))

    def _make_add_rows(self) -> int:
        value = self.make_finite(self.pick("f32", 1))
        columns = self.builder.shape(value)[-1]
        rows = prod(self.builder.shape(value)) // columns
        table = self.choose.randint(1, 9)
        index = self.make_index(self.add("iota", n=rows), table)
        return self.add("add_rows", self.builder.reshape(value, (rows, columns)), index, rows=table)

    def _make_uniform(self) -> int:
        seed = self.builder.input("seed", "seed", "u32", (2,))
        step = self.builder.input("step", "step", "i64", ())
        self.inputs[("seed", "seed")] = np.array([1, 2**32 - 1], dtype=np.uint32)
        self.inputs[("step", "step")] = np.array(5, dtype=np.int64)
        return self.add("uniform", seed, step, shape=self.choose.choice(SHAPES), stream=self.choose.randrange(2**32))


def make_random_graph(seed: int, size: int = 40, train: bool = False) -> tuple[Graph, Inputs]:
    """A graph of about ``size`` random ops, with its inputs.

    It gives results (all values that nothing reads, and whether they are finite); if ``train`` also new state, a loss
    and a gradient norm.
    """
    made = RandomGraph(seed)
    kind = "state" if train else "batch"
    drawers: tuple[Callable[[tuple[int, ...]], Array], ...] = (
        lambda shape: adversarial(shape, seed % 1000), lambda shape: wide(shape, seed % 1000),
        lambda shape: small(shape, seed % 1000, -2, 2),
    )  # fmt: skip
    for number, draw in enumerate(drawers):
        made.add_input(kind, f"w{number}", draw(made.choose.choice(SHAPES)))
    made.add_input("batch", "index", indices((made.choose.choice((1, 5, 40)),), seed % 1000, 6))
    made.add_input("batch", "mask", adversarial((4, 40), seed % 1000 + 1) > 0)
    states = made.values[: len(drawers)]
    for _ in range(size):
        made.grow()
    read = {i for value in made.values for i in made.builder.node(value).inputs}
    for number, value in enumerate(v for v in made.values if v not in read and v not in states):
        _add_result(made, f"r{number}", value)
    if train:
        _add_step(made, states)
    elif not any(v not in read and v not in states for v in made.values):
        _add_result(made, "r", states[0])
    graph = made.builder.finish()
    named = {(str(n.attrs["kind"]), str(n.attrs["name"])) for n in graph.nodes if n.op == "input"}
    return graph, {key: value for key, value in made.inputs.items() if key in named}


def _add_result(made: RandomGraph, name: str, value: int) -> None:
    b = made.builder
    if b.dtype(value) == "f32":
        b.output("result", f"{name}/is number", b.add("eq", value, value))
        b.output("result", f"{name}/is positive", b.add("gt", value, b.f32(0.0)))
        value = made.make_finite(value)
    b.output("result", name, value)


def _add_step(made: RandomGraph, states: list[int]) -> None:
    b = made.builder
    for state in states:
        like = [v for v in made.values if b.dtype(v) == "f32" and b.shape(v) == b.shape(state)]
        b.output("state", str(b.node(state).attrs["name"]), made.make_finite(made.choose.choice(like)))
    for kind in ("loss", "grad_norm"):
        value = made.make_finite(made.pick("f32"))
        shape = b.shape(value)
        total = b.reduce("sum", value, tuple(range(len(shape))), keepdims=False) if shape else value
        b.output(kind, kind, made.make_finite(total))
