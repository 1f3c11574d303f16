"""The reference walks any legal graph: values have the declared forms, whatever reads them; NumPy's kernels agree."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from consensus.exact.errors import NonFiniteState
from consensus.graph import Graph, GraphBuilder
from consensus.graph.ops import NUMPY_DTYPES, OPS
from consensus.graph.reference import run_nodes, run_reference
from miner.kernels.fast import make_kernel
from tests.consensus.exact.replay import CASES, verify_value
from tests.consensus.graph.random_graphs import make_random_graph

SEEDS = range(30)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_graphs_run_and_their_values_have_the_declared_forms(seed: int) -> None:
    graph, inputs = make_random_graph(seed, train=seed % 2 == 0)
    assert Graph.from_bytes(graph.to_bytes()) == graph
    values = run_nodes(graph, inputs)
    for node, value in zip(graph.nodes, values, strict=True):
        assert (value.dtype, value.shape) == (NUMPY_DTYPES[node.dtype], node.shape), node
    outputs = run_reference(graph, inputs)
    assert outputs and all(value.flags.c_contiguous for value in outputs.values())


@pytest.mark.parametrize("seed", SEEDS)
def test_kernels_agree_on_each_node_of_random_graphs(seed: int) -> None:
    graph, inputs = make_random_graph(seed)
    values = run_nodes(graph, inputs)
    for index, node in enumerate(graph.nodes):
        if node.op != "input":
            with np.errstate(all="ignore"):
                found = make_kernel(node)(*(values[i] for i in node.inputs))
            verify_value(f"node {index}, {node.op}", values[index], np.asarray(found))


def test_random_graphs_have_every_op_and_hard_values() -> None:
    count: Counter[str] = Counter()
    not_finite = subnormal = 0
    for seed in SEEDS:
        graph, inputs = make_random_graph(seed)
        for node, value in zip(graph.nodes, run_nodes(graph, inputs), strict=True):
            count[node.op] += 1
            if node.dtype == "f32":
                not_finite += not np.isfinite(value).all()
                subnormal += bool(((np.abs(value) < np.finfo(np.float32).tiny) & (value != 0)).any())
    assert set(count) == set(OPS) and min(count.values()) >= 3 and min(not_finite, subnormal) > 50


def test_the_same_seed_gives_the_same_graph_and_inputs() -> None:
    (first, inputs), (again, others) = make_random_graph(7), make_random_graph(7)
    assert first == again and all(inputs[key].tobytes() == others[key].tobytes() for key in inputs)
    assert make_random_graph(8)[0].root() != first.root()


def test_forms_in_the_vectors_are_those_that_the_rules_give() -> None:
    for case in CASES:
        assert (case["output"]["dtype"], case["output"]["shape"]) == (case["dtype"], case["shape"]), case["op"]


def test_inputs_are_never_changed() -> None:
    graph, inputs = make_random_graph(3, train=True)
    before = {key: value.tobytes() for key, value in inputs.items()}
    for value in inputs.values():
        value.flags.writeable = False
    run_reference(graph, inputs)
    assert {key: value.tobytes() for key, value in inputs.items()} == before


def test_a_unit_ends_where_a_state_diverges() -> None:
    b = GraphBuilder()
    w = b.input("state", "w", "f32", ())
    b.output("state", "w", b.add("mul", w, w))
    for kind in ("loss", "grad_norm"):
        b.output(kind, kind, w)
    graph = b.finish()
    assert run_reference(graph, {("state", "w"): np.float32(2) * np.ones((), np.float32)})[("state", "w")] == 4
    with pytest.raises(NonFiniteState, match="output state w"):
        run_reference(graph, {("state", "w"): np.array(3e38, dtype=np.float32)})
