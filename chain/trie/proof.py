"""Storage proofs: the nodes a reader needs to follow keys from a root, and the check of such a proof."""

from __future__ import annotations

from collections.abc import Iterable

from chain.errors import ProofInvalid, TrieCorrupt
from chain.primitives.block import blake2_256
from chain.trie.node import EMPTY_NODE, EMPTY_ROOT
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


def verify_proof(root: bytes, proof: Iterable[bytes], keys: Iterable[bytes]) -> dict[bytes, bytes | None]:
    """The values of `keys` under `root`, None where the proof shows absence.

    Raises ProofInvalid when a node on a path is missing or malformed. Trusted afterwards: `root` itself.
    """
    trie = Trie({blake2_256(node): node for node in proof})
    try:
        return {key: trie.get(root, key) for key in keys}
    except TrieCorrupt as error:
        raise ProofInvalid(f"storage proof does not lead to root 0x{root.hex()}: {error.detail}") from error
