"""The first differing node is found: one made wrong on purpose, here and by a dump of another machine."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consensus.exact.errors import NonFiniteState
from consensus.graph import Graph, GraphBuilder
from consensus.graph.node import Node
from miner.inspect.diff import compare_backends, compare_steps, compare_with_dump, cut_graph, make_dump, narrow_step
from miner.inspect.dump import Dump, read_dump
from miner.inspect.errors import BadDump, RefusedNode, UnusableBackend
from miner.inspect.source import StepInputs, load_inputs, verify_inputs
from miner.inspect.values import GraphTracer, NumpyTracer, ReferenceTracer, make_node_graph, make_tracer
from miner.kernels import WrongInput
from miner.models import build_task_graph

TINY = "digits-mlp-tiny"
SEED = bytes(32)
F = np.float32


class BrokenAt(ReferenceTracer):
    """The reference, but one element of one op's first value is an ulp off."""

    def __init__(self, op: str) -> None:
        self._op, self._left = op, 1

    def compute(self, node: Node, operands: Sequence[Any]) -> Any:
        value = super().compute(node, operands)
        if node.op == self._op and self._left and value.size > 2:
            self._left = 0
            value = value.copy()
            value.reshape(-1)[2:3].view(np.int32)[:] += 1
        return value


class Refusing(ReferenceTracer):
    """The reference, but it gives no sums."""

    def compute(self, node: Node, operands: Sequence[Any]) -> Any:
        if node.op == "sum":
            raise NonFiniteState("sum")
        return super().compute(node, operands)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return build_task_graph(TINY)


@pytest.fixture(scope="module")
def inputs() -> StepInputs:
    return load_inputs(TINY, build_task_graph(TINY), None, None, SEED, 0)


def first(graph: Graph, op: str) -> int:
    return next(i for i, node in enumerate(graph.nodes) if node.op == op and np.prod(node.shape) > 2)


@pytest.mark.parametrize("model", [TINY, "byte-gpt-tiny"])
def test_numpy_and_reference_are_equal_at_every_node(model: str) -> None:
    graph = build_task_graph(model)
    inputs = load_inputs(model, graph, None, None, SEED, 0)
    found = compare_backends(graph, inputs, NumpyTracer(), ReferenceTracer())
    assert found.parting is None and found.nodes == len(graph.nodes)


def test_nodes_as_graphs_of_their_own_give_the_same_values() -> None:
    """Masks of −inf too, which no output may hold."""
    graph = build_task_graph("byte-gpt-tiny")
    inputs = load_inputs("byte-gpt-tiny", graph, None, None, SEED, 0)
    found = compare_backends(graph, inputs, GraphTracer("numpy"), ReferenceTracer())
    assert found.parting is None and found.nodes == len(graph.nodes)


@pytest.mark.parametrize("op", ["matmul", "exp", "sum", "mul"])
def test_the_wrong_node_is_named_with_its_element(graph: Graph, inputs: StepInputs, op: str) -> None:
    parting = compare_backends(graph, inputs, ReferenceTracer(), BrokenAt(op)).parting
    assert parting is not None
    assert (parting.index, parting.op, parting.differing) == (first(graph, op), op, 1)
    a, b = parting.first_a, parting.first_b
    assert a is not None and b is not None
    assert a.index == b.index == np.unravel_index(2, parting.shape)
    assert int(b.bits, 16) - int(a.bits, 16) == 1 and a.value != b.value
    assert F(a.value).view(np.uint32) == int(a.bits, 16)
    assert [operand.node for operand in parting.operands] == list(graph.nodes[parting.index].inputs)


def test_operands_of_an_elementwise_node_are_shown_at_the_element(graph: Graph, inputs: StepInputs) -> None:
    parting = compare_backends(graph, inputs, ReferenceTracer(), BrokenAt("mul")).parting
    assert parting is not None and parting.first_a is not None
    left, right = (operand.element for operand in parting.operands)
    assert left is not None and right is not None
    assert F(left.value) * F(right.value) == F(parting.first_a.value)


def test_a_refusal_on_one_side_is_a_difference_and_on_both_an_error(graph: Graph, inputs: StepInputs) -> None:
    parting = compare_backends(graph, inputs, NumpyTracer(), Refusing()).parting
    assert parting is not None and parting.op == "sum" and "refuses" in parting.refusal
    with pytest.raises(RefusedNode):
        compare_backends(graph, inputs, Refusing(), Refusing())


def test_signed_zeros_differ() -> None:
    b = GraphBuilder()
    b.output("result", "r", b.add("neg", b.input("batch", "x", "f32", (2,))))

    class NoZeros(ReferenceTracer):
        def compute(self, node: Node, operands: Sequence[Any]) -> Any:
            return super().compute(node, operands) + F(0)

    inputs = StepInputs({}, {"x": np.array([1, 0], F)}, SEED, 0)
    parting = compare_backends(b.finish(), inputs, ReferenceTracer(), NoZeros()).parting
    assert parting is not None and parting.first_a is not None and parting.first_b is not None
    assert (parting.first_a.bits, parting.first_b.bits) == ("0x80000000", "0x00000000")


# ---- dumps


