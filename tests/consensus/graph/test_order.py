"""The canonical order: one graph of a computation's nodes, and a refusal of every other arrangement."""

import itertools
import json
from typing import Any

import pytest

from consensus.graph import Graph, GraphBuilder, errors
from consensus.graph.node import Node, canonical_json
from consensus.graph.order import compute_order
from tests.consensus.graph.test_graph import GRAPH


def step_of(*names: str) -> Graph:
    """A training step with a state scalar of each name, built in the order of the names."""
    b = GraphBuilder()
    states = {name: b.input("state", name, "f32", ()) for name in names}
    for name in names:
        b.output("state", name, b.add("exp", states[name]))
    first = states[min(names)]
    b.output("loss", "loss", b.add("neg", first))
    b.output("grad_norm", "grad_norm", b.add("abs", first))
    return b.finish()


def walk(nodes: list[Node], outputs: list[Node]) -> list[int]:
    """The order by plain recursion."""
    order = sorted((i for i, n in enumerate(nodes) if n.op == "input"), key=lambda i: str(nodes[i].attrs))

    def visit(index: int) -> None:
        if index not in order:
            for source in nodes[index].inputs:
                visit(source)
            order.append(index)

    for output in sorted(outputs, key=lambda n: (str(n.attrs["kind"]), str(n.attrs["name"]))):
        visit(output.inputs[0])
    return order


def test_order_is_what_recursion_gives() -> None:
    body = [n for n in GRAPH.nodes if n.op != "output"]
    outputs = [n for n in GRAPH.nodes if n.op == "output"]
    assert compute_order(body, outputs) == walk(body, outputs) == list(range(len(body)))


def test_a_chain_of_the_most_nodes_needs_no_recursion() -> None:
    nodes = [Node("const", (), "f32", (), {"value": "00000000"})]
    nodes += [Node("exp", (index,), "f32", ()) for index in range(2**16 - 2)]
    output = Node("output", (len(nodes) - 1,), "f32", (), {"kind": "loss", "name": "loss"})
    assert len(Graph.from_nodes((*nodes, output)).nodes) == 2**16


def test_names_ascend_by_code_point_whatever_the_order_of_building() -> None:
    names = ("a", "B", "Z", "é", "￿", "🦆")
    graphs = {step_of(*order).to_bytes() for order in itertools.islice(itertools.permutations(names), 0, 720, 90)}
    assert len(graphs) == 1
    found = [n.attrs["name"] for n in Graph.from_bytes(graphs.pop()).nodes if n.op == "input"]
    assert found == ["B", "Z", "a", "é", "￿", "🦆"] == sorted(found, key=lambda n: str(n).encode())


def rearranged(order: list[int]) -> bytes:
    """The small graph with its nodes in another order, references renamed."""
    place = {old: new for new, old in enumerate(order)}
    nodes: list[Any] = []
    for old in order:
        node = GRAPH.nodes[old].to_json()
        nodes.append({**node, "in": [place[i] for i in node["in"]]})
    return canonical_json({"nodes": nodes, "version": "exact/v1"})


def test_every_swap_of_two_neighbours_is_refused() -> None:
    count = len(GRAPH.nodes)
    assert rearranged(list(range(count))) == GRAPH.to_bytes()
    for index in range(count - 1):
        order = list(range(count))
        order[index], order[index + 1] = order[index + 1], order[index]
        with pytest.raises((errors.NotCanonical, errors.CyclicGraph)):
            Graph.from_bytes(rearranged(order))


def test_a_dead_node_is_refused() -> None:
    body = [i for i, n in enumerate(GRAPH.nodes) if n.op != "output"]
    dead = Node("exp", (0,), GRAPH.nodes[0].dtype, GRAPH.nodes[0].shape)
    with pytest.raises(errors.NotCanonical, match="no output needs"):
        Graph.from_nodes((*GRAPH.nodes[: len(body)], dead, *GRAPH.nodes[len(body) :]))


def test_an_input_that_nobody_reads_may_stand() -> None:
    b = GraphBuilder()
    b.input("batch", "unread", "i64", (3,))
    b.output("loss", "loss", b.f32(1.0))
    assert b.finish().signature().batch["unread"].shape == (3,)


def test_a_repeated_node_is_refused() -> None:
    x = Node("input", (), "f32", (), {"kind": "batch", "name": "x"})
    nodes = (x, Node("exp", (0,), "f32", ()), Node("exp", (0,), "f32", ()), Node("add", (1, 2), "f32", ()))
    with pytest.raises(errors.NotCanonical, match="same as node 1"):
        Graph.from_nodes((*nodes, Node("output", (3,), "f32", (), {"kind": "loss", "name": "loss"})))


def test_outputs_out_of_order_are_refused() -> None:
    document = json.loads(GRAPH.to_bytes())
    document["nodes"][-1], document["nodes"][-2] = document["nodes"][-2], document["nodes"][-1]
    with pytest.raises(errors.NotCanonical):
        Graph.from_bytes(canonical_json(document))


def test_root_stays_what_it_was() -> None:
    """The canonical form is protocol: these roots change only with a new version."""
    assert step_of("w").root().hex() == "3d17aa5dbc2ac941243a2b702628d466995ac30e8b2620c74257e48d89083d5d"
