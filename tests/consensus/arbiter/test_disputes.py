"""Games between an honest side and a liar: whatever it claims, the walk ends in a place where only it is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from consensus.arbiter import arbitrate
from consensus.arbiter.compute import split_tile
from consensus.arbiter.errors import ArbiterError, Inconsistent
from consensus.arbiter.evaluate import Evaluation
from consensus.arbiter.opening import compute_claim_hash
from consensus.arbiter.operands import UnitEnds
from consensus.arbiter.statement import Check, Element, Ending, Input, Partial, Place, Quantity, Tile
from consensus.graph.node import Node
from tests.consensus.arbiter.nodes import CASES, Question, ask
from tests.consensus.exact.vectors import adversarial

Array = npt.NDArray[Any]
MAX_PLACES = 14

QUESTIONS = {
    "sum": Question(Node("sum", (0,), "f32", (1, 5), {"axes": (0,)}), [adversarial((550, 5), 20)]),
    "sum of all": Question(Node("sum", (0,), "f32", (1, 1, 1), {"axes": (0, 1, 2)}), [adversarial((20, 33, 65), 21)]),
    "amax": Question(Node("amax", (0,), "f32", (3, 1), {"axes": (1,)}), [adversarial((3, 700), 22)]),
    "add_rows": Question(
        Node("add_rows", (0, 1), "f32", (3, 2), {"rows": 3}),
        [adversarial((550, 2), 23), np.arange(550, dtype=np.int64) ** 2 % 3],
    ),
    "matmul": Question(
        Node("matmul", (0, 1), "f32", (40, 33), {"bits": 14}), [adversarial((40, 700), 24), adversarial((700, 33), 25)]
    ),
    "exp": Question(Node("exp", (0,), "f32", (40, 40)), [adversarial((40, 40), 26)]),
    "transpose": Question(Node("transpose", (0,), "f32", (40, 50), {"perm": (1, 0)}), [adversarial((50, 40), 27)]),
    "take_rows": Question(
        Node("take_rows", (0, 1), "f32", (6, 40)), [adversarial((70, 40), 28), np.arange(6, dtype=np.int64) * 11]
    ),
}


class Liar(Evaluation):
    """An execution that changes what it finds, and goes on consistently from there."""

    def __init__(self, honest: Evaluation, lie: Callable[[Place, bytes], bytes]) -> None:
        super().__init__(honest.node, honest.inputs)
        self._honest, self._lie = honest, lie

    def _value(self, place: Place) -> bytes:
        if place not in self._known:
            try:
                value = super()._value(place)
            except (ArbiterError, UnitEnds):  # its own lies contradict each other: it claims what is true here
                value = self._honest._value(place)
            self._known[place] = self._lie(place, value)
        return self._known[place]


@dataclass(frozen=True)
class End:
    """How a game ended."""

    place: Place
    places: int
    """Length of the walk."""
    honest_is_right: bool
    liar_is_right: bool


def play(question: Question, liar: Liar, place: Place) -> End:
    """A dispute: the first claim on which the sides differ is the next place; where all agree, the arbiter settles."""
    places = 1
    while True:
        sources = [operand.source for operand in question.evaluation.operands(place)]
        claimed = [source for source in sources if not isinstance(source, Input)]
        mine, theirs = question.evaluation.claims(place), [_claim(liar, source) for source in claimed]
        differing = [source for source, a, b in zip(claimed, mine, theirs, strict=True) if a != b]
        if not differing:
            break
        place, places = differing[0], places + 1
    outcome = arbitrate(question.agree(place), question.open(place))
    assert isinstance(outcome, bytes)
    settled = compute_claim_hash(place, outcome)
    return End(place, places, settled == _claim(question.evaluation, place), settled == _claim(liar, place))


def _claim(side: Evaluation, place: Place) -> bytes:
    value = side.value(place)
    assert isinstance(value, bytes)
    return compute_claim_hash(place, value)


def turn(data: bytes, random: Random) -> bytes:
    """One random bit turned."""
    at = random.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]


def claim_at(target: Place, wrong: bytes) -> Callable[[Place, bytes], bytes]:
    """A liar's rule: wrong bytes at one place."""
    return lambda place, value: wrong if place == target else value


def targets(question: Question, tile: int, random: Random) -> list[Place]:
    """A tile and a random way down from it."""
    found: list[Place] = [Tile(tile)]
    while True:
        operands = question.evaluation.operands(found[-1])
        claims = [operand.source for operand in operands if not isinstance(operand.source, Input)]
        if not claims:
            return found
        found.append(random.choice(claims))


