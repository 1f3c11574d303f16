"""Fuzz of headers, blocks, bodies and compact integers."""

from __future__ import annotations

import pytest

from chain.errors import DecodeError
from chain.primitives import (
    Block,
    DigestItem,
    DigestKind,
    Header,
    Reader,
    aura_pre_runtime,
    aura_seal,
    decode_body,
    encode_body,
    encode_bytes,
    encode_compact,
)
from tests.fuzz import Target, make_tests

DIGEST = (
    aura_pre_runtime(7),
    DigestItem(DigestKind.OTHER, b"", b"x"),
    DigestItem(DigestKind.RUNTIME_ENVIRONMENT_UPDATED),
    aura_seal(b"\x04" * 64),
)
HEADER = Header(b"\x01" * 32, 2**20, b"\x02" * 32, b"\x03" * 32, DIGEST)
BLOCK = Block(HEADER, (encode_bytes(b"one"), encode_bytes(b"x" * 70)))


def read_compact(data: bytes) -> int:
    reader = Reader(data)
    value = reader.compact(2**536)
    reader.finish()
    return value


TARGETS = [
    Target("header", Header.decode, (DecodeError,), (HEADER.encode(),), Header.encode),
    Target("block", Block.decode, (DecodeError,), (BLOCK.encode(),), Block.encode),
    Target("body", decode_body, (DecodeError,), (encode_body(BLOCK.extrinsics),), encode_body,
           bombs=(encode_compact(1 << 16) + bytes(1 << 16),)),
    Target("compact", read_compact, (DecodeError,), tuple(map(encode_compact, (1, 2**10, 2**20, 2**64))),
           encode_compact),
]  # fmt: skip
test_fuzz, test_fuzz_long, test_bombs, test_corpus = make_tests(TARGETS)


LONG_FORMS = (b"\x01\x00", b"\x02\x00\x00\x00", b"\x03\x00\x00\x00\x00", b"\x07\x01" + bytes(4))


@pytest.mark.parametrize("data", LONG_FORMS)
def test_integers_that_are_not_minimal_are_refused_wherever_they_stand(data: bytes) -> None:
    header = HEADER.encode()
    number = encode_compact(HEADER.number)
    with pytest.raises(DecodeError, match="shortest form"):
        read_compact(data)
    with pytest.raises(DecodeError):
        Header.decode(header[:32] + data + header[32 + len(number) :])
    with pytest.raises(DecodeError):
        decode_body(data)
