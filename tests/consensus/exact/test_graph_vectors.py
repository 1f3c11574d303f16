"""The golden vector of a whole graph: regenerated, replayed by the executor, and a gradient that is one."""

import json
from typing import Any

import numpy as np
import numpy.typing as npt

from consensus.commit.state import compute_state_commitment
from consensus.graph import Graph
from consensus.graph.reference import compute_value_root, run_nodes, run_reference
from miner.kernels import Executor
from tests.consensus.exact.graph_vectors import FILE, SEED, bits, make_inputs, make_vector
from tests.consensus.exact.vectors import parse

VECTOR = json.loads(FILE.read_text())
GRAPH = Graph.from_bytes(VECTOR["graph"].encode())


def run(state: dict[str, npt.NDArray[Any]], batch: dict[str, npt.NDArray[Any]]) -> dict[tuple[str, str], Any]:
    inputs = {("state", k): v for k, v in state.items()} | {("batch", k): v for k, v in batch.items()}
    inputs[("seed", "seed")], inputs[("step", "step")] = np.array(SEED, dtype=np.uint32), np.array(0, dtype=np.int64)
    return run_reference(GRAPH, inputs)


def test_vector_is_regenerated_exactly() -> None:
    assert json.loads(json.dumps(make_vector())) == VECTOR


def test_reference_gives_each_node_of_each_step() -> None:
    """As another implementation would replay it: from the file alone."""
    state = {name: parse(value) for name, value in VECTOR["state"].items()}
    batch = {("batch", name): parse(value) for name, value in VECTOR["batch"].items()}
    for step in VECTOR["steps"]:
        inputs = batch | {("state", name): value for name, value in state.items()}
        inputs[("seed", "seed")] = np.array(VECTOR["seed"], dtype=np.uint32)
        inputs[("step", "step")] = np.array(step["step"], dtype=np.int64)
        values = run_nodes(GRAPH, inputs)
        assert [compute_value_root(value).hex() for value in values] == step["nodes"]
        for node, value in zip(GRAPH.nodes, values, strict=True):
            if node.op == "output" and node.attrs["kind"] == "state":
                state[str(node.attrs["name"])] = value
    assert {k: v.tobytes() for k, v in state.items()} == {k: parse(v).tobytes() for k, v in VECTOR["new_state"].items()}


def test_a_value_root_does_not_see_the_bits_of_a_nan() -> None:
    nans = np.array([0x7FC00000, 0xFFC00001, 0x7F800001], dtype=np.uint32).view(np.float32)
    assert len({compute_value_root(nan[None]) for nan in nans}) == 1
    assert compute_value_root(np.array(0.0)) != compute_value_root(np.array(-0.0))


def test_executor_gives_the_vector() -> None:
    executor = Executor(GRAPH, "numpy")
    assert (GRAPH.root().hex(), GRAPH.macs()) == (VECTOR["root"], VECTOR["macs"])
    state = {name: parse(value) for name, value in VECTOR["state"].items()}
    batch = {name: parse(value) for name, value in VECTOR["batch"].items()}
    for step in VECTOR["steps"]:
        state, loss, norm = executor.step(state, batch, tuple(VECTOR["seed"]), step["step"])
        found = (bits(np.asarray(loss)), bits(np.asarray(norm)), compute_state_commitment(state).root.hex())
        assert found == (step["loss"], step["grad_norm"], step["state_root"])
    assert {k: v.tobytes() for k, v in state.items()} == {k: parse(v).tobytes() for k, v in VECTOR["new_state"].items()}


def test_the_step_by_hand_follows_the_gradient() -> None:
    """A change of one weight changes the loss by about the gradient times the change (dropout being the same)."""
    state, batch = make_inputs(GRAPH)
    outputs = run(state, batch)
    for name in ("embedding", "filter", "head"):
        gradient = outputs[("state", f"momentum/{name}")]  # the first step's momentum is the gradient
        place = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
        losses = []
        for change in (-0.02, 0.02):
            moved = state[f"param/{name}"].copy()
            moved[place] += np.float32(change)
            losses.append(float(run({**state, f"param/{name}": moved}, batch)[("loss", "loss")]))
        slope = (losses[1] - losses[0]) / 0.04
        assert abs(slope - float(gradient[place])) < 0.05 * abs(float(gradient[place])) + 0.002
