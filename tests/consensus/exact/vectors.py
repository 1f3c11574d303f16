"""Golden vectors of every op of exact/v1, for other implementations: ``tests/vectors/exact/ops.json``.

A list of cases ``{"op", "attrs", "dtype", "shape", "inputs": [tensor], "output": tensor}``, where dtype and shape are
the result's and a tensor is ``{"dtype", "shape", "data"}`` with data as hex of its little-endian bytes in row-major
order. Inputs are adversarial: subnormals, signed zeros, ties, cancelling rows, magnitudes from 2^−37 to 2^22.

Written by: ``python -m tests.consensus.exact.vectors``
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from consensus.exact import random
from consensus.graph.node import Node
from consensus.graph.ops import OPS, infer

Array = npt.NDArray[Any]
FILE = Path(__file__).parents[2] / "vectors" / "exact" / "ops.json"
NAMES = {"float32": "f32", "int64": "i64", "bool": "bool", "uint32": "u32"}


def adversarial(shape: tuple[int, ...], stream: int) -> Array:
    """f32 values that hit the rules' edges."""
    count = int(np.prod(shape))
    drawn = random.words(random.derive_key(bytes(32), "vectors"), stream, 0, count)
    exponents = (drawn >> np.uint32(23)) % np.uint32(60) + np.uint32(90)
    values = ((drawn & np.uint32(0x807FFFFF)) | (exponents << np.uint32(23))).view(np.float32).copy()
    values[1::7] = -values[0::7][: len(values[1::7])]
    values[3::11] = np.float32(1e-40)
    values[4::13] = np.float32(-0.0)
    values[5::17] = np.float32(2.5)
    return values.reshape(shape)


def small(shape: tuple[int, ...], stream: int, low: float, high: float) -> Array:
    """Uniform f32 values in a range."""
    drawn = random.uniform(random.derive_key(bytes(32), "vectors"), stream, 1, shape)
    return np.asarray(drawn * np.float32(high - low) + np.float32(low))


def describe(array: Array) -> dict[str, Any]:
    """A tensor as JSON."""
    return {"dtype": NAMES[array.dtype.name], "shape": list(array.shape), "data": array.tobytes().hex()}


def case(op: str, *inputs: Array, attrs: dict[str, Any] | None = None, like: Node | None = None) -> dict[str, Any]:
    """Run the reference and write down what it gives."""
    nodes = [Node("input", (), NAMES[i.dtype.name], i.shape, {"name": "x", "kind": "batch"}) for i in inputs]
    base = like or Node(op, (), "", ())
    node = Node(op, tuple(range(len(inputs))), base.dtype, base.shape, attrs or {})
    dtype, shape = infer(node, nodes)
    node = Node(op, node.inputs, dtype, shape, node.attrs)
    run = OPS[op].run
    if run is None:
        raise ValueError(f"{op} is an input")
    output = np.asarray(run(node, inputs))
    described = {k: list(v) if isinstance(v, tuple) else v for k, v in node.attrs.items()}
    return {
        "op": op, "attrs": described, "dtype": dtype, "shape": list(shape),
        "inputs": [describe(i) for i in inputs], "output": describe(output),
    }  # fmt: skip


def make_cases() -> list[dict[str, Any]]:
    """All cases, in a fixed order."""
    a, b = adversarial((6, 8), 1), adversarial((6, 8), 2)
    i = np.arange(48, dtype=np.int64).reshape(6, 8) % 5
    positive = np.abs(a)
    cases = [case(op, a, b) for op in ("add", "sub", "mul", "div", "eq", "ne", "lt", "le", "gt", "ge")]
    cases += [case("add", a, b[:1]), case("mul", i, i), case("eq", i, i.T.copy().reshape(6, 8))]
    cases += [case(op, a > b, b > np.float32(0)) for op in ("and", "or")]
    cases += [case("neg", a), case("abs", a), case("sqrt", positive), case("not", a > b)]
    cases += [case("exp", small((64,), 3, -104, 89)), case("exp", np.array([-np.inf, 0, -0.0, 89], dtype=np.float32))]
    cases += [case("log", positive), case("log", small((64,), 4, 0.5, 2))]
    cases += [case(op, small((64,), 5, -5, 5)) for op in ("tanh", "erf")] + [case(op, a) for op in ("tanh", "erf")]
    cases += [case("where", a > b, a, b), case("cast", i, like=Node("cast", (), "f32", ()))]
    cases += [case("cast", a > b, like=Node("cast", (), dtype, ())) for dtype in ("f32", "i64")]
    cases += [case(op, a, attrs={"axes": axes}) for op in ("sum", "amax") for axes in ((0,), (1,), (0, 1))]
    long, wide = adversarial((4, 300), 6), adversarial((300, 5), 7)
    cases += [case("matmul", long, wide, attrs={"bits": bits}) for bits in (1, 12, 13, 14)]
    cases += [case("matmul", np.stack([a, b]), np.stack([b.T, a.T]), attrs={"bits": 12})]
    cases += [case("reshape", a, like=Node("reshape", (), "", (4, 12)))]
    cases += [case("expand", a[:, :1], like=Node("expand", (), "", (2, 6, 8)))]
    cases += [case("transpose", a, attrs={"perm": (1, 0)}), case("concat", a, b, attrs={"axis": 1})]
    cases += [case("slice", a, attrs={"axis": 1, "start": 1, "stop": 8, "step": 3})]
    cases += [case("take_rows", a, i[:2, :3]), case("pick", a, i[:, :1])]
    cases += [case("add_rows", a, i[:, 1], attrs={"rows": 7}), case("iota", attrs={"n": 9})]
    cases += [case("const", attrs={"value": "3f9d70a4"}, like=Node("const", (), "f32", ()))]
    seed, step = np.array([0x01234567, 0x89ABCDEF], dtype=np.uint32), np.array(41, dtype=np.int64)
    cases += [case("uniform", seed, step, attrs={"stream": 9}, like=Node("uniform", (), "", (3, 5)))]
    return cases


def main() -> None:
    """Write the file."""
    FILE.write_text("[\n" + ",\n".join(json.dumps(c, sort_keys=True) for c in make_cases()) + "\n]\n")


if __name__ == "__main__":
    main()
