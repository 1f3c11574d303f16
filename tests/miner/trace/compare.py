"""Exact training beside eager PyTorch's."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from miner.kernels import Executor
from miner.trace import AdamW, Optimiser, Recipe, Sgd, initial_state, trace_step

Batch = Mapping[str, Tensor]
Loss = Callable[[nn.Module, Batch], Tensor]
SEED = (7, 8)
BACKEND = "reference"
"""The definitions themselves: what is compared is the graph, and nothing has to be compiled for it."""


def make_torch_optimiser(module: nn.Module, o: Optimiser) -> torch.optim.Optimizer:
    trained = [p for p in module.parameters() if p.requires_grad]
    if isinstance(o, Sgd):
        return torch.optim.SGD(trained, o.learning_rate, o.momentum, weight_decay=o.weight_decay, nesterov=o.nesterov)
    assert isinstance(o, AdamW)
    return torch.optim.AdamW(trained, o.learning_rate, (o.beta1, o.beta2), o.eps, weight_decay=o.weight_decay)


def compute_norm(module: nn.Module) -> Tensor:
    return torch.sqrt(sum((p.grad**2).sum() for p in module.parameters() if p.grad is not None))


def compare_with_torch(
    module: nn.Module, loss: Loss, o: Optimiser, batch: Batch, steps: int, tolerance: float
) -> dict[str, np.ndarray]:
    """Losses, gradient norms and parameters after some steps are close to eager PyTorch's; gives the last state."""
    graph = trace_step(module, loss, o, batch, bits=14)
    executor, state = Executor(graph, BACKEND), initial_state(module, o, graph.signature().state)
    eager = make_torch_optimiser(module, o)
    arrays = {k: v.numpy() for k, v in batch.items()}
    for step in range(steps):
        state, exact_loss, exact_norm = executor.step(state, arrays, SEED, step)
        eager.zero_grad()
        value = loss(module, batch)
        value.backward()
        norm = compute_norm(module)
        eager.step()
        assert float(exact_loss) == pytest.approx(value.item(), rel=tolerance, abs=tolerance)
        assert float(exact_norm) == pytest.approx(norm.item(), rel=10 * tolerance, abs=tolerance)
    for name, parameter in module.named_parameters():
        assert np.allclose(state[f"param/{name}"], parameter.detach().numpy(), rtol=10 * tolerance, atol=10 * tolerance)
    for name, buffer in module.named_buffers():
        assert np.allclose(state[f"buffer/{name}"], buffer.numpy(), rtol=10 * tolerance, atol=10 * tolerance), name
    return state


def run_recipe(
    module: nn.Module, loss: Loss, recipe: Recipe | Optimiser, batches: list[Batch]
) -> tuple[dict[str, np.ndarray], list[float]]:
    """The state after a step for each batch, and the losses."""
    graph = trace_step(module, loss, recipe, batches[0], bits=14)
    executor, state, losses = Executor(graph, BACKEND), initial_state(module, recipe, graph.signature().state), []
    for step, batch in enumerate(batches):
        state, value, _ = executor.step(state, {k: v.numpy() for k, v in batch.items()}, SEED, step)
        losses.append(float(value))
    return state, losses


def check_gradients(
    function: Callable[..., Tensor], *tensors: Tensor, constants: Batch | None = None, tolerance: float = 2e-3
) -> None:
    """A function's value and its gradients for f32 tensors are PyTorch's, up to the grids' rounding.

    The loss weighs every element differently; gradients are read off one step of plain gradient descent.
    """
    module = nn.ParameterList([nn.Parameter(t.clone()) for t in tensors])
    batch = dict(constants or {}) or {"unused": torch.zeros(1)}

    def loss(m: nn.Module, b: Batch) -> Tensor:
        found = function(*m, **{k: v for k, v in b.items() if k in (constants or {})})
        weights = torch.cos(torch.arange(found.numel(), dtype=torch.float32))
        return (found * weights.reshape(found.shape)).sum()

    graph = trace_step(module, loss, Sgd(1.0), batch, bits=14)
    state = initial_state(module, Sgd(1.0), graph.signature().state)
    new, value, _ = Executor(graph, BACKEND).step(state, {k: v.numpy() for k, v in batch.items()}, SEED, 0)
    expected = loss(module, batch)
    expected.backward()
    assert float(value) == pytest.approx(expected.item(), rel=tolerance, abs=20 * tolerance)
    for index, parameter in enumerate(module):
        gradient = state[f"param/{index}"] - new[f"param/{index}"]
        wanted = np.zeros_like(gradient) if parameter.grad is None else parameter.grad.numpy()
        scale = max(1.0, float(np.abs(wanted).max()))
        assert np.abs(gradient - wanted).max() < tolerance * scale, f"gradient of argument {index}"
