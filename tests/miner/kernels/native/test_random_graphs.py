"""Random graphs of every op with hard values: the compiled graph gives the reference's bytes."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from consensus.graph.reference import run_reference
from miner.kernels.native import compiler
from miner.kernels.native.program import NativeProgram
from tests.consensus.graph.random_graphs import make_random_graph

pytestmark = pytest.mark.skipif(not any(map(shutil.which, compiler.CANDIDATES)), reason="no C compiler")


def verify(seed: int, size: int) -> None:
    graph, inputs = make_random_graph(seed, size, train=seed % 2 == 0)
    with np.errstate(all="ignore"):
        expected = run_reference(graph, inputs)
    found = NativeProgram(graph, threads=2).run(inputs)
    for key, value in expected.items():
        assert found[key].dtype == value.dtype
        assert found[key].shape == value.shape
        assert found[key].tobytes() == value.tobytes(), (seed, key)


@pytest.mark.parametrize("seed", [3, 4, 5, 7, 10, 13])
def test_graphs_that_once_failed(seed: int) -> None:
    """Tables made in the same loop, indices that are one a row, loads that gcc 12 vectorises wrongly."""
    verify(seed, 60)


def test_few_short_rows_in_columns() -> None:
    verify(211, 150)


@pytest.mark.parametrize("seed", range(100, 106))
def test_random_graphs(seed: int) -> None:
    verify(seed, 120)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1024))
def test_more_random_graphs(seed: int) -> None:
    verify(seed, 150)
