"""The op set of exact/v1: for each op its attributes, its shape rule, its NumPy reference and its cost.

op          inputs                attributes           result
input       —                     name, kind           kind: state | batch | seed | step
const       —                     value                a scalar: 8 hex digits (f32) or decimal (i64, bool)
iota        —                     n                    i64 (n,): 0 … n−1
add sub mul div                                        of two, broadcast (E1); div: f32 only
eq ne lt le gt ge                                      bool of two of one dtype (E1)
and or not                                             of bools (E1)
neg abs sqrt                                           f32 (neg, abs: i64 too) (E1)
exp log tanh erf sin cos                               f32 (E5)
where       bool, a, b                                 broadcast (E1)
cast        a                     —                    bool|i64 → f32, bool → i64 (E1)
sum amax    a                     axes                 reduced axes kept as 1 (E4, E6)
matmul      a, b                  bits                 (…×M×K)·(…×K×N) (E3)
reshape     a                     —                    row-major reinterpretation (E6)
expand      a                     —                    NumPy broadcast to the node's shape (E6)
transpose   a                     perm                 (E6)
slice       a                     axis, start, stop, step   (E6)
concat      a, b, …               axis                 (E6)
pad         a, scalar             low, high, interior  scalar before, after and between the elements (E6)
windows     a (…×H×W)             kernel, stride, dilation   all windows, …×OH×OW×KH×KW (E6)
take_rows   table, i64 index      —                    table[index] (E6)
pick        a, i64 index (…×J)    —                    J elements of the last axis (E6)
add_rows    values N×D, index N   rows                 index add (E4)
uniform     u32 seed (2,), i64 step ()   stream        f32 in [0, 1) of the node's shape (E7)
output      a                     name, kind           kind: state | loss | grad_norm | result
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from consensus.exact import elementwise, matmul, movement, random, sums, transcendental
from consensus.exact.errors import InexactBound
from consensus.exact.values import check_finite
from consensus.graph.errors import BadAttributes, GraphError, InexactNode, UnknownOp, WrongShape
from consensus.graph.node import DTYPES, MAX_INTEGER, MAX_NAME_BYTES, Node

Array = npt.NDArray[Any]
Shape = tuple[int, ...]

NUMPY_DTYPES: dict[str, np.dtype[Any]] = {
    "f32": np.dtype(np.float32),
    "i64": np.dtype(np.int64),
    "bool": np.dtype(np.bool_),
    "u32": np.dtype(np.uint32),
}
"""NumPy's dtype for each of ours."""

INPUT_KINDS = ("state", "batch", "seed", "step")
MAX_PAD = 2**20
"""Largest amount of a pad, kernel, stride, dilation or step (= 1,048,576): results stay within 64-bit arithmetic."""
OUTPUT_KINDS = ("state", "loss", "grad_norm", "result")
ATTRIBUTE_KINDS = {
    "int": "an integer of magnitude under 2^53",
    "ints": "a list of integers of magnitude under 2^53",
    "str": "a string",
}
"""What an attribute may be, with the words for a message."""


@dataclass(frozen=True)
class Op:
    """One operation."""

    arity: int | None
    """Number of inputs; None: one or more."""
    attrs: dict[str, str]
    """Attribute names with their kinds, keys of `ATTRIBUTE_KINDS`."""
    infer: Callable[[Node, Sequence[Node]], tuple[str, Shape]]
    """The result's dtype and shape from the node and its input nodes; raises `GraphError`."""
    run: Callable[[Node, Sequence[Array]], Array] | None
    """NumPy reference; None for inputs."""
    macs: Callable[[Node, Sequence[Node]], int]
    """Cost in MACs; the docstring is the formula in words."""


def _need(condition: bool, message: str) -> None:
    if not condition:
        raise WrongShape(message)


def _need_attr(condition: bool, message: str) -> None:
    if not condition:
        raise BadAttributes(message)


def _ints(node: Node, name: str) -> tuple[int, ...]:
    value = node.attrs[name]
    return value if isinstance(value, tuple) else ()


