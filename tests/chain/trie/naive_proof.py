"""The check of a storage proof, straight from the specification and without our trie: each node read anew, by hand."""

from __future__ import annotations

from collections.abc import Iterable

from tests.chain.trie.naive import blake, nibbles


class NotProven(Exception):
    """The nodes do not lead from the root to where the key is, or must be."""


def read_proof(root: bytes, nodes: Iterable[bytes], key: bytes) -> bytes | None:
    """The value of `key` under `root`, None where the nodes show that there is none."""
    known = {blake(node): node for node in nodes}
    rest = nibbles(key)
    node = known_node(known, root)
    while True:
        partial, value, children = split(node)
        if rest[: len(partial)] != partial:
            return None
        rest = rest[len(partial) :]
        if not rest:
            return known_node(known, node[value : value + 32]) if isinstance(value, int) else value
        child = children.get(rest[0])
        if child is None:
            return None
        node, rest = known_node(known, child) if len(child) == 32 else child, rest[1:]


def read_child_proof(root: bytes, nodes: Iterable[bytes], name: bytes, key: bytes) -> bytes | None:
    """The value of `key` in a default child trie."""
    nodes = list(nodes)
    child = read_proof(root, nodes, b":child_storage:default:" + name)
    return None if child is None else read_proof(child, nodes, key)


def known_node(known: dict[bytes, bytes], digest: bytes) -> bytes:
    if digest not in known:
        raise NotProven(digest.hex())
    return known[digest]


def split(node: bytes) -> tuple[list[int], bytes | int | None, dict[int, bytes]]:
    """Partial key, the value (or the offset of its hash), and children by nibble."""
    first, at = node[0], 1
    if first == 0:
        return [], None, {}
    kinds = [kind for kind in ((0xC0, 6), (0x80, 6), (0x40, 6), (0x20, 5), (0x10, 4)) if first & kind[0] == kind[0]]
    if not kinds:
        raise NotProven(f"header {first:02x}")
    prefix, bits = kinds[0]
    length = first & (2**bits - 1)
    if length == 2**bits - 1:
        while True:
            length += node[at]
            at += 1
            if node[at - 1] < 255:
                break
    packed = nibbles(node[at : at + (length + 1) // 2])
    at += (length + 1) // 2
    bitmap = 0
    if prefix in (0xC0, 0x80, 0x10):
        bitmap = int.from_bytes(node[at : at + 2], "little")
        at += 2
    value: bytes | int | None = None
    if prefix in (0x20, 0x10):
        value, at = at, at + 32
    elif prefix in (0x40, 0xC0):
        value, at = sized(node, at)
    children = {}
    for i in range(16):
        if bitmap >> i & 1:
            children[i], at = sized(node, at)
    if at != len(node):
        raise NotProven("bytes are left over")
    return packed[length % 2 :], value, children


def sized(data: bytes, at: int) -> tuple[bytes, int]:
    """Bytes with their compact length in front, and where they end."""
    mode = data[at] & 3
    width = (1, 2, 4)[mode]  # none of a proof's parts is longer than 2^30
    length = int.from_bytes(data[at : at + width], "little") >> 2
    return data[at + width : at + width + length], at + width + length
