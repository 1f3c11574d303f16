"""Golden vectors of every op of exact/v1, for other implementations: ``tests/vectors/exact/ops.json``.

A list of cases ``{"op", "attrs", "dtype", "shape", "inputs": [tensor], "output": tensor}``, where dtype and shape are
the result's and a tensor is ``{"dtype", "shape", "data"}`` with data as hex of its little-endian bytes in row-major
order. A case that must be refused has ``"error"`` (a name of `consensus.exact.errors`) in place of ``"output"``; these
stand in ``refusals.json``. Every NaN of an output is written 7fc00000 (E8: there is one NaN).

Inputs are adversarial: subnormals, signed zeros, ties, cancelling rows, all exponents of f32, ranks 0 to 6, sizes of
several 32 × 32 tiles with tails.

Written by: ``python -m tests.consensus.exact.vectors``
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from consensus.exact import random
from consensus.exact.errors import ExactError
from consensus.exact.values import with_one_nan
from consensus.graph.node import Attribute, Node
from consensus.graph.ops import OPS, infer

Array = npt.NDArray[Any]
Case = dict[str, Any]
FOLDER = Path(__file__).parents[2] / "vectors" / "exact"
FILE = FOLDER / "ops.json"
REFUSALS = FOLDER / "refusals.json"
NAMES = {"float32": "f32", "int64": "i64", "bool": "bool", "uint32": "u32"}
NUMPY = {name: np.dtype(dtype) for dtype, name in NAMES.items()}
F = np.float32

SPECIALS = np.array(
    [
        0x00000000, 0x00000001, 0x007FFFFF, 0x00800000, 0x0F7FFFFF, 0x0F800000, 0x33800000, 0x3EFFFFFF, 0x3F000000,
        0x3F7FFFFF, 0x3F800000, 0x3F800001, 0x40490FDB, 0x4B800000, 0x7F000000, 0x7F7FFFFF, 0x7F800000,
    ],
    dtype=np.uint32,
).view(F)  # fmt: skip
"""+0, least and greatest subnormal, least normal, 2^−96, 2^−24, ½, 1 and neighbours, π, 2^24, 2^127, greatest, +inf."""
SIGNED = np.concatenate([SPECIALS, -SPECIALS])
FINITE = SIGNED[np.isfinite(SIGNED)]
WITH_NAN = np.concatenate([SIGNED, np.array([np.nan], dtype=F)])


def drawn(count: int, stream: int, step: int = 0) -> Array:
    """uint32 words of the vectors' own key."""
    return random.words(random.derive_key(bytes(32), "vectors"), stream, step, count)


def adversarial(shape: tuple[int, ...], stream: int) -> Array:
    """f32 values that hit the rules' edges; magnitudes from 2^−37 to 2^22."""
    words = drawn(int(np.prod(shape)), stream)
    exponents = (words >> np.uint32(23)) % np.uint32(60) + np.uint32(90)
    values = ((words & np.uint32(0x807FFFFF)) | (exponents << np.uint32(23))).view(np.float32).copy()
    values[1::7] = -values[0::7][: len(values[1::7])]
    values[3::11] = np.float32(1e-40)
    values[4::13] = np.float32(-0.0)
    values[5::17] = np.float32(2.5)
    return values.reshape(shape)


def wide(shape: tuple[int, ...], stream: int, low: int = 0, high: int = 254) -> Array:
    """f32 values with every biased exponent from ``low`` (0: subnormals) to ``high`` (254: up to 2^128)."""
    words = drawn(int(np.prod(shape)), stream, 2)
    exponents = drawn(len(words), stream, 3) % np.uint32(high - low + 1) + np.uint32(low)
    return ((words & np.uint32(0x807FFFFF)) | (exponents << np.uint32(23))).view(np.float32).reshape(shape)


def small(shape: tuple[int, ...], stream: int, low: float, high: float) -> Array:
    """Uniform f32 values in a range."""
    values = random.uniform(random.derive_key(bytes(32), "vectors"), stream, 1, shape)
    return np.asarray(values * np.float32(high - low) + np.float32(low))