def write(path: Path, dump: Dump) -> Path:
    path.write_bytes(dump.to_bytes())
    return path


def test_a_dump_of_the_same_values_has_no_difference(graph: Graph, inputs: StepInputs, tmp_path: Path) -> None:
    path = write(tmp_path / "dump", make_dump(graph, inputs, ReferenceTracer(), [], "here"))
    assert compare_with_dump(graph, inputs, NumpyTracer(), read_dump(path, graph)).parting is None


def test_a_dump_names_the_node_and_with_its_value_the_element(graph: Graph, inputs: StepInputs, tmp_path: Path) -> None:
    wrong = first(graph, "matmul")
    path = write(tmp_path / "dump", make_dump(graph, inputs, BrokenAt("matmul"), [], "there"))
    parting = compare_with_dump(graph, inputs, NumpyTracer(), read_dump(path, graph)).parting
    assert parting is not None and (parting.index, parting.differing, parting.first_b) == (wrong, None, None)
    path = write(tmp_path / "dump", make_dump(graph, inputs, BrokenAt("matmul"), [wrong], "there"))
    parting = compare_with_dump(graph, inputs, NumpyTracer(), read_dump(path, graph)).parting
    assert parting is not None and parting.differing == 1 and parting.first_b is not None


def test_invalid_dumps(graph: Graph, inputs: StepInputs, tmp_path: Path) -> None:
    good = make_dump(graph, inputs, ReferenceTracer(), [first(graph, "matmul")], "here").to_bytes()
    other = build_task_graph("digits-mlp")
    path = tmp_path / "dump"
    cases = [
        b"", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000, good[:-1], good.replace(b"-digests/v1", b"-digests/v2"),
        good.replace(b'"step":0', b'"step":"0"'), good.replace(b'"digests":["', b'"digests":["zz'),
        good.replace(b'"digests":["', b'"digests":["' + b"0" * 32 + b'","'),
        good.replace(b'"values":{"', b'"values":{"9'), good.replace(b'"values":{"', b'"values":{"99999999999999'),
        good.replace(b'=="}', b'!!"}').replace(b'="}', b'!"}') if b'="}' in good else b"{}",
    ]  # fmt: skip
    for case in cases:
        path.write_bytes(case)
        with pytest.raises(BadDump):
            read_dump(path, graph)
    path.write_bytes(good)
    read_dump(path, graph)
    with pytest.raises(BadDump, match="of the graph"):
        read_dump(path, other)


# ---- whole steps


def test_whole_steps_of_two_backends_are_equal_and_so_is_every_cut(inputs: StepInputs, graph: Graph) -> None:
    assert compare_steps(graph, inputs, "numpy", "reference") == []
    told: list[str] = []
    assert narrow_step(graph, inputs, "numpy", "reference", told.append) is None
    assert len(graph.nodes).bit_length() - 1 <= len(told) <= len(graph.nodes).bit_length()


def test_narrowing_finds_the_node_that_a_broken_backend_gets_wrong(
    graph: Graph, inputs: StepInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong exp in the NumPy backend's whole step, narrowed by cutting."""
    from miner.kernels import fast

    right = fast._UFUNCS["exp"]
    monkeypatch.setitem(fast._UFUNCS, "exp", lambda x: right(x) * F(1.0000002))
    assert compare_steps(graph, inputs, "numpy", "reference")
    assert narrow_step(graph, inputs, "numpy", "reference", lambda text: None) == first(graph, "exp")


def test_a_cut_graph_has_the_live_values_as_its_state(graph: Graph) -> None:
    cut = cut_graph(graph, first(graph, "matmul"))
    assert f"cut/{first(graph, 'matmul')}" in cut.signature().state
    assert set(cut.signature().batch) <= {"batch/x", "batch/y"} | {f"state/{n}" for n in graph.signature().state}


def test_whole_steps_of_a_graph_that_only_gives_results() -> None:
    b = GraphBuilder()
    b.output("result", "r", b.add("exp", b.input("batch", "x", "f32", (3,))))
    inputs = StepInputs({}, {"x": np.array([1, 0, -2], F)}, SEED, 0)
    assert compare_steps(b.finish(), inputs, "numpy", "reference") == []


# ---- bad input


def test_a_node_that_draws_random_numbers_as_a_graph() -> None:
    node = Node("uniform", (0, 1), "f32", (3,), {"stream": 7})
    assert make_node_graph(node, [("u32", (2,)), ("i64", ())]).signature().needs_seed
    operands = [np.array([1, 2], np.uint32), np.array(5)]
    expected = ReferenceTracer().compute(node, operands)
    assert GraphTracer("numpy").compute(node, operands).tobytes() == expected.tobytes()


def test_unknown_backend() -> None:
    with pytest.raises(UnusableBackend, match="numpy"):
        make_tracer("abacus")


def test_invalid_inputs(graph: Graph, inputs: StepInputs) -> None:
    state = inputs.state
    name = next(iter(state))
    verify_inputs(graph, inputs)
    for wrong in ({}, state | {"more": state[name]}, state | {name: state[name].astype(np.float64)}):
        with pytest.raises(WrongInput):
            verify_inputs(graph, StepInputs(wrong, inputs.batch, SEED, 0))
