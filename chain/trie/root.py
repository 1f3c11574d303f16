"""Roots of lists: `ordered_trie_root`, the extrinsics root of a header."""

from __future__ import annotations

from collections.abc import Sequence

from chain.primitives.block import blake2_256
from chain.primitives.scale import encode_compact
from chain.trie.node import StateVersion
from chain.trie.trie import Hasher, compute_trie_root


def ordered_trie_root(values: Sequence[bytes], version: StateVersion, hasher: Hasher = blake2_256) -> bytes:
    """The root of the trie that maps the compact index of each value to the value."""
    return compute_trie_root({encode_compact(i): value for i, value in enumerate(values)}, version, hasher)
