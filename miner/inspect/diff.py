"""The first node at which two executions of one step part.

Four comparisons:

- two backends here, node by node (`compare_backends`): equal operands, different bytes, so that node's kernel is wrong;
- one backend here against a dump of digests made elsewhere (`compare_with_dump`): two machines;
- two dumps made elsewhere (`compare_dumps`);
- two backends here, whole steps as they are really run (`compare_steps`, `narrow_step`): what only fusion or the
  buffer plan breaks, narrowed by cutting the graph shorter.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from consensus.exact import elementwise, transcendental
from consensus.exact.errors import NonFiniteState
from consensus.graph import Graph, GraphBuilder
from consensus.graph.node import Node
from consensus.graph.ops import NUMPY_DTYPES

from miner.inspect.backends import make_executor
from miner.inspect.dump import Dump, compute_digest
from miner.inspect.errors import RefusedNode
from miner.inspect.source import StepInputs
from miner.inspect.values import NodeTracer, NodeValues, finish_as_step, iterate_values, keep_finite
from miner.kernels import Executor

Array = npt.NDArray[Any]
Progress = Callable[[str], None]
"""Told what goes on, now and then."""


@dataclass(frozen=True)
class Element:
    """One element of a tensor."""

    index: tuple[int, ...]
    bits: str
    """Its bytes as a hexadecimal number, most significant digit first."""
    value: float | int | bool
    """The same as a number."""


@dataclass(frozen=True)
class Operand:
    """What a differing node read; the same on both sides."""

    node: int
    op: str
    dtype: str
    shape: tuple[int, ...]
    digest: str
    minimum: float | None
    maximum: float | None
    """Least and greatest element; None where only digests are known."""
    element: Element | None
    """The element that the differing element was made of, for elementwise ops."""


@dataclass(frozen=True)
class Parting:
    """The first node whose value is not the same on both sides."""

    index: int
    op: str
    dtype: str
    shape: tuple[int, ...]
    attrs: dict[str, Any]
    differing: int | None
    """How many elements differ; None where only digests are known."""
    first_a: Element | None
    first_b: Element | None
    """The first differing element on either side."""
    refusal: str
    """What a side that gave no value says, or ''."""
    operands: tuple[Operand, ...]


@dataclass(frozen=True)
class Comparison:
    """How a comparison ended."""

    nodes: int
    """Nodes compared."""
    parting: Parting | None
    """None when all are equal."""

    def swapped(self) -> Comparison:
        """The same with the sides exchanged."""
        parting = self.parting
        if parting is None:
            return self
        return replace(self, parting=replace(parting, first_a=parting.first_b, first_b=parting.first_a))


def is_same(a: Array, b: Array) -> bool:
    """Whether two tensors of one form have the same bytes (NaNs by their bits, −0 is not +0)."""
    return a is b or a.tobytes() == b.tobytes()


def compare_backends(
    graph: Graph, inputs: StepInputs, a: NodeTracer, b: NodeTracer, on_node: Callable[[int], None] | None = None
) -> Comparison:
    """Walks two backends node by node to the first difference. Raises `RefusedNode` when both refuse a node."""
    count = 0
    for found in iterate_values(graph, inputs.collect(), (a, b)):
        count = found.index + 1
        if on_node is not None:
            on_node(found.index)
        left, right = found.values
        if isinstance(left, RefusedNode) and isinstance(right, RefusedNode):
            raise left
        refused = next((v for v in found.values if isinstance(v, RefusedNode)), None)
        if refused is not None:
            return Comparison(count, _describe_found(graph, found, None, None, str(refused)))
        if not (isinstance(left, RefusedNode) or isinstance(right, RefusedNode) or is_same(left, right)):
            return Comparison(count, _describe_found(graph, found, left, right, ""))
    return Comparison(count, None)


def compare_with_dump(
    graph: Graph, inputs: StepInputs, tracer: NodeTracer, dump: Dump, on_node: Callable[[int], None] | None = None
) -> Comparison:
    """Walks one backend to the first node whose digest is not the dump's.

    The elements are known where the dump holds the node's value. Raises `RefusedNode`.
    """
    count = 0
    for found in iterate_values(graph, inputs.collect(), (tracer,)):
        count = found.index + 1
        if on_node is not None:
            on_node(found.index)
        value = found.values[0]
        if isinstance(value, RefusedNode):
            raise value
        if compute_digest(value) != dump.digests[found.index]:
            node = graph.nodes[found.index]
            other = dump.get_value(found.index, NUMPY_DTYPES[node.dtype], node.shape)
            return Comparison(count, _describe_found(graph, found, value, other, ""))
    return Comparison(count, None)


def compare_dumps(graph: Graph, a: Dump, b: Dump) -> Comparison:
    """The first node whose digests differ; its operands' digests are equal in both. Nothing is executed."""
    for index, (left, right) in enumerate(zip(a.digests, b.digests, strict=True)):
        if left == right:
            continue
        node = graph.nodes[index]
        values = [dump.get_value(index, NUMPY_DTYPES[node.dtype], node.shape) for dump in (a, b)]
        operands = []
        for i in node.inputs:
            source = graph.nodes[i]
            value = a.get_value(i, NUMPY_DTYPES[source.dtype], source.shape)
            operands.append(_describe_operand(graph, node, i, a.digests[i], value, _find_place(*values)))
        return Comparison(index + 1, _describe(node, index, values[0], values[1], "", operands))
    return Comparison(len(graph.nodes), None)


