"""Replays the golden vectors of the ops through any implementation, on the host, on a GPU or elsewhere.

    for op in OPS_WITH_VECTORS:
        verify_results(op, compute)       # AssertionError with op, case and first differing element
        verify_refusals(op, compute, (errors.ExactError,))

``compute(node, operands)`` gives the node's value; operands are read-only arrays of the node's input dtypes, of any
layout if ``layouts`` says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from consensus.exact.errors import ExactError
from consensus.exact.values import with_one_nan
from consensus.graph.node import Node
from consensus.graph.ops import OPS
from tests.consensus.exact.vectors import FILE, REFUSALS, Case, parse, parse_node

Array = npt.NDArray[Any]
Compute = Callable[[Node, list[Array]], Array]

CASES: list[Case] = json.loads(FILE.read_text())
REFUSED: list[Case] = json.loads(REFUSALS.read_text())
OPS_WITH_VECTORS = sorted({case["op"] for case in CASES})
OPS_WITH_REFUSALS = sorted({case["op"] for case in REFUSED})


def compute_reference(node: Node, operands: list[Array]) -> Array:
    """The definition."""
    run = OPS[node.op].run
    if run is None:
        raise TypeError(f"{node.op} is an input")
    return np.asarray(run(node, operands))


def make_strided(values: Array) -> Array:
    """The same values with strides that are not row-major; zero strides where an axis repeats itself."""
    for axis, size in enumerate(values.shape):
        first = values.take([0], axis=axis)
        if size > 1 and first.tobytes() * size == np.moveaxis(values, axis, 0).tobytes():
            return np.broadcast_to(first, values.shape)
    if values.ndim == 0:
        return values
    spread = np.zeros(tuple(2 * n for n in values.shape[::-1]), dtype=values.dtype).T
    view = spread[tuple(slice(None, None, 2) for _ in values.shape)]
    view[...] = values
    return view


def verify_results(op: str, compute: Compute, layouts: bool = True) -> None:
    """Raise AssertionError unless all vectors of an op come out, from row-major operands and (``layouts``) others."""
    for number, case in enumerate(CASES):
        if case["op"] != op:
            continue
        node, operands, expected = parse_node(case), [parse(i) for i in case["inputs"]], parse(case["output"])
        verify_value(f"{op}, case {number}", expected, compute(node, operands))
        if layouts:
            found = compute(node, [make_strided(i) for i in operands])
            verify_value(f"{op}, case {number}, strided operands", expected, found)


def verify_value(where: str, expected: Array, found: Array) -> None:
    """Raise AssertionError that shows the first differing element; every NaN counts as the one of rule E8."""
    found, expected = with_one_nan(np.asarray(found)), with_one_nan(expected)
    forms = (found.dtype, found.shape), (expected.dtype, expected.shape)
    if forms[0] != forms[1]:
        raise AssertionError(f"{where}: got {forms[0]}, expected {forms[1]}")
    got, want = (np.frombuffer(a.tobytes(), np.uint8).reshape(-1, a.itemsize) for a in (found, expected))
    wrong = (got != want).any(axis=1)
    if wrong.any():
        first = int(wrong.argmax())
        shown = [f"{a.reshape(-1)[first]!r} ({a.tobytes()[first * a.itemsize :][: a.itemsize].hex()})"
                 for a in (found, expected)]  # fmt: skip
        raise AssertionError(f"{where}: {wrong.sum()} differ; element {first} is {shown[0]}, expected {shown[1]}")


def verify_refusals(op: str, compute: Compute, refusals: tuple[type[Exception], ...] = (ExactError,)) -> None:
    """Raise AssertionError unless each case of an op that ends the unit raises an exception whose class has the
    vector's name and is one of ``refusals``."""
    for number, case in enumerate(REFUSED):
        if case["op"] != op:
            continue
        try:
            found = compute(parse_node(case), [parse(i) for i in case["inputs"]])
        except refusals as error:
            if type(error).__name__ != case["error"]:
                raise AssertionError(f"{op}, refusal {number}: {error!r}, expected {case['error']}") from error
            continue
        raise AssertionError(f"{op}, refusal {number}: got {found!r}, expected {case['error']}")
