"""The one hash of the protocol, BLAKE2b-256, and the types of what it makes."""

from __future__ import annotations

import hashlib
import struct
from typing import NewType

Hash32 = NewType("Hash32", bytes)
"""32 bytes made by `blake2_256` (or read from the chain, where FRAME calls it `Hash`)."""
AccountId = NewType("AccountId", bytes)
"""The 32-byte sr25519 public key of an account."""

HASH_BYTES = 32
U16_MAX = 2**16 - 1  # (= 65,535)
U32_MAX = 2**32 - 1  # (= 4,294,967,295)
U64_MAX = 2**64 - 1
U128_MAX = 2**128 - 1


class FieldRangeError(ValueError):
    """A field does not fit the fixed width that the protocol gives it."""

    def __init__(self, field: str, value: object, bound: str) -> None:
        super().__init__(f"{field} = {value!r} is out of range; it must be {bound}")
        self.field = field
        self.value = value
        self.bound = bound


def blake2_256(*parts: bytes | memoryview) -> Hash32:
    """H: BLAKE2b with a 32-byte digest over the concatenation of `parts` (Substrate's `blake2_256`)."""
    digest = hashlib.blake2b(digest_size=HASH_BYTES)
    for part in parts:
        digest.update(part)
    return Hash32(digest.digest())


def encode_u8(value: int, field: str = "value") -> bytes:
    """One byte; raises `FieldRangeError`."""
    return _encode(value, 1, field)


def encode_u16(value: int, field: str = "value") -> bytes:
    """Two bytes, little-endian; raises `FieldRangeError`."""
    return _encode(value, 2, field)


def encode_u32(value: int, field: str = "value") -> bytes:
    """Four bytes, little-endian; raises `FieldRangeError`."""
    return _encode(value, 4, field)


def encode_u64(value: int, field: str = "value") -> bytes:
    """Eight bytes, little-endian; raises `FieldRangeError`."""
    return _encode(value, 8, field)


def encode_f32(value: float) -> bytes:
    """The IEEE-754 bits of a value that *is* an f32 (loss, gradient norm), little-endian."""
    return struct.pack("<f", value)


def encode_hash(value: bytes, field: str = "hash") -> bytes:
    """`value` itself after a check of its length; raises `FieldRangeError`."""
    if len(value) != HASH_BYTES:
        raise FieldRangeError(field, value.hex(), "32 bytes")
    return bytes(value)


def _encode(value: int, width: int, field: str) -> bytes:
    if not 0 <= value < 1 << (8 * width):
        raise FieldRangeError(field, value, f"an unsigned integer of {8 * width} bits")
    return int(value).to_bytes(width, "little")