def indices(shape: tuple[int, ...], stream: int, size: int) -> Array:
    """int64 indices under ``size``, the first and the last possible one among them."""
    found = (drawn(int(np.prod(shape)), stream, 4) % np.uint32(size)).astype(np.int64)
    found[0], found[-1] = size - 1, 0
    return found.reshape(shape)


def as_dtype(values: Array, dtype: str) -> Array:
    """f32 values as something of another dtype, for ops that only move values."""
    if dtype == "f32":
        return values
    bits = np.asarray(values, order="C").view(np.int32)
    return bits.astype(np.int64) << 20 if dtype == "i64" else (bits & 1).astype(np.bool_)


def describe(array: Array) -> dict[str, Any]:
    """A tensor as JSON."""
    return {"dtype": NAMES[array.dtype.name], "shape": list(array.shape), "data": array.tobytes().hex()}


def parse(tensor: dict[str, Any]) -> Array:
    """The tensor that `describe` wrote."""
    return np.frombuffer(bytes.fromhex(tensor["data"]), NUMPY[tensor["dtype"]]).reshape(tensor["shape"])


def parse_node(case: Case) -> Node:
    """The node of a case; its inputs are numbered 0, 1, …"""
    attrs: dict[str, Attribute] = {k: tuple(v) if isinstance(v, list) else v for k, v in case["attrs"].items()}
    return Node(case["op"], tuple(range(len(case["inputs"]))), case["dtype"], tuple(case["shape"]), attrs)


def case(op: str, *inputs: Array, attrs: dict[str, Any] | None = None, like: Node | None = None) -> Case:
    """Run the reference and write down what it gives."""
    nodes = [Node("input", (), NAMES[i.dtype.name], i.shape, {"name": "x", "kind": "batch"}) for i in inputs]
    base = like or Node(op, (), "", ())
    node = Node(op, tuple(range(len(inputs))), base.dtype, base.shape, attrs or {})
    dtype, shape = infer(node, nodes)
    node = Node(op, node.inputs, dtype, shape, node.attrs)
    run = OPS[op].run
    if run is None:
        raise ValueError(f"{op} is an input")
    described = {k: list(v) if isinstance(v, tuple) else v for k, v in node.attrs.items()}
    result: Case = {
        "op": op, "attrs": described, "dtype": dtype, "shape": list(shape), "inputs": [describe(i) for i in inputs],
    }  # fmt: skip
    try:
        result["output"] = describe(with_one_nan(np.asarray(run(node, inputs))))
    except ExactError as error:
        result["error"] = type(error).__name__
    return result


def _first_cases() -> Iterator[Case]:
    a, b = adversarial((6, 8), 1), adversarial((6, 8), 2)
    i = np.arange(48, dtype=np.int64).reshape(6, 8) % 5
    positive = np.abs(a)
    yield from (case(op, a, b) for op in ("add", "sub", "mul", "div", "eq", "ne", "lt", "le", "gt", "ge"))
    yield from (case("add", a, b[:1]), case("mul", i, i), case("eq", i, i.T.copy().reshape(6, 8)))
    yield from (case(op, a > b, b > np.float32(0)) for op in ("and", "or"))
    yield from (case("neg", a), case("abs", a), case("sqrt", positive), case("not", a > b))
    yield case("exp", small((64,), 3, -104, 89))
    yield case("exp", np.array([-np.inf, 0, -0.0, 89], dtype=np.float32))
    yield from (case("log", positive), case("log", small((64,), 4, 0.5, 2)))
    yield from (case(op, small((64,), 5, -5, 5)) for op in ("tanh", "erf"))
    yield from (case(op, a) for op in ("tanh", "erf"))
    yield from (case("where", a > b, a, b), case("cast", i, like=Node("cast", (), "f32", ())))
    yield from (case("cast", a > b, like=Node("cast", (), dtype, ())) for dtype in ("f32", "i64"))
    yield from (case(op, a, attrs={"axes": axes}) for op in ("sum", "amax") for axes in ((0,), (1,), (0, 1)))
    long, broad = adversarial((4, 300), 6), adversarial((300, 5), 7)
    yield from (case("matmul", long, broad, attrs={"bits": bits}) for bits in (1, 12, 13, 14))
    yield case("matmul", np.stack([a, b]), np.stack([b.T, a.T]), attrs={"bits": 12})
    yield case("reshape", a, like=Node("reshape", (), "", (4, 12)))
    yield case("expand", a[:, :1], like=Node("expand", (), "", (2, 6, 8)))
    yield from (case("transpose", a, attrs={"perm": (1, 0)}), case("concat", a, b, attrs={"axis": 1}))
    yield case("slice", a, attrs={"axis": 1, "start": 1, "stop": 8, "step": 3})
    yield from (case("take_rows", a, i[:2, :3]), case("pick", a, i[:, :1]))
    yield from (case("add_rows", a, i[:, 1], attrs={"rows": 7}), case("iota", attrs={"n": 9}))
    yield case("const", attrs={"value": "3f9d70a4"}, like=Node("const", (), "f32", ()))
    seed, step = np.array([0x01234567, 0x89ABCDEF], dtype=np.uint32), np.array(41, dtype=np.int64)
    yield case("uniform", seed, step, attrs={"stream": 9}, like=Node("uniform", (), "", (3, 5)))


