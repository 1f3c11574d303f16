"""Storage proofs: the nodes a reader needs to follow keys from a root, and the check of such a proof.

A child trie is a trie of its own whose root is a value of the main one: its proof holds both paths.
"""

from __future__ import annotations

from collections.abc import Iterable

from chain.errors import ProofInvalid, TrieCorrupt
from chain.primitives.block import blake2_256
from chain.trie.node import EMPTY_NODE, EMPTY_ROOT, HASH_LENGTH
from chain.trie.trie import NodeSource, Trie


class _Recorder:
    def __init__(self, source: NodeSource) -> None:
        self._source = source
        self.seen: dict[bytes, bytes] = {}

    def get(self, key: bytes, /) -> bytes | None:
        data = self._source.get(key)
        if data is not None:
            self.seen[key] = data
        return data


def create_proof(source: NodeSource, root: bytes, keys: Iterable[bytes]) -> list[bytes]:
    """Nodes and hashed values on the paths of `keys` (present or absent), each once, without order."""
    recorder = _Recorder(source)
    trie = Trie(recorder)
    for key in keys:
        trie.get(root, key)
    return list(recorder.seen.values()) or ([EMPTY_NODE] if root == EMPTY_ROOT else [])


def create_child_proof(source: NodeSource, root: bytes, child_key: bytes, keys: Iterable[bytes]) -> list[bytes]:
    """The same for `keys` of the child trie whose root lies at `child_key`; where there is none, that this is so."""
    recorder = _Recorder(source)
    trie = Trie(recorder)
    child_root = trie.get(root, child_key)
    if child_root is not None:
        for key in keys:
            trie.get(child_root, key)
    return list(recorder.seen.values()) or ([EMPTY_NODE] if root == EMPTY_ROOT else [])


def verify_proof(root: bytes, proof: Iterable[bytes], keys: Iterable[bytes]) -> dict[bytes, bytes | None]:
    """The values of `keys` under `root`, None where the proof shows absence.

    Raises ProofInvalid when a node on a path is missing or malformed. Trusted afterwards: `root` itself.
    """
    trie = Trie({blake2_256(node): node for node in proof})
    try:
        return {key: trie.get(root, key) for key in keys}
    except TrieCorrupt as error:
        raise ProofInvalid(f"storage proof does not lead to root 0x{root.hex()}: {error.detail}") from error


def verify_child_proof(
    root: bytes, proof: Iterable[bytes], child_key: bytes, keys: Iterable[bytes]
) -> dict[bytes, bytes | None]:
    """The values of `keys` in the child trie whose root lies at `child_key`; all None if there is no such trie.

    Raises ProofInvalid. Trusted afterwards: `root` itself.
    """
    nodes, wanted = list(proof), list(keys)
    child_root = verify_proof(root, nodes, [child_key])[child_key]
    if child_root is None:
        return dict.fromkeys(wanted)
    if len(child_root) != HASH_LENGTH:
        raise ProofInvalid(f"the value at 0x{child_key.hex()} is no root of a child trie; drop the proof")
    return verify_proof(child_root, nodes, wanted)
