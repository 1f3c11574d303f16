"""Linear regression as a committed graph, built by hand: the smallest task that runs on the real executor."""

from __future__ import annotations

from typing import Any

import numpy as np

from consensus.commit.hashing import Hash32
from consensus.commit.state import State
from consensus.graph import Graph, GraphBuilder
from miner.work.build import TaskParts, TaskShape
from miner.work.task import DataOrder

BATCH, FEATURES = 8, 12
ORDER = DataOrder("rows", BATCH, 0)
SHAPE = TaskShape(rounds=2, shards=2, segments_per_unit=4, steps_per_segment=5)
INITIAL: State = {"weight": np.zeros((FEATURES, 1), np.float32)}


def make_graph(rate: float = 0.003) -> Graph:
    builder = GraphBuilder()
    weight = builder.input("state", "weight", "f32", (FEATURES, 1))
    x = builder.input("batch", "x", "f32", (BATCH, FEATURES))
    y = builder.input("batch", "y", "f32", (BATCH, 1))
    error = builder.add("sub", builder.matmul(x, weight), y)
    gradient = builder.matmul(builder.transpose(x, (1, 0)), error)
    step = builder.add("mul", builder.expand(builder.f32(rate), (FEATURES, 1)), gradient)
    squares = builder.reduce("sum", builder.add("mul", error, error), (0, 1), keepdims=False)
    norm = builder.reduce("sum", builder.add("mul", gradient, gradient), (0, 1), keepdims=False)
    builder.output("state", "weight", builder.add("sub", weight, step))
    builder.output("loss", "loss", squares)
    builder.output("grad_norm", "grad_norm", builder.add("sqrt", norm))
    return builder.finish()


def make_rows(count: int, seed: int) -> dict[str, Any]:
    x = np.random.default_rng(seed).integers(-4, 5, (count, FEATURES)).astype(np.float32)
    return {"x": x, "y": (x @ np.arange(FEATURES, dtype=np.float32).reshape(-1, 1)).astype(np.float32)}


def make_parts(rate: float = 0.003) -> TaskParts:
    graph = make_graph(rate)
    return TaskParts(
        "regression",
        graph.to_bytes(),
        Hash32(graph.root()),
        graph.macs(),
        bytes(32),
        INITIAL,
        make_rows(200, 1),
        make_rows(50, 2),
        ORDER,
    )
