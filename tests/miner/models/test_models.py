"""The built-in models: data, first states, checkpoints, and that exact training is as good as PyTorch's."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from consensus.commit.state import compute_state_root
from miner.kernels import Executor
from miner.models import (
    MODELS,
    TextTooShort,
    UnknownModel,
    WrongCheckpoint,
    build_task_graph,
    build_task_parts,
    evaluate,
    get_model,
    initial_state,
    load_dataset,
    load_digits,
    load_module,
    load_text,
    trace_model,
)
from miner.models.evaluation import get_loss
from miner.store.tensor_file import decode_tensors, encode_tensors

SEED, UNIT_SEED = bytes(32), bytes([3]) * 32


@pytest.mark.parametrize("name", sorted(MODELS))
def test_committed_graph_is_what_tracing_gives(name: str) -> None:
    """When this fails, PyTorch's trace or our rules changed: `python -m miner.models.evaluation`, and say why."""
    assert trace_model(name).to_bytes() == build_task_graph(name).to_bytes()


def test_posting_a_task_needs_no_pytorch() -> None:
    code = (
        "import sys, miner.models as m; m.build_task_parts('digits-mlp', bytes(32)); "
        "print('torch' in sys.modules, 'sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "False False"


def test_unknown_model_is_refused_with_the_names() -> None:
    with pytest.raises(UnknownModel, match="digits-mlp-tiny"):
        get_model("resnet")


def test_digits_split_is_fixed_and_disjoint() -> None:
    split = load_digits()
    assert split.train["x"].shape == (1437, 64) and split.held_out["x"].shape == (360, 64)
    assert split.train["x"].dtype == np.float32 and 0 <= split.train["x"].min() <= split.train["x"].max() == 1
    assert split.train["y"].dtype == np.int64 and set(split.train["y"]) == set(range(10))


def test_digits_are_those_of_scikit_learn() -> None:
    from sklearn import datasets

    digits, split = datasets.load_digits(), load_digits()
    assert (split.held_out["x"] == digits.data[::5].astype(np.float32) / 16).all()
    assert (split.held_out["y"] == digits.target[::5]).all()


def test_text_of_files_in_order(tmp_path: Path) -> None:
    for name, text in (("a", b"a" * 500), ("b", b"b" * 500)):
        (tmp_path / name).write_bytes(text)
    split = load_text([tmp_path / "a", tmp_path / "b"])
    assert bytes(split.train["tokens"]) == b"a" * 500 + b"b" * 400 and bytes(split.held_out["tokens"]) == b"b" * 100


def test_text_at_and_under_the_least_length(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"x" * 660)
    load_text([path])
    path.write_bytes(b"x" * 659)
    with pytest.raises(TextTooShort):
        load_text([path])


@pytest.mark.parametrize("name", sorted(MODELS))
def test_first_state_fits_the_graph_and_depends_on_the_seed(name: str) -> None:
    state, signature = initial_state(name, SEED), build_task_graph(name).signature()
    assert {k: v.shape for k, v in state.items()} == {k: v.shape for k, v in signature.state.items()}
    assert compute_state_root(state) == compute_state_root(initial_state(name, SEED))
    assert compute_state_root(state) != compute_state_root(initial_state(name, bytes([1]) * 32))


@pytest.mark.parametrize("name", sorted(MODELS))
def test_batches_fit_the_graph_and_depend_on_seed_and_step(name: str) -> None:
    data, batch = load_dataset(name), build_task_graph(name).signature().batch
    drawn = data.batch(UNIT_SEED, 0)
    found = {k: (v.shape, str(v.dtype)[:1]) for k, v in drawn.items()}
    assert found == {k: (v.shape, v.dtype[0]) for k, v in batch.items()}
    first = next(iter(drawn))
    for other in (data.batch(UNIT_SEED, 1), data.batch(SEED, 0)):
        assert (other[first] != drawn[first]).any()


@pytest.mark.parametrize("name", sorted(MODELS))
def test_parts_of_a_task(name: str) -> None:
    parts, graph = build_task_parts(name, SEED), build_task_graph(name)
    assert (parts.graph, parts.graph_root, parts.macs_per_step) == (graph.to_bytes(), graph.root(), graph.macs())
    assert set(parts.dataset) == set(parts.evaluation)


def test_checkpoint_file_loads_into_the_plain_model_and_gives_its_loss() -> None:
    name = "digits-mlp-tiny"
    executor, data, state = Executor(build_task_graph(name)), load_dataset(name), initial_state(name, SEED)
    before = evaluate(name, state)
    for step in range(300):
        state = executor.step(state, data.batch(UNIT_SEED, step))[0]
    loaded = decode_tensors(encode_tensors(state))
    after = evaluate(name, loaded)
    assert after == evaluate(name, state) and after.loss < 0.5 * before.loss and after.accuracy > 0.85
    weights = dict(load_module(name, loaded).named_parameters())
    assert all((state[f"param/{n}"] == w.detach().numpy()).all() for n, w in weights.items())


def test_checkpoint_of_another_model_is_refused() -> None:
    with pytest.raises(WrongCheckpoint):
        load_module("digits-mlp", initial_state("digits-mlp-tiny", SEED))
    with pytest.raises(WrongCheckpoint):
        load_module("digits-mlp", {})


def eager_run(name: str, steps: int) -> float:
    """Held-out loss after training with PyTorch's own f32 and AdamW on the same batches."""
    spec, data = get_model(name), load_dataset(name)
    module = load_module(name, initial_state(name, SEED)).train()
    optimiser = torch.optim.AdamW(module.parameters(), spec.optimiser.learning_rate)
    for step in range(steps):
        batch = {k: torch.from_numpy(v) for k, v in data.batch(UNIT_SEED, step).items()}
        optimiser.zero_grad()
        get_loss(spec)(module, batch).backward()
        optimiser.step()
    return evaluate(name, {f"param/{n}": p.detach().numpy() for n, p in module.named_parameters()}).loss


@pytest.mark.parametrize(("name", "steps"), [("digits-mlp", 200), ("byte-gpt-tiny", 30)])
def test_exact_training_is_as_good_as_pytorch(name: str, steps: int) -> None:
    executor, data, state = Executor(build_task_graph(name)), load_dataset(name), initial_state(name, SEED)
    for step in range(steps):
        state = executor.step(state, data.batch(UNIT_SEED, step))[0]
    assert evaluate(name, state).loss == pytest.approx(eager_run(name, steps), rel=0.02)