RANKS: tuple[tuple[int, ...], ...] = ((), (5,), (3, 4), (2, 3, 4), (2, 1, 3, 4), (2, 1, 2, 3, 2), (1, 2, 1, 2, 3, 2))
"""A shape of each rank from 0 to 6."""
BROADCASTS: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (
    ((), (3, 2)), ((4, 1), (1, 5)), ((3,), (2, 1, 3)), ((2, 1, 1, 3), (4, 1)), ((1, 1), ()),
    ((1, 2, 1, 2, 1, 2), (2, 1, 2, 1, 2, 1)), ((40, 1), (33,)),
)  # fmt: skip
INTEGERS = np.array([0, 1, -1, 2**24 + 1, -(2**31), 2**53 + 1, 2**62 + 2**38, 2**63 - 1, -(2**63)], dtype=np.int64)


def _elementwise_cases() -> Iterator[Case]:
    ordered = ("add", "sub", "mul", "div", "eq", "ne", "lt", "le", "gt", "ge")
    for number, op in enumerate(ordered):
        yield case(op, WITH_NAN[:, None], WITH_NAN)
        yield case(op, wide((37, 3), 20 + number), wide((37, 3), 40 + number))
        for left, right in BROADCASTS:
            yield case(op, adversarial(left, 60 + number), adversarial(right, 61 + number))
        if op != "div":
            yield case(op, INTEGERS[:, None], INTEGERS)
    bools = np.array([False, True])
    yield from (case(op, bools[:, None], bools) for op in ("and", "or"))
    yield case("not", bools)
    for shape in RANKS:
        value = adversarial(shape, 80)
        yield from (case(op, value) for op in ("neg", "abs", "sqrt"))
        yield case("where", as_dtype(value, "bool"), value, value + F(1))
    yield from (case(op, WITH_NAN) for op in ("neg", "abs", "sqrt"))
    yield from (case(op, INTEGERS) for op in ("neg", "abs"))
    yield case("sqrt", np.abs(wide((200,), 81)))
    yield case("where", bools[:, None], WITH_NAN, np.array(-np.inf, dtype=F))
    yield case("where", bools[:, None, None], INTEGERS[:, None], INTEGERS)
    yield case("where", bools[:, None, None], bools[:, None], bools)
    yield case("cast", INTEGERS, like=Node("cast", (), "f32", ()))
    ties = np.concatenate([2 ** np.arange(24, 62, dtype=np.int64) + 2 ** np.arange(0, 38, dtype=np.int64)] * 2)
    ties[38:] += 2 ** np.arange(1, 39, dtype=np.int64)
    yield case("cast", np.concatenate([ties, -ties, ties - 1]), like=Node("cast", (), "f32", ()))
    yield from (case("cast", bools, like=Node("cast", (), dtype, ())) for dtype in ("f32", "i64"))
    yield case("cast", np.array(7, dtype=np.int64), like=Node("cast", (), "f32", ()))


