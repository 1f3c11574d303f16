"""The bounded reader and compact integers, on both sides of each bound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import DecodeError
from chain.primitives import Reader, encode_bytes, encode_compact
from tests.chain.trie.naive import compact

EDGES = [0, 63, 64, 2**14 - 1, 2**14, 2**30 - 1, 2**30, 2**32 - 1, 2**64 - 1, 2**128 - 1]


@pytest.mark.parametrize("value", EDGES)
def test_compact_agrees_with_scalecodec_and_reads_back(value: int) -> None:
    assert encode_compact(value) == compact(value)
    assert Reader(encode_compact(value)).compact(2**128) == value


@given(st.integers(0, 2**536 - 1))
def test_compact_round_trip(value: int) -> None:
    assert Reader(encode_compact(value)).compact(2**536) == value


@pytest.mark.parametrize("value", [-1, 2**536])
def test_compact_refuses_what_it_cannot_hold(value: int) -> None:
    with pytest.raises(ValueError, match="compact"):
        encode_compact(value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        b"\x01\x00",
        b"\x02\x00\x00\x00",
        b"\x03\x01\x00\x00\x00",
        b"\x07\x00\x00\x00\x40\x00",
        b"\x02\x01\x00",
    ],
)
def test_compact_refuses_short_or_long_forms(data: bytes) -> None:
    with pytest.raises(DecodeError):
        Reader(data).compact()


def test_compact_bound_is_inclusive() -> None:
    assert Reader(encode_compact(100)).compact(100) == 100
    with pytest.raises(DecodeError, match="above the bound"):
        Reader(encode_compact(101)).compact(100)


def test_bytes_never_trust_their_length() -> None:
    assert Reader(encode_bytes(b"abc")).bytes_(3) == b"abc"
    with pytest.raises(DecodeError, match="above the bound"):
        Reader(encode_bytes(b"abc")).bytes_(2)
    with pytest.raises(DecodeError, match="are left"):
        Reader(encode_compact(1 << 20) + b"abc").bytes_(1 << 30)


def test_booleans_and_left_overs() -> None:
    with pytest.raises(DecodeError, match="no boolean"):
        Reader(b"\x02").option()
    reader = Reader(b"\x01\x00")
    assert reader.boolean()
    with pytest.raises(DecodeError, match="left over"):
        reader.finish()
