"""What is measured: a named model with all that PyTorch needs for a step, and the same as graph, state and batch."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import torch
from consensus.graph import Graph

from miner.bench.errors import UnknownWorkload
from miner.models import MODELS, build_task_graph, initial_state, load_dataset
from miner.models.benchmarks import BENCHMARKS, BenchmarkModel, build_benchmark
from miner.models.evaluation import get_loss, load_module
from miner.trace.optimisers import AdamW, Optimiser, Sgd
from miner.trace.state import initial_state as initial_state_of
from miner.trace.trace import trace_step

Array = npt.NDArray[Any]

WORKLOADS = (*BENCHMARKS, *MODELS)
"""Names of the benchmark models and of the built-in ones."""
SEED = bytes(32)
"""Draws the weights and the batch of a built-in model."""


def load_workload(name: str) -> BenchmarkModel:
    """A benchmark model, or a built-in one with its first batch; raises `UnknownWorkload`."""
    if name in BENCHMARKS:
        return build_benchmark(name)
    if name not in MODELS:
        raise UnknownWorkload(name, WORKLOADS)
    spec = MODELS[name]
    batch = {key: torch.from_numpy(array) for key, array in load_dataset(name).batch(SEED, 0).items()}
    module = load_module(name, initial_state(name, SEED)).train()
    return BenchmarkModel(name, module, get_loss(spec), spec.optimiser, batch)


def trace_workload(model: BenchmarkModel) -> Graph:
    """The graph of the model's training step, a built-in one's from its file; raises the tracer's errors."""
    if model.name in MODELS:
        return build_task_graph(model.name)
    return trace_step(model.module, model.loss, model.optimiser, model.batch)


def compute_first_state(model: BenchmarkModel, graph: Graph) -> dict[str, Array]:
    """The state that the graph reads first: the module's own weights and buffers, the optimiser's first values."""
    return initial_state_of(model.module, model.optimiser, graph.signature().state)


def make_batch(model: BenchmarkModel) -> dict[str, Array]:
    """The batch as arrays."""
    return {name: tensor.numpy().copy() for name, tensor in model.batch.items()}


def make_optimiser(optimiser: Optimiser, parameters: Any, is_fused: bool = False) -> torch.optim.Optimizer:
    """PyTorch's own optimiser with the same numbers. ``is_fused``: its fused form, else whatever is its default.

    Raises TypeError for an optimiser that PyTorch does not have.
    """
    fused = {"fused": True} if is_fused else {}
    if isinstance(optimiser, AdamW):
        betas = (optimiser.beta1, optimiser.beta2)
        return torch.optim.AdamW(
            parameters, optimiser.learning_rate, betas, optimiser.eps, optimiser.weight_decay, **fused
        )
    if isinstance(optimiser, Sgd):
        return torch.optim.SGD(
            parameters, optimiser.learning_rate, optimiser.momentum, weight_decay=optimiser.weight_decay,
            nesterov=optimiser.nesterov, **fused,
        )  # fmt: skip
    raise TypeError(f"PyTorch has no {type(optimiser).__name__}")
