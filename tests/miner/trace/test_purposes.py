"""Training, evaluation and inference graphs of one module: running statistics, dropout, results."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from miner.kernels import Executor
from miner.trace import Sgd, UntraceableModel, initial_state, trace_evaluation, trace_inference, trace_step
from tests.miner.trace.compare import BACKEND, SEED, Batch, compare_with_torch


class Normed(nn.Module):  # type: ignore[misc]
    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.first, self.norm, self.second = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Linear(3, 4)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.dropout(functional.relu(self.norm(self.first(x))).mean((2, 3))))


def loss(module: nn.Module, batch: Batch) -> Tensor:
    return functional.cross_entropy(module(batch["x"]), batch["y"])


def make(dropout: float = 0.0) -> tuple[Normed, Batch]:
    torch.manual_seed(5)
    return Normed(dropout), {"x": torch.randn(6, 2, 5, 5), "y": torch.randint(0, 4, (6,))}


def test_running_statistics_are_state_and_follow_torch() -> None:
    module, batch = make()
    state = compare_with_torch(module, loss, Sgd(0.05, 0.9), batch, 4, 2e-3)
    assert state["buffer/norm.num_batches_tracked"] == 4
    assert np.abs(state["buffer/norm.running_mean"]).max() > 0


def test_a_norm_in_evaluation_mode_stays_so_while_the_rest_trains() -> None:
    module, batch = make()
    module.norm.eval()
    state = compare_with_torch(module, loss, Sgd(0.05), batch, 3, 2e-3)
    assert state["buffer/norm.num_batches_tracked"] == 0 and not state["buffer/norm.running_mean"].any()


def test_evaluation_gives_loss_and_results_without_changing_state() -> None:
    module, batch = make(0.5)
    module.norm.running_mean.fill_(0.3)

    def judge(m: nn.Module, b: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        logits = m(b["x"])
        return functional.cross_entropy(logits, b["y"]), {"logits": logits}

    graph = trace_evaluation(module, judge, batch, bits=14)
    signature = graph.signature()
    assert signature.purpose == "evaluate" and not signature.needs_seed and set(signature.results) == {"logits"}
    state = initial_state(module, Sgd(0.1), signature.state)
    assert set(state) == set(signature.state) and all(n.startswith(("param/", "buffer/")) for n in state)
    found = Executor(graph, BACKEND).evaluate(state, {k: v.numpy() for k, v in batch.items()})
    with torch.no_grad():
        expected = module.eval()(batch["x"])
    assert np.allclose(found.results["logits"], expected.numpy(), atol=2e-3)
    wanted = float(functional.cross_entropy(expected, batch["y"]))
    assert found.loss is not None and float(found.loss) == pytest.approx(wanted, abs=2e-3)


def test_inference_gives_results_only() -> None:
    module, batch = make(0.5)
    only_x = {"x": batch["x"]}
    graph = trace_inference(module, lambda m, b: m(b["x"]), only_x, bits=14)
    assert graph.signature().purpose == "infer" and set(graph.signature().results) == {"output"}
    assert module.training
    named = trace_inference(module, lambda m, b: {"a": m(b["x"]), "b": m(b["x"]).argmax}["a"], only_x)
    assert set(named.signature().results) == {"output"}


def test_evaluation_wants_a_scalar_loss() -> None:
    module, batch = make()
    with pytest.raises(UntraceableModel, match="scalar"):
        trace_evaluation(module, lambda m, b: m(b["x"]), batch)


def test_dropout_is_drawn_by_seed_and_step_and_keeps_the_mean() -> None:
    module = nn.ParameterList([nn.Parameter(torch.ones(4000))])
    batch = {"x": torch.ones(4000)}

    def drop(m: nn.Module, b: Batch) -> Tensor:
        return functional.dropout(m[0] * b["x"], 0.25).mean() + functional.dropout(m[0], 0.25).mean()

    graph = trace_step(module, drop, Sgd(1.0), batch)
    assert graph.signature().needs_seed
    state, arrays = initial_state(module, Sgd(1.0)), {"x": np.ones(4000, dtype=np.float32)}
    executor = Executor(graph, BACKEND)
    first, value, _ = executor.step(state, arrays, SEED, 0)
    again, _, _ = executor.step(state, arrays, SEED, 0)
    assert np.array_equal(first["param/0"], again["param/0"]) and float(value) == pytest.approx(2.0, abs=0.05)
    for seed, step in ((SEED, 1), ((7, 9), 0)):
        assert not np.array_equal(executor.step(state, arrays, seed, step)[0]["param/0"], first["param/0"])
    gradient = (state["param/0"] - first["param/0"]) * 4000 * 0.75
    assert set(np.round(np.unique(gradient), 2)) == {0.0, 1.0, 2.0}, "the two draws differ, kept ones are scaled"
