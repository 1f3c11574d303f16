"""Tests of the Triton backend on what there is: a GPU, or Triton's interpreter with TRITON_INTERPRET=1.

`test_triton` runs this file in a process of its own, for the interpreter is chosen when Triton is first imported.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import triton

from consensus.exact.errors import IndexOutOfRange, NonFiniteState
from consensus.graph import Graph, GraphBuilder
from consensus.graph.reference import run_reference
from miner.kernels import Executor, SelfTestFailed, WrongInput
from miner.kernels.triton import gemm, selftest
from miner.kernels.triton.executor import TritonExecutor
from miner.kernels.triton.program import TritonProgram
from tests.consensus.exact.vectors import FILE, REFUSALS
from tests.miner.kernels.triton.programs import digest, draw_batch, draw_state, run_steps
from tests.miner.kernels.triton.replay import Case, replay

INTERPRETED = bool(triton.knobs.runtime.interpret)
GRAPHS = Path(__file__).parents[4] / "miner" / "models" / "graphs"
CASES: list[Case] = json.loads(FILE.read_text()) + json.loads(REFUSALS.read_text())
EVERY = 23 if INTERPRETED else 1
"""The interpreter takes minutes for all cases: every twenty-third, and `replay` by hand for all."""


@cache
def load_graph(name: str) -> Graph:
    return Graph.from_bytes((GRAPHS / f"{name}.json").read_bytes())


@cache
def make_small() -> tuple[Graph, TritonExecutor]:
    """A step of a linear classifier: w ← w − xᵀ·(x·w), loss the mean picked score; some state is only read."""
    b = GraphBuilder()
    w, t = b.input("state", "w", "f32", (4, 10)), b.input("state", "t", "f32", (6, 1))
    x, y = b.input("batch", "x", "f32", (6, 4)), b.input("batch", "y", "i64", (6,))
    scores = b.matmul(x, w)
    picked = b.add("mul", b.add("pick", scores, b.reshape(y, (6, 1))), t)
    gradient = b.matmul(b.transpose(x, (1, 0)), scores)
    b.output("state", "w", b.add("sub", w, b.add("mul", gradient, b.f32(0.1))))
    b.output("state", "t", t)
    b.output("loss", "loss", b.add("div", b.reduce("sum", picked, (0, 1), False), b.f32(6.0)))
    b.output("grad_norm", "grad_norm", b.reduce("amax", gradient, (0, 1), False))
    graph = b.finish()
    return graph, TritonExecutor(graph)


def draw_small(graph: Graph) -> dict[str, np.ndarray]:
    return draw_state(graph) | {"t": np.ones((6, 1), dtype=np.float32)}


@pytest.mark.parametrize("op", sorted({case["op"] for case in CASES}))
def test_kernels_give_the_vectors_bytes_from_any_layout(op: str) -> None:
    chosen = [case for case in CASES if case["op"] == op][::EVERY]
    for number, case in enumerate(chosen):
        for turned in (False, True):
            assert replay(case, turned) is None, (number, turned)


def test_self_test_finds_a_wrong_product(monkeypatch: pytest.MonkeyPatch) -> None:
    right = gemm._sizes
    monkeypatch.setattr(gemm, "_sizes", lambda product: (*right(product)[:-1], 2 * product.bits + 1))
    with pytest.raises(SelfTestFailed, match="matmul"):
        selftest.verify_triton.__wrapped__()


@pytest.mark.parametrize("name", ["digits-mlp-tiny", "digits-mlp", "byte-gpt-tiny"])
def test_training_gives_the_references_bytes(name: str) -> None:
    if INTERPRETED and name != "digits-mlp-tiny":
        pytest.skip("minutes in the interpreter")
    graph, steps = load_graph(name), 2 if INTERPRETED else 20
    expected = run_steps(Executor(graph, "reference"), graph, steps, 10)
    assert run_steps(TritonExecutor(graph), graph, steps, 10) == expected


def test_every_form_of_a_state_gives_the_same_step() -> None:
    """On the device, from the host, of an earlier step; and what is held never changes."""
    graph, executor = make_small()
    batches = [draw_batch(graph, step, 10) for step in range(3)]
    first = executor.step(draw_small(graph), batches[0])[0]
    held = {name: array.copy() for name, array in first.items()}
    second = executor.step(first, batches[1])[0]
    third = executor.step(second, batches[2])[0]
    assert digest(first) == digest(held) and digest(second) != digest(third)
    assert digest(executor.step(held, batches[1])[0]) == digest(second)
    assert digest(executor.step(first, batches[1])[0]) == digest(second)
    with pytest.raises(ValueError, match="read-only"):
        first["w"][...] = 0


def test_a_program_runs_as_the_others_do() -> None:
    graph, _ = make_small()
    program, state, batch = TritonProgram(graph), draw_small(graph), draw_batch(graph, 0, 10)
    inputs = {("state", name): array for name, array in state.items()}
    inputs |= {("batch", name): array for name, array in batch.items()}
    outputs = program.run(inputs | {("step", "step"): np.array(0)})
    new = {name: array for (kind, name), array in outputs.items() if kind == "state"}
    expected, loss, norm = Executor(graph, "reference").step(state, batch)
    assert digest(new, outputs[("loss", "loss")], outputs[("grad_norm", "grad_norm")]) == digest(expected, loss, norm)
    assert digest(*Executor(graph, "triton").step(state, batch)) == digest(expected, loss, norm)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_end_the_step_and_change_nothing(bad: float) -> None:
    graph, executor = make_small()
    state, batch = draw_small(graph), draw_batch(graph, 0, 10)
    older = executor.step(state, batch)[0]
    held = executor.step(older, batch)[0]
    before = digest(executor.step(held, batch)[0])
    wrong = batch | {"x": batch["x"].copy()}
    wrong["x"][0, 0] = bad
    with pytest.raises(NonFiniteState):
        executor.step(held, wrong)
    assert digest(executor.step(older, batch)[0]) == digest(held)
    assert digest(executor.step(held, batch)[0]) == before


@pytest.mark.parametrize("bad", [-1, 10, 2**40])
def test_index_outside_the_classes_is_refused(bad: int) -> None:
    graph, executor = make_small()
    batch = draw_batch(graph, 0, 10)
    batch["y"][3] = bad
    with pytest.raises(IndexOutOfRange):
        executor.step(draw_small(graph), batch)


def test_invalid_inputs() -> None:
    graph, executor = make_small()
    state, batch = draw_small(graph), draw_batch(graph, 0, 10)
    for wrong in (state | {"unknown": state[next(iter(state))]}, dict(list(state.items())[1:])):
        with pytest.raises(WrongInput):
            executor.step(wrong, batch)
    with pytest.raises(WrongInput):
        executor.step(state, {"x": batch["x"], "y": batch["y"].astype(np.float32)})


def test_state_that_a_step_does_not_change_is_the_given_array() -> None:
    graph, executor = make_small()
    state = draw_small(graph)
    new = executor.step(state, draw_batch(graph, 0, 10))[0]
    assert new["t"] is state["t"] and executor.step(new, draw_batch(graph, 1, 10))[0]["t"] is state["t"]


@pytest.mark.parametrize("value", [1.99999988, 16256 / 8192])
def test_products_of_long_rows_do_not_overflow(value: float) -> None:
    """The largest integers of a grid of 14 bits, 16,384 and 64·256 − 128, over more terms than 32 bits hold."""
    b, k = GraphBuilder(), 2**16 + 101
    x, y = b.input("batch", "x", "f32", (2, k)), b.input("batch", "y", "f32", (k, 3))
    b.output("result", "z", b.matmul(b.add("neg", x), y, 14))
    graph = b.finish()
    inputs = {("batch", "x"): np.full((2, k), value, np.float32), ("batch", "y"): np.full((k, 3), value, np.float32)}
    inputs[("batch", "y")][-1] = 1.9999999
    expected = run_reference(graph, inputs)[("result", "z")]
    assert TritonProgram(graph).run(inputs)[("result", "z")].tobytes() == expected.tobytes()


def test_an_array_that_its_owner_changes_is_read_anew() -> None:
    graph, executor = make_small()
    state, batch = draw_small(graph), draw_batch(graph, 0, 10)
    first = executor.step(state, batch)[1]
    state["t"][...] = 2
    assert executor.step(state, batch)[1] == 2 * first != 0


def test_nothing_textual_of_a_graph_enters_a_kernel() -> None:
    b = GraphBuilder()
    name = 'x"""; import os #'
    x = b.input("batch", name, "f32", (4, 9))
    b.output("result", name, b.reduce("sum", b.add("exp", x), (1,)))
    program = TritonProgram(b.finish())
    sources = [operation.launch.source for operation in program._plan.order if operation.launch]
    assert sources and all("import os" not in source and '"""' not in source for source in sources)
