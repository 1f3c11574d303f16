"""Headers and blocks: round trips, hashes, malformed bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import DecodeError
from chain.primitives import (
    Block,
    DigestItem,
    DigestKind,
    Header,
    aura_pre_runtime,
    aura_seal,
    blake2_256,
    decode_body,
    encode_body,
    encode_bytes,
)

HEADER = Header(b"\x01" * 32, 2**20, b"\x02" * 32, b"\x03" * 32, (aura_pre_runtime(7), aura_seal(b"\x04" * 64)))
ITEMS = st.builds(
    DigestItem,
    st.sampled_from([DigestKind.CONSENSUS, DigestKind.SEAL, DigestKind.PRE_RUNTIME]),
    st.binary(min_size=4, max_size=4),
    st.binary(max_size=100),
) | st.just(DigestItem(DigestKind.RUNTIME_ENVIRONMENT_UPDATED))


@given(st.integers(0, 2**32 - 1), st.lists(ITEMS, max_size=5), st.lists(st.binary(max_size=40), max_size=5))
def test_a_block_reads_back_exactly(number: int, digest: list[DigestItem], bodies: list[bytes]) -> None:
    header = Header(b"\x01" * 32, number, b"\x02" * 32, b"\x03" * 32, tuple(digest))
    block = Block(header, tuple(encode_bytes(body) for body in bodies))
    assert Block.decode(block.encode()) == block
    assert Header.decode(header.encode()) == header
    assert decode_body(encode_body(block.extrinsics)) == block.extrinsics


def test_the_hash_is_blake2_of_the_encoding_and_counts_the_seal() -> None:
    assert HEADER.hash == blake2_256(HEADER.encode())
    unsealed = HEADER.without_seal()
    assert unsealed.digest == HEADER.digest[:1]
    assert unsealed.hash != HEADER.hash
    assert unsealed.with_seal(HEADER.digest[1]) == HEADER
    assert unsealed.without_seal() is unsealed


def test_every_prefix_of_a_block_is_malformed() -> None:
    data = Block(HEADER, (encode_bytes(b"one"), encode_bytes(b"two"))).encode()
    for length in range(len(data)):
        with pytest.raises(DecodeError):
            Block.decode(data[:length])
    with pytest.raises(DecodeError, match="left over"):
        Block.decode(data + b"\x00")


def test_unknown_digest_items_and_huge_counts_are_refused() -> None:
    data = HEADER.encode()
    at = data.index(b"\x06aura")
    with pytest.raises(DecodeError, match="unknown"):
        Header.decode(data[:at] + b"\x03" + data[at + 1 :])
    with pytest.raises(DecodeError, match="above the bound"):
        Header.decode(data[: at - 1] + bytes([65 << 2 & 0xFF | 1, 65 >> 6]) + data[at:])
