"""The values of all nodes of one step, as a backend computes them: what `aipow graph diff` walks.

A backend computes a node from given operands. Walked in order, each backend feeds on its own values; the first node
whose bytes differ has equal operands on both sides, so its kernel is the culprit. The reference and NumPy backends have
one function for each node. A backend that compiles whole graphs gets each node as a graph of its own
(`make_node_graph`); what only the fusion of nodes breaks is found by cutting the graph shorter (`miner.inspect.diff`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from consensus.exact.errors import ExactError, NonFiniteState
from consensus.graph import Graph, GraphBuilder
from consensus.graph.node import Node
from consensus.graph.ops import NUMPY_DTYPES, OPS

from miner.inspect.backends import AnyExecutor, make_executor, verify_any_backend
from miner.inspect.errors import RefusedNode, UnusableBackend
from miner.inspect.source import Inputs
from miner.kernels import KernelError
from miner.kernels.fast import make_kernel

Array = npt.NDArray[Any]


class NodeTracer(Protocol):
    """A backend that computes single nodes."""

    backend: str
    """Its name."""

    def compute(self, node: Node, operands: Sequence[Array]) -> Array:
        """The node's value; any exception of the backend's is the caller's to name. Operands are never changed."""


class ReferenceTracer:
    """Each node by its definition."""

    backend = "reference"

    def compute(self, node: Node, operands: Sequence[Array]) -> Array:
        """`OPS[op].run`."""
        run = OPS[node.op].run
        if run is None:
            raise TypeError(f"{node.op} is an input")
        return np.asarray(run(node, list(operands)))


class NumpyTracer:
    """Each node by the NumPy backend's kernel."""

    backend = "numpy"

    def compute(self, node: Node, operands: Sequence[Array]) -> Array:
        """`miner.kernels.fast`."""
        with np.errstate(all="ignore"):
            return np.asarray(make_kernel(node)(*operands))


class GraphTracer:
    """Each node as a graph of its own, for backends that compile graphs; equal nodes are compiled once."""

    def __init__(self, backend: str) -> None:
        self.backend = backend
        self._known: dict[bytes, AnyExecutor] = {}

    def compute(self, node: Node, operands: Sequence[Array]) -> Array:
        """One step of `make_node_graph`."""
        try:
            return self._run(node, operands, False)["value"]
        except NonFiniteState:  # a legal mask of −inf, which no output may hold; or an operand that no kernel takes
            state = self._run(node, operands, True)
            value = state["value"].copy()
            value[state["is_high"]], value[state["is_low"]], value[state["is_nan"]] = np.inf, -np.inf, np.nan
            return value

    def _run(self, node: Node, operands: Sequence[Array], masked: bool) -> Mapping[str, Array]:
        forms = [(_get_dtype(array), tuple(array.shape)) for array in operands]
        plain = Node(node.op, tuple(range(len(operands))), node.dtype, node.shape, node.attrs)
        key = plain.to_bytes() + repr((forms, masked)).encode()
        if key not in self._known:
            self._known[key] = make_executor(make_node_graph(node, forms, masked), self.backend)
        executor = self._known[key]
        batch = {f"operand/{i:04}": np.asarray(a, order="C") for i, a in enumerate(operands) if a.dtype != np.uint32}
        words = next((a for a in operands if a.dtype == np.uint32), None)
        state = {name: np.zeros(f.shape, NUMPY_DTYPES[f.dtype]) for name, f in executor.signature.state.items()}
        return executor.step(state, batch, None if words is None else (int(words[0]), int(words[1])))[0]


def make_node_graph(node: Node, forms: Sequence[tuple[str, tuple[int, ...]]], masked: bool = False) -> Graph:
    """One node as a legal step: operands are batch tensors (seed words the seed), the value is the state's next one.

    Loss and gradient norm are constants. ``masked`` (f32 only): what is not finite becomes 0 in ``value``, and truth
    values ``is_high``, ``is_low`` and ``is_nan`` say where it was. Raises a `GraphError` when the node is not legal.
    """
    b = GraphBuilder()
    operands = [
        b.input("seed", "seed", dtype, shape) if dtype == "u32" else b.input("batch", f"operand/{i:04}", dtype, shape)
        for i, (dtype, shape) in enumerate(forms)
    ]
    value = b.add(node.op, *operands, attrs=dict(node.attrs), dtype=node.dtype, shape=node.shape)
    results = {"value": value}
    if masked and node.dtype == "f32":
        results = {"value": keep_finite(b, value), "is_nan": b.add("ne", value, value)}
        for name, limit in (("is_high", np.inf), ("is_low", -np.inf)):
            results[name] = b.add("eq", value, b.f32(limit))
    return finish_as_step(b, results)


