"""The trie's node codec: state versions 0 (values inline) and 1 (values above 32 bytes by their hash).

Source: Polkadot specification, "State storage trie: node header and node value".
"""

from __future__ import annotations

from enum import IntEnum
from typing import TypeAlias

from chain.errors import DecodeError, TrieCorrupt
from chain.primitives.block import blake2_256
from chain.primitives.scale import Reader, encode_bytes
from chain.trie.nibbles import pack, to_nibbles

HASH_LENGTH = 32
INLINE_VALUE_LIMIT = 32  # bytes; longer values are hashed under state version 1
MAX_VALUE_BYTES = 64 << 20  # 64 MiB (= 67,108,864): a stored value never comes near it
EMPTY_NODE = b"\x00"
EMPTY_ROOT = blake2_256(EMPTY_NODE)

_LEAF, _BRANCH, _BRANCH_VALUE, _LEAF_HASHED, _BRANCH_HASHED = 0x40, 0x80, 0xC0, 0x20, 0x10
_MAXIMUM = {_LEAF: 63, _BRANCH: 63, _BRANCH_VALUE: 63, _LEAF_HASHED: 31, _BRANCH_HASHED: 15}


class StateVersion(IntEnum):
    """How values are put into nodes."""

    V0 = 0
    V1 = 1


class TrieNode:
    """A decoded node.

    `partial` are its nibbles; `value` its value if inline or fresh, `value_hash` its hash if it is stored apart;
    `children` is None for a leaf, else 16 references: None, bytes (a 32-byte hash or a shorter inline node), or a
    changed TrieNode that is not encoded yet. A node that came from the cache is never changed, only its copy is.
    """

    __slots__ = ("children", "partial", "value", "value_hash")

    def __init__(
        self,
        partial: bytes,
        value: bytes | None = None,
        value_hash: bytes | None = None,
        children: list[Reference] | None = None,
    ) -> None:
        self.partial = partial
        self.value = value
        self.value_hash = value_hash
        self.children = children

    @property
    def has_value(self) -> bool:
        """Whether a key ends here."""
        return self.value is not None or self.value_hash is not None

    def copy(self) -> TrieNode:
        """A copy that may be changed."""
        return TrieNode(self.partial, self.value, self.value_hash, self.children and self.children.copy())


Reference: TypeAlias = "None | bytes | TrieNode"


def _encode_header(kind: int, partial: bytes) -> bytes:
    maximum = _MAXIMUM[kind]
    size = len(partial)
    if size < maximum:
        return bytes((kind | size,)) + pack(partial)
    rest = size - maximum
    return bytes((kind | maximum,)) + b"\xff" * (rest // 255) + bytes((rest % 255,)) + pack(partial)


def encode_node(node: TrieNode) -> bytes:
    """The bytes of a node whose children are all encoded references."""
    value, value_hash, children = node.value, node.value_hash, node.children
    tail = encode_bytes(value) if value is not None else b""
    if value_hash is not None:
        tail = value_hash
    if children is None:
        return _encode_header(_LEAF if value_hash is None else _LEAF_HASHED, node.partial) + tail
    kind = _BRANCH if value is None else _BRANCH_VALUE
    if value_hash is not None:
        kind = _BRANCH_HASHED
    bitmap = 0
    parts = [_encode_header(kind, node.partial), b"", tail]
    for i, child in enumerate(children):
        if child is not None:
            if isinstance(child, TrieNode):
                raise TrieCorrupt("a changed child was left unencoded")
            bitmap |= 1 << i
            # a reference is at most 32 bytes, so its compact length is one byte
            parts.append(bytes((len(child) << 2,)))
            parts.append(child)
    parts[1] = bitmap.to_bytes(2, "little")
    return b"".join(parts)


def decode_node(data: bytes) -> TrieNode | None:
    """A node from its bytes, None for the empty one; raises TrieCorrupt."""
    if data == EMPTY_NODE:
        return None
    try:
        reader = Reader(data)
        node = _read_node(reader)
        reader.finish("trie node")
    except DecodeError as error:
        raise TrieCorrupt(str(error)) from error
    return node


def _read_node(reader: Reader) -> TrieNode:
    first = reader.u8("node header")
    for kind in (_BRANCH_VALUE, _BRANCH, _LEAF, _LEAF_HASHED, _BRANCH_HASHED):
        if first & kind == kind:
            break
    else:
        raise DecodeError("node header", 0, f"0x{first:02x} is unknown")
    partial = _read_partial(reader, first & _MAXIMUM[kind], _MAXIMUM[kind])
    branch = kind in (_BRANCH, _BRANCH_VALUE, _BRANCH_HASHED)
    bitmap = reader.u16("children bitmap") if branch else 0
    node = TrieNode(partial)
    if kind in (_LEAF_HASHED, _BRANCH_HASHED):
        node.value_hash = reader.take(HASH_LENGTH, "value hash")
    elif kind != _BRANCH:
        node.value = reader.bytes_(MAX_VALUE_BYTES, "value")
    if branch:
        node.children = [reader.bytes_(HASH_LENGTH, "child reference") if bitmap >> i & 1 else None for i in range(16)]
    return node


def _read_partial(reader: Reader, size: int, maximum: int) -> bytes:
    if size == maximum:
        while True:
            more = reader.u8("partial key length")
            size += more
            if more < 255:
                break
            if size > 1 << 16:
                raise DecodeError("partial key length", reader.offset, "is above 65,536 nibbles")
    packed = to_nibbles(reader.take((size + 1) // 2, "partial key"))
    if size & 1:
        if packed[0]:
            raise DecodeError("partial key", reader.offset, "is padded with a nibble that is not 0")
        return packed[1:]
    return packed
