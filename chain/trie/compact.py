"""Compact proofs that a key has a value: the nodes on its path without the value and without the hashes in between.

What `ext_trie_*_verify_proof` checks (Polkadot specification, "Host API: trie"; `trie_db::proof`). Nodes come in order
from the root on. A reference to the next node is left empty; the value is left empty in a leaf and left out in a
branch. An inline child is part of its parent.
"""

from __future__ import annotations

from collections.abc import Sequence

from chain.errors import ProofInvalid, TrieCorrupt
from chain.primitives.block import blake2_256
from chain.trie.nibbles import to_nibbles
from chain.trie.node import HASH_LENGTH, INLINE_VALUE_LIMIT, StateVersion, TrieNode, decode_node, encode_node
from chain.trie.trie import Hasher


def verify_compact_proof(
    root: bytes,
    proof: Sequence[bytes],
    key: bytes,
    value: bytes,
    version: StateVersion,
    hasher: Hasher = blake2_256,
) -> None:
    """Raises ProofInvalid unless `proof` shows `value` at `key`. Trusted afterwards: `root` itself."""
    path, used = _descend(proof, to_nibbles(key))
    if used != len(proof):
        raise ProofInvalid(f"the compact proof has {len(proof)} nodes, {used} are on the path; drop it")
    last = path[-1][0]
    is_hashed = version is StateVersion.V1 and len(value) > INLINE_VALUE_LIMIT
    last.value, last.value_hash = (None, hasher(value)) if is_hashed else (value, None)
    encoded = encode_node(last)
    for (node, slot, _), (_, _, is_inline) in zip(reversed(path[:-1]), reversed(path[1:]), strict=True):
        if node.children is not None:
            node.children[slot] = encoded if is_inline else hasher(encoded)
        if is_inline and len(encoded) > HASH_LENGTH:
            raise ProofInvalid("an inline node of the compact proof is longer than a hash; drop it")
        encoded = encode_node(node)
    if hasher(encoded) != root:
        raise ProofInvalid(f"the compact proof does not lead to root 0x{root.hex()}; drop it")


def _descend(proof: Sequence[bytes], nibbles: bytes) -> tuple[list[tuple[TrieNode, int, bool]], int]:
    """The nodes on the path, each with the slot that is followed and whether it lies inline; nodes of proof used."""
    path: list[tuple[TrieNode, int, bool]] = []
    used, at, reference = 0, 0, b""
    while True:
        is_inline = reference != b""
        if not is_inline:
            if used == len(proof):
                raise ProofInvalid("the compact proof ends before the key does; drop it")
            reference, used = proof[used], used + 1
        try:
            node = decode_node(reference)
        except TrieCorrupt as error:
            raise ProofInvalid(f"a node of the compact proof is malformed: {error.detail}; drop it") from error
        if node is None or not nibbles.startswith(node.partial, at):
            raise ProofInvalid("the compact proof shows that the key is absent; drop it")
        at += len(node.partial)
        if at == len(nibbles):
            if node.value_hash is not None or node.value != (b"" if node.children is None else None):
                raise ProofInvalid("the compact proof holds the value that it must leave out; drop it")
            return [*path, (node, 0, is_inline)], used
        child = None if node.children is None else node.children[nibbles[at]]
        if not isinstance(child, bytes):
            raise ProofInvalid("the compact proof shows that the key is absent; drop it")
        if len(child) == HASH_LENGTH:
            raise ProofInvalid("the compact proof holds a hash that it must leave out; drop it")
        path.append((node, nibbles[at], is_inline))
        at, reference = at + 1, child
