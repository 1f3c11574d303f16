"""The slow, obvious trie: built from the sorted pairs each time, straight from the specification's definition."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

from scalecodec.base import ScaleBytes
from scalecodec.types import Compact


def compact(value: int) -> bytes:
    """By scalecodec, so that our own codec is not its own judge."""
    encoded = Compact()
    encoded.encode(value)
    data: ScaleBytes = encoded.data
    return bytes(data.data)


def blake(data: bytes) -> bytes:
    return blake2b(data, digest_size=32).digest()


def nibbles(key: bytes) -> list[int]:
    return [half for byte in key for half in (byte >> 4, byte & 15)]


def header(prefix: int, bits: int, partial: list[int]) -> bytes:
    largest = 2**bits - 1
    if len(partial) < largest:
        first = bytes([prefix + len(partial)])
    else:
        rest = len(partial) - largest
        first = bytes([prefix + largest])
        while rest >= 255:
            first += b"\xff"
            rest -= 255
        first += bytes([rest])
    packed = b""
    if len(partial) % 2:
        packed, partial = bytes([partial[0]]), partial[1:]
    for i in range(0, len(partial), 2):
        packed += bytes([16 * partial[i] + partial[i + 1]])
    return first + packed


def node(pairs: list[tuple[list[int], bytes]], hashed: bool) -> bytes:
    """The encoding of the node that holds these (non-empty) pairs."""
    common = 0
    while all(len(k) > common for k, _ in pairs) and len({k[common] for k, _ in pairs}) == 1:
        common += 1
    partial = pairs[0][0][:common]
    values = [v for k, v in pairs if len(k) == common]
    value = values[0] if values else None
    apart = value is not None and hashed and len(value) > 32
    tail = b"" if value is None else blake(value) if apart else compact(len(value)) + value
    if len(pairs) == 1:
        return (header(0x20, 5, partial) if apart else header(0x40, 6, partial)) + tail
    prefix, bits = (0x80, 6) if value is None else (0x10, 4) if apart else (0xC0, 6)
    start = header(prefix, bits, partial)
    bitmap = 0
    children = b""
    for i in range(16):
        below = [(k[common + 1 :], v) for k, v in pairs if len(k) > common and k[common] == i]
        if below:
            bitmap += 2**i
            encoded = node(below, hashed)
            reference = encoded if len(encoded) < 32 else blake(encoded)
            children += compact(len(reference)) + reference
    return start + bitmap.to_bytes(2, "little") + tail + children


def naive_root(pairs: Mapping[bytes, bytes], hashed: bool) -> bytes:
    """The root of exactly these pairs; `hashed` is state version 1."""
    if not pairs:
        return blake(b"\x00")
    return blake(node(sorted((nibbles(k), v) for k, v in pairs.items()), hashed))