def _transcendental_cases() -> Iterator[Case]:
    for op in ("exp", "log", "tanh", "erf", "sin", "cos"):
        yield from (case(op, values) for values in (WITH_NAN, wide((300,), 90), adversarial((40, 5), 91)))
        yield case(op, np.array(0.75, dtype=F))
    edges = [-104, -103.97208, -103.5, -87.33655, -87.33654, 88.72283, 88.722839, 88.72284, 0.34657359, -0.34657359]
    yield case("exp", np.array([*edges, 1.0397208, -1.0397208], dtype=F))
    yield case("exp", small((300,), 92, -1, 1))
    yield case("log", np.array([0.70710677, 0.70710678, 0.70710683, 1.4142135, 1.4142137, 1 - 2**-24], dtype=F))
    yield case("log", small((300,), 93, 0.6, 1.6))
    yield case("tanh", np.array([0.62499994, 0.625, 0.62500006, 9.9999990, 10.0, 10.000001, -9.01], dtype=F))
    yield case("tanh", small((300,), 94, -1, 1))
    yield case("erf", np.array([0.99999994, 1.0, 1.0000001, 3.9999998, 4.0, 4.0000005, -3.9999998], dtype=F))
    yield case("erf", small((300,), 95, -2, 2))
    turns = (np.arange(0, 5216, 37) * (np.pi / 2)).astype(F)
    angles = np.concatenate([turns, np.nextafter(turns, F(0)), np.nextafter(turns, F(9000)), turns + F(0.7853982)])
    for op in ("sin", "cos"):
        yield from (case(op, angles), case(op, small((300,), 96, -8192, 8192)), case(op, small((300,), 97, -4, 4)))
        yield case(op, np.array([8192, -8192, 8192.001, -8192.001, 0.7853981, 0.7853982, 0.786], dtype=F))


def _sum_operands() -> Iterator[tuple[Array, tuple[tuple[int, ...], ...]]]:
    yield from ((adversarial(shape, 100), ((0,), (len(shape) - 1,), tuple(range(len(shape))))) for shape in RANKS[1:])
    yield adversarial((2, 3, 4, 5), 101), ((1,), (2,), (0, 2), (1, 3), (0, 1, 3))
    yield adversarial((40, 70), 102), ((0,), (1,), (0, 1))
    yield adversarial((2000,), 103), ((0,),)
    yield wide((9, 33), 104), ((0,), (1,))
    yield np.zeros((3, 4), dtype=F), ((0,), (1,))
    yield np.full((3, 4), F(-0.0)), ((0,), (1,))
    yield wide((3, 20), 105, 0, 0), ((1,), (0, 1))  # only subnormals
    yield wide((3, 20), 106, 20, 35), ((1,), (0, 1))  # around the least grid, 2^−96
    yield np.array([[3.4e38, 3.4e38], [3.4028235e38, -3.4028235e38], [-3.4e38, -1e38]], dtype=F), ((0,), (1,), (0, 1))
    yield np.array([[2.0**24, 1, 0], [2.0**24, 1, 1], [2.0**24, 3, 0]], dtype=F), ((1,),)  # one rounding, ties to even
    yield np.array([[1, 2.0**-28, -(2.0**-29)], [1, 2.0**-27, 3 * 2.0**-28]], dtype=F), ((1,),)  # ties on the grid


def _reduction_cases() -> Iterator[Case]:
    for values, choices in _sum_operands():
        for axes in choices:
            yield from (case(op, values, attrs={"axes": axes}) for op in ("sum", "amax"))
    zero = F(0)
    zeros = np.array([[-zero, zero], [zero, -zero], [-zero, -zero], [-1, -zero], [-1e-45, -zero]], dtype=F)
    yield from (case("amax", zeros, attrs={"axes": axes}) for axes in ((0,), (1,), (0, 1)))
    mask = adversarial((5, 40), 107)
    mask[:, 20:], mask[2] = -np.inf, -np.inf
    yield from (case("amax", mask, attrs={"axes": axes}) for axes in ((0,), (1,)))
    for rows, columns, size in ((1, 1, 1), (5, 3, 2), (100, 70, 40), (64, 5, 300)):
        yield case("add_rows", adversarial((rows, columns), 108), indices((rows,), 109, size), attrs={"rows": size})
    yield case("add_rows", wide((40, 33), 110), np.zeros(40, dtype=np.int64), attrs={"rows": 2})
    yield case("add_rows", np.full((4, 3), F(-0.0)), indices((4,), 111, 3), attrs={"rows": 3})


