"""The Patricia-Merkle trie of the state: reads, ordered iteration and incremental updates over a node source.

A trie is only a root hash; nodes and hashed values are content-addressed, so that many states share them.
`update` touches the nodes on the changed paths and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from chain.errors import TrieCorrupt
from chain.primitives.block import blake2_256
from chain.trie.nibbles import compute_common_prefix, to_bytes, to_nibbles
from chain.trie.node import (
    EMPTY_NODE,
    EMPTY_ROOT,
    HASH_LENGTH,
    INLINE_VALUE_LIMIT,
    Reference,
    StateVersion,
    TrieNode,
    decode_node,
    encode_node,
)

CACHED_NODES = 1 << 16  # = 65,536 decoded nodes, some 30 MB
Hasher: TypeAlias = Callable[[bytes], bytes]


class NodeSource(Protocol):
    """Where nodes and hashed values are read by their BLAKE2b-256."""

    def get(self, key: bytes, /) -> bytes | None:
        """The bytes with this hash, or None."""
        ...


@dataclass(frozen=True)
class TrieUpdate:
    """What an update gives: the new root and the nodes and hashed values that are to be stored, by hash."""

    root: bytes
    nodes: dict[bytes, bytes]


class Trie:
    """Reads and updates tries whose nodes lie in `source`; decoded nodes are cached across roots.

    `hasher` gives 32 bytes; all that a state uses is BLAKE2b-256, others serve `compute_trie_root` only.
    """

    def __init__(self, source: NodeSource, cached_nodes: int = CACHED_NODES, hasher: Hasher = blake2_256) -> None:
        self._source = source
        self._hash = hasher
        self._cache: dict[bytes, TrieNode] = {}
        self._limit = cached_nodes

    # ---- reading

    def _load(self, reference: bytes) -> TrieNode:
        node = self._cache.get(reference)
        if node is not None:
            return node
        if len(reference) == HASH_LENGTH:
            data = self._source.get(reference)
            if data is None:
                raise TrieCorrupt(f"node 0x{reference.hex()} is missing")
        else:
            data = reference
        node = decode_node(data)
        if node is None:
            raise TrieCorrupt("an empty node is referenced")
        self._remember(reference, node)
        return node

    def _remember(self, reference: bytes, node: TrieNode) -> None:
        cache = self._cache
        if len(cache) >= self._limit:
            for old in list(cache)[: self._limit // 2]:
                del cache[old]
        cache[reference] = node

    def _value(self, node: TrieNode) -> bytes | None:
        if node.value_hash is None or node.value is not None:
            return node.value
        value = self._source.get(node.value_hash)
        if value is None:
            raise TrieCorrupt(f"value 0x{node.value_hash.hex()} is missing")
        return value

    def _find(self, root: bytes, key: bytes) -> TrieNode | None:
        if root == EMPTY_ROOT:
            return None
        nibbles = to_nibbles(key)
        node = self._load(root)
        at = 0
        while True:
            partial = node.partial
            if not nibbles.startswith(partial, at):
                return None
            at += len(partial)
            if at == len(nibbles):
                return node
            child = node.children[nibbles[at]] if node.children is not None else None
            if child is None:
                return None
            node = self._load(child)  # type: ignore[arg-type]  # cached nodes hold encoded references only
            at += 1

    def get(self, root: bytes, key: bytes) -> bytes | None:
        """The value at `key`, or None; raises TrieCorrupt when a node is missing."""
        node = self._find(root, key)
        return None if node is None else self._value(node)

    def value_hash(self, root: bytes, key: bytes) -> bytes | None:
        """BLAKE2b-256 of the value at `key` (without loading a value that is stored by hash), or None."""
        node = self._find(root, key)
        if node is None or not node.has_value:
            return None
        return node.value_hash if node.value_hash is not None else blake2_256(node.value or b"")

    def closest_merkle_value(self, root: bytes, key: bytes) -> bytes | None:
        """Merkle value of the first node at or below `key`: a node's hash, or the node itself if shorter than a hash
        (the root is always hashed). None when nothing begins with `key`; raises TrieCorrupt."""
        if root == EMPTY_ROOT:
            return None
        nibbles, at, reference = to_nibbles(key), 0, root
        while True:
            node = self._load(reference)
            if node.partial.startswith(nibbles[at:]):
                return reference
            if not nibbles.startswith(node.partial, at) or node.children is None:
                return None
            at += len(node.partial)
            child = node.children[nibbles[at]]
            if child is None:
                return None
            reference, at = child, at + 1  # type: ignore[assignment]  # cached nodes hold encoded references only

    def iterate(self, root: bytes, prefix: bytes = b"", after: bytes | None = None) -> Iterator[bytes]:
        """Keys that begin with `prefix`, in order; only those greater than `after` if it is given."""
        if root == EMPTY_ROOT:
            return
        limit = to_nibbles(after) if after is not None else None
        try:
            for nibbles in self._walk(root, b"", to_nibbles(prefix), limit):
                if len(nibbles) & 1:
                    raise TrieCorrupt("a key ends within a byte")
                yield to_bytes(nibbles)
        except RecursionError as error:
            raise TrieCorrupt("it is deeper than any state of ours") from error

    def _walk(self, reference: bytes, path: bytes, prefix: bytes, after: bytes | None) -> Iterator[bytes]:
        node = self._load(reference)
        path = path + node.partial
        shared = min(len(path), len(prefix))
        if path[:shared] != prefix[:shared]:
            return
        if after is not None:
            if path > after:
                after = None  # all that follows is greater
            elif not after.startswith(path):
                return  # path and all below it are smaller
        if node.has_value and after is None and len(path) >= len(prefix):
            yield path
        if node.children is None:
            return
        first = 0
        if after is not None and len(after) > len(path):
            first = after[len(path)]
        if len(prefix) > len(path):
            wanted = prefix[len(path)]
            slots: Iterable[int] = (wanted,) if wanted >= first else ()
        else:
            slots = range(first, 16)
        for i in slots:
            child = node.children[i]
            if child is not None:
                yield from self._walk(child, path + bytes((i,)), prefix, after)  # type: ignore[arg-type]

    def next_key(self, root: bytes, key: bytes) -> bytes | None:
        """The smallest key greater than `key`, or None."""
        return next(self.iterate(root, after=key), None)

    def collect(self, roots: Iterable[bytes]) -> set[bytes]:
        """Hashes of all nodes and hashed values that the given roots reach."""
        nodes, values = set[bytes](), set[bytes]()
        self.mark(list(roots), nodes, values)
        return nodes | values

    def mark(self, waiting: list[bytes], nodes: set[bytes], values: set[bytes], most: int | None = None) -> int:
        """Adds the hashes of what the references on the stack `waiting` reach and takes these off, until it is empty or
        `most` nodes were visited; how many were. Nodes in `nodes` are not gone into again; a value is no such node,
        though its bytes, which users choose, may be those of one."""
        visited = 0
        while waiting and (most is None or visited < most):
            reference = waiting.pop()
            if reference in nodes:
                continue
            if len(reference) == HASH_LENGTH:
                nodes.add(reference)
            if reference == EMPTY_ROOT:
                continue
            visited += 1
            node = self._load(reference)
            if node.value_hash is not None:
                values.add(node.value_hash)
            if node.children is not None:
                waiting.extend(child for child in node.children if isinstance(child, bytes))
        return visited

    # ---- updating

    def update(
        self, root: bytes, changes: Mapping[bytes, bytes | None], version: StateVersion = StateVersion.V1
    ) -> TrieUpdate:
        """Sets (or, for None, removes) keys; nothing is written to the source. Raises TrieCorrupt."""
        try:
            return self._update(root, changes, version)
        except RecursionError as error:
            raise TrieCorrupt("it is deeper than any state of ours") from error

    def _update(self, root: bytes, changes: Mapping[bytes, bytes | None], version: StateVersion) -> TrieUpdate:
        top: Reference = None if root == EMPTY_ROOT else root
        for key, value in changes.items():
            nibbles = to_nibbles(key)
            top = self._remove(top, nibbles, 0) if value is None else self._insert(top, nibbles, 0, value)
        nodes: dict[bytes, bytes] = {}
        if top is None:
            return TrieUpdate(EMPTY_ROOT, {EMPTY_ROOT: EMPTY_NODE})
        if isinstance(top, bytes):
            return TrieUpdate(top, nodes)
        encoded = self._encode(top, version, nodes)
        new_root = self._hash(encoded)
        nodes[new_root] = encoded
        self._remember(new_root, top)
        return TrieUpdate(new_root, nodes)

    def _own(self, reference: bytes | TrieNode) -> TrieNode:
        return reference if isinstance(reference, TrieNode) else self._load(reference).copy()

    def _insert(self, reference: Reference, key: bytes, at: int, value: bytes) -> TrieNode:
        if reference is None:
            return TrieNode(key[at:], value)
        node = self._own(reference)
        partial = node.partial
        if key.startswith(partial, at):
            at += len(partial)
            if at == len(key):
                node.value, node.value_hash = value, None
                return node
            if node.children is None:
                node.children = [None] * 16
            slot = key[at]
            node.children[slot] = self._insert(node.children[slot], key, at + 1, value)
            return node
        rest = key[at:]
        common = compute_common_prefix(partial, rest)
        children: list[Reference] = [None] * 16
        children[partial[common]] = node
        node.partial = partial[common + 1 :]
        if common == len(rest):
            return TrieNode(rest, value, None, children)
        children[rest[common]] = TrieNode(rest[common + 1 :], value)
        return TrieNode(partial[:common], None, None, children)

    def _remove(self, reference: Reference, key: bytes, at: int) -> Reference:
        if reference is None:
            return None
        node = reference if isinstance(reference, TrieNode) else self._load(reference)
        if not key.startswith(node.partial, at):
            return reference
        at += len(node.partial)
        if at == len(key):
            if not node.has_value:
                return reference
            node = self._own(reference)
            node.value = node.value_hash = None
            return self._collapse(node)
        if node.children is None:
            return reference
        slot = key[at]
        before = node.children[slot]
        after = self._remove(before, key, at + 1)
        if after is before and not isinstance(after, TrieNode):
            return reference
        node = self._own(reference)
        if node.children is not None:
            node.children[slot] = after
        return self._collapse(node)

    def _collapse(self, node: TrieNode) -> Reference:
        """Keeps the trie canonical after a removal: no empty node, no branch with one child and no value."""
        if node.children is None:
            return node if node.has_value else None
        present = [i for i, child in enumerate(node.children) if child is not None]
        if not present:
            node.children = None
            return node if node.has_value else None
        if len(present) > 1 or node.has_value:
            return node
        only = node.children[present[0]]
        if only is None:
            return None
        child = self._own(only)
        child.partial = node.partial + bytes(present) + child.partial
        return child

    def _encode(self, node: TrieNode, version: StateVersion, nodes: dict[bytes, bytes]) -> bytes:
        value = node.value
        if value is not None and node.value_hash is None and version and len(value) > INLINE_VALUE_LIMIT:
            node.value_hash = self._hash(value)
            nodes[node.value_hash] = value
            node.value = None
        children = node.children
        if children is not None:
            for i, child in enumerate(children):
                if isinstance(child, TrieNode):
                    encoded = self._encode(child, version, nodes)
                    if len(encoded) >= HASH_LENGTH:
                        digest = self._hash(encoded)
                        nodes[digest] = encoded
                        encoded = digest
                    children[i] = encoded
                    self._remember(encoded, child)
        return encode_node(node)


def compute_trie_root(pairs: Mapping[bytes, bytes], version: StateVersion, hasher: Hasher = blake2_256) -> bytes:
    """The root of a trie that holds exactly `pairs`."""
    if not pairs:
        return hasher(EMPTY_NODE)
    return Trie({}, hasher=hasher).update(EMPTY_ROOT, pairs, version).root
