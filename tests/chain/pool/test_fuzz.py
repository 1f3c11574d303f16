"""Fuzz of extrinsics as they come to the pool, and of what the runtime says of them."""

from __future__ import annotations

from chain.errors import DecodeError
from chain.pool.errors import BadFormat
from chain.pool.service import read_sender
from chain.pool.validity import decode_validity, read_validity_error
from chain.primitives import Reader, encode_bytes
from tests.fuzz import Target, make_tests

SIGNED = encode_bytes(b"\x84\x00" + b"\x01" * 32 + b"\x01" + b"\x02" * 64 + b"\x00\x00\x00\x00\x03\x00")
VALID = b"\x00" + bytes(8) + b"\x04\x0cabc" + b"\x04\x0cdef" + bytes(8) + b"\x01"
TARGETS = [
    Target("extrinsic", read_sender, (BadFormat,), (SIGNED, encode_bytes(b"\x04\x00\x00"))),
    Target("validity", decode_validity, (DecodeError,), (VALID, b"\x01\x00\x07\x05", b"\x01\x01\x00")),
    Target("validity error", lambda data: read_validity_error(Reader(data)), (DecodeError,), (b"\x00\x07\x05",)),
]
test_fuzz, test_fuzz_long, test_bombs, test_corpus = make_tests(TARGETS)


def test_samples_are_what_they_seem() -> None:
    assert read_sender(SIGNED) == b"\x01" * 32