def _matmul_cases() -> Iterator[Case]:
    for k in (1, 2, 31, 32, 33, 127, 300):
        for bits in (8, 10, 12, 13, 14):
            yield case("matmul", adversarial((3, k), 120), adversarial((k, 5), 121), attrs={"bits": bits})
    for batch in ((2,), (2, 3), (1, 2, 1), (2, 1, 2, 1)):
        left, right = adversarial((*batch, 5, 33), 122), adversarial((*batch, 33, 2), 123)
        yield case("matmul", left, right, attrs={"bits": 12})
    yield case("matmul", adversarial((70, 65), 124), adversarial((65, 45), 125), attrs={"bits": 12})
    yield case("matmul", adversarial((33, 128), 126), adversarial((128, 64), 127), attrs={"bits": 13})
    left, right = wide((12, 40), 128), wide((40, 9), 129)
    left[3], left[4], right[:, 2], right[:, 5] = 0, F(-0.0), 0, wide((40,), 130, 0, 0)
    left[5] = wide((40,), 131, 0, 0)
    left[6], right[:, 6] = wide((40,), 132, 20, 34), wide((40,), 133, 20, 34)
    left[7], right[:, 7] = F(2.0**-96), F(2.0**-97)
    for bits in (1, 2, 8, 10, 12, 13, 14):
        yield case("matmul", left, right, attrs={"bits": bits})  # many results are infinite, zero or subnormal
    for bits in (1, 2, 12, 14):  # the grid's magnitude is all but 2^128 and 2^bits is reached
        yield case("matmul", np.full((1, 3), F(3.4028235e38)), np.full((3, 2), F(1e-38)), attrs={"bits": bits})
        yield case("matmul", np.full((1, 3), F(0.99999994)), np.full((3, 2), F(-1.9999999)), attrs={"bits": bits})
    signs = np.where(np.arange(300) % 3 == 0, F(-0.99999994), F(0.99999994))
    yield case("matmul", np.stack([signs, -signs, np.abs(signs)]), signs[:, None], attrs={"bits": 14})
    halves = np.array([[1, 0.5**12, 1.5 * 0.5**11, 2.5 * 0.5**11, 0.75 * 0.5**11]], dtype=F)  # ties on the grid
    yield case("matmul", halves, np.eye(5, dtype=F), attrs={"bits": 12})
    yield case("matmul", np.array([[1, -1]], dtype=F), np.array([[2], [2]], dtype=F), attrs={"bits": 12})


def _movement_cases() -> Iterator[Case]:
    for number, shape in enumerate(RANKS):
        rank, count = len(shape), int(np.prod(shape, dtype=np.int64))
        for dtype in ("f32", "i64", "bool"):
            value = as_dtype(adversarial(shape, 140 + number), dtype)
            for target in ((count,), (1, count, 1), (count, 1)) + (((),) if count == 1 else ()):
                yield case("reshape", value, like=Node("reshape", (), "", target))
            yield case("expand", value, like=Node("expand", (), "", (2, *shape) if rank < 6 else shape))
            for perm in dict.fromkeys([tuple(reversed(range(rank))), (*range(1, rank), *range(min(rank, 1)))]):
                yield case("transpose", value, attrs={"perm": perm})
            fill = as_dtype(np.array(-1.5, dtype=F), dtype)
            low, high = tuple(a % 3 for a in range(rank)), tuple((a + 1) % 3 for a in range(rank))
            for interior in ((0,) * rank, tuple((a + 1) % 2 for a in range(rank))):
                yield case("pad", value, fill, attrs={"low": low, "high": high, "interior": interior})
            if rank:
                for axis in dict.fromkeys([0, rank - 1]):
                    yield case("concat", value, value, value, attrs={"axis": axis})
                start = shape[-1] // 2
                cut = {"axis": rank - 1, "start": start, "stop": shape[-1], "step": 1}
                yield from (case("slice", value, attrs=cut), case("take_rows", value, indices((3,), 160, shape[0])))
                yield case("pick", value, indices((*shape[:-1], 3), 161, shape[-1]))
    yield from _gathers_and_windows()


