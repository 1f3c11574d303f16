"""Checks of what an executor is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from consensus.graph import Signature, TensorSpec
from consensus.graph.ops import NUMPY_DTYPES

from miner.kernels.errors import WrongInput

Array = npt.NDArray[Any]


def collect_inputs(
    signature: Signature,
    state: Mapping[str, Array],
    batch: Mapping[str, Array],
    seed: tuple[int, int] | None,
    step: int,
) -> dict[tuple[str, str], Array]:
    """All inputs of a step by (kind, name). Raises `WrongInput` for names, dtypes and shapes that are not declared."""
    check_tensors("state", signature.state, state)
    return {("state", name): state[name] for name in signature.state} | collect_others(signature, batch, seed, step)


def collect_others(
    signature: Signature, batch: Mapping[str, Array], seed: tuple[int, int] | None, step: int
) -> dict[tuple[str, str], Array]:
    """The inputs but the state. Raises `WrongInput`."""
    check_tensors("batch", signature.batch, batch)
    inputs = {("batch", name): batch[name] for name in signature.batch}
    if signature.needs_seed:
        if seed is None:
            raise WrongInput("seed", "seed", "this graph draws random numbers and needs the unit's seed")
        inputs[("seed", "seed")] = np.array(seed, dtype=np.uint32)
    inputs[("step", "step")] = np.array(step, dtype=np.int64)
    return inputs


def check_tensors(kind: str, specs: Mapping[str, TensorSpec], given: Mapping[str, Array]) -> None:
    """Raise `WrongInput` unless exactly the named tensors are given, each of its dtype and shape."""
    unknown = sorted(set(given) - set(specs))
    if unknown:
        raise WrongInput(kind, unknown[0], f"the graph has no such input; it has {', '.join(specs)}")
    for name, spec in specs.items():
        if name not in given:
            raise WrongInput(kind, name, "is missing")
        tensor = given[name]
        if tensor.dtype != NUMPY_DTYPES[spec.dtype] or tensor.shape != spec.shape:
            raise WrongInput(kind, name, f"is {tensor.dtype}{tensor.shape}, the graph wants {spec.dtype}{spec.shape}")
