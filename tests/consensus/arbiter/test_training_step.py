"""Every node of a real training step can be arbitrated under the graph's own root and its trace's tensor roots."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from consensus.arbiter import arbitrate
from consensus.arbiter.evaluate import Evaluation, read_tile
from consensus.arbiter.statement import Tile
from consensus.commit.hashing import Hash32
from consensus.graph import Graph
from consensus.graph.reference import run_nodes
from tests.consensus.arbiter.nodes import Question
from tests.consensus.exact.graph_vectors import FILE
from tests.consensus.exact.vectors import Array, parse

VECTOR: dict[str, Any] = json.loads(FILE.read_text())
GRAPH = Graph.from_bytes(VECTOR["graph"].encode())
TRACE = [Hash32(bytes.fromhex(root)) for root in VECTOR["steps"][0]["nodes"]]


@pytest.fixture(scope="module")
def values() -> list[Array]:
    """What every node of the first step gives."""
    inputs = {("state", name): parse(tensor) for name, tensor in VECTOR["state"].items()}
    inputs |= {("batch", name): parse(tensor) for name, tensor in VECTOR["batch"].items()}
    inputs[("seed", "seed")] = np.array(VECTOR["seed"], dtype=np.uint32)
    inputs[("step", "step")] = np.array(0, dtype=np.int64)
    return [np.asarray(value) for value in run_nodes(GRAPH, inputs)]


def questions(values: list[Array]) -> Iterator[tuple[int, Question]]:
    """Every node that computes something."""
    for index, node in enumerate(GRAPH.nodes):
        if node.op != "input":
            operands = [values[i] for i in node.inputs]
            yield index, Question(node, operands, nodes=GRAPH.nodes, index=index)


def test_every_node_of_a_training_step(values: list[Array]) -> None:
    count = 0
    for index, question in questions(values):
        assert question.graph_root == GRAPH.root() == bytes.fromhex(VECTOR["root"])
        assert question.evaluation.roots() == tuple(TRACE[i] for i in question.node.inputs)
        tile = question.form.tile_count - 1
        for place in question.path(tile, last=True):
            outcome = arbitrate(question.agree(place), question.open(place))
            assert outcome == question.evaluation.value(place)
        holder = Evaluation(question.node, question.evaluation.inputs, output=values[index])
        for place in question.path(tile, last=True):
            assert holder.operands(place) == question.evaluation.operands(place)
            assert holder.value(place) == question.evaluation.value(place)
        assert question.evaluation.value(Tile(tile)) == read_tile(values[index], question.form, tile)
        count += 1
    assert count == len(GRAPH.nodes) - sum(node.op == "input" for node in GRAPH.nodes) > 100
