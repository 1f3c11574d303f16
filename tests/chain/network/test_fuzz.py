"""Fuzz of all that peers send: handshakes, announces, transactions, block requests and responses, frames."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio

from chain.network.errors import BadMessage, BadResponse, MessageTooLarge
from chain.network.framing import EndOfStream, FrameReader
from chain.network.messages import (
    MAX_RESPONSE_BYTES,
    MAX_TRANSACTIONS_BYTES,
    BlockAnnounce,
    BlockData,
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
from chain.network.protobuf import encode_blob, encode_varint, iter_fields, read_varint
from chain.network.service import verify_response
from chain.primitives import Header, aura_seal, encode_bytes, encode_compact
from tests.fuzz import Target, make_tests

HASH = bytes([0xAB]) * 32
HEADER = Header(HASH, 1, HASH, HASH, (aura_seal(b"\x04" * 64),))
CHILD = Header(HEADER.hash, 2, HASH, HASH)
REQUEST = BlockRequest(1, 4)
RESPONSE = encode_response([
    BlockData(HEADER.hash, HEADER.encode(), (b"\x04a", b"\x08bb"), b"proof"),
    BlockData(CHILD.hash, CHILD.encode(), (), None),
])  # fmt: skip


class Bytes:
    """A stream that gives its bytes in pieces of a few."""

    def __init__(self, data: bytes, piece: int = 7) -> None:
        self.data, self.piece = data, piece

    async def read(self, n: int | None = None) -> bytes:
        piece, self.data = self.data[: self.piece], self.data[self.piece :]
        return piece


def read_frames(data: bytes, bound: int = 64) -> list[bytes]:
    async def read() -> list[bytes]:
        reader, found = FrameReader(Bytes(data, max(7, len(data) // 64)), "p"), list[bytes]()
        while len(found) < 4_096:
            try:
                found.append(await reader.frame(bound, "test"))
            except EndOfStream:
                break
        return found

    return trio.run(read)


def decode_block_response(data: bytes) -> list[BlockData]:
    """As the network does it: decoded, then checked against the request."""
    blocks = decode_response(data, REQUEST)
    verify_response(REQUEST, blocks, "p")
    return blocks


def decode_varint(data: bytes) -> int:
    value, end = read_varint(data, 0)
    if end != len(data):
        raise BadMessage("left over")
    return value


MANY = MAX_RESPONSE_BYTES
TARGETS = [
    Target("handshake", Handshake.decode, (BadMessage,), (Handshake(Role.AUTHORITY, 5, HASH, HASH).encode(),),
           Handshake.encode),
    Target("announce", BlockAnnounce.decode, (BadMessage,),
           (BlockAnnounce(HEADER, True, b"data").encode(), HEADER.encode()), BlockAnnounce.encode, is_exact=False),
    Target("transactions", decode_transactions, (BadMessage,), (encode_transactions([b"\x08ab", b"\x04c"]),),
           encode_transactions, bombs=(encode_compact(4_096) + bytes(4_096),
                                       encode_compact(4) + encode_bytes(bytes(MAX_TRANSACTIONS_BYTES // 4)) * 4)),
    Target("block request", BlockRequest.decode, (BadMessage,),
           (BlockRequest(5, 3, Direction.DESCENDING).encode(), BlockRequest(HASH).encode()), BlockRequest.encode,
           is_exact=False, bombs=(encode_blob(2, HASH) + b"\x40\x01" * (1 << 20),)),
    Target("block response", decode_block_response, (BadMessage, BadResponse), (RESPONSE,), encode_response,
           is_exact=False, bombs=(
               b"\x10\x00" * (MANY // 2),
               b"\x12\x00" * (MANY // 2),
               encode_blob(1, encode_blob(1, HASH) + b"\x1a\x00" * (MANY // 2)),
               encode_blob(1, encode_blob(1, HASH) + b"\x1a\x02ab" * (MANY // 4)),
               encode_blob(1, encode_blob(1, HASH) + b"\x20\x00" * (MANY // 16)) * 4,
           )),
    Target("protobuf", lambda data: list(iter_fields(data)), (BadMessage,), (RESPONSE,)),
    Target("varint", decode_varint, (BadMessage,), tuple(map(encode_varint, (0, 200, 2**63))), encode_varint,
           is_exact=False),
    Target("frames", read_frames, (BadMessage, MessageTooLarge), (frame(b"abc") + frame(b""), frame(b"x" * 64)),
           lambda found: b"".join(map(frame, found)), is_exact=False),
]  # fmt: skip
test_fuzz, test_fuzz_long, test_bombs, test_corpus = make_tests(TARGETS)


def test_invalid_role_bits_are_refused_as_a_stock_node_does() -> None:
    good = Handshake(Role.FULL, 5, HASH, HASH).encode()
    with pytest.raises(BadMessage, match="role"):
        Handshake.decode(b"\x09" + good[1:])


def test_a_malformed_header_in_a_response_is_the_peers_fault() -> None:
    bad = replace(BlockData(HEADER.hash, HEADER.encode()), header=b"\x01")
    with pytest.raises(BadResponse, match="decode"):
        verify_response(REQUEST, [bad], "p")


def test_a_frame_above_the_bound_is_refused_before_it_is_read() -> None:
    with pytest.raises(MessageTooLarge):
        read_frames(encode_varint(65) + bytes(10))
    with pytest.raises(BadMessage, match="ended inside"):
        read_frames(encode_varint(64) + bytes(10))
