"""The models that benchmarks measure: names, sizes, and that the small ones train."""

import pytest
import torch

from miner.kernels import Executor
from miner.models.benchmarks import BENCHMARKS, UnknownBenchmark, build_benchmark
from miner.trace import initial_state, trace_step

SIZES = {"gpt2-10m": 10_101_760, "gpt2-30m": 29_545_472, "llama-15m": 15_145_344, "resnet18-64": 11_227_812}


@pytest.mark.parametrize("name", sorted(SIZES))
def test_sizes_and_batches(name: str) -> None:
    model = build_benchmark(name)
    assert model.parameters() == SIZES[name]
    first = next(iter(model.batch.values()))
    assert first.numel() == 2048 if name != "resnet18-64" else first.shape == (32, 3, 64, 64)


def test_every_model_has_a_tiny_one() -> None:
    assert set(BENCHMARKS) == set(SIZES) | {f"{name}-tiny" for name in SIZES}


def test_seed_decides_weights_and_batch_and_the_global_one_is_left() -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first, again, other = (build_benchmark("gpt2-10m-tiny", seed) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first.module.token.weight, again.module.token.weight)
    assert torch.equal(first.batch["inputs"], again.batch["inputs"])
    assert not torch.equal(first.module.token.weight, other.module.token.weight)


def test_unknown_benchmark_is_refused_with_the_names() -> None:
    with pytest.raises(UnknownBenchmark, match="gpt2-10m"):
        build_benchmark("gpt3")


@pytest.mark.parametrize("name", sorted(n for n in BENCHMARKS if n.endswith("-tiny")))
def test_tiny_models_learn_their_batch(name: str) -> None:
    model = build_benchmark(name)
    graph = trace_step(model.module, model.loss, model.optimiser, model.batch)
    executor, state = Executor(graph, "numpy"), initial_state(model.module, model.optimiser, graph.signature().state)
    losses = []
    for step in range(4):
        state, loss, _ = executor.step(state, {k: v.numpy() for k, v in model.batch.items()}, (1, 2), step)
        losses.append(float(loss))
    assert losses[-1] < losses[0]
