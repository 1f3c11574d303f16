"""Where an inspected graph and its inputs come from: a built-in model, a benchmark model, or files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from consensus.exact.random import derive_key
from consensus.graph import Graph
from consensus.graph.graph import MAX_BYTES
from consensus.graph.ops import NUMPY_DTYPES

from miner.inspect.errors import FileTooLarge, MissingInputs, NoSuchGraph
from miner.kernels import WrongInput
from miner.store.tensor_file import MAX_FILE_BYTES, decode_tensors
from miner.work.segment import STEP_PURPOSE

Array = npt.NDArray[Any]
Inputs = dict[tuple[str, str], Array]
"""Tensors by (kind, name) of their input nodes."""


@dataclass(frozen=True)
class StepInputs:
    """What one execution of a graph reads."""

    state: dict[str, Array]
    """Parameters, moments, scalars."""
    batch: dict[str, Array]
    """The batch."""
    seed: bytes
    """Unit seed (32 bytes): the source of the graph's random numbers."""
    step: int
    """Number of the step."""

    @property
    def key(self) -> tuple[int, int]:
        """The two words that the executor takes."""
        return derive_key(self.seed, STEP_PURPOSE)

    def collect(self) -> Inputs:
        """All of it by (kind, name)."""
        found: Inputs = {("state", name): array for name, array in self.state.items()}
        found |= {("batch", name): array for name, array in self.batch.items()}
        found[("seed", "seed")] = np.array(self.key, dtype=np.uint32)
        found[("step", "step")] = np.array(self.step, dtype=np.int64)
        return found


def read_bounded(path: Path, limit: int) -> bytes:
    """A file's bytes; raises OSError, and `FileTooLarge` for one above ``limit`` before any of it is read."""
    size = path.stat().st_size
    if size > limit:
        raise FileTooLarge(str(path), size, limit)
    return path.read_bytes()


def load_graph(name: str) -> Graph:
    """The graph of a built-in model, of a file of canonical JSON, or of a benchmark model, which is traced.

    Raises `NoSuchGraph`, `FileTooLarge`, OSError and the `GraphError` of a bad file.
    """
    from miner.models import MODELS, build_task_graph

    if name in MODELS:
        return build_task_graph(name)
    path = Path(name)
    if path.is_file():
        return Graph.from_bytes(read_bounded(path, MAX_BYTES))
    from miner.bench.workload import WORKLOADS, load_workload, trace_workload  # with PyTorch, which costs seconds

    if name not in WORKLOADS:
        raise NoSuchGraph(name, WORKLOADS)
    return trace_workload(load_workload(name))


def load_inputs(
    name: str, graph: Graph, state: Path | None, batch: Path | None, seed: bytes, step: int
) -> StepInputs:
    """The inputs of a step: from safetensors files, else of a named model its first state and its batch of ``step``.

    A benchmark model has one batch only. Raises `MissingInputs`, `FileTooLarge`, OSError, and `TensorFileError` for a
    bad file.
    """
    own_state, own_batch = ({}, {}) if state and batch else _load_own(name, graph, seed, step)
    found = StepInputs(
        own_state if state is None else _read_tensors(state), own_batch if batch is None else _read_tensors(batch),
        seed, step,
    )  # fmt: skip
    signature = graph.signature()
    for kind, wanted, given in (("state", signature.state, found.state), ("batch", signature.batch, found.batch)):
        if wanted and not given:
            raise MissingInputs(kind)
    return found


def _load_own(name: str, graph: Graph, seed: bytes, step: int) -> tuple[dict[str, Array], dict[str, Array]]:
    """State and batch of a named model; empty for a file."""
    from miner.models import MODELS, initial_state, load_dataset

    if name in MODELS:
        return initial_state(name, seed), load_dataset(name).batch(seed, step)
    if Path(name).is_file():
        return {}, {}
    from miner.bench.workload import compute_first_state, load_workload, make_batch

    model = load_workload(name)
    return compute_first_state(model, graph), make_batch(model)


def _read_tensors(path: Path) -> dict[str, Array]:
    return decode_tensors(read_bounded(path, MAX_FILE_BYTES))


def verify_inputs(graph: Graph, inputs: StepInputs) -> None:
    """Raises `WrongInput` unless state and batch have the names, dtypes and shapes that the graph declares."""
    signature = graph.signature()
    for kind, specs, given in (("state", signature.state, inputs.state), ("batch", signature.batch, inputs.batch)):
        for name in sorted(set(given) - set(specs)):
            raise WrongInput(kind, name, f"the graph has no such input; it has {', '.join(specs)}")
        for name, spec in specs.items():
            if name not in given:
                raise WrongInput(kind, name, "is missing")
            form, wanted = (given[name].dtype, given[name].shape), (NUMPY_DTYPES[spec.dtype], spec.shape)
            if form != wanted:
                raise WrongInput(kind, name, f"is {form[0]}{form[1]}, the graph wants {spec.dtype}{spec.shape}")
