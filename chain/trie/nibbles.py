"""Keys as nibbles: one byte (0..15) per half byte, high half first."""

from __future__ import annotations

_HEX_TO_NIBBLE = bytes(int(chr(c), 16) if chr(c) in "0123456789abcdef" else 0 for c in range(256))


def to_nibbles(key: bytes) -> bytes:
    """Two nibbles per byte of `key`."""
    return key.hex().encode().translate(_HEX_TO_NIBBLE)


def to_bytes(nibbles: bytes) -> bytes:
    """The inverse of `to_nibbles`; the length must be even."""
    return bytes(nibbles[i] << 4 | nibbles[i + 1] for i in range(0, len(nibbles), 2))


def pack(nibbles: bytes) -> bytes:
    """A node's partial key: an odd first nibble stands alone in its byte."""
    if len(nibbles) & 1:
        return bytes((nibbles[0],)) + to_bytes(nibbles[1:])
    return to_bytes(nibbles)


def compute_common_prefix(a: bytes, b: bytes) -> int:
    """How many leading nibbles two keys share."""
    limit = min(len(a), len(b))
    for i in range(limit):
        if a[i] != b[i]:
            return i
    return limit