def _gathers_and_windows() -> Iterator[Case]:
    table = adversarial((50, 40), 162)
    yield case("expand", table[:1, :1].reshape(()), like=Node("expand", (), "", (2, 1, 3)))
    yield case("expand", table[:2, :1], like=Node("expand", (), "", (3, 2, 4)))
    yield case("transpose", adversarial((35, 2, 40), 163), attrs={"perm": (2, 1, 0)})
    yield case("concat", table[:7], table[:1], table[:30], attrs={"axis": 0})
    yield case("concat", table[:3, :33], table[:3, :32], attrs={"axis": 1})
    yield from (
        case("slice", table, attrs={"axis": axis, "start": start, "stop": stop, "step": step})
        for axis, start, stop, step in ((0, 0, 50, 7), (0, 49, 50, 1), (1, 3, 38, 5), (1, 0, 1, 100), (1, 0, 40, 1))
    )
    for shape in ((), (1,), (33,), (2, 3), (2, 1, 3)):
        yield case("take_rows", table, indices(shape, 164, 50) if shape else np.array(49, dtype=np.int64))
    yield case("take_rows", table[:, 0], indices((9,), 165, 50))
    yield case("take_rows", as_dtype(table, "i64").reshape(10, 5, 40), indices((2, 2), 166, 10))
    for columns in (1, 2, 40, 45):
        yield case("pick", table, indices((50, columns), 167, 40))
    yield case("pick", table.reshape(5, 10, 40), indices((5, 10, 3), 168, 40))
    yield case("pick", table[0], indices((4,), 169, 40))
    image = adversarial((2, 3, 9, 11), 170)
    zero = np.array(0, dtype=F)
    for kernel, stride, dilation in (
        ((3, 3), (1, 1), (1, 1)), ((3, 3), (2, 2), (1, 1)), ((1, 1), (2, 3), (1, 1)), ((2, 3), (3, 1), (4, 5)),
        ((9, 11), (1, 1), (1, 1)), ((1, 11), (9, 9), (7, 1)), ((3, 2), (1, 2), (2, 3)),
    ):  # fmt: skip
        attrs = {"kernel": kernel, "stride": stride, "dilation": dilation}
        yield from (case("windows", image, attrs=attrs), case("windows", as_dtype(image[0, 0], "i64"), attrs=attrs))
    yield case("windows", image[0, 0] > zero, attrs={"kernel": (2, 2), "stride": (2, 2), "dilation": (1, 1)})
    sides = {"low": (0, 0, 1, 2), "high": (0, 0, 2, 0), "interior": (0, 0, 0, 0)}
    yield from (case("pad", image, zero, attrs=sides), case("pad", image, np.array(-np.inf, dtype=F), attrs=sides))
    yield case("pad", image[0], zero, attrs={"low": (0, 1, 1), "high": (0, 0, 1), "interior": (0, 1, 2)})
    yield case("pad", table, zero, attrs={"low": (3, 30), "high": (14, 0), "interior": (0, 0)})


def _source_cases() -> Iterator[Case]:
    yield from (case("iota", attrs={"n": n}) for n in (1, 33, 1100))
    for word in (0x80000000, 0xFF800000, 0x7F800000, 0x00000001, 0x7F7FFFFF):
        yield case("const", attrs={"value": f"{word:08x}"}, like=Node("const", (), "f32", ()))
    yield from (case("const", attrs={"value": str(n)}, like=Node("const", (), "i64", ())) for n in INTEGERS.tolist())
    yield from (case("const", attrs={"value": str(n)}, like=Node("const", (), "bool", ())) for n in (0, 1))
    shapes = ((), (1,), (4,), (5,), (33, 35), (2, 1, 3, 2, 1, 2))
    steps = (0, 1, 2**32 - 1, 2**32 + 5, 2**63 - 1, 7)
    streams = (0, 1, 2**32 - 1, 2**31, 12345, 3)
    for shape, step, stream in zip(shapes, steps, streams, strict=True):
        seed = drawn(2, stream % 1000, 5) if stream != 1 else np.array([0xFFFFFFFF, 0], dtype=np.uint32)
        attrs = {"stream": stream}
        yield case("uniform", seed, np.array(step, dtype=np.int64), attrs=attrs, like=Node("uniform", (), "", shape))


