"""Fast kernels in NumPy and float64 BLAS with the bytes of `consensus.exact`.

Integers of a grid are held as floats: |q| ≤ 2^bits is exact in f32, and sums under 2^53 are exact in f64 in any order,
so one float64 GEMM of any BLAS with any number of threads is an exact E3. Exponents are read from the bit patterns.
The caller silences NumPy's floating-point warnings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from consensus.exact import transcendental
from consensus.exact.errors import IndexOutOfRange, NonFiniteState
from consensus.exact.grid import MIN_EXPONENT, SUM_BITS
from consensus.exact.values import check_finite
from consensus.graph import Graph
from consensus.graph.node import Node
from consensus.graph.ops import NUMPY_DTYPES, OPS

Array = npt.NDArray[Any]
Kernel = Callable[..., Array]

_ZERO = np.float32(0.0)
_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)


def _grid_exponent(values: Array, axes: tuple[int, ...] | int, where: str) -> Array:
    """Grid exponents (int32) with reduced axes kept as 1; a biased exponent of 255 is a NaN or an infinity."""
    magnitude = values.view(np.int32) & np.int32(0x7FFFFFFF)  # as integers they have the order of the magnitudes
    exponent = (np.maximum.reduce(magnitude, axis=axes, keepdims=True) >> np.int32(23)) - np.int32(126)
    if exponent.max() > 128:
        raise NonFiniteState(where)
    return np.asarray(np.maximum(exponent, np.int32(MIN_EXPONENT)))


def _pow2_f32(exponent: Array) -> Array:
    """2^exponent in f32; −127, which only a grid of one bit and exponent 128 needs, is subnormal."""
    return np.ldexp(np.float32(1.0), exponent)


def _pow2_f64(exponent: Array) -> Array:
    return ((exponent.astype(np.int64) + 1023) << 52).view(np.float64)


def _quantise(values: Array, axes: tuple[int, ...] | int, bits: int, where: str) -> tuple[Array, Array]:
    exponent = _grid_exponent(values, axes, where)
    scaled = values * _pow2_f32(np.int32(bits) - exponent)
    np.rint(scaled, out=scaled)
    return scaled, exponent


def _round(sums: Array) -> Array:
    result = sums.astype(np.float32)
    result += _ZERO
    return result


def matmul(a: Array, b: Array, bits: int) -> Array:
    """E3 by one float64 GEMM."""
    q_a, e_a = _quantise(a, -1, bits, "matmul, left operand")
    q_b, e_b = _quantise(b, -2, bits, "matmul, right operand")
    sums = np.matmul(q_a.astype(_FLOAT64), q_b.astype(_FLOAT64))
    sums *= _pow2_f64(e_a - np.int32(bits))
    sums *= _pow2_f64(e_b - np.int32(bits))
    return _round(sums)


def reduce_sum(values: Array, axes: tuple[int, ...]) -> Array:
    """E4 in float64."""
    quantised, exponent = _quantise(values, axes, SUM_BITS, "sum")
    sums = np.add.reduce(quantised, axis=axes, dtype=_FLOAT64, keepdims=True)
    return _round(sums * _pow2_f64(exponent - np.int32(SUM_BITS)))


def add_rows(values: Array, index: Array, rows: int) -> Array:
    """E4's index add: one float64 histogram over (row, column)."""
    if index.min() < 0 or index.max() >= rows:
        raise IndexOutOfRange("add_rows", rows)
    columns = values.shape[1]
    quantised, exponent = _quantise(values, 0, SUM_BITS, "add_rows")
    places = (index[:, None] * columns + np.arange(columns)).reshape(-1)
    sums = np.bincount(places, weights=quantised.reshape(-1), minlength=rows * columns).reshape(rows, columns)
    return _round(sums * _pow2_f64(exponent - np.int32(SUM_BITS)))


def amax(values: Array, axes: tuple[int, ...]) -> Array:
    """E6's maximum; NumPy may return either zero, so that zeros are decided by their sign bits."""
    result = values.max(axis=axes, keepdims=True)
    if not (result < np.inf).all():
        raise NonFiniteState("amax")
    if (result == 0).any():
        positive = ((values == 0) & ~np.signbit(values)).any(axis=axes, keepdims=True)
        result = np.where((result == 0) & ~positive, np.float32(-0.0), np.where(result == 0, _ZERO, result))
    return np.asarray(result)


