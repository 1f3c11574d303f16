"""The arbiter's vectors are what it answers today, cover every op with every error, and stay small."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from consensus.arbiter import errors
from consensus.arbiter.codec import Reader, encode_answer, encode_node
from consensus.arbiter.errors import ArbiterError
from consensus.arbiter.opening import answer, decode_agreed, decode_opening, encode_agreed, encode_opening
from consensus.arbiter.statement import OP_CODES, Ending
from tests.consensus.arbiter.vectors import FOLDER, MAKERS, Vector, apply_edit, read

COMPUTED = set(OP_CODES) - {"input"}
CLASSES = ArbiterError.__subclasses__()


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_vectors_are_regenerated_exactly(name: str) -> None:
    """When this fails the arbiter changed: the runtime's must change with it."""
    assert json.loads(json.dumps(MAKERS[name]())) == read(name)


def test_answers_are_given_to_the_bytes() -> None:
    for vector in read("answers")[::3]:
        agreed, opening = (bytes.fromhex(vector[key]) for key in ("agreed", "opening"))
        assert answer(decode_agreed(agreed), opening).hex() == vector["answer"]
        assert encode_agreed(decode_agreed(agreed)) == agreed
        assert encode_opening(decode_opening(opening)) == opening


def test_answers_cover_every_op_and_ending() -> None:
    vectors = read("answers")
    assert {vector["op"] for vector in vectors} == COMPUTED
    endings = {encode_answer(ending).hex() for ending in Ending}
    assert endings <= {vector["answer"] for vector in vectors}
    ended = {vector["op"] for vector in vectors if vector["answer"] in endings}
    assert ended == {"sum", "amax", "matmul", "add_rows", "take_rows", "pick", "output"}


def refused(vector: Vector) -> list[tuple[str, bytes]]:
    """(error, answer) of every lie of a vector."""
    agreed, opening = (bytes.fromhex(vector[key]) for key in ("agreed", "opening"))
    return [
        (lie["error"], answer(decode_agreed(apply_edit(agreed, lie["agreed"])), apply_edit(opening, lie["opening"])))
        for lie in vector["lies"]
    ]


def test_lies_are_refused_with_their_errors() -> None:
    vectors = read("refusals")
    assert {vector["op"] for vector in vectors} == COMPUTED
    found = set()
    for vector in vectors[::3]:
        for name, given in refused(vector):
            assert given == bytes([1, getattr(errors, name).code]), (vector["op"], vector["place"])
            found.add(name)
    assert found == {cls.__name__ for cls in CLASSES}


def test_every_op_meets_every_error_that_it_can() -> None:
    found: dict[str, set[str]] = {}
    for vector in read("refusals"):
        found.setdefault(vector["op"], set()).update(lie["error"] for lie in vector["lies"])
    for op, names in found.items():
        always = {"Malformed", "BadNode", "BadPlace", "BadProof", "BadForm", "BadOperands"}
        assert always <= names, op
        claims = op in {"sum", "amax", "add_rows", "matmul", "reshape", "transpose", "slice", "concat", "pad"}
        assert ("NotAgreed" in names) >= claims, op
        assert ("Inconsistent" in names) == (op in {"sum", "amax", "add_rows", "matmul"}), op


def test_codes_of_errors_are_their_order() -> None:
    assert [cls.code for cls in CLASSES] == list(range(9))


def test_nodes_are_their_encodings() -> None:
    for vector in read("nodes"):
        data = bytes.fromhex(vector["node"])
        reader = Reader(data, "node")
        node = reader.node()
        reader.finish()
        assert (node.op, node.to_bytes().decode()) == (vector["op"], vector["json"])
        assert encode_node(node) == data
    assert {vector["op"] for vector in read("nodes")} == set(OP_CODES)


def test_the_files_stay_small() -> None:
    assert sum(Path(FOLDER / f"{name}.json.gz").stat().st_size for name in MAKERS) < 3_000_000