def _bad_value_cases() -> Iterator[Case]:
    """Each op with every bad value that it accepts; what it refuses stands in `make_refusals`."""
    bools = np.array([False, True])[:, None, None]
    yield case("where", bools, WITH_NAN[:, None], WITH_NAN)
    for values in (WITH_NAN.reshape(5, 7), INTEGERS.reshape(3, 3)):
        rows, columns = values.shape
        yield case("reshape", values, like=Node("reshape", (), "", (columns, rows)))
        yield case("expand", values[:, None], like=Node("expand", (), "", (rows, 2, columns)))
        yield case("transpose", values, attrs={"perm": (1, 0)})
        yield case("slice", values.reshape(-1), attrs={"axis": 0, "start": 0, "stop": values.size, "step": 1})
        yield case("concat", values, values[::-1], values, attrs={"axis": 0})
        yield case("take_rows", values, np.arange(rows, dtype=np.int64)[::-1])
        yield case("pick", values, np.tile(np.arange(columns, dtype=np.int64)[::-1], (rows, 1)))
        yield case("windows", values, attrs={"kernel": (2, 2), "stride": (1, 1), "dilation": (1, 1)})
        sides = {"low": (1, 0), "high": (0, 1), "interior": (0, 1)}
        yield from (case("pad", values, np.array(fill), attrs=sides) for fill in values.reshape(-1))
    column, row = FINITE[:, None], FINITE[None]
    for bits in (1, 12, 14):
        for left, right in ((column, row), (row, column), (np.diag(FINITE), np.eye(len(FINITE), dtype=F))):
            yield case("matmul", left, right, attrs={"bits": bits})
    largest = np.array([[3.4028235e38] * 3, [-3.4028235e38] * 3], dtype=F)
    for values in (column, row, largest):
        index = np.arange(len(values), dtype=np.int64) // 2
        yield case("add_rows", values, index, attrs={"rows": len(values)})
        yield from (case("sum", values, attrs={"axes": axes}) for axes in ((0,), (1,), (0, 1)))
        yield from (case("amax", values, attrs={"axes": axes}) for axes in ((0,), (1,), (0, 1)))
    yield from (case("output", FINITE, attrs={"kind": kind, "name": "w"}) for kind in ("state", "result"))
    yield case("output", INTEGERS, attrs={"kind": "state", "name": "w"})
    yield case("output", np.array([True, False]), attrs={"kind": "result", "name": "w"})
    for kind in ("loss", "grad_norm"):
        yield from (case("output", np.array(x), attrs={"kind": kind, "name": kind}) for x in FINITE[-4:])


# Arguments at which a program gives other bits when Horner's steps (the first six), or any products and sums that
# follow each other, are contracted into fused multiply-adds.
CONTRACTION = {
    "exp": (0x421A77EE, 0x422818B4, 0x42ADB108, 0xC280215C, 0x4254375C, 0x429FE664,
            0xC25C1F07, 0xC2AB1704, 0xC23D96F2, 0xC2694AFB, 0x425A1CB0, 0xC28848AD),
    "log": (0x3FAB41AE, 0x40AE8E2B, 0x40AD189E, 0x3FA644CB, 0x3FA82793, 0x3FAE25CC,
            0x4019F322, 0x40AAD116, 0x3F241BD0, 0x3FBEB96C, 0x40A8FEE0, 0x40BD8FAF),
    "tanh": (0xBF094A60, 0x3ECE2610, 0xBF168910, 0x3F1C501C, 0x3F068800, 0xBF14DAC0,
             0x3F0A86F8, 0x3F1D70AC, 0xBF0248F0, 0xBF1DF404, 0x3EF25FF8, 0x3F068D50),
    "erf": (0x3F490A88, 0xBFC8BAFC, 0xBF370DD8, 0x3F473070, 0x3F8F4D2C, 0x3FCE2888,
            0x3EF91160, 0xBE886620, 0xBDD28C80, 0x3E811F30, 0xBE810AB0, 0x3E2418E0),
    "sin": (0x40B01F7E, 0x40D8E5A4, 0xC0B59084, 0xC10B167D, 0x40DE4E2C, 0xC0DE4538,
            0xC0152F4A, 0x40E074C4, 0x3EE615E0, 0x3EC07C60, 0x410B58A0, 0x40D6DD98),
    "cos": (0xC012DEB6, 0x4083102E, 0x4081BC18, 0xC07E5CF8, 0xC0AF41C3, 0xC08426B4,
            0x3F407580, 0xBF58C710, 0xBF80C390, 0x4082D3BC, 0x4109AE94, 0x40E56D4C),
}  # fmt: skip