def _int(node: Node, name: str) -> int:
    value = node.attrs[name]
    return value if isinstance(value, int) else 0


def _broadcast(shapes: Sequence[Shape]) -> Shape:
    """NumPy's rule: aligned at the last axis, sizes are equal or 1."""
    result: list[int] = []
    for axis in range(1, max(map(len, shapes)) + 1):
        sizes = {shape[-axis] for shape in shapes if len(shape) >= axis} - {1}
        _need(len(sizes) <= 1, f"shapes {list(shapes)} do not broadcast")
        result.append(sizes.pop() if sizes else 1)
    return tuple(reversed(result))


def _name(node: Node) -> None:
    """Names are Unicode of 1 to `MAX_NAME_BYTES` bytes without control characters (they go to logs and file names)."""
    name = str(node.attrs["name"])
    _need_attr(not any("\ud800" <= c <= "\udfff" for c in name), f"name {name[:64]!r} is no valid Unicode")
    _need_attr(0 < len(name.encode()) <= MAX_NAME_BYTES, f"name {name[:64]!r} has not 1 to {MAX_NAME_BYTES} bytes")
    _need_attr(not any(c < " " or "\x7f" <= c <= "\x9f" for c in name), f"name {name[:64]!r} has control characters")


Infer = Callable[[Node, Sequence[Node]], tuple[str, Shape]]


def _elementwise(dtypes: tuple[str, ...], result: str | None = None) -> Infer:
    def infer(node: Node, inputs: Sequence[Node]) -> tuple[str, Shape]:
        found = {i.dtype for i in inputs}
        _need(len(found) == 1 and found <= set(dtypes), f"{node.op} takes one dtype of {dtypes}, got {sorted(found)}")
        return result or inputs[0].dtype, _broadcast([i.shape for i in inputs])

    return infer


def _elements(cost: int) -> Callable[[Node, Sequence[Node]], int]:
    def macs(node: Node, inputs: Sequence[Node]) -> int:
        return cost * prod(node.shape)

    macs.__doc__ = f"{cost} for each element of the result"
    return macs


def _free(node: Node, inputs: Sequence[Node]) -> int:
    """0"""
    return 0


def _terms(node: Node, inputs: Sequence[Node]) -> int:
    return sums.MACS_PER_TERM * prod(inputs[0].shape)


_terms.__doc__ = f"{sums.MACS_PER_TERM} for each element of the first operand"


def _infer_where(node: Node, inputs: Sequence[Node]) -> tuple[str, Shape]:
    condition, a, b = inputs
    _need(condition.dtype == "bool", "where takes a bool condition")
    _need(a.dtype == b.dtype, f"where takes two operands of one dtype, got {a.dtype} and {b.dtype}")
    return a.dtype, _broadcast([condition.shape, a.shape, b.shape])


def _infer_cast(node: Node, inputs: Sequence[Node]) -> tuple[str, Shape]:
    pair = (inputs[0].dtype, node.dtype)
    _need(pair in {("bool", "f32"), ("i64", "f32"), ("bool", "i64")}, f"no cast from {pair[0]} to {pair[1]}")
    return node.dtype, inputs[0].shape


def _infer_reduce(node: Node, inputs: Sequence[Node]) -> tuple[str, Shape]:
    axes, shape = _ints(node, "axes"), inputs[0].shape
    _need(inputs[0].dtype == "f32", f"{node.op} takes f32, got {inputs[0].dtype}")
    _need_attr(bool(axes) and list(axes) == sorted(set(axes)), "axes must be given in rising order, each once")
    _need_attr(axes[0] >= 0 and axes[-1] < len(shape), f"axes {axes} are not all axes of {shape}")
    if node.op == "sum":
        _bound(lambda: sums.check_terms(prod(shape[a] for a in axes)))
    return "f32", tuple(1 if a in axes else n for a, n in enumerate(shape))


def _bound(check: Callable[[], None]) -> None:
    try:
        check()
    except InexactBound as error:
        raise InexactNode(str(error)) from error