def make_dump(
    graph: Graph, inputs: StepInputs, tracer: NodeTracer, nodes: Collection[int], machine: str,
    on_node: Callable[[int], None] | None = None,
) -> Dump:  # fmt: skip
    """Digests of all nodes, and the values of ``nodes``. Raises `RefusedNode`."""
    digests: list[str] = []
    values: dict[int, bytes] = {}
    for found in iterate_values(graph, inputs.collect(), (tracer,)):
        if on_node is not None:
            on_node(found.index)
        value = found.values[0]
        if isinstance(value, RefusedNode):
            raise value
        digests.append(compute_digest(value))
        if found.index in nodes:
            values[found.index] = value.tobytes()
    return Dump(graph.root().hex(), tracer.backend, machine, inputs.step, tuple(digests), values)


def compare_steps(graph: Graph, inputs: StepInputs, a: str, b: str) -> list[str]:
    """Names of the outputs that differ between two backends' whole steps, as they are really run.

    Raises the executors' errors.
    """
    left, right = (_run_whole(graph, inputs, backend) for backend in (a, b))
    return [name for name, value in left.items() if not is_same(value, right[name])]


def _run_whole(graph: Graph, inputs: StepInputs, backend: str) -> dict[str, Array]:
    """All outputs of one step by their kind and name."""
    if graph.signature().purpose == "train":
        executor = make_executor(graph, backend)
        state, loss, norm = executor.step(inputs.state, inputs.batch, inputs.key, inputs.step)
        outputs = {f"state/{name}": np.asarray(state[name]) for name in sorted(state)}
        return outputs | {"loss": np.asarray(loss), "grad_norm": np.asarray(norm)}
    found = Executor(graph, backend).evaluate(inputs.state, inputs.batch, inputs.key, inputs.step)
    outputs = {f"result/{name}": found.results[name] for name in sorted(found.results)}
    return outputs if found.loss is None else outputs | {"loss": np.asarray(found.loss)}


def narrow_step(graph: Graph, inputs: StepInputs, a: str, b: str, tell: Progress) -> int | None:
    """When whole steps differ though no node does alone: the node with which the graph, cut after it, first differs.

    Found by halving, so with one compilation for each of log2(nodes) cuts. None when no cut differs: then only the
    whole graph's plan does.
    """
    low, high, found = 0, len(graph.nodes) - 1, None
    while low <= high:
        middle = (low + high) // 2
        is_different = _cut_differs(graph, inputs, middle, a, b)
        tell(f"cut after node {middle}: {'different' if is_different else 'equal'}")
        if is_different:
            found, high = middle, middle - 1
        else:
            low = middle + 1
    return found


def cut_graph(graph: Graph, last: int, masked: bool = False) -> Graph:
    """The graph up to node ``last`` as a legal step: its inputs are the batch, its live values the new state.

    Old inputs keep their names after their kinds (``state/param/w`` …); live values are called ``cut/<index>``.
    ``masked``: what is not finite in them becomes 0, for no output may hold it.
    """
    b = GraphBuilder()
    known: list[int] = []
    for node in graph.nodes[: last + 1]:
        if node.op == "input" and node.attrs["kind"] in ("seed", "step"):
            known.append(b.input(str(node.attrs["kind"]), str(node.attrs["name"]), node.dtype, node.shape))
        elif node.op == "input":
            known.append(b.input("batch", f"{node.attrs['kind']}/{node.attrs['name']}", node.dtype, node.shape))
        elif node.op == "output":
            known.append(known[node.inputs[0]])
        else:
            known.append(_add(b, node, known))
    results = {f"cut/{index}": known[index] for index in _find_live(graph, last)} or {"cut/none": b.f32(0.0)}
    if masked:
        results = {n: keep_finite(b, v) if b.dtype(v) == "f32" else v for n, v in results.items()}
    return finish_as_step(b, results)


