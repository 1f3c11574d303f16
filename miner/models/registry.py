"""The built-in models by name, and what a submitter does with one: graph, first state, task parts, evaluation."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from consensus.commit.hashing import Hash32
from consensus.exact import random
from consensus.graph import Graph
from torch import Tensor, nn
from torch.nn import functional

from miner.models.data import Split, load_digits, load_text
from miner.models.nets import ByteGpt, Mlp
from miner.trace import AdamW, Optimiser, Sgd, trace_step
from miner.trace.trace import BUFFER_PREFIX, PARAMETER_PREFIX
from miner.work.build import TaskParts
from miner.work.data import Dataset, make_dataset
from miner.work.task import DataOrder

Array = npt.NDArray[Any]
State = dict[str, Array]

EVALUATION_WINDOWS = 64
"""Most windows of held-out text that an evaluation reads, spread evenly."""


class UnknownModel(ValueError):
    """No built-in model has this name."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"no model is called {name!r}; there are {', '.join(sorted(MODELS))}")


class WrongCheckpoint(ValueError):
    """A checkpoint does not fit the model."""


@dataclass(frozen=True)
class ModelSpec:
    """A model with all that makes it a task."""

    name: str
    make_module: Callable[[], nn.Module]
    """A fresh PyTorch module; its own random weights are never used."""
    loss: Callable[[nn.Module, Mapping[str, Tensor]], Tensor]
    """Mean loss of a batch."""
    optimiser: Optimiser
    order: DataOrder
    """How batches are drawn from the train arrays."""
    load_data: Callable[[Sequence[Path] | None], Split]
    """The data set; text models take files."""


@dataclass(frozen=True)
class Evaluation:
    """A model's quality on held-out data, computed by plain PyTorch in f32."""

    loss: float
    """Mean cross-entropy in nats."""
    accuracy: float
    """Share of predictions whose most likely class is the right one."""


def _classify(module: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    return functional.cross_entropy(module(batch["x"]), batch["y"])


def _predict_bytes(module: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    return functional.cross_entropy(module(batch["inputs"]).flatten(0, 1), batch["targets"].flatten())


def _mlp(name: str, widths: tuple[int, ...], batch: int, optimiser: Optimiser) -> ModelSpec:
    order = DataOrder("rows", batch, 0)
    return ModelSpec(name, lambda: Mlp(widths), _classify, optimiser, order, lambda files: load_digits())


def _gpt(name: str, width: int, heads: int, layers: int, context: int, batch: int, optimiser: Optimiser) -> ModelSpec:
    return ModelSpec(
        name,
        lambda: ByteGpt(width, heads, layers, context),
        _predict_bytes,
        optimiser,
        DataOrder("windows", batch, context),
        lambda files: load_text(files, context),
    )


MODELS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        _mlp("digits-mlp", (64, 128, 64, 10), 32, AdamW(1e-3)),
        _mlp("digits-mlp-tiny", (64, 32, 10), 16, Sgd(0.05, momentum=0.9)),
        _gpt("byte-gpt-tiny", 32, 2, 2, 32, 8, AdamW(3e-3)),
    )
}
"""The built-in models by name."""


def get_model(name: str) -> ModelSpec:
    """A built-in model; raises `UnknownModel`."""
    if name not in MODELS:
        raise UnknownModel(name)
    return MODELS[name]


def example_batch(spec: ModelSpec) -> dict[str, Tensor]:
    """A batch of zeros of the form that the model's data order gives."""
    if spec.order.rule == "windows":
        shape = (spec.order.batch, spec.order.length)
        return {name: torch.zeros(shape, dtype=torch.int64) for name in ("inputs", "targets")}
    return {"x": torch.zeros(spec.order.batch, 64), "y": torch.zeros(spec.order.batch, dtype=torch.int64)}


@functools.cache
def build_task_graph(name: str) -> Graph:
    """The graph of one training step of a built-in model; traced once a process. Raises `UnknownModel`."""
    spec = get_model(name)
    return trace_step(spec.make_module(), spec.loss, spec.optimiser, example_batch(spec))


def initial_state(name: str, seed: bytes) -> State:
    """The first state of a task, from its seed by Philox alone.

    Matrices are uniform: linear ones within ±1/√fan-in, embeddings within ±0.05. Weights of norms and powers of β
    are 1, everything else is 0.
    """
    key = random.derive_key(seed, "initial state/v1")
    state = {}
    for stream, (entry, form) in enumerate(build_task_graph(name).signature().state.items()):
        if entry.startswith(PARAMETER_PREFIX) and len(form.shape) == 2:
            embedding = entry.endswith(("/token.weight", "/place"))
            bound = np.float32(0.05 if embedding else 1.0 / np.sqrt(form.shape[1]))
            drawn = random.uniform(key, stream, 0, form.shape)
            state[entry] = (drawn * np.float32(2.0) - np.float32(1.0)) * bound
        else:
            ones = entry.startswith("scalar/") or (entry.startswith(PARAMETER_PREFIX) and entry.endswith(".weight"))
            state[entry] = np.full(form.shape, 1.0 if ones else 0.0, dtype=np.float32)
    return state


def build_task_parts(name: str, seed: bytes, files: Sequence[Path] | None = None) -> TaskParts:
    """All that `miner.work.build.build_task` needs to make a task of a built-in model.

    ``seed``: 32 bytes, draws the first state. ``files``: the text of a text model. Raises `UnknownModel`,
    `TextTooShort`, OSError.
    """
    spec, graph = get_model(name), build_task_graph(name)
    split = spec.load_data(files)
    return TaskParts(
        model=name,
        graph=graph.to_bytes(),
        graph_root=Hash32(graph.root()),
        macs_per_step=graph.macs(),
        seed=seed,
        initial_state=initial_state(name, seed),
        dataset=split.train,
        evaluation=split.held_out,
        order=spec.order,
    )


def load_dataset(name: str, files: Sequence[Path] | None = None) -> Dataset:
    """The train data of a built-in model; ``.batch(unit_seed, step)`` draws a step's batch."""
    spec = get_model(name)
    return make_dataset(spec.load_data(files).train, spec.order)


def load_module(name: str, state: Mapping[str, Array]) -> nn.Module:
    """The plain PyTorch model with the parameters (and buffers) of a state or checkpoint.

    Optimiser entries are left aside. Raises `UnknownModel`, `WrongCheckpoint`.
    """
    module = get_model(name).make_module()
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
