"""Known-answer self-test of the device: one graph of every kind of kernel, with adversarial values."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from consensus.graph import Graph, GraphBuilder
from consensus.graph.reference import run_reference

from miner.kernels.errors import SelfTestFailed
from miner.kernels.selftest import adversarial
from miner.kernels.triton.layout import Key
from miner.kernels.triton.program import TritonProgram

Array = npt.NDArray[Any]

ROWS, TERMS, COLUMNS = 96, 160, 72


def make_graph() -> Graph:
    """Elementwise and transcendental ops, reductions along all axes, products, gathers, scatter, noise."""
    b = GraphBuilder()
    x, y = b.input("batch", "x", "f32", (ROWS, TERMS)), b.input("batch", "y", "f32", (TERMS, COLUMNS))
    index = b.input("batch", "index", "i64", (ROWS,))
    seed, step = b.input("seed", "seed", "u32", (2,)), b.input("step", "step", "i64", ())
    small = b.add("div", x, b.add("add", b.add("abs", x), b.f32(1.0)))
    for bits in (1, 12, 14):
        b.output("result", f"matmul at {bits} bits", b.matmul(x, y, bits))
    b.output("result", "matmul of columns", b.matmul(b.transpose(x, (1, 0)), b.add("exp", small)))
    for axes in ((0,), (1,), (0, 1)):
        b.output("result", f"sum over {axes}", b.reduce("sum", x, axes))
        b.output("result", f"amax over {axes}", b.reduce("amax", x, axes))
    for op in ("exp", "log", "tanh", "erf", "sin", "cos", "sqrt", "neg"):
        operand = b.add("abs", b.add("sub", small, b.f32(2.0))) if op in ("log", "sqrt") else small
        b.output("result", op, b.add(op, operand))
    b.output("result", "division", b.add("div", b.f32(1.0), b.add("add", b.add("mul", x, x), b.f32(3.0))))
    b.output("result", "contraction", b.add("sub", b.add("mul", small, small), b.add("mul", small, b.f32(0.3))))
    b.output("result", "subnormals", b.add("mul", small, b.f32(2.0**-120)))
    b.output("result", "take_rows", b.add("take_rows", x, index))
    b.output("result", "add_rows", b.add("add_rows", x, index, attrs={"rows": ROWS}))
    picked = b.add("pick", x, b.reshape(index, (ROWS, 1)))
    b.output("result", "pick", picked)
    b.output("result", "uniform", b.add("uniform", seed, step, attrs={"stream": 3}, shape=(ROWS, 7)))
    return b.finish()


def make_inputs() -> dict[Key, Array]:
    """Adversarial operands."""
    return {
        ("batch", "x"): adversarial(ROWS, TERMS, 5),
        ("batch", "y"): adversarial(TERMS, COLUMNS, 6),
        ("batch", "index"): np.arange(ROWS, dtype=np.int64) * 37 % (ROWS // 2),
        ("seed", "seed"): np.array([0x12345678, 0x9ABCDEF0], dtype=np.uint32),
        ("step", "step"): np.array(2**31 + 5, dtype=np.int64),
    }


@cache
def verify_triton() -> None:
    """Raise `SelfTestFailed` when a kernel gives other bytes than the reference; passes once a process."""
    graph, inputs = make_graph(), make_inputs()
    with np.errstate(all="ignore"):
        expected = run_reference(graph, inputs)
    found = TritonProgram(graph).run(inputs)
    for key, array in expected.items():
        if found[key].tobytes() != array.tobytes() or found[key].shape != array.shape:
            raise SelfTestFailed(key[1], "triton")
