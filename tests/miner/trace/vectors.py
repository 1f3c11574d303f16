"""Roots of traced graphs, `tests/vectors/trace.json`: one that changes makes another task of the same model.

Run as a program it writes the file anew: `python -m tests.miner.trace.vectors`. Say why in the commit.
"""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from consensus.graph import Graph
from miner.models.benchmarks import BENCHMARKS, build_benchmark
from miner.trace import AdamW, Group, Lion, Recipe, cosine_schedule, trace_evaluation, trace_inference, trace_step

PATH = Path(__file__).parents[2] / "vectors" / "trace.json"
TINY = tuple(sorted(name for name in BENCHMARKS if name.endswith("-tiny")))


class Mixed(nn.Module):  # type: ignore[misc]
    """Convolution, pooling, norms, dropout, attention and a tied table in a few lines."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8)
        self.attention = nn.MultiheadAttention(8, 2, dropout=0.1, batch_first=True)
        self.group, self.head = nn.GroupNorm(2, 8), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(torch.relu(self.norm(self.stem(x))), 3, 2, 1)
        tokens = self.group(x).flatten(2).transpose(1, 2)
        tokens = tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return self.head(functional.dropout(tokens.mean(1), 0.2, self.training))


def _mixed() -> tuple[nn.Module, dict[str, Tensor]]:
    return Mixed(), {"x": torch.zeros(2, 3, 16, 16), "y": torch.zeros(2, dtype=torch.int64)}


def _loss(module: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    return functional.cross_entropy(module(batch["x"]), batch["y"])


def _trace_recipe() -> Graph:
    module, batch = _mixed()
    groups = (Group(("*bias", "*norm*"), Lion(1e-3)),)
    return trace_step(module, _loss, Recipe(AdamW(1e-2), groups, cosine_schedule(8, 2), 1.0, 2), batch)


def _trace_evaluation() -> Graph:
    module, batch = _mixed()
    return trace_evaluation(module, _loss, batch)


def _trace_inference() -> Graph:
    module, batch = _mixed()
    return trace_inference(module, lambda m, b: m(b["x"]), {"x": batch["x"]})


def _trace_benchmark(name: str) -> Graph:
    model = build_benchmark(name)
    return trace_step(model.module, model.loss, model.optimiser, model.batch)


CASES: dict[str, Callable[[], Graph]] = {
    **{name: partial(_trace_benchmark, name) for name in TINY},
    "mixed-recipe": _trace_recipe,
    "mixed-evaluation": _trace_evaluation,
    "mixed-inference": _trace_inference,
}
"""What is traced, by name."""


def compute_roots() -> dict[str, dict[str, object]]:
    """Root, nodes and MACs of every case."""
    found = {}
    for name, trace in CASES.items():
        graph = trace()
        found[name] = {"root": f"0x{graph.root().hex()}", "nodes": len(graph.nodes), "macs": str(graph.macs())}
    return found


def main() -> None:
    """Write the file."""
    PATH.write_text(json.dumps(compute_roots(), indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