_UFUNCS: dict[str, Kernel] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide,
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "and": np.logical_and, "or": np.logical_or, "not": np.logical_not,
    "neg": np.negative, "abs": np.abs, "sqrt": np.sqrt, "where": np.where,
    **transcendental.FUNCTIONS,
}  # fmt: skip


def make_kernel(node: Node) -> Kernel:
    """The function of the inputs' arrays that computes a node."""
    attrs = node.attrs
    if node.op in _UFUNCS:
        return _UFUNCS[node.op]
    if node.op == "matmul":
        bits = int(str(attrs["bits"]))
        return lambda a, b: matmul(a, b, bits)
    if node.op in ("sum", "amax"):
        axes, function = attrs["axes"], reduce_sum if node.op == "sum" else amax
        return lambda a: function(a, axes)  # type: ignore[arg-type]
    if node.op == "add_rows":
        rows = int(str(attrs["rows"]))
        return lambda values, index: add_rows(values, index, rows)
    if node.op == "reshape":
        shape = node.shape
        return lambda a: a.reshape(shape)
    if node.op == "cast":
        dtype = NUMPY_DTYPES[node.dtype]
        return lambda a: a.astype(dtype)
    return _from_reference(node)


def _from_reference(node: Node) -> Kernel:
    run = OPS[node.op].run
    if run is None:
        raise TypeError(f"{node.op} is an input and has no kernel")

    def call(*values: Array) -> Array:
        operands: Sequence[Array] = values
        return run(node, operands)

    return call


class NumpyProgram:
    """A graph ready to run: kernels in order, constants computed once, values dropped after their last use."""

    def __init__(self, graph: Graph) -> None:
        self._values: list[Array | None] = [None] * len(graph.nodes)
        self._inputs: list[tuple[int, tuple[str, str]]] = []
        self._outputs: list[tuple[int, tuple[str, str]]] = []
        self._steps: list[tuple[Callable[..., Array], int, tuple[int, ...], tuple[int, ...]]] = []
        constant = [False] * len(graph.nodes)
        for index, node in enumerate(graph.nodes):
            if node.op in ("input", "output"):
                key = (str(node.attrs["kind"]), str(node.attrs["name"]))
                table, place = (
                    (self._inputs, index) if node.op == "input" else (self._outputs, node.inputs[0])
                )
                table.append((place, key))
                continue
            kernel = make_kernel(node)
            constant[index] = all(constant[i] for i in node.inputs)
            if constant[index]:
                with np.errstate(all="ignore"):
                    self._values[index] = np.asarray(kernel(*(self._values[i] for i in node.inputs)))
            else:
                self._steps.append((kernel, index, node.inputs, ()))
        self._add_frees(constant)

    def _add_frees(self, constant: list[bool]) -> None:
        kept = {place for place, _ in self._outputs} | {place for place, _ in self._inputs}
        seen: set[int] = set()
        for position in range(len(self._steps) - 1, -1, -1):
            kernel, index, inputs, _ = self._steps[position]
            last = tuple({i for i in inputs if i not in seen and i not in kept and not constant[i]})
            seen.update(inputs)
            self._steps[position] = (kernel, index, inputs, last)

    def run(self, inputs: Mapping[tuple[str, str], Array]) -> dict[tuple[str, str], Array]:
        """Outputs of one step by (kind, name). Raises `NonFiniteState`, `IndexOutOfRange`."""
        values: list[Any] = list(self._values)
        for place, key in self._inputs:
            values[place] = inputs[key]
        with np.errstate(all="ignore"):
            for kernel, index, operands, last in self._steps:
                values[index] = kernel(*[values[i] for i in operands])
                for i in last:
                    values[i] = None
        for place, key in self._outputs:
            check_finite(values[place], f"output {key[0]} {key[1]}")
        return {key: np.asarray(values[place]) for place, key in self._outputs}
