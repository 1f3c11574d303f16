"""Known-answer self-test of the native backend: a graph with every kind of kernel, compiled as any other graph is.

It notices a compiler that takes liberties (contraction, reassociation, reciprocals, dropped NaNs and signs of zero),
a mode that flushes subnormals, and a product kernel that overflows. The reference gives the expected bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from consensus.exact import random
from consensus.exact.values import with_one_nan
from consensus.graph import Graph, GraphBuilder
from consensus.graph.node import Attribute
from consensus.graph.ops import OPS
from miner.kernels.errors import SelfTestFailed
from miner.kernels.native.program import NativeProgram

Array = npt.NDArray[Any]

LENGTH = 619
"""Elements of the elementwise operands: some vectors of any width and a tail."""
THREADS = 2
"""The test runs on a pool, as a graph does."""
SPECIAL = (
    0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007FFFFF, 0x00800000, 0x3F800000, 0xBF800000, 0x7F7FFFFF,
    0xFF7FFFFF, 0x7F800000, 0xFF800000, 0x7FC00000, 0x42B17218, 0xC2D00000, 0x3EAAAAAB, 0x33800000, 0x0DA24260,
)  # fmt: skip
"""Bit patterns: zeros, subnormals, ones, largest finite values, infinities, a NaN, ends of the programs' ranges."""

ANSWERS = "3d791a6087cf38a10728451918afcb10"
"""`compute_digest` of `compute_answers`, for all machines; a test computes it again."""


def draw(shape: tuple[int, ...], stream: int, low: int, high: int) -> Array:
    """f32 of magnitudes 2^low … 2^high, by Philox."""
    size = int(np.prod(shape))
    words = random.words(random.derive_key(bytes(32), "native self-test"), stream, 0, size)
    exponents = (words >> np.uint32(23)) % np.uint32(high - low) + np.uint32(low + 127)
    return ((words & np.uint32(0x807FFFFF)) | (exponents << np.uint32(23))).view(np.float32).reshape(shape)


def make_inputs() -> dict[tuple[str, str], Array]:
    """Operands of `make_graph` by (kind, name)."""
    special = np.array(SPECIAL, dtype=np.uint32).view(np.float32)
    x, y = draw((LENGTH,), 1, -12, 7), draw((LENGTH,), 2, -12, 7)
    x[: len(special)], y[: len(special)] = special, np.roll(special, 3)
    x[-18:], y[-18:] = np.float32(1e-39), np.linspace(-1, 1, 18, dtype=np.float32)
    a, b = draw((37, 530), 3, -60, 20), draw((530, 41), 4, -20, 60)
    a[3], a[:, 7::11], b[:, 5] = 0, np.float32(-0.0), np.float32(1e-40)
    a[5], b[:, 9] = np.float32(-4095 / 4096), np.float32(4095 / 4096)  # the largest sums of one sign
    rows = draw((37, 530), 5, -8, 8)
    arrays = {"x": x, "y": y, "a": a, "b": b, "rows": rows, "index": np.arange(37, dtype=np.int64) * 7 % 5}
    inputs = {("batch", name): array for name, array in arrays.items()}
    inputs[("seed", "seed")] = np.array([0x9E3779B9, 0x7F4A7C15], dtype=np.uint32)
    inputs[("step", "step")] = np.array(2**31 + 5, dtype=np.int64)
    return inputs


