"""From openings alone the arbiter gives what the reference gives: every tile of the golden vectors, each partial."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from consensus.arbiter import Evaluation, compute, required
from consensus.arbiter.compute import split_tile
from consensus.arbiter.elements import MOVEMENT
from consensus.arbiter.errors import BadOperands, BadPlace
from consensus.arbiter.evaluate import read_tile
from consensus.arbiter.reductions import QUANTITIES, get_root
from consensus.arbiter.statement import Check, Element, Ending, Input, Operand, Partial, Quantity, Tile
from consensus.commit.tensor import compute_form
from consensus.exact.grid import SUM_BITS, quantise
from consensus.graph.node import Node
from tests.consensus.arbiter.nodes import CASES, REFUSED, Question, ask
from tests.consensus.exact.vectors import Case, adversarial, parse

Array = npt.NDArray[Any]
OPS = sorted({case["op"] for case in CASES})


def of_op(op: str) -> list[Case]:
    """Its golden vectors."""
    return [case for case in CASES if case["op"] == op]


@pytest.mark.parametrize("op", OPS)
def test_every_tile_of_the_golden_vectors(op: str) -> None:
    for case in of_op(op):
        question, output = ask(case), parse(case["output"])
        for tile in range(question.form.tile_count):
            expected = read_tile(output, question.form, tile)
            assert question.evaluation.value(Tile(tile)) == expected, (case["attrs"], tile)


@pytest.mark.parametrize("op", OPS)
def test_every_place_from_its_operands_alone(op: str) -> None:
    """The statement and the operands are all that `compute` sees; `required` names them beforehand."""
    for case in of_op(op)[:6]:
        question = ask(case)
        for place in (*question.path(0, False), *question.path(question.form.tile_count - 1, True)):
            statement, operands = question.put(place)
            assert compute(statement, operands) == question.evaluation.value(place)
            needed = required(statement)
            data_dependent = op in ("take_rows", "pick") and isinstance(place, Element)
            count = 1 if data_dependent else len(needed)
            assert [o.source for o in needed[:count]] == [o.source for o in operands[:count]]
            assert [len(o.data) for o in needed] == [len(o.data) for o in operands]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case['op']}-{case['error']}")
def test_a_unit_ends_at_the_tile_that_ends_it(case: Case) -> None:
    """Every tile that reads the bad value, and the check of the tile that holds it."""
    question = ask(case)
    ending = {"NonFiniteState": Ending.NON_FINITE, "IndexOutOfRange": Ending.INDEX_OUT_OF_RANGE}[case["error"]]
    tiles = [question.evaluation.value(Tile(tile)) for tile in range(question.form.tile_count)]
    assert ending in tiles
    checks = []
    for number, form in enumerate(question.evaluation.forms):
        for tile in range(form.tile_count):
            try:
                checks.append(question.evaluation.value(Check(number, tile)))
            except BadPlace:
                continue
    assert checks.count(ending) == 1
    assert all(check in (b"", ending) for check in checks)


def test_negative_infinity_is_a_maximum_and_no_term() -> None:
    values = np.full((40, 3), -np.inf, np.float32)
    largest = Question(Node("amax", (0,), "f32", (1, 3), {"axes": (0,)}), [values])
    assert largest.evaluation.value(Element(2)) == np.float32(-np.inf).tobytes()
    assert largest.evaluation.value(Check(0, 1)) == b""
    total = Question(Node("sum", (0,), "f32", (1, 3), {"axes": (0,)}), [values])
    assert total.evaluation.value(Element(2)) is Ending.NON_FINITE


def test_padding_is_never_read() -> None:
    """Whatever stands behind the last row and column of a tile, the answer is the same."""
    for case in CASES[::5]:
        question = ask(case)
        for place in question.path(question.form.tile_count - 1, True):
            statement, operands = question.put(place)
            dirty = [_soil(question, operand) for operand in operands]
            assert compute(statement, dirty) == question.evaluation.value(place), (case["op"], place)


def _soil(question: Question, operand: Operand) -> Operand:
    if not isinstance(operand.source, Input):
        return operand
    form = question.evaluation.forms[operand.source.input]
    dirt = read_tile(np.ones(form.shape, form.numpy_dtype), form, operand.source.tile)
    inside = np.frombuffer(dirt, form.numpy_dtype) != 0
    values = np.frombuffer(operand.data, f"V{form.numpy_dtype.itemsize}").copy()
    values[~inside] = np.frombuffer(b"\xff" * form.numpy_dtype.itemsize, values.dtype)
    return Operand(operand.source, values.tobytes())


# --- partials ----------------------------------------------------------------------------------------------------


def read_root(question: Question, quantity: Quantity, of: int) -> Array:
    """A tree's root as numbers."""
    data = question.evaluation.value(get_root(question.evaluation.state(Tile(0)), quantity, of))
    assert isinstance(data, bytes)
    return np.frombuffer(data, "<i8" if quantity is Quantity.SUM else "<f4")


