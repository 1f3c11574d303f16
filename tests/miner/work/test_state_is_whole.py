"""All that the next step reads is committed, field by field, and nothing outside influences it (DESIGN §3).

The model has everything that a training step may carry along: parameters, a frozen one, batch norm's buffers, moments,
powers of β, dropout that the unit seed and the step's number draw.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from consensus.commit.hashing import Hash32, blake2_256
from consensus.commit.records import StepOutcome, compute_step_record
from consensus.commit.state import State, compute_state_root
from consensus.exact.random import derive_key
from consensus.graph import Graph
from miner.kernels import Executor, WrongInput
from miner.kernels.native.hashing import HashlibHasher, get_hasher
from miner.store.tensor_file import decode_tensors, encode_tensors
from miner.trace import AdamW, initial_state, trace_step
from miner.work.commitment import StateCommitter
from miner.work.segment import STEP_PURPOSE

BATCH, FEATURES, CLASSES = 6, 40, 5
SEED = blake2_256(b"unit")
KEY = derive_key(SEED, STEP_PURPOSE)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.Linear(FEATURES, 33)
        self.norm = nn.BatchNorm1d(33)
        self.drop = nn.Dropout(0.25)
        self.head = nn.Linear(33, CLASSES)
        self.frozen.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.drop(self.norm(self.frozen(x)).relu()))
        return out


def compute_loss(module: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    return functional.cross_entropy(module(batch["x"]), batch["y"])


@functools.cache
def trace() -> tuple[Graph, State]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net, optimiser = Net(), AdamW(1e-2, weight_decay=0.1)
    batch = {"x": torch.zeros(BATCH, FEATURES), "y": torch.zeros(BATCH, dtype=torch.int64)}
    graph = trace_step(net, compute_loss, optimiser, batch)
    return graph, initial_state(net, optimiser, graph.signature().state)


def make_batch(step: int) -> State:
    rng = np.random.default_rng(step)
    return {
        "x": rng.standard_normal((BATCH, FEATURES)).astype(np.float32), "y": rng.integers(0, CLASSES, BATCH),
    }  # fmt: skip


def run(executor: Executor, state: State, first: int, stop: int) -> tuple[State, list[StepOutcome]]:
    outcomes = []
    for step in range(first, stop):
        state, loss, norm = executor.step(state, make_batch(step), KEY, step)
        outcomes.append(StepOutcome(float(loss), float(norm)))
    return state, outcomes


@functools.cache
def make_executor(backend: str | None = None) -> Executor:
    return Executor(trace()[0], backend, threads=1)


@pytest.fixture(scope="module")
def state() -> State:
    """After three steps, so that no moment is zero any more."""
    return run(make_executor(), trace()[1], 0, 3)[0]


def mutate(tensor: np.ndarray[Any, Any]) -> Iterator[np.ndarray[Any, Any]]:
    """The lowest bit of the first, a middle and the last element."""
    for place in {0, tensor.size // 2, tensor.size - 1}:
        changed = np.array(tensor, order="C")
        changed.reshape(-1).view(f"u{tensor.itemsize}")[place] ^= 1
        yield changed


def test_the_state_has_all_kinds_of_fields(state: State) -> None:
    assert set(state) == set(trace()[0].signature().state)
    names = " ".join(state)
    for part in ("frozen.weight", "frozen.bias", "norm.weight", "running_mean", "running_var", "head.bias"):
        assert part in names
    assert sum("head.weight" in name for name in state) == 3  # the parameter and its two moments
    assert any(tensor.ndim == 0 for tensor in state.values())  # powers of β


def test_every_bit_of_every_field_is_in_the_root(state: State) -> None:
    native, slow = get_hasher().compute_tensor_root, HashlibHasher().compute_tensor_root
    root, committer = compute_state_root(state), StateCommitter()
    assert committer.commit(state).root == root == compute_state_root(state, native)
    roots = {root}
    count = 1
    for name, tensor in state.items():
        others = {other: value for other, value in state.items() if other != name}
        variants: list[State] = [{**others, name: changed} for changed in mutate(tensor)]
        variants += [others, {**others, name + "x": tensor}, {**others, name: tensor.reshape((1, *tensor.shape))}]
        variants.append({**others, name: np.frombuffer(tensor.tobytes(), np.uint8)})
        for variant in variants:
            found = compute_state_root(variant, native)
            assert found == compute_state_root(variant, slow) == committer.commit(variant).root
            roots.add(found)
        count += len(variants)
    assert len(roots) == count, "two states share a root"


@pytest.mark.parametrize("backend", [None, "numpy", "reference"])
def test_nothing_but_the_state_is_carried_along(state: State, backend: str | None) -> None:
    """From its bytes alone, in an executor that did other things before or nothing, with other global generators, the
    training goes on as if it had not stopped."""
    expected, outcomes = run(make_executor(), state, 3, 6)
    used, fresh = make_executor(backend), Executor(trace()[0], backend, threads=1)
    for executor in (used, fresh, used):
        restored = decode_tensors(encode_tensors(state))
        assert compute_state_root(restored) == compute_state_root(state)
        found, found_outcomes = run(executor, restored, 3, 6)
        assert compute_state_root(found) == compute_state_root(expected) and found_outcomes == outcomes
        other = {name: tensor * np.float32(0.5) if tensor.ndim else tensor for name, tensor in state.items()}
        run(executor, other, 90, 92)
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002 - the global generator is what must not matter
        torch.manual_seed(1)


def test_a_step_reads_nothing_that_is_not_committed(state: State) -> None:
    """What may influence a step is its state, its batch, the unit seed and its number: each changes root or record."""
    executor = make_executor()
    with pytest.raises(WrongInput, match="no such input"):
        executor.step({**state, "more": np.zeros(1, np.float32)}, make_batch(3), KEY, 3)
    with pytest.raises(WrongInput, match="no such input"):
        executor.step(state, {**make_batch(3), "more": np.zeros(1, np.float32)}, KEY, 3)

    def compute_record(seed: Hash32, step: int, batch: State) -> Hash32:
        return compute_step_record(seed, step, Hash32(bytes(32)), compute_state_root(batch), StepOutcome(1.0, 1.0))

    batch = make_batch(3)
    records = {compute_record(seed, step, batch) for seed, step in ((SEED, 3), (SEED, 4), (blake2_256(b"other"), 3))}
    for name, tensor in batch.items():
        records |= {compute_record(SEED, 3, {**batch, name: changed}) for changed in mutate(tensor)}
    assert len(records) == 3 + 3 * len(batch)


def test_every_field_influences_what_comes_after(state: State) -> None:
    """A field that no step read would be dead weight. Buffers of a batch norm are read by themselves only (they are for
    evaluation); all others must show in the rest of the state two steps later."""
    executor = make_executor()
    expected = run(executor, state, 3, 5)[0]
    for name, tensor in state.items():
        coarse = np.asarray(tensor + 1 if tensor.dtype.kind == "i" else tensor * np.float32(0.5))
        found = run(executor, {**state, name: coarse}, 3, 5)[0]
        compared = {name} if name.startswith("buffer/") else found.keys() - {name}
        assert any(found[other].tobytes() != expected[other].tobytes() for other in compared), name
    base = executor.step(state, make_batch(3), KEY, 3)[1]
    assert executor.step(state, make_batch(3), KEY, 4)[1] != base
    assert executor.step(state, make_batch(3), derive_key(blake2_256(b"other"), STEP_PURPOSE), 3)[1] != base
    assert executor.step(state, make_batch(4), KEY, 3)[1] != base
