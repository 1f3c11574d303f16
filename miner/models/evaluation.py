"""The PyTorch side of the built-in models: modules, tracing, checkpoints in the plain model, evaluation.

Run as a program it traces every built-in model and writes ``graphs/<name>.json``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from consensus.graph import Graph
from torch import Tensor, nn
from torch.nn import functional

from miner.models import nets
from miner.models.registry import GRAPHS, MODELS, ModelSpec, get_model
from miner.trace.names import BUFFER_PREFIX, PARAMETER_PREFIX
from miner.trace.trace import trace_step

Array = npt.NDArray[Any]

EVALUATION_WINDOWS = 64
"""Most windows of held-out text that an evaluation reads, spread evenly."""


class WrongCheckpoint(ValueError):
    """A checkpoint does not fit the model."""


@dataclass(frozen=True)
class Evaluation:
    """A model's quality on held-out data, computed by plain PyTorch in f32."""

    loss: float
    """Mean cross-entropy in nats."""
    accuracy: float
    """Share of predictions whose most likely class is the right one."""


def make_module(spec: ModelSpec) -> nn.Module:
    """A fresh module; its own random weights are never used."""
    return nets.Mlp(spec.sizes) if spec.net == "Mlp" else nets.ByteGpt(*spec.sizes)


def get_loss(spec: ModelSpec) -> Callable[[nn.Module, Mapping[str, Tensor]], Tensor]:
    """The mean loss of a batch."""
    return nets.classify if spec.net == "Mlp" else nets.predict_bytes


def trace_model(name: str) -> Graph:
    """Trace a built-in model's training step; raises `UnknownModel`."""
    spec = get_model(name)
    if spec.order.rule == "windows":
        shape = (spec.order.batch, spec.order.length)
        batch = {key: torch.zeros(shape, dtype=torch.int64) for key in ("inputs", "targets")}
    else:
        rows = spec.order.batch
        batch = {"x": torch.zeros(rows, spec.sizes[0]), "y": torch.zeros(rows, dtype=torch.int64)}
    return trace_step(make_module(spec), get_loss(spec), spec.optimiser, batch)


def load_module(name: str, state: Mapping[str, Array]) -> nn.Module:
    """The plain PyTorch model with the parameters (and buffers) of a state or checkpoint.

    Optimiser entries are left aside. Raises `UnknownModel`, `WrongCheckpoint`.
    """
    module = make_module(get_model(name))
    found = {}
    for entry, array in state.items():
        for prefix in (PARAMETER_PREFIX, BUFFER_PREFIX):
            if entry.startswith(prefix):
                found[entry.removeprefix(prefix)] = torch.from_numpy(np.array(array))
    try:
        module.load_state_dict(found)
    except RuntimeError as error:
        raise WrongCheckpoint(f"the checkpoint does not fit model {name}: {error}") from error
    return module.eval()


def evaluate(name: str, state: Mapping[str, Array], held_out: Mapping[str, Array] | None = None) -> Evaluation:
    """Quality of a state on held-out arrays (by default the model's own), in plain PyTorch f32.

    Raises as `load_module`.
    """
    spec, module = get_model(name), load_module(name, state)
    batch = _held_out_batch(spec, spec.load_data(None).held_out if held_out is None else held_out)
    inputs, targets = (batch["x"], batch["y"]) if "x" in batch else (batch["inputs"], batch["targets"].flatten())
    with torch.no_grad():
        logits = module(inputs)
        logits = logits.reshape(-1, logits.shape[-1])
        loss = functional.cross_entropy(logits, targets)
        accuracy = (logits.argmax(dim=-1) == targets).float().mean()
    return Evaluation(float(loss), float(accuracy))


def _held_out_batch(spec: ModelSpec, arrays: Mapping[str, Array]) -> dict[str, Tensor]:
    if spec.order.rule == "rows":
        return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
    tokens, length = arrays["tokens"].astype(np.int64), spec.order.length
    count = min(EVALUATION_WINDOWS, len(tokens) // (length + 1))
    starts = np.linspace(0, len(tokens) - length - 1, count).astype(np.int64)
    windows = torch.from_numpy(tokens[starts[:, None] + np.arange(length + 1)])
    return {"inputs": windows[:, :-1], "targets": windows[:, 1:]}


def main() -> None:
    """Write the built-in models' graphs."""
    for name in MODELS:
        (GRAPHS / f"{name}.json").write_bytes(trace_model(name).to_bytes())


if __name__ == "__main__":
    main()
