"""Helpers of the executor's tests: built-in models on short runs, digests of states."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from miner.kernels import Executor
from miner.models import build_task_graph, initial_state, load_dataset

SEED, UNIT_SEED = bytes(32), bytes([7]) * 32


def digest(state: Mapping[str, Any], *scalars: np.float32) -> str:
    """One hash over a state's names and bytes and some scalars."""
    h = hashlib.blake2b(digest_size=16)
    for name in sorted(state):
        h.update(name.encode() + state[name].tobytes())
    for scalar in scalars:
        h.update(scalar.tobytes())
    return h.hexdigest()


def run_model(name: str, steps: int, backend: str = "numpy", threads: int | None = None) -> tuple[list[str], Any]:
    """Digest after each step, and the last state."""
    executor = Executor(build_task_graph(name), backend, threads)
    state, data, digests = initial_state(name, SEED), load_dataset(name), []
    for step in range(steps):
        state, loss, norm = executor.step(state, data.batch(UNIT_SEED, step))
        digests.append(digest(state, loss, norm))
    return digests, state
