"""Fuzz of trie nodes, storage proofs and compact proofs: what a peer's or a runtime's proof may hold."""

from __future__ import annotations

from chain.errors import DecodeError, ProofInvalid, TrieCorrupt
from chain.primitives import Reader, blake2_256, encode_bytes, encode_compact
from chain.trie import EMPTY_ROOT, StateVersion, Trie, create_proof, verify_proof
from chain.trie.compact import verify_compact_proof
from chain.trie.node import EMPTY_NODE, TrieNode, decode_node, encode_node
from tests.fuzz import Target, make_tests

PAIRS = {b"key": b"v" * 40, b"keys": b"w", b"other": b"x" * 32, b"k" * 90: b"y"}
STORE: dict[bytes, bytes] = {}
UPDATE = Trie(STORE).update(EMPTY_ROOT, PAIRS, StateVersion.V1)
STORE.update(UPDATE.nodes)
KEYS = (*PAIRS, b"", b"absent", b"kez")


def encode_any(node: TrieNode | None) -> bytes:
    return EMPTY_NODE if node is None else encode_node(node)


def encode_proof(nodes: list[bytes]) -> bytes:
    return encode_compact(len(nodes)) + b"".join(map(encode_bytes, nodes))


def decode_proof(data: bytes) -> list[bytes]:
    reader = Reader(data)
    nodes = [reader.bytes_(1 << 20) for _ in range(reader.compact(1 << 10))]
    reader.finish()
    return nodes


def read_proof(data: bytes) -> None:
    """A proof never shows another value than the state's: what it does not prove, it refuses."""
    for key in KEYS:
        assert verify_proof(UPDATE.root, decode_proof(data), [key])[key] == PAIRS.get(key)


def read_own_root(data: bytes) -> None:
    """A proof whose first node is taken for the root: whoever makes it chooses both."""
    nodes = decode_proof(data)
    trie = Trie({blake2_256(node): node for node in nodes})
    root = blake2_256(nodes[0]) if nodes else EMPTY_ROOT
    for key in KEYS:
        trie.get(root, key)
        trie.value_hash(root, key)
        trie.closest_merkle_value(root, key)
    list(zip(range(64), trie.iterate(root), strict=False))
    trie.next_key(root, b"key")
    trie.update(root, {b"key": b"1", b"kez": b"2", b"other": None, b"keys": None}, StateVersion.V1)


def read_compact_proof(data: bytes) -> None:
    verify_compact_proof(UPDATE.root, decode_proof(data), b"key", b"v" * 40, StateVersion.V1)


def nested(depth: int) -> bytes:
    """A chain of branches, each the only child of the last, the last first."""
    nodes = [b"\x41\x01\x04v"]
    for _ in range(depth):
        nodes.append(b"\x80\x01\x00" + encode_bytes(blake2_256(nodes[-1])))
    return encode_proof(nodes[::-1])


NODES = tuple(node for node in UPDATE.nodes.values() if node not in PAIRS.values())
PROOF = encode_proof(create_proof(STORE, UPDATE.root, KEYS))
TARGETS = [
    Target("trie node", decode_node, (TrieCorrupt,), NODES, encode_any,
           bombs=(b"\x7f" + b"\xff" * (1 << 20), b"\x7f" + b"\xff" * 256 + bytes(40_000))),
    Target("storage proof", read_proof, (ProofInvalid, DecodeError), (PROOF,)),
    Target("proof of its own root", read_own_root, (TrieCorrupt, DecodeError), (PROOF, nested(61)),
           bombs=(nested(1_000),)),
    Target("compact proof", read_compact_proof, (ProofInvalid, DecodeError), (),
           bombs=(nested(1_000),)),
]  # fmt: skip
test_fuzz, test_fuzz_long, test_bombs, test_corpus = make_tests(TARGETS)
