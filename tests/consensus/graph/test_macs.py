"""Costs: MACs of each op, counted by hand. The runtime, the price and the credits all rest on them."""

from typing import Any

import numpy as np
import pytest

from consensus.exact import elementwise, matmul, sums, transcendental
from consensus.graph import GraphBuilder
from consensus.graph.node import Attribute, Node
from consensus.graph.ops import OPS, infer

A = Node("input", (), "f32", (2, 3, 4), {"kind": "batch", "name": "a"})
INTEGERS = Node("input", (), "i64", (2, 3, 4), {"kind": "batch", "name": "i"})
B = Node("input", (), "bool", (2, 3, 4), {"kind": "batch", "name": "b"})
ROW = Node("input", (), "f32", (4,), {"kind": "batch", "name": "row"})
MATRIX = Node("input", (), "f32", (5, 4), {"kind": "batch", "name": "m"})
INDEX = Node("input", (), "i64", (5,), {"kind": "batch", "name": "x"})
ONE = Node("const", (), "f32", (), {"value": "3f800000"})
SEED = Node("input", (), "u32", (2,), {"kind": "seed", "name": "seed"})
STEP = Node("input", (), "i64", (), {"kind": "step", "name": "step"})
RIGHT = Node("input", (), "f32", (2, 4, 7), {"kind": "batch", "name": "r"})

BINARY = ("add", "sub", "mul", "div", "eq", "ne", "lt", "le", "gt", "ge")
Example = tuple[list[Node], dict[str, Attribute], tuple[int, ...], int]
COSTS: dict[str, Example] = {
    # op: inputs, attributes, shape given with the node, cost
    **{op: ([A, ROW], {}, (), 24) for op in BINARY},  # an element of the result, broadcast
    **{op: ([B, B], {}, (), 24) for op in ("and", "or")},
    **{op: ([A], {}, (), 24) for op in ("neg", "abs", "sqrt")},
    "not": ([B], {}, (), 24), "where": ([B, A, ROW], {}, (), 24), "cast": ([INTEGERS], {}, (), 24),
    **{op: ([A], {}, (), 24 * 16) for op in ("exp", "log", "tanh", "erf", "sin", "cos")},
    "uniform": ([SEED, STEP], {"stream": 0}, (5, 3), 15 * 16),
    "sum": ([A], {"axes": (1,)}, (), 24), "amax": ([A], {"axes": (0, 2)}, (), 24),  # an element of the operand
    "add_rows": ([MATRIX, INDEX], {"rows": 9}, (), 20),
    "matmul": ([A, RIGHT], {"bits": 12}, (), 2 * 3 * 4 * 7),
    # movement costs nothing, however large the copy
    "reshape": ([A], {}, (24,), 0), "expand": ([ROW], {}, (9, 9, 4), 0), "transpose": ([A], {"perm": (2, 0, 1)}, (), 0),
    "slice": ([A], {"axis": 2, "start": 0, "stop": 4, "step": 3}, (), 0), "concat": ([A, A], {"axis": 0}, (), 0),
    "pad": ([ROW, ONE], {"low": (9,), "high": (9,), "interior": (9,)}, (), 0),
    "windows": ([A], {"kernel": (2, 2), "stride": (1, 1), "dilation": (1, 1)}, (), 0),
    "take_rows": ([MATRIX, INTEGERS], {}, (), 0), "pick": ([MATRIX, Node("input", (), "i64", (5, 9))], {}, (), 0),
    "input": ([], {"kind": "batch", "name": "a"}, (2, 3), 0), "output": ([A], {"kind": "state", "name": "a"}, (), 0),
    "const": ([], {"value": "3f800000"}, (), 0), "iota": ([], {"n": 100}, (), 0),
}  # fmt: skip


def cost(op: str) -> int:
    inputs, attrs, shape, _ = COSTS[op]
    draft = Node(op, tuple(range(len(inputs))), "f32", shape, attrs)
    dtype, inferred = infer(draft, inputs)
    return OPS[op].macs(Node(op, draft.inputs, dtype, inferred, attrs), inputs)


def test_every_op_is_counted() -> None:
    assert set(COSTS) == set(OPS)


@pytest.mark.parametrize("op", COSTS)
def test_cost(op: str) -> None:
    assert cost(op) == COSTS[op][3]


def test_constants_of_costs() -> None:
    assert (elementwise.MACS_PER_ELEMENT, sums.MACS_PER_TERM, transcendental.MACS_PER_ELEMENT) == (1, 1, 16)


def test_a_convolution_costs_its_products_and_not_its_copies() -> None:
    """Windows of the padded image, reshaped, times the filters: N·OH·OW·C·KH·KW·O, as any framework counts it."""
    batch, channels, side, kernel, filters = 2, 3, 8, 3, 5
    b = GraphBuilder()
    image, zero = b.input("batch", "x", "f32", (batch, channels, side, side)), b.f32(0.0)
    weight = b.input("batch", "w", "f32", (channels * kernel * kernel, filters))
    sides: dict[str, Any] = {"low": (0, 0, 1, 1), "high": (0, 0, 1, 1), "interior": (0, 0, 0, 0)}
    padded = b.add("pad", image, zero, attrs=sides)
    window: dict[str, Any] = {"kernel": (kernel, kernel), "stride": (1, 1), "dilation": (1, 1)}
    every = b.transpose(b.add("windows", padded, attrs=window), (0, 2, 3, 1, 4, 5))
    columns = b.reshape(every, (batch * side * side, channels * kernel * kernel))
    b.output("result", "y", b.matmul(columns, weight))
    assert b.finish().macs() == batch * side * side * channels * kernel * kernel * filters


def test_macs_of_a_graph_are_the_sum_of_its_nodes_and_a_plain_integer() -> None:
    b = GraphBuilder()
    a = b.input("batch", "a", "f32", (2**14, 2**14))
    b.output("result", "y", b.reduce("sum", b.add("mul", a, a), (0,)))
    macs = b.finish().macs()
    assert macs == 2 * 2**28 and type(macs) is int


def test_cost_of_matmul_is_symmetric_in_its_dimensions() -> None:
    assert len({matmul.macs(2, *np.roll((3, 5, 7), turn).tolist()) for turn in range(3)}) == 1