def _hazard_cases() -> Iterator[Case]:
    """What the mutants of `tests.consensus.exact.test_hazards` get wrong and the cases above do not show."""
    yield from (case(op, np.array(bits, dtype=np.uint32).view(F)) for op, bits in CONTRACTION.items())
    for bits in (1, 8, 12, 13, 14):  # subnormal results
        yield case("matmul", wide((9, 40), 190, 50, 60), wide((40, 9), 191, 50, 60), attrs={"bits": bits})


def make_cases() -> list[Case]:
    """All cases with a result, in a fixed order."""
    groups: tuple[Iterable[Case], ...] = (
        _first_cases(), _elementwise_cases(), _transcendental_cases(), _reduction_cases(), _matmul_cases(),
        _movement_cases(), _source_cases(), _bad_value_cases(), _hazard_cases(),
    )  # fmt: skip
    cases = [found for group in groups for found in group]
    wrong = [found["op"] for found in cases if "error" in found]
    if wrong:
        raise ValueError(f"these cases were to have a result: {wrong}")
    return cases


def make_refusals() -> list[Case]:
    """All cases that end in an error, in a fixed order."""
    cases: list[Case] = []
    for bad in (np.nan, -np.nan, np.inf, -np.inf):
        for shape, place in (((1, 1), (0, 0)), ((3, 40), (2, 39))):
            values = adversarial(shape, 180)
            values[place] = bad
            cases += [case("sum", values, attrs={"axes": axes}) for axes in ((0,), (1,), (0, 1))]
            cases += [case("add_rows", values, np.zeros(shape[0], dtype=np.int64), attrs={"rows": 1})]
            right = adversarial(shape[::-1], 181)
            cases += [case("matmul", *pair, attrs={"bits": 12}) for pair in ((values, right), (right, values))]
            if bad != -np.inf:
                cases += [case("amax", values, attrs={"axes": axes}) for axes in ((0,), (0, 1))]
            cases += [case("output", values, attrs={"kind": kind, "name": "w"}) for kind in ("state", "result")]
        scalar = np.array(bad, dtype=F)
        cases += [case("output", scalar, attrs={"kind": kind, "name": kind}) for kind in ("loss", "grad_norm")]
    table = adversarial((3, 4), 182)
    for index in (-1, 4, 2**32, 2**63 - 1, -(2**63)):
        wrong = np.array([0, index], dtype=np.int64)
        cases += [case("take_rows", table, wrong), case("add_rows", table[:2], wrong, attrs={"rows": 4})]
        cases += [case("pick", table[:1], wrong[None]), case("pick", table[0], wrong)]
    accepted = [found["op"] for found in cases if "error" not in found]
    if accepted:
        raise ValueError(f"these cases were to be refused: {accepted}")
    return cases


def write(path: Path, cases: list[Case]) -> None:
    """One case a line."""
    path.write_text("[\n" + ",\n".join(json.dumps(c, sort_keys=True) for c in cases) + "\n]\n")


def main() -> None:
    """Write the files."""
    write(FILE, make_cases())
    write(REFUSALS, make_refusals())


if __name__ == "__main__":
    main()
