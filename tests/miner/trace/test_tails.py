"""Gradients of a loss over thousands of classes: what the tiny probabilities say together is not rounded away."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from miner.kernels import Executor
from miner.trace import Sgd, initial_state, trace_step
from tests.miner.trace.compare import BACKEND, SEED, Batch


def measure_error(classes: int, bits: int, monkeypatch: pytest.MonkeyPatch, shortest: int) -> tuple[float, int]:
    """Relative error of the gradient under the last layer, and the products of the graph.

    Each row is sure of its target, and the other classes share the rest; their weights have one direction in common.
    """
    monkeypatch.setattr("miner.trace.emit.MIN_TAIL", shortest)
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(16, 24), nn.Linear(24, classes))
    with torch.no_grad():
        module[1].weight.add_(torch.ones(24))
        module[1].bias[:8] += 9.0
    batch = {"x": torch.randn(8, 16), "y": torch.arange(8)}

    def loss(m: nn.Module, b: Batch) -> torch.Tensor:
        return functional.cross_entropy(m(b["x"]), b["y"])

    graph = trace_step(module, loss, Sgd(1.0), batch, bits=bits)
    state = initial_state(module, Sgd(1.0), graph.signature().state)
    new, _, _ = Executor(graph, BACKEND).step(state, {k: v.numpy() for k, v in batch.items()}, SEED, 0)
    double = module.double()
    functional.cross_entropy(double(batch["x"].double()), batch["y"]).backward()
    expected = double[0].weight.grad.numpy()
    found = state["param/0.weight"].astype(np.float64) - new["param/0.weight"]
    error = float(np.linalg.norm(found - expected) / np.linalg.norm(expected))
    return error, sum(node.op == "matmul" for node in graph.nodes)


@pytest.mark.parametrize("bits", [12, 14])
def test_a_long_tail_has_a_grid_of_its_own(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    split, products = measure_error(4096, bits, monkeypatch, 512)
    whole, fewer = measure_error(4096, bits, monkeypatch, 2**20)
    assert products == fewer + 1
    assert split < 0.01 < 0.3 < whole


def test_few_classes_are_multiplied_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measure_error(511, 12, monkeypatch, 512)[1] == measure_error(511, 12, monkeypatch, 2**20)[1]