SHAPES = (
    ((70,), (0,)), ((3, 700), (1,)), ((600, 5), (0,)), ((20, 3, 2), (0,)), ((5, 33, 2, 40), (1, 3)),
    ((9, 40, 50), (0, 1, 2)),
)  # fmt: skip


@pytest.mark.parametrize(("shape", "axes"), SHAPES)
def test_roots_of_sum_are_the_reference_s_integers(shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    values = adversarial(shape, 7)
    kept = tuple(1 if axis in axes else n for axis, n in enumerate(shape))
    question = Question(Node("sum", (0,), "f32", kept, {"axes": axes}), [values])
    sums = quantise(values, axes, SUM_BITS)[0].sum(axis=axes).ravel()
    largest = np.abs(values).max(axis=axes).ravel()
    for of in range(0, prod(kept), 7):
        assert read_root(question, Quantity.SUM, of) == sums[of]
        assert read_root(question, Quantity.MAXIMUM, of) == largest[of]


def test_roots_of_add_rows_are_the_reference_s_integers() -> None:
    values, index = adversarial((600, 3), 9), np.arange(600, dtype=np.int64) % 4
    question = Question(Node("add_rows", (0, 1), "f32", (4, 3), {"rows": 4}), [values, index])
    quantised = quantise(values, 0, SUM_BITS)[0]
    for row in range(4):
        for column in range(3):
            assert read_root(question, Quantity.SUM, row * 3 + column) == quantised[index == row, column].sum()
    assert read_root(question, Quantity.MAXIMUM, 2) == np.abs(values[:, 2]).max()


def test_roots_of_matmul_are_the_reference_s_integers() -> None:
    a, b = adversarial((2, 40, 700), 10), adversarial((2, 700, 35), 11)
    question = Question(Node("matmul", (0, 1), "f32", (2, 40, 35), {"bits": 14}), [a, b])
    sums = np.matmul(quantise(a, -1, 14)[0], quantise(b, -2, 14)[0])
    for batch, down, across in np.ndindex(2, 2, 2):
        of = (batch * 2 + down) * 2 + across
        tile = read_root(question, Quantity.SUM, of).reshape(32, 32)
        expected = sums[batch, down * 32 : down * 32 + 32, across * 32 : across * 32 + 32]
        assert (tile[: expected.shape[0], : expected.shape[1]] == expected).all()
        assert np.count_nonzero(tile) <= expected.size
        rows = read_root(question, Quantity.MAXIMUM, batch * 2 + down)
        height = min(32, 40 - down * 32)
        assert (rows[:height] == np.abs(a[batch, down * 32 : down * 32 + 32]).max(axis=1)).all()
        columns = read_root(question, Quantity.RIGHT_MAXIMUM, batch * 2 + across)
        width = min(32, 35 - across * 32)
        assert (columns[:width] == np.abs(b[batch, :, across * 32 : across * 32 + 32]).max(axis=0)).all()


WALKED = {
    "sum": (Node("sum", (0,), "f32", (1, 4), {"axes": (0,)}), [adversarial((600, 4), 12)]),
    "amax": (Node("amax", (0,), "f32", (3, 1), {"axes": (1,)}), [adversarial((3, 700), 13)]),
    "add_rows": (
        Node("add_rows", (0, 1), "f32", (3, 2), {"rows": 3}),
        [adversarial((600, 2), 14), np.arange(600, dtype=np.int64) % 3],
    ),
    "matmul": (
        Node("matmul", (0, 1), "f32", (40, 33), {"bits": 12}), [adversarial((40, 200), 15), adversarial((200, 33), 16)]
    ),
}


@pytest.mark.parametrize("op", sorted(QUANTITIES))
def test_every_partial_of_a_walk_is_what_its_children_give(op: str) -> None:
    question = Question(*WALKED[op])
    places = list(question.walk())
    assert any(isinstance(place, Partial) and place.level > 0 for place in places)
    assert places[-1] == Tile(question.form.tile_count - 1)
    for place in places:
        statement, operands = question.put(place)
        assert compute(statement, operands) == question.evaluation.value(place)


# --- tiles of elements -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", sorted(MOVEMENT | QUANTITIES.keys() - {"matmul"}))
def test_a_tile_of_elements_is_its_elements(op: str) -> None:
    for case in of_op(op)[:8]:
        question, output = ask(case), parse(case["output"])
        tile = question.form.tile_count - 1
        data = read_tile(output, compute_form(output), tile)
        statement = question.evaluation.state(Tile(tile))
        assert split_tile(statement, data) == question.evaluation.operands(Tile(tile))
        with pytest.raises(BadOperands):
            split_tile(statement, data[:-1])
        with pytest.raises(BadPlace):
            split_tile(question.evaluation.state(Tile(tile + 1)), data)


def test_a_tile_that_is_computed_at_once_has_no_elements() -> None:
    evaluation = Evaluation(Node("neg", (0,), "f32", (3,)), [np.ones(3, np.float32)])
    with pytest.raises(BadPlace):
        split_tile(evaluation.state(Tile(0)), bytes(4096))
