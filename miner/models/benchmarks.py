"""The models that benchmarks measure: each a module, a loss, an optimiser and an example batch, for eager PyTorch and
for `trace_step` alike.

    model = build_benchmark("gpt2-10m")
    graph = trace_step(model.module, model.loss, model.optimiser, model.batch)

A ``-tiny`` of each has the same structure and traces in a second or two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from miner.models.language import Gpt, Llama
from miner.models.nets import classify
from miner.models.vision import ResNet
from miner.trace.optimisers import AdamW, Optimiser, Sgd

VOCABULARY = 2**13
"""Tokens of the language models (= 8,192)."""
TOKENS = (8, 256)
"""Sequences a batch and tokens a sequence: 2,048 tokens a step."""
IMAGES = (32, 3, 64, 64)
"""Images a batch, channels, height and width."""
TINY_TOKENS = (2, 16)
TINY_IMAGES = (4, 3, 32, 32)


class UnknownBenchmark(ValueError):
    """No benchmark model has this name."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"no benchmark model is called {name!r}; there are {', '.join(BENCHMARKS)}")


@dataclass(frozen=True)
class BenchmarkModel:
    """A model with all that a training step needs."""

    name: str
    module: nn.Module
    """In training mode, first weights drawn."""
    loss: Callable[[nn.Module, Mapping[str, Tensor]], Tensor]
    """The scalar loss of the module and a batch."""
    optimiser: Optimiser
    batch: Mapping[str, Tensor]
    """An example batch with random content."""

    def parameters(self) -> int:
        """Number of trained numbers, tied ones counted once."""
        return sum(p.numel() for p in self.module.parameters())


def predict_tokens(module: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """Mean cross-entropy of the next tokens ``targets`` given ``inputs``."""
    return functional.cross_entropy(module(batch["inputs"]).flatten(0, 1), batch["targets"].flatten())


def _tokens(make: Callable[[], nn.Module], vocabulary: int, shape: tuple[int, int]) -> Callable[[str], BenchmarkModel]:
    def build(name: str) -> BenchmarkModel:
        module = make()
        batch = {key: torch.randint(0, vocabulary, shape) for key in ("inputs", "targets")}
        return BenchmarkModel(name, module, predict_tokens, AdamW(3e-4, weight_decay=0.1), batch)

    return build


def _images(make: Callable[[], nn.Module], classes: int, shape: tuple[int, ...]) -> Callable[[str], BenchmarkModel]:
    def build(name: str) -> BenchmarkModel:
        module = make()
        batch = {"x": torch.randn(shape), "y": torch.randint(0, classes, shape[:1])}
        return BenchmarkModel(name, module, classify, Sgd(0.05, momentum=0.9, weight_decay=5e-4), batch)

    return build


BENCHMARKS: dict[str, Callable[[str], BenchmarkModel]] = {
    "gpt2-10m": _tokens(lambda: Gpt(VOCABULARY, 256, 320, 5, 6), VOCABULARY, TOKENS),
    "gpt2-30m": _tokens(lambda: Gpt(VOCABULARY, 256, 512, 8, 8), VOCABULARY, TOKENS),
    "llama-15m": _tokens(lambda: Llama(VOCABULARY, 256, 384, 6, 2, 960, 8), VOCABULARY, TOKENS),
    "resnet18-64": _images(lambda: ResNet(100), 100, IMAGES),
    "gpt2-10m-tiny": _tokens(lambda: Gpt(61, 16, 32, 2, 2), 61, TINY_TOKENS),
    "gpt2-30m-tiny": _tokens(lambda: Gpt(61, 16, 32, 4, 3), 61, TINY_TOKENS),
    "llama-15m-tiny": _tokens(lambda: Llama(61, 16, 32, 4, 2, 48, 2), 61, TINY_TOKENS),
    "resnet18-64-tiny": _images(lambda: ResNet(10, 8), 10, TINY_IMAGES),
}
"""Builders by name. Parameters: gpt2-10m 10.1 M, gpt2-30m 29.5 M, llama-15m 15.1 M, resnet18-64 11.2 M."""


def build_benchmark(name: str, seed: int = 0) -> BenchmarkModel:
    """A benchmark model; ``seed`` draws its weights and its batch. The global random state is left as it was.

    Raises `UnknownBenchmark`.
    """
    if name not in BENCHMARKS:
        raise UnknownBenchmark(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BENCHMARKS[name](name)
