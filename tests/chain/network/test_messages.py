"""Network messages against bytes written out by hand, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.network.errors import BadMessage, BadResponse
from chain.network.messages import (
    BlockAnnounce,
    BlockData,
    BlockField,
    BlockRequest,
    Direction,
    Handshake,
    Role,
    decode_response,
    decode_transactions,
    encode_response,
    encode_transactions,
    frame,
)
from chain.network.protobuf import encode_varint, iter_fields, read_varint
from chain.network.provider import ResponseBuilder
from chain.network.service import verify_response
from chain.primitives import Header
from tests.chain.network.chainlet import Chainlet

HASH = bytes([0xAB]) * 32
CHAIN = Chainlet()


def test_handshake_bytes() -> None:
    handshake = Handshake(Role.AUTHORITY, 0x01020304, HASH, bytes(32))
    assert handshake.encode().hex() == "04" + "04030201" + "ab" * 32 + "00" * 32
    assert Handshake.decode(handshake.encode()) == handshake


@pytest.mark.parametrize("size", [0, 68, 70])
def test_invalid_handshake_length(size: int) -> None:
    with pytest.raises(BadMessage):
        Handshake.decode(bytes(size))


def test_announce_is_header_state_and_data() -> None:
    header = Header(HASH, 1, HASH, HASH)
    announce = BlockAnnounce(header, True)
    assert announce.encode().hex() == "ab" * 32 + "04" + "ab" * 64 + "00" + "01" + "00"
    assert BlockAnnounce.decode(announce.encode()) == announce
    assert BlockAnnounce.decode(header.encode()) == BlockAnnounce(header, False)


@pytest.mark.parametrize("tail", [b"\x02", b"\x01\x04", b"\x01\x00\x00"])
def test_invalid_announce_tail(tail: bytes) -> None:
    with pytest.raises(BadMessage):
        BlockAnnounce.decode(Header(HASH, 1, HASH, HASH).encode() + tail)


def test_transactions_are_a_vector_of_opaque_extrinsics() -> None:
    assert encode_transactions([b"\x08ab", b"\x04c"]).hex() == "08" + "086162" + "0463"
    assert decode_transactions(bytes.fromhex("080861620463")) == [b"\x08ab", b"\x04c"]


@pytest.mark.parametrize("data", [b"", b"\x04", b"\x08\x04a", b"\x04\x04ab", b"\x04\x08a", b"\xfe\xff\xff\xff"])
def test_invalid_transactions(data: bytes) -> None:
    with pytest.raises(BadMessage):
        decode_transactions(data)


def test_block_request_bytes_by_number() -> None:
    request = BlockRequest(5, 3, Direction.DESCENDING, BlockField.HEADER | BlockField.BODY)
    # 1: fields 3 << 24; 3: number as 4 bytes; 5: direction 1; 6: max 3; 7: true
    assert request.encode().hex() == "0880808018" + "1a0405000000" + "2801" + "3003" + "3801"
    assert BlockRequest.decode(request.encode()) == request


def test_block_request_by_hash_and_the_bound_of_blocks() -> None:
    request = BlockRequest(HASH, 1_000)
    assert request.encode().hex().startswith("0880808098011220" + "ab" * 32)
    assert BlockRequest.decode(request.encode()).max_blocks == 128
    assert BlockRequest.decode(BlockRequest(HASH, 0).encode()).max_blocks == 128


@pytest.mark.parametrize("data", [b"", b"\x12\x01a", b"\x1a\x03aaa", b"\x28\x02", b"\x12\xff", b"\x0b", b"\x80" * 11])
def test_invalid_block_request(data: bytes) -> None:
    with pytest.raises(BadMessage):
        BlockRequest.decode(data)


def test_response_keeps_bodies_and_justifications() -> None:
    blocks = [BlockData(HASH, b"h", (b"\x04a", b"\x04b"), b"J"), BlockData(bytes(32), b"i", (), None)]
    assert decode_response(encode_response(blocks), BlockRequest(0, 2)) == blocks


def test_invalid_response_with_more_blocks_than_asked() -> None:
    blocks = [BlockData(HASH, b"h", ())] * 2
    with pytest.raises(BadMessage, match="more blocks"):
        decode_response(encode_response(blocks), BlockRequest(0, 1))


@given(st.binary(max_size=200))
def test_junk_is_refused_or_decoded_but_never_crashes(data: bytes) -> None:
    for decode in (Handshake.decode, BlockAnnounce.decode, decode_transactions, BlockRequest.decode):
        try:
            decode(data)
        except BadMessage:
            continue
    try:
        decode_response(data, BlockRequest(0))
        list(iter_fields(data))
    except BadMessage:
        pass


@given(st.integers(0, 2**64 - 1))
def test_varints(value: int) -> None:
    assert read_varint(encode_varint(value), 0) == (value, len(encode_varint(value)))


def test_invalid_varint_above_64_bits() -> None:
    with pytest.raises(BadMessage):
        read_varint(b"\xff" * 9 + b"\x02", 0)
    assert frame(b"ab") == b"\x02ab"


def answer(request: BlockRequest) -> list[BlockData]:
    builder = ResponseBuilder(CHAIN, request)
    while builder.step():
        pass
    return builder.blocks


def numbers(blocks: list[BlockData]) -> list[int]:
    return [Header.decode(block.header or b"").number for block in blocks]


def test_requests_are_answered_in_both_directions_and_end_with_the_chain() -> None:
    assert numbers(answer(BlockRequest(10, 3))) == [10, 11, 12]
    assert numbers(answer(BlockRequest(298, 9))) == [298, 299]
    assert numbers(answer(BlockRequest(CHAIN.headers[2].hash, 9, Direction.DESCENDING))) == [2, 1, 0]
    assert answer(BlockRequest(300)) == answer(BlockRequest(HASH)) == []


def test_an_answer_has_only_the_parts_asked_for() -> None:
    (block,) = answer(BlockRequest(2, 1, fields=BlockField.HEADER | BlockField.JUSTIFICATION))
    assert (block.body, block.justification) == (None, b"proof")
    (block,) = answer(BlockRequest(2, 1, fields=BlockField.BODY))
    assert (block.header, block.body, block.justification) == (None, (b"\x04a",), None)


def test_valid_responses_pass() -> None:
    for request in (BlockRequest(4, 5), BlockRequest(CHAIN.headers[9].hash, 5, Direction.DESCENDING)):
        verify_response(request, answer(request), "p")


def test_invalid_responses_are_refused() -> None:
    request = BlockRequest(4, 5)
    good = answer(request)
    for bad in (good[1:], [good[0], good[2]], good[::-1], [BlockData(HASH, good[0].header)], [BlockData(HASH)]):
        with pytest.raises(BadResponse):
            verify_response(request, bad, "p")