def keep_finite(b: GraphBuilder, value: int) -> int:
    """An f32 value with 0 where it is not finite."""
    return b.add("where", b.add("lt", b.add("abs", value), b.f32(np.inf)), value, b.f32(0.0))


def finish_as_step(b: GraphBuilder, results: Mapping[str, int]) -> Graph:
    """A graph whose new state is ``results``, whose old state is not read, with constant loss and gradient norm."""
    for name, value in results.items():
        b.input("state", name, b.dtype(value), b.shape(value))
        b.output("state", name, value)
    for kind in ("loss", "grad_norm"):
        b.output(kind, kind, b.f32(0.0))
    return b.finish()


def _get_dtype(array: Array) -> str:
    return next(name for name, dtype in NUMPY_DTYPES.items() if dtype == array.dtype)


def make_tracer(backend: str) -> NodeTracer:
    """The tracer of a backend; raises `UnusableBackend` when it is unknown, absent or fails its self-test here."""
    try:
        verify_any_backend(backend)
    except (KernelError, OSError, ImportError) as error:
        raise UnusableBackend(backend, str(error)) from error
    own: dict[str, Callable[[], NodeTracer]] = {"reference": ReferenceTracer, "numpy": NumpyTracer}
    return own.get(backend, lambda: GraphTracer(backend))()


@dataclass(frozen=True)
class NodeValues:
    """One node as several tracers computed it; one entry for each tracer."""

    index: int
    """The node's index."""
    operands: list[list[Array]]
    """What each tracer fed on, in the node's order of inputs; empty for inputs."""
    values: list[Array | RefusedNode]
    """What each got, or why it refused."""


def iterate_values(graph: Graph, inputs: Inputs, tracers: Sequence[NodeTracer]) -> Iterator[NodeValues]:
    """Every node in order; each tracer feeds on its own values. Ends after a node that a tracer refuses.

    Values are dropped after their last use.
    """
    last = _find_last_uses(graph)
    kept: dict[int, list[Array]] = {}
    for index, node in enumerate(graph.nodes):
        operands = [[kept[i][k] for i in node.inputs] for k in range(len(tracers))]
        if node.op == "input":
            given = inputs[(str(node.attrs["kind"]), str(node.attrs["name"]))]
            values: list[Array | RefusedNode] = [given for _ in tracers]
        elif node.op == "output":
            values = [read[0] for read in operands]
        else:
            values = [_compute(t, index, node, read) for t, read in zip(tracers, operands, strict=True)]
        yield NodeValues(index, operands, values)
        good = [value for value in values if not isinstance(value, RefusedNode)]
        if len(good) < len(values):
            return
        kept[index] = good
        for i in {*node.inputs, index}:
            if last[i] <= index:
                kept.pop(i, None)


def _compute(tracer: NodeTracer, index: int, node: Node, operands: Sequence[Array]) -> Array | RefusedNode:
    try:
        value = tracer.compute(node, operands)
    except (ExactError, KernelError, ArithmeticError, ValueError, TypeError) as error:
        return RefusedNode(tracer.backend, index, node.op, str(error))
    if value.shape != node.shape or value.dtype != NUMPY_DTYPES[node.dtype]:
        reason = f"it gives {value.dtype}{value.shape}, the node is {node.dtype}{node.shape}"
        return RefusedNode(tracer.backend, index, node.op, reason)
    return value


def _find_last_uses(graph: Graph) -> list[int]:
    last = list(range(len(graph.nodes)))
    for index, node in enumerate(graph.nodes):
        for i in node.inputs:
            last[i] = index
    return last