def make_graph() -> Graph:
    """Every kind of kernel once: elementwise chains, fused rows, columns, long reductions, products in all layouts."""
    g = GraphBuilder()
    x, y = (g.input("batch", name, "f32", (LENGTH,)) for name in ("x", "y"))
    a, b = g.input("batch", "a", "f32", (37, 530)), g.input("batch", "b", "f32", (530, 41))
    rows, index = g.input("batch", "rows", "f32", (37, 530)), g.input("batch", "index", "i64", (37,))
    seed, step = g.input("seed", "seed", "u32", (2,)), g.input("step", "step", "i64", ())
    results: dict[str, int] = {op: g.add(op, x) for op in ("sqrt", "exp", "log", "tanh", "erf", "sin", "cos", "neg")}
    results |= {op: g.add(op, x, y) for op in ("add", "sub", "mul", "div", "lt", "le", "eq")}
    results["chain"] = g.add("add", g.add("mul", x, y), g.add("div", y, g.f32(6.0)))  # contraction, reciprocal
    results["order"] = g.add("sub", g.add("add", g.add("mul", x, g.f32(1e8)), y), g.add("mul", x, g.f32(1e8)))
    results["select"] = g.add("where", g.add("lt", x, y), x, y)
    results["noise"] = g.add("uniform", seed, step, attrs={"stream": 3}, shape=(LENGTH,))
    results["take"] = g.add("take_rows", rows, index)
    results["pick"] = g.add("pick", rows, g.reshape(index, (37, 1)))
    results["scatter"] = g.add("add_rows", rows, index, attrs={"rows": 5})
    total = g.reduce("sum", rows, (1,))
    centred = g.add("sub", rows, g.add("div", total, g.f32(530.0)))
    top = g.reduce("amax", rows, (1,))
    weights = g.add("exp", g.add("sub", rows, g.expand(top, (37, 530))))
    share = g.add("div", weights, g.expand(g.reduce("sum", weights, (1,)), (37, 530)))
    results |= {"rows": total, "centred": centred, "top": top, "softmax": share}
    results |= {"columns": g.reduce("sum", rows, (0,)), "tops": g.reduce("amax", rows, (0,))}
    results |= {"all": g.reduce("sum", rows, (0, 1)), "squares": g.reduce("sum", g.add("mul", rows, rows), (0, 1))}
    turned, flat = g.transpose(b, (1, 0)), g.transpose(a, (1, 0))
    for bits in (1, 8, 12, 13, 14):
        results[f"product {bits}"] = g.matmul(a, b, bits)
        results[f"turned product {bits}"] = g.matmul(turned, flat, bits)
        results[f"square {bits}"] = g.matmul(share, g.transpose(rows, (1, 0)), bits)
    results["epilogue"] = g.add("tanh", g.add("mul", results["product 12"], g.f32(0.25)))
    pieces = [g.reshape(results["softmax"], (1, 2, 37, 265)), g.reshape(rows, (1, 2, 37, 265))]
    image = g.add("concat", *pieces, attrs={"axis": 1})
    amounts: dict[str, Attribute] = {"low": (0, 0, 1, 2), "high": (0, 0, 2, 0), "interior": (0, 0, 1, 0)}
    padded = g.add("pad", image, g.f32(0.5), attrs=amounts)
    window = g.add("windows", padded, attrs={"kernel": (3, 2), "stride": (2, 3), "dilation": (1, 2)})
    results["windows"] = g.reduce("amax", window, (4, 5))
    for name, value in results.items():
        g.output("result", name, value)
    return g.finish()


def _compute_values(graph: Graph, inputs: dict[tuple[str, str], Array]) -> list[Array]:
    """Values of all nodes but the outputs, by their definitions."""
    values: list[Array] = []
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            run = OPS[node.op].run
            if run is None:
                values.append(inputs[(str(node.attrs["kind"]), str(node.attrs["name"]))])
            elif node.op != "output":
                values.append(np.asarray(run(node, [values[i] for i in node.inputs])))
    return values


def compute_digest(graph: Graph, results: Mapping[str, Array]) -> str:
    """Hex BLAKE2b-128 over the bytes of all results, in the order of the outputs, every NaN being the same."""
    hasher = hashlib.blake2b(digest_size=16)
    for node in graph.nodes:
        if node.op == "output":
            hasher.update(with_one_nan(results[str(node.attrs["name"])]).tobytes())
    return hasher.hexdigest()


def compute_answers(graph: Graph, inputs: dict[tuple[str, str], Array]) -> dict[str, Array]:
    """Results by name, by the definitions."""
    values = _compute_values(graph, inputs)
    return {str(node.attrs["name"]): values[node.inputs[0]] for node in graph.nodes if node.op == "output"}


def verify_native() -> None:
    """Raise `SelfTestFailed` naming the first kernel with other bytes; `NativeError` without a working compiler."""
    graph, inputs = make_graph(), make_inputs()
    outputs = NativeProgram(graph, THREADS, checked=False).run(inputs)
    found = {name: array for (_, name), array in outputs.items()}
    if compute_digest(graph, found) == ANSWERS:
        return
    for name, expected in compute_answers(graph, inputs).items():
        if with_one_nan(found[name]).tobytes() != with_one_nan(expected).tobytes():
            raise SelfTestFailed(name, "native")
    raise SelfTestFailed("all of them, and the definitions in NumPy (does something flush subnormals here?)", "native")
