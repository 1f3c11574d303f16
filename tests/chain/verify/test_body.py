"""`verify_body`: size on both sides of its bounds, and the root over exactly these extrinsics in this order."""

from __future__ import annotations

import pytest

from chain.errors import BodyTooLarge, WrongExtrinsicsRoot
from chain.primitives import Header, encode_bytes
from chain.primitives.block import MAX_BLOCK_BYTES, MAX_EXTRINSICS
from chain.trie import StateVersion, ordered_trie_root
from chain.verify import BodyInput, verify_body

ONE, TWO = encode_bytes(b"one"), encode_bytes(b"two")


def check(extrinsics: tuple[bytes, ...], named: tuple[bytes, ...] | None = None) -> None:
    """Verifies extrinsics against a header that names these or others."""
    root = ordered_trie_root(extrinsics if named is None else named, StateVersion.V0)
    verify_body(BodyInput(Header(bytes(32), 1, bytes(32), root), extrinsics, StateVersion.V0))


def test_valid_bodies() -> None:
    for extrinsics in ((), (ONE,), (ONE, TWO)):
        check(extrinsics)


@pytest.mark.parametrize("body", [(), (ONE,), (TWO, ONE), (ONE, TWO, TWO), (ONE, encode_bytes(b"twp"))])
def test_invalid_root(body: tuple[bytes, ...]) -> None:
    with pytest.raises(WrongExtrinsicsRoot):
        check(body, (ONE, TWO))


def test_size_at_and_over_the_bound() -> None:
    check((bytes(MAX_BLOCK_BYTES),))
    with pytest.raises(BodyTooLarge):
        check((bytes(MAX_BLOCK_BYTES), b"x"))


def test_too_many_extrinsics_are_refused_before_they_are_hashed() -> None:
    with pytest.raises(BodyTooLarge):
        check((b"",) * (MAX_EXTRINSICS + 1), ())
