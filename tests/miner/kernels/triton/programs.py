"""Training steps of Triton programs against the reference: states and batches drawn by Philox, digests."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from consensus.exact import random
from consensus.graph import Graph
from consensus.graph.ops import NUMPY_DTYPES

Array = npt.NDArray[Any]
KEY = random.derive_key(bytes(32), "triton tests")


def draw_state(graph: Graph) -> dict[str, Array]:
    """A first state: powers and norms' weights 1, moments 0, matrices uniform in ±0.04."""
    state: dict[str, Array] = {}
    for place, (name, spec) in enumerate(graph.signature().state.items()):
        values = np.zeros(spec.shape, dtype=NUMPY_DTYPES[spec.dtype])
        if "moment" not in name and len(spec.shape) >= 2:
            drawn = random.uniform(KEY, place, 0, spec.shape)
            values[...] = (drawn - np.float32(0.5)) * np.float32(0.08)
        elif "power" in name or ("norm" in name and name.endswith("weight")):
            values[...] = 1
        state[name] = values
    return state


def draw_batch(graph: Graph, step: int, bound: int) -> dict[str, Array]:
    """A batch: f32 in [0, 1), integers below ``bound``."""
    batch: dict[str, Array] = {}
    for place, (name, spec) in enumerate(graph.signature().batch.items()):
        count = int(np.prod(spec.shape))
        if spec.dtype == "f32":
            batch[name] = random.uniform(KEY, 1000 + place, step, spec.shape)
        else:
            batch[name] = random.below(KEY, 1000 + place, step, count, bound).reshape(spec.shape)
    return batch


def digest(state: Mapping[str, Any], *scalars: np.float32) -> str:
    """One hash over a state's names and bytes and some scalars."""
    h = hashlib.blake2b(digest_size=16)
    for name in sorted(state):
        h.update(name.encode() + state[name].tobytes())
    for scalar in scalars:
        h.update(scalar.tobytes())
    return h.hexdigest()


def run_steps(executor: Any, graph: Graph, steps: int, bound: int) -> list[str]:
    """Digests after each step of an executor of a training graph."""
    state: Mapping[str, Any] = draw_state(graph)
    digests = []
    for step in range(steps):
        state, loss, norm = executor.step(state, draw_batch(graph, step, bound), (1, 2), step)
        digests.append(digest(state, loss, norm))
    return digests
