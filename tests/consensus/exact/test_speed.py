"""The reference takes time linear in what it computes: no accidental n², nothing that makes tests of others crawl."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from consensus.graph.node import Attribute, Node
from consensus.graph.ops import NUMPY_DTYPES, OPS, infer
from tests.consensus.exact.vectors import indices, small

Array = npt.NDArray[Any]
SMALL, LARGE = 2**12, 2**17
"""Elements of the two sizes: 32 times as many may take up to 32 · 8 times as long, n² would take 1,024 times."""
OVERHEAD = 2e-4
"""Seconds that a call may cost whatever its size."""


def example(op: str, count: int) -> tuple[Node, list[Array]]:
    """A node with ``count`` elements of work, and its operands."""
    rows = count // 64
    a = small((rows, 64), 1, 0.5, 2)
    i = indices((rows, 64), 2, 64)
    index = indices((rows,), 3, rows)
    one = np.array(0.0, dtype=np.float32)
    seed, step = np.array([1, 2], dtype=np.uint32), np.array(3, dtype=np.int64)
    inputs: dict[str, list[Array]] = {
        "where": [a > 1, a, a], "cast": [i], "and": [a > 1, a > 1], "or": [a > 1, a > 1], "not": [a > 1],
        "matmul": [a, small((64, 1), 4, 0.5, 2)], "concat": [a, a], "pad": [a, one], "take_rows": [a, index],
        "pick": [a, i], "add_rows": [a, index], "uniform": [seed, step], "const": [], "iota": [],
    }  # fmt: skip
    attrs: dict[str, dict[str, Attribute]] = {
        "sum": {"axes": (0,)}, "amax": {"axes": (1,)}, "matmul": {"bits": 12}, "transpose": {"perm": (1, 0)},
        "slice": {"axis": 0, "start": 0, "stop": rows, "step": 1}, "concat": {"axis": 0}, "iota": {"n": count},
        "pad": {"low": (1, 1), "high": (1, 1), "interior": (1, 1)}, "add_rows": {"rows": rows},
        "windows": {"kernel": (3, 3), "stride": (1, 1), "dilation": (1, 1)}, "uniform": {"stream": 1},
        "const": {"value": "3f800000"}, "output": {"kind": "state", "name": "x"},
    }  # fmt: skip
    shape = {"reshape": (64, rows), "expand": (2, rows, 64), "uniform": (rows, 64)}.get(op, ())
    operands = inputs.get(op, [a] if OPS[op].arity == 1 else [a, a])
    names = {dtype: name for name, dtype in NUMPY_DTYPES.items()}
    sources = [Node("input", (), names[x.dtype], x.shape) for x in operands]
    draft = Node(op, tuple(range(len(operands))), "f32", shape, attrs.get(op, {}))
    dtype, found = infer(draft, sources)
    return Node(op, draft.inputs, dtype, found, draft.attrs), operands


def measure(op: str, count: int) -> float:
    """Least of five times, in seconds, the result being made row-major."""
    node, operands = example(op, count)
    run = OPS[op].run
    assert run is not None
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        np.array(run(node, operands), order="C")
        best = min(best, time.perf_counter() - started)
    return best


@pytest.mark.parametrize("op", sorted(set(OPS) - {"input"}))
def test_time_is_linear(op: str) -> None:
    few, many = measure(op, SMALL), measure(op, LARGE)
    assert many < 8 * (LARGE / SMALL) * few + OVERHEAD
    assert many < LARGE * 10e-6  # 10 µs an element: a hundred times what any of them takes
