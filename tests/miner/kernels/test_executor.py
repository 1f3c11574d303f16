"""The fast executor gives the reference's bytes, whatever the threads, the run's length and the data."""

from collections.abc import Iterator

import numpy as np
import pytest

from consensus.exact.errors import IndexOutOfRange, NonFiniteState
from consensus.graph import Graph, GraphBuilder
from miner.kernels import BACKENDS, Executor, WrongInput, WrongPurpose, load_executor, set_blas_threads
from miner.models import build_task_graph, initial_state, load_dataset
from tests.miner.kernels.programs import SEED, UNIT_SEED, digest, run_model

F = np.float32


@pytest.fixture(autouse=True)
def one_thread_afterwards() -> Iterator[None]:
    yield
    set_blas_threads(1)


@pytest.fixture(scope="module")
def mlp_1000_steps() -> list[str]:
    """Digests of 1,000 steps with one thread."""
    return run_model("digits-mlp-tiny", 1000, threads=1)[0]


def test_mlp_same_bytes_over_1000_steps_with_1_and_2_threads(mlp_1000_steps: list[str]) -> None:
    assert run_model("digits-mlp-tiny", 1000, threads=2)[0] == mlp_1000_steps


def test_mlp_same_bytes_over_1000_steps_as_the_reference(mlp_1000_steps: list[str]) -> None:
    assert run_model("digits-mlp-tiny", 1000, "reference")[0] == mlp_1000_steps


def test_adamw_mlp_same_bytes_as_the_reference() -> None:
    assert run_model("digits-mlp", 100, threads=2)[0] == run_model("digits-mlp", 100, "reference")[0]


def test_gpt_same_bytes_over_100_steps_with_1_and_2_threads_and_reference() -> None:
    one, _ = run_model("byte-gpt-tiny", 100, threads=1)
    two, _ = run_model("byte-gpt-tiny", 100, threads=2)
    reference, _ = run_model("byte-gpt-tiny", 100, "reference")
    assert one == two == reference


def test_gpt_same_bytes_over_a_few_steps() -> None:
    assert run_model("byte-gpt-tiny", 4, threads=2)[0] == run_model("byte-gpt-tiny", 4, "reference")[0]


def test_golden_states() -> None:
    """Bytes that another machine gave: a change here is a change of the protocol."""
    for name, steps, expected in GOLDEN:
        assert run_model(name, steps)[0][-1] == expected, name


GOLDEN = [
    ("digits-mlp-tiny", 50, "2998e6cb77524ddc120efc96ea875138"),
    ("digits-mlp", 50, "b07358f828ca390a0fd54a9f541f6766"),
    ("byte-gpt-tiny", 5, "8997857cd08c99610158eb4f26197fbf"),
]


def test_state_continues_from_any_step() -> None:
    """Everything that the next step reads is in the state."""
    name = "digits-mlp"
    whole, _ = run_model(name, 6)
    executor = load_executor(build_task_graph(name).to_bytes())
    data, state = load_dataset(name), initial_state(name, SEED)
    for step in range(3):
        state = executor.step(state, data.batch(UNIT_SEED, step))[0]
    fresh = load_executor(build_task_graph(name).to_bytes())
    for step in range(3, 6):
        state, loss, norm = fresh.step({k: v.copy() for k, v in state.items()}, data.batch(UNIT_SEED, step))
    assert digest(state, loss, norm) == whole[-1]


def test_every_state_entry_influences_the_next_state() -> None:
    name = "digits-mlp"
    executor, data = Executor(build_task_graph(name)), load_dataset(name)
    state = initial_state(name, SEED)
    for step in range(2):
        state = executor.step(state, data.batch(UNIT_SEED, step))[0]
    batch = data.batch(UNIT_SEED, 2)
    expected = digest(executor.step(state, batch)[0])
    for entry in state:
        mutated = state | {entry: state[entry] * F(0.5) + F(0.01)}
        assert digest(executor.step(mutated, batch)[0]) != expected, entry


