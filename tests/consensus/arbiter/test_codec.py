"""Bytes: what encodes comes back, and whatever a stranger sends is answered with an outcome or a refusal, soon."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.arbiter.codec import (
    DTYPE_CODES,
    MAX_OPENING_BYTES,
    Reader,
    decode_operands,
    decode_statement,
    encode_compact,
    encode_node,
    encode_operands,
    encode_statement,
)
from consensus.arbiter.errors import ArbiterError, BadNode, Malformed, TooLarge
from consensus.arbiter.opening import Agreed, answer, decode_opening, encode_opening
from consensus.arbiter.statement import ATTRIBUTES, OP_CODES, Tile
from consensus.commit.hashing import Hash32
from consensus.graph.node import Node
from consensus.graph.ops import OPS
from tests.consensus.arbiter.nodes import CASES, ask

SMALL = {op: ask(case) for op, case in {case["op"]: case for case in reversed(CASES)}.items()}
"""The first golden vector of every op."""
ANYTHING = Agreed(Hash32(bytes(32)), 4, 3, (Hash32(bytes(32)),) * 2, ())


def test_every_op_has_a_code_and_its_attributes() -> None:
    assert set(ATTRIBUTES) == set(OPS)
    told_by_shape = {"iota": {"n"}, "add_rows": {"rows"}}
    for op, names in ATTRIBUTES.items():
        assert set(names) | told_by_shape.get(op, set()) == set(OPS[op].attrs)
    assert (OP_CODES["const"], OP_CODES["matmul"], OP_CODES["input"]) == (0, 28, 41)
    assert DTYPE_CODES == {"f32": 0, "i64": 3, "bool": 6, "u32": 4}


@pytest.mark.parametrize(
    ("value", "data"),
    [(0, "00"), (63, "fc"), (64, "0101"), (16_383, "fdff"), (16_384, "02000100"), (2**30 - 1, "feffffff")],
)
def test_compact_lengths_are_scale_s(value: int, data: str) -> None:
    assert encode_compact(value).hex() == data
    assert Reader(bytes.fromhex(data), "length").compact() == value


@pytest.mark.parametrize("data", ["0100", "fd00", "02000000", "feff0000", "03", "0300000000", "", "01", "020000"])
def test_other_compact_lengths_are_refused(data: str) -> None:
    with pytest.raises(Malformed):
        Reader(bytes.fromhex(data), "length").compact()


@pytest.mark.parametrize("op", sorted(SMALL))
def test_questions_come_back(op: str) -> None:
    question = SMALL[op]
    for place in question.path(0, True):
        statement, operands = question.put(place)
        assert decode_statement(encode_statement(statement)) == statement
        assert decode_operands(encode_operands(operands)) == operands
        assert decode_opening(encode_opening(question.open(place))) == question.open(place)


def test_too_large_is_refused_before_decoding() -> None:
    for decode in (decode_statement, decode_operands, decode_opening):
        with pytest.raises(TooLarge):
            decode(bytes(MAX_OPENING_BYTES + 1))
        with pytest.raises(Malformed):
            decode(bytes(MAX_OPENING_BYTES))


@pytest.mark.parametrize(
    "node",
    [
        Node("gather", (), "f32", ()),
        Node("sum", (0,), "f32", (), {"axes": (256,)}),
        Node("sum", (0,), "f32", ()),
        Node("matmul", (0, 1), "f32", (1, 1), {"bits": "12"}),
        Node("matmul", (0, -1), "f32", (1, 1), {"bits": 12}),
        Node("uniform", (0, 1), "f32", (), {"stream": 2**32}),
        Node("neg", (0,), "f64", (1,)),
        Node("neg", (0,), "f32", (2**32,)),
        Node("neg", (0,), "f32", (1,) * 9),
        Node("const", (), "f32", (), {"value": "zero"}),
        Node("output", (0,), "f32", (), {"kind": "batch", "name": "x"}),
        Node("output", (0,), "f32", (), {"kind": "state", "name": "\ud800"}),
    ],
    ids=lambda node: f"{node.op}-{node.attrs}",
)
def test_nodes_without_an_encoding_are_refused(node: Node) -> None:
    with pytest.raises(BadNode):
        encode_node(node)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(SMALL)), st.integers(0, 400), st.binary(max_size=6), st.integers(0, 6), st.booleans())
def test_hostile_bytes_are_answered(op: str, at: int, put: bytes, cut: int, honest: bool) -> None:
    """Decoding gives back the very bytes, or an error; nothing else is raised and nothing takes long."""
    question = SMALL[op]
    data = encode_opening(question.open(Tile(0)))
    hostile = data[:at] + put + data[at + cut :]
    started = time.monotonic()
    given = answer(question.agree(Tile(0)) if honest else ANYTHING, hostile)
    assert time.monotonic() - started < 5
    assert given[0] in (0, 1)
    try:
        decoded = decode_opening(hostile)
    except ArbiterError as error:
        assert given == bytes([1, error.code])
    else:
        assert encode_opening(decoded) == hostile


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_junk_is_answered(junk: bytes) -> None:
    assert answer(ANYTHING, junk)[0] == 1
    for decode in (decode_statement, decode_operands):
        try:
            decode(junk)
        except ArbiterError as error:
            assert isinstance(error, Malformed)
