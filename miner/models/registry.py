"""The built-in models by name, and what a submitter needs of one: graph, first state, data. Imports no PyTorch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from consensus.commit.hashing import Hash32
from consensus.exact import random
from consensus.graph import Graph

from miner.models.data import Split, load_digits, load_text
from miner.trace.names import PARAMETER_PREFIX, SCALAR_PREFIX
from miner.trace.optimisers import AdamW, Optimiser, Sgd
from miner.work.build import TaskParts
from miner.work.data import Dataset, make_dataset
from miner.work.task import DataOrder

Array = npt.NDArray[Any]
State = dict[str, Array]

GRAPHS = Path(__file__).parent / "graphs"
"""Where the built-in models' graphs lie, canonical JSON."""

class UnknownModel(ValueError):
    """No built-in model has this name."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"no model is called {name!r}; there are {', '.join(sorted(MODELS))}")


@dataclass(frozen=True)
class ModelSpec:
    """A model with all that makes it a task."""

    name: str
    net: str
    """Class in `miner.models.nets`."""
    sizes: tuple[int, ...]
    """Its arguments: widths of an `Mlp`; width, heads, layers, context of a `ByteGpt`."""
    optimiser: Optimiser
    order: DataOrder
    """How batches are drawn from the train arrays."""
    load_data: Callable[[Sequence[Path] | None], Split]
    """The data set; text models take files."""


def _mlp(name: str, widths: tuple[int, ...], batch: int, optimiser: Optimiser) -> ModelSpec:
    return ModelSpec(name, "Mlp", widths, optimiser, DataOrder("rows", batch, 0), lambda files: load_digits())


def _gpt(name: str, sizes: tuple[int, int, int, int], batch: int, optimiser: Optimiser) -> ModelSpec:
    context = sizes[-1]
    order = DataOrder("windows", batch, context)
    return ModelSpec(name, "ByteGpt", sizes, optimiser, order, lambda files: load_text(files, context))


MODELS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        _mlp("digits-mlp", (64, 128, 64, 10), 32, AdamW(1e-3)),
        _mlp("digits-mlp-tiny", (64, 32, 10), 16, Sgd(0.05, momentum=0.9)),
        _gpt("byte-gpt-tiny", (32, 2, 2, 32), 8, AdamW(3e-3)),
    )
}
"""The built-in models by name."""


def get_model(name: str) -> ModelSpec:
    """A built-in model; raises `UnknownModel`."""
    if name not in MODELS:
        raise UnknownModel(name)
    return MODELS[name]


@functools.cache
def build_task_graph(name: str) -> Graph:
    """The committed graph of one training step of a built-in model, read from ``graphs/``; raises `UnknownModel`.

    The files are what `miner.models.evaluation.trace_model` gives (a test traces again and compares), kept so that
    posting a task needs no PyTorch. `python -m miner.models.evaluation` writes them anew.
    """
    spec = get_model(name)
    return Graph.from_bytes((GRAPHS / f"{spec.name}.json").read_bytes())


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
            ones = entry.startswith(SCALAR_PREFIX) or (entry.startswith(PARAMETER_PREFIX) and entry.endswith(".weight"))
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
