"""The native backend against the definitions: golden vectors, refusals, whole training steps, outputs' lifetimes."""

from __future__ import annotations

import shutil
import weakref
from collections import defaultdict

import numpy as np
import pytest

from consensus.exact.errors import ExactError, NonFiniteState
from consensus.graph import Graph, GraphBuilder
from miner.kernels import Executor
from miner.kernels.native import compiler
from miner.kernels.native.plan import ARENA
from miner.kernels.native.planner import lay_out, make_plan
from miner.kernels.native.program import NativeProgram
from miner.models import build_task_graph, initial_state, load_dataset
from tests.consensus.exact.replay import CASES, OPS_WITH_REFUSALS, OPS_WITH_VECTORS, REFUSED, verify_value
from tests.consensus.exact.vectors import parse
from tests.miner.kernels.native.vectors import make_graph, make_inputs
from tests.miner.kernels.programs import SEED, UNIT_SEED, digest, run_model

pytestmark = pytest.mark.skipif(not any(map(shutil.which, compiler.CANDIDATES)), reason="no C compiler")

F = np.float32


@pytest.mark.parametrize("op", [op for op in OPS_WITH_VECTORS if op not in ("const", "iota", "uniform", "output")])
def test_golden_vectors(op: str) -> None:
    cases = [case for case in CASES if case["op"] == op]
    found = NativeProgram(make_graph(cases), checked=False).run(make_inputs(cases))
    for i, case in enumerate(cases):
        verify_value(f"{op}, case {i}", parse(case["output"]), found[("result", f"y{i}")])


def test_golden_vectors_of_sources() -> None:
    """Constants, iota and draws have a graph each: they are folded, or read the one seed."""
    for case in CASES:
        if case["op"] in ("const", "iota", "uniform"):
            inputs = {}
            if case["op"] == "uniform":
                inputs = {("seed", "seed"): parse(case["inputs"][0]), ("step", "step"): parse(case["inputs"][1])}
            found = NativeProgram(make_graph([case]), checked=False).run(inputs)
            verify_value(f"{case['op']} {case['attrs']}", parse(case["output"]), found[("result", "y0")])


@pytest.mark.parametrize("op", [op for op in OPS_WITH_REFUSALS if op != "output"])
def test_refusals(op: str) -> None:
    cases = [case for case in REFUSED if case["op"] == op]
    program = NativeProgram(make_graph(cases), checked=False)
    for i, case in enumerate(cases):
        with pytest.raises(ExactError) as raised:
            program.run(make_inputs(cases, only=i))
        assert type(raised.value).__name__ == case["error"], (op, i)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(("name", "steps"), [("digits-mlp-tiny", 60), ("digits-mlp", 20), ("byte-gpt-tiny", 6)])
def test_training_gives_the_reference_bytes(name: str, steps: int, threads: int) -> None:
    assert run_model(name, steps, "native", threads)[0] == run_model(name, steps, "reference")[0]


def scale_graph(outputs: dict[str, float], passed_on: bool = False) -> Graph:
    """Each state tensor times a constant; ``kept`` is passed on."""
    g = GraphBuilder()
    for name, factor in outputs.items():
        g.output("state", name, g.add("mul", g.input("state", name, "f32", (3,)), g.f32(factor)))
    if passed_on:
        g.output("state", "kept", g.input("state", "kept", "f32", (2,)))
    total = g.reduce("sum", g.input("batch", "x", "f32", (3,)), (0,), False)
    g.output("loss", "loss", total)
    g.output("grad_norm", "grad_norm", total)
    return g.finish()


def test_results_stay_unchanged_while_they_are_held() -> None:
    executor = Executor(scale_graph({"w": 2.0}), "native")
    batch = {"x": np.zeros(3, F)}
    states = [{"w": np.ones(3, F)}]
    for step in range(8):
        states.append(executor.step(states[-1], batch, step=step)[0])
    assert [s["w"][0] for s in states] == [2.0**n for n in range(9)]
    views = [s["w"][1:] for s in states]
    del states
    for _ in range(8):
        executor.step({"w": np.ones(3, F)}, batch)
    assert [v[0] for v in views] == [2.0**n for n in range(9)]


def test_blocks_are_used_again_when_nobody_holds_them() -> None:
    program = NativeProgram(scale_graph({"w": 2.0}))
    inputs = {("state", "w"): np.ones(3, F), ("batch", "x"): np.zeros(3, F), ("step", "step"): np.array(0)}
    addresses = set()
    for _ in range(20):
        inputs[("state", "w")] = program.run(inputs)[("state", "w")]
        addresses.add(inputs[("state", "w")].ctypes.data)
    assert len(addresses) == 2


def test_memory_of_states_that_were_held_goes_back() -> None:
    executor = Executor(scale_graph({"w": 2.0}), "native")
    states, batch = [{"w": np.ones(3, F)}], {"x": np.zeros(3, F)}
    for _ in range(3):
        states.append(executor.step(states[-1], batch)[0])
    blocks = [weakref.ref(state["w"].base) for state in states[1:]]
    state = states[-1]
    del states
    for _ in range(3):
        state = executor.step(state, batch)[0]
    assert sum(block() is not None for block in blocks) == 2 and state["w"][0] == 2.0**6


def test_unchanged_state_is_the_given_array() -> None:
    executor = Executor(scale_graph({"w": 2.0}, passed_on=True), "native")
    state = {"w": np.ones(3, F), "kept": np.ones(2, F)}
    assert executor.step(state, {"x": np.zeros(3, F)})[0]["kept"] is state["kept"]
    state["kept"] = np.array([1, np.nan], F)
    with pytest.raises(NonFiniteState):
        executor.step(state, {"x": np.zeros(3, F)})


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_output_that_is_not_finite_ends_the_unit(bad: float) -> None:
    executor = Executor(scale_graph({"w": 2.0, "v": 1.0}), "native")
    state = {"w": np.ones(3, F), "v": np.array([0, bad, 0], F)}
    with pytest.raises(NonFiniteState, match="node"):
        executor.step(state, {"x": np.zeros(3, F)})


def test_equal_layers_share_their_kernels() -> None:
    plan = make_plan(build_task_graph("byte-gpt-tiny"))
    assert len({call.kernel or "product" for call in plan.calls}) < len(plan.calls) / 2


def test_buffers_in_use_do_not_overlap() -> None:
    layout = lay_out(build_task_graph("byte-gpt-tiny"))
    life: dict[int, list[int]] = defaultdict(list)
    for number, op in enumerate(layout.operations):
        for root in op.touches():
            if layout.places[root][0] == ARENA:
                life[root].append(number)
    places = {root: layout.places[root][1] for root in life}
    sizes = {root: layout.compute_bytes(root) for root in life}
    for a in life:
        for b in life:
            together = life[a][0] <= life[b][-1] and life[b][0] <= life[a][-1]
            if a < b and together:
                assert places[a] + sizes[a] <= places[b] or places[b] + sizes[b] <= places[a]


def test_arguments_are_not_changed() -> None:
    name = "digits-mlp-tiny"
    executor, state = Executor(build_task_graph(name), "native"), initial_state(name, SEED)
    batch = load_dataset(name).batch(UNIT_SEED, 0)
    before = digest(state), digest(batch)
    result = executor.run(state, batch)
    first = digest(result.state)
    for array in result.state.values():
        array.fill(7)
    assert (digest(state), digest(batch)) == before
    assert digest(executor.run(state, batch).state) == first
