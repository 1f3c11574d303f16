"""A body against its header, before it is executed."""

from __future__ import annotations

from dataclasses import dataclass

from chain.errors import BodyTooLarge, WrongExtrinsicsRoot
from chain.primitives.block import MAX_BLOCK_BYTES, MAX_EXTRINSICS, Header
from chain.trie import StateVersion, ordered_trie_root


@dataclass(frozen=True)
class BodyInput:
    """`extrinsics` each with its compact length in front; `root_version` as the runtime's system version says."""

    header: Header
    extrinsics: tuple[bytes, ...]
    root_version: StateVersion


def verify_body(given: BodyInput) -> None:
    """Size and extrinsics root.

    Raises BodyTooLarge, WrongExtrinsicsRoot. Still unknown afterwards: whether the extrinsics are valid.
    """
    number = given.header.number
    size = sum(map(len, given.extrinsics))
    if size > MAX_BLOCK_BYTES or len(given.extrinsics) > MAX_EXTRINSICS:
        raise BodyTooLarge(number, f"{len(given.extrinsics)} extrinsics with {size} bytes; drop it")
    root = ordered_trie_root(given.extrinsics, given.root_version)
    if root != given.header.extrinsics_root:
        raise WrongExtrinsicsRoot(number, f"extrinsics hash to 0x{root.hex()}, the header says otherwise; drop it")