@pytest.mark.parametrize("name", sorted(QUESTIONS))
def test_one_wrong_bit_anywhere_is_found_where_it_was_made(name: str) -> None:
    """The liar turns a bit of one place and computes everything above from it: the walk ends at that very place."""
    question, random = QUESTIONS[name], Random(name)
    for _ in range(6):
        tile = random.randrange(question.form.tile_count)
        for target in targets(question, tile, random):
            wrong = turn(question.evaluation._value(target), random)
            liar = Liar(question.evaluation, claim_at(target, wrong))
            if _claim(liar, Tile(tile)) == _claim(question.evaluation, Tile(tile)):
                continue  # the bit does not reach the tile: there is nothing to dispute
            end = play(question, liar, Tile(tile))
            assert (end.place, end.honest_is_right, end.liar_is_right) == (target, True, False)
            assert end.places <= MAX_PLACES


@pytest.mark.parametrize("name", sorted(QUESTIONS))
def test_a_liar_that_turns_bits_everywhere_loses(name: str) -> None:
    question, random = QUESTIONS[name], Random(name)
    for _ in range(5):
        tile = random.randrange(question.form.tile_count)
        liar = Liar(question.evaluation, lambda place, value: turn(value, random))
        end = play(question, liar, Tile(tile))
        assert (end.honest_is_right, end.liar_is_right) == (True, False)
        assert end.places <= MAX_PLACES


@pytest.mark.parametrize("name", sorted(QUESTIONS))
def test_a_liar_that_denies_only_the_tile_loses_at_once(name: str) -> None:
    """Its operands are true: they contradict its tile."""
    question, random = QUESTIONS[name], Random(name)
    wrong = turn(question.evaluation._value(Tile(0)), random)
    liar = Liar(question.evaluation, claim_at(Tile(0), wrong))
    assert play(question, liar, Tile(0)) == End(Tile(0), 1, True, False)


@pytest.mark.parametrize("name", ["sum", "matmul", "add_rows", "exp", "transpose"])
def test_a_liar_that_computes_with_other_data_loses(name: str) -> None:
    """One other input element: the input's root, on which both agree, decides."""
    question = QUESTIONS[name]
    data = question.evaluation.inputs[0].copy()
    data[0, 0] = 4e6
    other = Evaluation(question.node, [data, *question.evaluation.inputs[1:]])
    liar = Liar(question.evaluation, lambda place, value: other._value(place))
    assert _claim(liar, Tile(0)) != _claim(question.evaluation, Tile(0))
    end = play(question, liar, Tile(0))
    assert (end.honest_is_right, end.liar_is_right) == (True, False)
    leaf = isinstance(end.place, Partial) and end.place.level == 0
    assert leaf or isinstance(end.place, Element) or name == "exp"


def test_who_says_that_the_unit_ends_points_at_a_tile() -> None:
    """A check settles both ways: a unit that went on over a NaN, and one that is said to end where it does not."""
    for bad in (False, True):
        values = adversarial((70, 40), 29)
        values[69, 39] = np.nan if bad else 1.0
        question = Question(Node("sum", (0,), "f32", (1, 40), {"axes": (0,)}), [values])
        place = Check(0, 5)
        outcome = arbitrate(question.agree(place), question.open(place))
        assert outcome == (Ending.NON_FINITE if bad else b"")


def test_two_sides_that_agree_on_a_lie_settle_nothing() -> None:
    """An honest side is never part of it: it does not agree on a maximum that is too small."""
    question = QUESTIONS["sum"]
    leaf = Partial(Quantity.SUM, 0, 0, 0)
    opening, agreed = question.open(leaf), question.agree(leaf)
    small = np.zeros(1, np.float32).tobytes()
    lied = tuple(o if isinstance(o.source, Input) else replace(o, data=small) for o in opening.operands)
    source = next(o.source for o in lied if not isinstance(o.source, Input))
    agreed = replace(agreed, claims=(compute_claim_hash(source, small),))
    with pytest.raises(Inconsistent):
        arbitrate(agreed, replace(opening, operands=lied))


def test_two_tiles_of_elements_show_the_first_that_differs() -> None:
    """So a side need not claim a thousand elements one by one."""
    case = next(case for case in CASES if case["op"] == "reshape" and len(case["output"]["data"]) > 100)
    question = ask(case)
    statement, mine = question.evaluation.state(Tile(0)), question.evaluation._value(Tile(0))
    size = question.form.numpy_dtype.itemsize
    theirs = mine[:size] + bytes(255 - b for b in mine[size : 2 * size]) + mine[2 * size :]
    pairs = zip(split_tile(statement, mine), split_tile(statement, theirs), strict=True)
    assert [a.source for a, b in pairs if a != b] == [Element(1)]
