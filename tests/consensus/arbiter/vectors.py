"""Golden vectors of the arbiter: ``tests/vectors/arbiter/*.json.gz``, lists of

    answers    {"op", "place", "agreed", "opening", "answer"}: places of the golden vectors of exact/v1, with a value or
               an ending
    refusals   the same, and "lies": {"lie", "error", "agreed", "opening"}, what is wrong, the class of
               `consensus.arbiter.errors` that it deserves, and two edits [start, stop, bytes]: agreed and opening with
               the bytes from start to stop (exclusive) replaced are refused
    nodes      {"op", "node", "json"}: the SCALE encoding of a node, and its leaf in the graph root

agreed, opening, answer, node and an edit's bytes are SCALE as `consensus.arbiter.codec` defines it, in hex.
Written by: ``python -m tests.consensus.arbiter.vectors``
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from consensus.arbiter import errors
from consensus.arbiter.codec import encode_answer, encode_node
from consensus.arbiter.compute import FINITE, INDEXED
from consensus.arbiter.elements import MOVEMENT
from consensus.arbiter.opening import (
    Agreed,
    answer,
    arbitrate,
    compute_claim_hash,
    encode_agreed,
    encode_opening,
)
from consensus.arbiter.reductions import QUANTITIES, count_levels
from consensus.arbiter.statement import Check, Element, Ending, Input, Partial, Place, Quantity
from consensus.commit.tensor import TILE_SIDE
from consensus.graph.node import Node
from tests.consensus.arbiter.lies import Lie, make_lies
from tests.consensus.arbiter.nodes import CASES, REFUSED, Question, ask
from tests.consensus.exact.vectors import Case

Vector = dict[str, Any]
FOLDER = Path(__file__).parents[2] / "vectors" / "arbiter"


def _describe(op: str, place: Place, agreed: Agreed, opening: bytes, answer: bytes) -> Vector:
    texts = {"agreed": encode_agreed(agreed).hex(), "opening": opening.hex(), "answer": answer.hex()}
    return {"op": op, "place": str(place), **texts}


def _answer(question: Question, place: Place) -> Vector:
    agreed, opening = question.agree(place), question.open(place)
    outcome = encode_answer(arbitrate(agreed, opening))
    return _describe(question.node.op, place, agreed, encode_opening(opening), outcome)


def make_answers() -> list[Vector]:
    """For every golden vector the walk from its first tile or from its last; for each that ends, where it does."""
    vectors = []
    for number, case in enumerate(CASES):
        question = ask(case)
        last = number % 2 == 1
        tile = question.form.tile_count - 1 if last else 0
        vectors += [_answer(question, place) for place in question.path(tile, last)]
        if number % 8 == 0:
            vectors += [_answer(question, place) for place in _checks(question)]
    for case in REFUSED:
        question = ask(case)
        places = [*_checks(question), *_leaves(question)]
        vectors += [_answer(question, place) for place in places if _ends_at(question, place)]
    return vectors


def _checks(question: Question) -> list[Place]:
    """The checks of the last tile of each input that has some."""
    op, forms = question.node.op, question.evaluation.forms
    inputs = [*FINITE.get(op, ()), *((1,) if op in INDEXED else ())]
    return [Check(i, forms[i].tile_count - 1) for i in inputs if op in INDEXED and i == 1 or forms[i].dtype == "f32"]


def _leaves(question: Question) -> Iterator[Place]:
    """Places whose operands are tiles of inputs, or maxima and these."""
    op, statement = question.node.op, question.evaluation.state(Element(0))
    if op in MOVEMENT:
        yield from (Element(i) for i in range(prod(question.node.shape)))
    for quantity in QUANTITIES.get(op, ()):
        if quantity is not Quantity.SUM:
            yield from (Partial(quantity, 0, 0, index) for index in range(count_levels(statement, quantity)[0]))


def _ends_at(question: Question, place: Place) -> bool:
    return isinstance(question.evaluation.value(place), Ending)


def _pick_cases() -> dict[str, Question]:
    """For each op the first golden vector of 2 to 64 elements that has an operand of more than one tile; if there is
    none, then the first of so many elements; if none, the first."""
    ranked: dict[str, tuple[int, Case]] = {}
    for case in CASES:
        several = any(max(tensor["shape"], default=0) > TILE_SIDE for tensor in case["inputs"])
        rank = 2 * (2 <= prod(case["shape"]) <= 64) + several
        if case["op"] not in ranked or rank > ranked[case["op"]][0]:
            ranked[case["op"]] = (rank, case)
    return {op: ask(case) for op, (_, case) in ranked.items()}


def make_refusals() -> list[Vector]:
    """Every lie about each kind of place of every op."""
    vectors = []
    for question in _pick_cases().values():
        for place in (*question.path(0, True), *_checks(question)):
            vectors.append(_refuse(question, place, make_lies(question, place)))
    return vectors + [_refuse(question, place, lies) for question, place, lies in _contradictions()]


def _refuse(question: Question, place: Place, lies: Iterable[Lie]) -> Vector:
    honest = _answer(question, place)
    vectors = []
    for lie in lies:
        given = answer(lie.agreed, lie.opening)
        if given != encode_answer(lie.error.__new__(lie.error)):
            raise ValueError(f"{honest['op']} {place}: {lie.name} is answered {given.hex()[:20]}")
        edits = {
            "agreed": _edit(bytes.fromhex(honest["agreed"]), encode_agreed(lie.agreed)),
            "opening": _edit(bytes.fromhex(honest["opening"]), lie.opening),
        }
        vectors.append({"lie": lie.name, "error": lie.error.__name__, **edits})
    return {**honest, "lies": vectors}


def _edit(old: bytes, new: bytes) -> list[Any]:
    """What makes ``new`` of ``old``."""
    start = _count_same(old, new)
    same = _count_same(old[start:][::-1], new[start:][::-1])
    return [start, len(old) - same, new[start : len(new) - same].hex()]


def _count_same(a: bytes, b: bytes) -> int:
    """Length of the common beginning."""
    size = min(len(a), len(b))
    differs = np.flatnonzero(np.frombuffer(a[:size], np.uint8) != np.frombuffer(b[:size], np.uint8))
    return int(differs[0]) if len(differs) else size


def apply_edit(old: bytes, edit: list[Any]) -> bytes:
    """The bytes that an edit makes."""
    start, stop, data = edit
    return old[:start] + bytes.fromhex(data) + old[stop:]


def _contradictions() -> Iterator[tuple[Question, Place, list[Lie]]]:
    """Agreed claims that contradict a tile, or each other."""
    ones = np.ones((1, 40), np.float32)
    index = np.zeros(40, np.int64)
    for question in (
        Question(Node("sum", (0,), "f32", (1, 1), {"axes": (1,)}), [ones]),
        Question(Node("matmul", (0, 1), "f32", (1, 1), {"bits": 12}), [ones, ones.T]),
        Question(Node("add_rows", (0, 1), "f32", (1, 1), {"rows": 1}), [ones.T, index]),
    ):
        leaf, inner = Partial(Quantity.SUM, 0, 0, 0), Partial(Quantity.SUM, 0, 1, 0)
        halves = {
            number: (np.frombuffer(operand.data, "<f4") / 2).tobytes()
            for number, operand in enumerate(question.evaluation.operands(leaf))
            if not isinstance(operand.source, Input)
        }
        name = "half the true maximum"
        yield question, leaf, [_agree_on(question, leaf, {n: half}, name) for n, half in halves.items()]
        most = np.frombuffer(question.evaluation.operands(inner)[0].data, "<i8").copy()
        most[0] = 2**53 - 1
        sums = [dict.fromkeys((0, 1), (most * sign).tobytes()) for sign in (1, -1)]
        yield question, inner, [_agree_on(question, inner, changes, "sums of 2^53 − 1 each") for changes in sums]


def _agree_on(question: Question, place: Place, changes: dict[int, bytes], name: str) -> Lie:
    agreed, opening = question.agree(place), question.open(place)
    operands = [replace(o, data=changes.get(number, o.data)) for number, o in enumerate(opening.operands)]
    claims = tuple(compute_claim_hash(o.source, o.data) for o in operands if not isinstance(o.source, Input))
    lied = replace(opening, operands=tuple(operands))
    return Lie(name, errors.Inconsistent, replace(agreed, claims=claims), encode_opening(lied))


def make_nodes() -> list[Vector]:
    """Every node of the golden vectors, and names that JSON escapes or does not."""
    nodes = [ask(case).node for case in CASES]
    forms = {"state": ("f32", (3,)), "batch": ("i64", ()), "seed": ("u32", (2,)), "step": ("i64", ())}
    nodes += [Node("input", (), *form, {"kind": kind, "name": "weight"}) for kind, form in forms.items()]
    for name in ('"', "\\", "a/b", "é", "\u2028", "🦆", "<&>", "x" * 256):
        nodes.append(Node("output", (2**32 - 1,), "f32", (), {"kind": "loss", "name": name}))
        nodes.append(Node("input", (), "bool", (1,) * 8, {"kind": "batch", "name": name}))
    unique = {encode_node(node): node for node in nodes}
    return [{"op": n.op, "node": data.hex(), "json": n.to_bytes().decode()} for data, n in unique.items()]


MAKERS = {"answers": make_answers, "refusals": make_refusals, "nodes": make_nodes}


def read(name: str) -> list[Vector]:
    """The vectors of a file."""
    vectors: list[Vector] = json.loads(gzip.decompress((FOLDER / f"{name}.json.gz").read_bytes()))
    return vectors


def main() -> None:
    """Write the files."""
    FOLDER.mkdir(exist_ok=True)
    for name, make in MAKERS.items():
        text = "[\n" + ",\n".join(json.dumps(vector) for vector in make()) + "\n]\n"
        (FOLDER / f"{name}.json.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))


if __name__ == "__main__":
    main()