def test_arguments_are_not_changed_and_results_are_not_views() -> None:
    name = "digits-mlp-tiny"
    executor, state = Executor(build_task_graph(name)), initial_state(name, SEED)
    batch = load_dataset(name).batch(SEED, 0)
    before = digest(state), digest(batch)
    result = executor.run(state, batch)
    for array in result.state.values():
        assert array.flags.c_contiguous
        array.fill(7)
    assert (digest(state), digest(batch)) == before
    assert digest(executor.run(state, batch).state) != digest(result.state)


def test_invalid_inputs() -> None:
    name = "digits-mlp-tiny"
    executor, state = Executor(build_task_graph(name)), initial_state(name, SEED)
    batch = load_dataset(name).batch(SEED, 0)
    first = next(iter(state))
    for wrong in (
        {k: v for k, v in state.items() if k != first},
        state | {"unknown": state[first]},
        state | {first: state[first].astype(np.float64)},
        state | {first: state[first][..., None]},
    ):
        with pytest.raises(WrongInput):
            executor.step(wrong, batch)
    with pytest.raises(WrongInput):
        executor.step(state, {"x": batch["x"]})


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_end_the_unit(backend: str, bad: float) -> None:
    name = "digits-mlp-tiny"
    executor, state = Executor(build_task_graph(name), backend), initial_state(name, SEED)
    batch = load_dataset(name).batch(SEED, 0)
    batch["x"][0, 0] = bad
    with pytest.raises(NonFiniteState):
        executor.step(state, batch)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("bad", [-1, 10])
def test_label_outside_the_classes_is_refused(backend: str, bad: int) -> None:
    name = "digits-mlp-tiny"
    executor, batch = Executor(build_task_graph(name), backend), load_dataset(name).batch(SEED, 0)
    batch["y"][3] = bad
    with pytest.raises(IndexOutOfRange):
        executor.step(initial_state(name, SEED), batch)


def make_evaluation(infer: bool) -> Graph:
    b = GraphBuilder()
    x = b.input("batch", "x", "f32", (4,))
    doubled = b.add("mul", x, b.input("state", "w", "f32", (4,)))
    b.output("result", "y", doubled)
    if not infer:
        b.output("loss", "loss", b.reduce("sum", doubled, (0,), False))
    return b.finish()


@pytest.mark.parametrize("backend", BACKENDS)
def test_evaluation_and_inference(backend: str) -> None:
    state, batch = {"w": np.full(4, 2, F)}, {"x": np.arange(4, dtype=F)}
    found = Executor(make_evaluation(False), backend).evaluate(state, batch)
    assert found.loss == 12 and found.results["y"].tolist() == [0, 2, 4, 6]
    executor = Executor(make_evaluation(True), backend)
    assert executor.evaluate(state, batch).loss is None
    with pytest.raises(WrongPurpose):
        executor.step(state, batch)
    with pytest.raises(WrongPurpose):
        Executor(build_task_graph("digits-mlp-tiny"), backend).evaluate({}, {})


def test_unknown_backend_is_refused() -> None:
    with pytest.raises(ValueError, match="tpu"):
        Executor(build_task_graph("digits-mlp-tiny"), "tpu")


def noise_graph() -> Graph:
    b = GraphBuilder()
    w, seed = b.input("state", "w", "f32", (4,)), b.input("seed", "seed", "u32", (2,))
    step = b.input("step", "step", "i64", ())
    noise = b.add("uniform", seed, step, attrs={"stream": 3}, shape=(4,))
    total = b.reduce("sum", b.add("add", w, noise), (0,), False)
    b.output("state", "w", b.add("add", w, noise))
    b.output("loss", "loss", total)
    b.output("grad_norm", "grad_norm", total)
    return b.finish()


def test_random_graph_draws_from_seed_and_step() -> None:
    fast, slow = Executor(noise_graph()), Executor(noise_graph(), "reference")
    state = {"w": np.zeros(4, dtype=F)}
    draws = [fast.step(state, {}, (1, 2), 5), fast.step(state, {}, (1, 3), 5), fast.step(state, {}, (1, 2), 6)]
    assert len({d[0]["w"].tobytes() for d in draws}) == 3
    assert digest(slow.step(state, {}, (1, 2), 5)[0]) == digest(draws[0][0])
    with pytest.raises(WrongInput):
        fast.step(state, {})