def _infer_matmul(node: Node, inputs: Sequence[Node]) -> tuple[str, Shape]:
    a, b = inputs
    _need(a.dtype == b.dtype == "f32", f"matmul takes f32, got {a.dtype} and {b.dtype}")
    _need(len(a.shape) == len(b.shape) >= 2, f"matmul takes two arrays of one rank ≥ 2, got {a.shape} and {b.shape}")
    _need(a.shape[:-2] == b.shape[:-2], f"leading dimensions of {a.shape} and {b.shape} differ")
    _need(a.shape[-1] == b.shape[-2], f"inner dimensions of {a.shape} and {b.shape} differ")
    bits = _int(node, "bits")
    _need_attr(1 <= bits <= 14, f"bits must be 1 … 14, got {bits}")
    _bound(lambda: matmul.check_bound(a.shape[-1], bits))
    return "f32", (*a.shape[:-1], b.shape[-1])


def _matmul_macs(node: Node, inputs: Sequence[Node]) -> int:
    """B · M · K · N, B being the product of the leading dimensions"""
    a, b = inputs
    return matmul.macs(prod(a.shape[:-2]), a.shape[-2], a.shape[-1], b.shape[-1])


def _infer_reshape(node: Node, inputs: Sequence[Node]) -> tuple[str, Shape]:
    _need(prod(node.shape) == prod(inputs[0].shape), f"{inputs[0].shape} cannot be reshaped to {node.shape}")
    return inputs[0].dtype, node.shape


def _infer_expand(node: Node, inputs: Sequence[Node]) -> tuple[str, Shape]:
    _need(_broadcast([inputs[0].shape, node.shape]) == node.shape, f"{inputs[0].shape} does not expand to {node.shape}")
    return inputs[0].dtype, node.shape


def _infer_transpose(node: Node, inputs: Sequence[Node]) -> tuple[str, Shape]:
    perm, shape = _ints(node, "perm"), inputs[0].shape
    _need_attr(sorted(perm) == list(range(len(shape))), f"perm {perm} is no permutation of the axes of {shape}")
    return inputs[0].dtype, tuple(shape[p] for p in perm)


def _infer_slice(node: Node, inputs: Sequence[Node]) -> tuple[str, Shape]:
    axis, start, stop, step = (_int(node, name) for name in ("axis", "start", "stop", "step"))
    shape = inputs[0].shape
    _need_attr(0 <= axis < len(shape), f"axis {axis} is no axis of {shape}")
    _need_attr(0 <= start < stop <= shape[axis] and 1 <= step <= MAX_PAD, f"slice {start}:{stop}:{step} of {shape}")
    return inputs[0].dtype, (*shape[:axis], len(range(start, stop, step)), *shape[axis + 1 :])


def _infer_concat(node: Node, inputs: Sequence[Node]) -> tuple[str, Shape]:
    axis, first = _int(node, "axis"), inputs[0]
    _need_attr(0 <= axis < len(first.shape), f"axis {axis} is no axis of {first.shape}")
    _need({i.dtype for i in inputs} == {first.dtype}, "concat takes one dtype")
    others = {(len(i.shape), i.shape[:axis], i.shape[axis + 1 :]) for i in inputs}
    _need(len(others) == 1, "concat takes one rank and, but for the axis, one shape")
    return first.dtype, (*first.shape[:axis], sum(i.shape[axis] for i in inputs), *first.shape[axis + 1 :])


def _infer_take_rows(node: Node, inputs: Sequence[Node]) -> tuple[str, Shape]:
    table, index = inputs
    _need(index.dtype == "i64" and len(table.shape) >= 1, "take_rows takes a table and i64 indices")
    return table.dtype, (*index.shape, *table.shape[1:])


def _infer_pick(node: Node, inputs: Sequence[Node]) -> tuple[str, Shape]:
    values, index = inputs
    _need(index.dtype == "i64" and len(values.shape) >= 1, "pick takes values and i64 indices")
    fits = len(index.shape) == len(values.shape) and index.shape[:-1] == values.shape[:-1]
    _need(fits, f"pick: index {index.shape} for values {values.shape}")
    return values.dtype, index.shape