def _add(b: GraphBuilder, node: Node, known: list[int]) -> int:
    operands = [known[i] for i in node.inputs]
    return b.add(node.op, *operands, attrs=dict(node.attrs), dtype=node.dtype, shape=node.shape)


def _find_live(graph: Graph, last: int) -> list[int]:
    """Computed values up to ``last`` that a later node reads; constants and random words left out."""
    later = {i for node in graph.nodes[last + 1 :] for i in node.inputs if i <= last} | {last}
    return [i for i in sorted(later) if graph.nodes[i].op not in ("input", "output", "const", "iota")]


def _cut_differs(graph: Graph, inputs: StepInputs, last: int, a: str, b: str) -> bool:
    given = {f"{kind}/{name}": array for (kind, name), array in inputs.collect().items()}

    def differs(masked: bool) -> bool:
        cut = cut_graph(graph, last, masked)
        signature = cut.signature()
        batch = {name: given[name] for name in signature.batch}
        state = {name: np.zeros(spec.shape, NUMPY_DTYPES[spec.dtype]) for name, spec in signature.state.items()}
        return bool(compare_steps(cut, StepInputs(state, batch, inputs.seed, inputs.step), a, b))

    try:
        return differs(False)
    except NonFiniteState:
        return differs(True)


def _describe_found(graph: Graph, found: NodeValues, a: Array | None, b: Array | None, refusal: str) -> Parting:
    """A parting whose operands were computed here."""
    node, place = graph.nodes[found.index], _find_place(a, b)
    operands = [
        _describe_operand(graph, node, i, compute_digest(value), value, place)
        for i, value in zip(node.inputs, found.operands[0], strict=True)
    ]
    return _describe(node, found.index, a, b, refusal, operands)


def _describe(
    node: Node, index: int, a: Array | None, b: Array | None, refusal: str, operands: list[Operand]
) -> Parting:
    place = _find_place(a, b)
    differing = None if a is None or b is None else int((_get_words(a) != _get_words(b)).sum())
    return Parting(
        index, node.op, node.dtype, node.shape, dict(node.attrs), differing,
        _get_element(a, place), _get_element(b, place), refusal, tuple(operands),
    )  # fmt: skip


def _find_place(a: Array | None, b: Array | None) -> tuple[int, ...] | None:
    """Index of the first differing element, if both values are known."""
    if a is None or b is None:
        return None
    first = int(np.argmax(_get_words(a) != _get_words(b)))
    return tuple(int(i) for i in np.unravel_index(first, a.shape)) if a.shape else ()


def _describe_operand(
    graph: Graph, node: Node, index: int, digest: str, value: Array | None, place: tuple[int, ...] | None
) -> Operand:
    source = graph.nodes[index]
    element = None
    if value is not None and place is not None and node.op in ELEMENTWISE:
        element = _get_element(value, _broadcast_back(place, source.shape))
    low, high = (None, None) if value is None else (float(value.min()), float(value.max()))
    return Operand(index, source.op, source.dtype, source.shape, digest, low, high, element)


ELEMENTWISE = frozenset(
    {*elementwise.BINARY, *elementwise.COMPARE, *elementwise.LOGIC, *elementwise.UNARY, *transcendental.FUNCTIONS}
    | {"where", "cast", "expand"}
)
"""Ops whose element comes from one element of each operand, by broadcasting."""


def _broadcast_back(place: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    tail = place[len(place) - len(shape) :]
    return tuple(0 if n == 1 else i for i, n in zip(tail, shape, strict=True))


def _get_words(value: Array) -> Array:
    """The elements' bytes as unsigned integers."""
    return np.asarray(value, order="C").view(np.dtype(f"u{value.dtype.itemsize}"))


def _get_element(value: Array | None, place: tuple[int, ...] | None) -> Element | None:
    if value is None or place is None:
        return None
    item = value[place]
    bits = int(np.asarray(item).reshape(1).view(np.dtype(f"u{value.dtype.itemsize}"))[0])
    return Element(place, f"0x{bits:0{2 * value.dtype.itemsize}x}", item.item())
