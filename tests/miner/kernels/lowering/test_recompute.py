"""Cheap values wait in memory only where a reader cannot compute them."""

from __future__ import annotations

import shutil
import sys

import numpy as np
import pytest

from consensus.graph import Graph, GraphBuilder
from consensus.graph.reference import run_reference
from miner.kernels.lowering import lower, prune, recompute
from miner.kernels.native import compiler
from miner.kernels.native.program import NativeProgram
from tests.consensus.graph.random_graphs import make_random_graph

MODULE = sys.modules["miner.kernels.lowering.recompute"]
ROWS, COLUMNS = 256, 512


def make_activation(read_in_columns: bool) -> Graph:
    """x·(tanh(x²) + 1) before a product, and its parts again behind it."""
    g = GraphBuilder()
    x = g.add("exp", g.input("batch", "x", "f32", (ROWS, COLUMNS)))
    square = g.add("mul", x, x)
    bent = g.add("tanh", square)
    raised = g.add("add", bent, g.f32(1.0))
    value = g.add("mul", x, raised)
    product = g.matmul(value, g.input("state", "w", "f32", (COLUMNS, COLUMNS)))
    back = g.add("mul", g.add("mul", product, square), g.add("sub", raised, bent))
    g.output("result", "back", back)
    if read_in_columns:
        g.output("result", "gradient", g.matmul(g.transpose(value, (1, 0)), product))
    return g.finish()


def stored_floats(graph: Graph, change: bool) -> int:
    """How many large f32 values between kernels have a buffer."""
    lowered = lower(graph)
    if change:
        recompute(lowered)
    read = {root for group in lowered.groups for root in group.externals()}
    made = {m.root for group in lowered.groups for m in group.members if m.form == "vector" and m.dtype == "f32"}
    return len(prune(lowered) & read & made)


@pytest.mark.parametrize(("read_in_columns", "before"), [(False, 4), (True, 5)])
def test_what_two_arrays_make_is_not_kept(read_in_columns: bool, before: int) -> None:
    graph = make_activation(read_in_columns)
    assert stored_floats(graph, False) >= before - 1
    assert stored_floats(graph, True) == 2


def test_results_are_kept() -> None:
    g = GraphBuilder()
    x = g.input("batch", "x", "f32", (ROWS, COLUMNS))
    doubled = g.add("add", x, x)
    g.output("result", "doubled", doubled)
    g.output("result", "y", g.add("mul", g.matmul(x, g.transpose(doubled, (1, 0))), g.f32(0.5)))
    lowered = lower(g.finish())
    groups = [[m.op for m in group.members] for group in lowered.groups]
    recompute(lowered)
    assert [[m.op for m in group.members] for group in lowered.groups] == groups


@pytest.mark.skipif(not any(map(shutil.which, compiler.CANDIDATES)), reason="no C compiler")
@pytest.mark.parametrize("seed", range(6))
def test_random_graphs_give_the_reference_bytes(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "MIN_ELEMENTS", 1)
    graph, inputs = make_random_graph(seed, 100, train=seed % 2 == 0)
    with np.errstate(all="ignore"):
        expected = run_reference(graph, inputs)
    found = NativeProgram(graph, threads=2).run(inputs)
    for key, value in expected.items():
        assert found[key].tobytes() == value.tobytes(), key