def _infer_pad(node: Node, inputs: Sequence[Node]) -> tuple[str, Shape]:
    a, fill = inputs
    low, high, interior = (_ints(node, name) for name in ("low", "high", "interior"))
    _need(fill.shape == () and fill.dtype == a.dtype, f"pad takes a scalar of dtype {a.dtype} to fill with")
    _need_attr(len(low) == len(high) == len(interior) == len(a.shape), "pad: one amount for each axis")
    _need_attr(all(0 <= n <= MAX_PAD for n in (*low, *high, *interior)), f"pad: amounts are 0 … {MAX_PAD}")
    sizes = zip(a.shape, low, high, interior, strict=True)
    return a.dtype, tuple(before + (n - 1) * (between + 1) + 1 + after for n, before, after, between in sizes)


def _infer_windows(node: Node, inputs: Sequence[Node]) -> tuple[str, Shape]:
    kernel, stride, dilation = (_ints(node, name) for name in ("kernel", "stride", "dilation"))
    shape = inputs[0].shape
    _need(len(shape) >= 2, "windows takes an array of rank ≥ 2")
    _need_attr(len(kernel) == len(stride) == len(dilation) == 2, "windows: kernel, stride, dilation have two numbers")
    _need_attr(all(1 <= n <= MAX_PAD for n in (*kernel, *stride, *dilation)), f"windows: numbers are 1 … {MAX_PAD}")
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    _need(all(s <= n for s, n in zip(spans, shape[-2:], strict=True)), f"windows of {spans} in {shape[-2:]}")
    places = tuple((n - span) // s + 1 for n, span, s in zip(shape[-2:], spans, stride, strict=True))
    return inputs[0].dtype, (*shape[:-2], *places, *kernel)


def _infer_add_rows(node: Node, inputs: Sequence[Node]) -> tuple[str, Shape]:
    values, index = inputs
    rows = _int(node, "rows")
    _need(values.dtype == "f32" and len(values.shape) == 2, "add_rows takes f32 values of rank 2")
    _need(index.dtype == "i64" and index.shape == values.shape[:1], "add_rows takes one i64 index for each row")
    _need_attr(rows >= 1, "rows must be at least 1")
    _bound(lambda: sums.check_terms(values.shape[0]))
    return "f32", (rows, values.shape[1])


def _infer_uniform(node: Node, inputs: Sequence[Node]) -> tuple[str, Shape]:
    seed, step = inputs
    _need((seed.dtype, seed.shape, step.dtype, step.shape) == ("u32", (2,), "i64", ()), "uniform takes seed and step")
    _need_attr(0 <= _int(node, "stream") < 2**32, "stream must fit 32 bits")
    return "f32", node.shape


def _infer_input(node: Node, inputs: Sequence[Node]) -> tuple[str, Shape]:
    kind = node.attrs["kind"]
    _need_attr(kind in INPUT_KINDS, f"kind must be one of {INPUT_KINDS}, got {kind!r}")
    _name(node)
    _need(node.dtype in DTYPES, f"unknown dtype {node.dtype!r}")
    _need(node.dtype != "u32" or kind == "seed", "u32 is the seed's dtype only; use i64")
    _need(kind != "seed" or (node.dtype, node.shape) == ("u32", (2,)), "the seed is u32 (2,)")
    _need(kind != "step" or (node.dtype, node.shape) == ("i64", ()), "the step is i64 ()")
    return node.dtype, node.shape


def _infer_const(node: Node, inputs: Sequence[Node]) -> tuple[str, Shape]:
    value = str(node.attrs["value"])
    if node.dtype == "f32":
        _need_attr(re.fullmatch("[0-9a-f]{8}", value) is not None, "an f32 constant has 8 lower-case hex digits")
        _need_attr(int(value, 16) & 0x7FFFFFFF <= 0x7F800000, f"{value} is a NaN; no graph needs one")
    elif node.dtype in ("i64", "bool"):
        limit = 2**63 if node.dtype == "i64" else 2
        _need_attr(re.fullmatch("-?[0-9]{1,19}", value) is not None, "an integer constant is given in decimal digits")
        _need_attr(str(int(value)) == value and -limit <= int(value) < limit, f"{value} is no {node.dtype}")
        _need_attr(node.dtype == "i64" or int(value) >= 0, f"{value} is no bool")
    else:
        raise WrongShape(f"no constants of dtype {node.dtype!r}")
    return node.dtype, ()


def constant_value(node: Node) -> Array:
    """The scalar of a ``const`` node as a 0-d array."""
    text = str(node.attrs["value"])
    if node.dtype == "f32":
        return np.array(int(text, 16), dtype=np.uint32).view(np.float32)
    return np.array(int(text), dtype=NUMPY_DTYPES[node.dtype])


def _infer_iota(node: Node, inputs: Sequence[Node]) -> tuple[str, Shape]:
    _need_attr(_int(node, "n") >= 1, "n must be at least 1")
    return "i64", (_int(node, "n"),)


def _infer_output(node: Node, inputs: Sequence[Node]) -> tuple[str, Shape]:
    kind = node.attrs["kind"]
    _need_attr(kind in OUTPUT_KINDS, f"kind must be one of {OUTPUT_KINDS}, got {kind!r}")
    _name(node)
    scalar = (inputs[0].dtype, inputs[0].shape) == ("f32", ())
    _need(kind in ("state", "result") or scalar, f"the {kind} is an f32 scalar")
    return inputs[0].dtype, inputs[0].shape


def _run_output(node: Node, values: Sequence[Array]) -> Array:
    check_finite(values[0], f"output {node.attrs['kind']} {node.attrs['name']}")
    return values[0]


def _run_uniform(node: Node, values: Sequence[Array]) -> Array:
    seed, step = values
    return random.uniform((int(seed[0]), int(seed[1])), _int(node, "stream"), int(step), node.shape)


def _run_slice(node: Node, values: Sequence[Array]) -> Array:
    axis, start, stop, step = (_int(node, name) for name in ("axis", "start", "stop", "step"))
    return movement.slice_axis(values[0], axis, start, stop, step)


def _run_pad(node: Node, values: Sequence[Array]) -> Array:
    return movement.pad(values[0], values[1], *(_ints(node, name) for name in ("low", "high", "interior")))


def _run_windows(node: Node, values: Sequence[Array]) -> Array:
    kernel, stride, dilation = (_ints(node, name) for name in ("kernel", "stride", "dilation"))
    return movement.windows(values[0], kernel, stride, dilation)


def _table() -> dict[str, Op]:
    one, many = _elements(elementwise.MACS_PER_ELEMENT), _elements(transcendental.MACS_PER_ELEMENT)

    def call(function: Callable[..., Array]) -> Callable[[Node, Sequence[Array]], Array]:
        return lambda node, values: function(*values)

    ops = {
        "input": Op(0, {"name": "str", "kind": "str"}, _infer_input, None, _free),
        "const": Op(0, {"value": "str"}, _infer_const, lambda n, v: constant_value(n), _free),
        "iota": Op(0, {"n": "int"}, _infer_iota, lambda n, v: np.arange(_int(n, "n"), dtype=np.int64), _free),
        "where": Op(3, {}, _infer_where, call(elementwise.where), one),
        "cast": Op(1, {}, _infer_cast, lambda n, v: elementwise.cast(v[0], NUMPY_DTYPES[n.dtype]), one),
        "sum": Op(1, {"axes": "ints"}, _infer_reduce, lambda n, v: sums.reduce_sum(v[0], _ints(n, "axes")), _terms),
        "amax": Op(1, {"axes": "ints"}, _infer_reduce, lambda n, v: movement.amax(v[0], _ints(n, "axes")), _terms),
        "matmul": Op(
            2, {"bits": "int"}, _infer_matmul, lambda n, v: matmul.matmul(v[0], v[1], _int(n, "bits")), _matmul_macs
        ),
        "reshape": Op(1, {}, _infer_reshape, lambda n, v: v[0].reshape(n.shape), _free),
        "expand": Op(1, {}, _infer_expand, lambda n, v: np.broadcast_to(v[0], n.shape), _free),
        "transpose": Op(1, {"perm": "ints"}, _infer_transpose, lambda n, v: v[0].transpose(_ints(n, "perm")), _free),
        "slice": Op(
            1, {"axis": "int", "start": "int", "stop": "int", "step": "int"}, _infer_slice, _run_slice, _free
        ),
        "concat": Op(
            None, {"axis": "int"}, _infer_concat, lambda n, v: np.concatenate(list(v), axis=_int(n, "axis")), _free
        ),
        "take_rows": Op(2, {}, _infer_take_rows, call(movement.take_rows), _free),
        "pick": Op(2, {}, _infer_pick, call(movement.pick), _free),
        "pad": Op(2, {"low": "ints", "high": "ints", "interior": "ints"}, _infer_pad, _run_pad, _free),
        "windows": Op(
            1, {"kernel": "ints", "stride": "ints", "dilation": "ints"}, _infer_windows, _run_windows, _free
        ),
        "add_rows": Op(
            2, {"rows": "int"}, _infer_add_rows, lambda n, v: sums.add_rows(v[0], v[1], _int(n, "rows")), _terms
        ),
        "uniform": Op(2, {"stream": "int"}, _infer_uniform, _run_uniform, many),
        "output": Op(1, {"name": "str", "kind": "str"}, _infer_output, _run_output, _free),
    }
    for name, function in elementwise.BINARY.items():
        dtypes = ("f32",) if name == "div" else ("f32", "i64")
        ops[name] = Op(2, {}, _elementwise(dtypes), call(function), one)
    for name, function in elementwise.COMPARE.items():
        ops[name] = Op(2, {}, _elementwise(("f32", "i64"), "bool"), call(function), one)
    for name, function in elementwise.LOGIC.items():
        ops[name] = Op(2, {}, _elementwise(("bool",)), call(function), one)
    for name, function in elementwise.UNARY.items():
        dtypes = {"not": ("bool",), "sqrt": ("f32",)}.get(name, ("f32", "i64"))
        ops[name] = Op(1, {}, _elementwise(dtypes), call(function), one)
    for name, function in transcendental.FUNCTIONS.items():
        ops[name] = Op(1, {}, _elementwise(("f32",)), call(function), many)
    return ops


OPS: dict[str, Op] = _table()
"""Every op by name."""


def _is_of_kind(value: object, kind: str) -> bool:
    if kind == "str":
        return type(value) is str
    numbers = value if kind == "ints" else (value,)
    return type(numbers) is tuple and all(type(i) is int and abs(i) <= MAX_INTEGER for i in numbers)


def infer(node: Node, inputs: Sequence[Node]) -> tuple[str, Shape]:
    """The dtype and shape that the op's rule gives; checks arity and attributes. Raises a `GraphError`."""
    op = OPS.get(node.op)
    if op is None:
        raise UnknownOp(f"unknown op {node.op[:64]!r}; exact/v1 has {', '.join(sorted(OPS))}")
    if op.arity is not None and len(inputs) != op.arity or op.arity is None and not inputs:
        raise WrongShape(f"{node.op} takes {op.arity or 'some'} inputs, got {len(inputs)}")
    if set(node.attrs) != set(op.attrs):
        raise BadAttributes(f"{node.op} has the attributes {sorted(op.attrs)}, got {sorted(node.attrs)}")
    for name, kind in op.attrs.items():
        if not _is_of_kind(node.attrs[name], kind):
            raise BadAttributes(f"attribute {name} of {node.op} must be {ATTRIBUTE_KINDS[kind]}")
    if node.op != "uniform" and any(i.dtype == "u32" for i in inputs):
        raise WrongShape(f"{node.op} cannot read u32; only uniform reads the seed")
    return op.infer(node, inputs)


__all__ = ["INPUT_KINDS", "NUMPY_DTYPES", "OPS", "OUTPUT_KINDS", "GraphError", "Op", "constant_value", "infer"]
