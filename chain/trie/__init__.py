"""The Patricia-Merkle trie: nodes, incremental updates, roots of lists, storage proofs. Pure."""

from chain.trie.node import EMPTY_ROOT, StateVersion
from chain.trie.proof import create_child_proof, create_proof, verify_child_proof, verify_proof
from chain.trie.root import ordered_trie_root
from chain.trie.trie import NodeSource, Trie, TrieUpdate, compute_trie_root

__all__ = [
    "EMPTY_ROOT",
    "NodeSource",
    "StateVersion",
    "Trie",
    "TrieUpdate",
    "compute_trie_root",
    "create_child_proof",
    "create_proof",
    "ordered_trie_root",
    "verify_child_proof",
    "verify_proof",
]
