"""Cost by layer: the tables add up to the graph's cost, and nodes are where a reader looks for them."""

import pytest

from consensus.graph import GraphBuilder
from miner.inspect.layers import (
    BACKWARD,
    FORWARD,
    INTERFACE,
    OPTIMISER,
    SHARED,
    compute_cost,
    compute_node_macs,
    compute_places,
    get_layer,
)
from miner.models import MODELS, build_task_graph


@pytest.mark.parametrize("model", sorted(MODELS))
def test_both_tables_add_up_to_the_cost_of_the_graph(model: str) -> None:
    graph = build_task_graph(model)
    cost = compute_cost(graph)
    assert cost.macs == graph.macs()
    assert sum(layer.total for layer in cost.layers) == sum(macs for _, _, macs in cost.ops) == cost.macs
    assert all(layer.total == 0 for layer in cost.layers if layer.layer == INTERFACE)
    assert sum(layer.nodes for layer in cost.layers) == sum(nodes for _, nodes, _ in cost.ops) == len(graph.nodes)


def test_layers_come_in_the_order_of_the_forward_pass() -> None:
    names = [layer.layer for layer in compute_cost(build_task_graph("digits-mlp")).layers]
    assert names[:3] == ["layers.0", "layers.1", "layers.2"] and set(names[3:]) == {INTERFACE, SHARED}


def test_passes_of_an_mlp_cost_what_its_widths_say() -> None:
    """Of a linear layer with batch B: B·m·n products forward, and twice that backward but for the first."""
    graph, batch = build_task_graph("digits-mlp-tiny"), 16
    products = {step_pass: 0 for step_pass in (FORWARD, BACKWARD, OPTIMISER)}
    for node, place in zip(graph.nodes, compute_places(graph), strict=True):
        if node.op == "matmul":
            products[place.step_pass] += compute_node_macs(graph, node)
    first, second = batch * 64 * 32, batch * 32 * 10
    assert products == {FORWARD: first + second, BACKWARD: first + 2 * second, OPTIMISER: 0}


def test_optimiser_nodes_belong_to_their_parameter() -> None:
    graph = build_task_graph("digits-mlp")
    places = compute_places(graph)
    for node in graph.nodes:
        if node.op == "output" and str(node.attrs["name"]).startswith(("param/", "moment1/")):
            place = places[node.inputs[0]]
            assert place.step_pass == OPTIMISER
            assert place.layer == get_layer(str(node.attrs["name"]).partition("/")[2])


def test_a_parameter_of_the_model_itself_is_a_layer() -> None:
    assert get_layer("place") == "place"
    assert get_layer("blocks.0.norm1.weight") == "blocks.0.norm1"


def test_an_inference_graph_is_all_forward() -> None:
    b = GraphBuilder()
    weight, x = b.input("state", "param/head.weight", "f32", (3, 4)), b.input("batch", "x", "f32", (2, 3))
    b.output("result", "logits", b.matmul(x, weight))
    cost = compute_cost(b.finish())
    head = next(layer for layer in cost.layers if layer.layer == "head")
    assert head.macs[FORWARD] == head.total == cost.macs > 0
