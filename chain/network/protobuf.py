"""The two wire types of protobuf that Substrate's sync protocol uses, bounded and strict.

Source: protobuf encoding guide; `client/network/sync/src/schema/api.v1.proto` of polkadot-sdk.
"""

from __future__ import annotations

from collections.abc import Iterator

from chain.network.errors import BadMessage

MAX_VARINT_BYTES = 10  # ceil(64 / 7)
MAX_FIELDS = 1 << 17  # = 131,072 fields of a message and of those inside it together


class FieldBudget:
    """How many fields may still be read of a message and of those inside it: two bytes can be one, so that 16 MiB would
    take seconds."""

    def __init__(self, fields: int = MAX_FIELDS) -> None:
        self._left = fields

    def spend(self) -> None:
        """Counts one field; raises BadMessage when there were too many."""
        self._left -= 1
        if self._left < 0:
            raise BadMessage("a protobuf message has too many fields")


def encode_varint(value: int) -> bytes:
    """Unsigned LEB128 of a u64."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data: bytes, offset: int) -> tuple[int, int]:
    """(value, offset after it) of an unsigned LEB128 u64; raises BadMessage."""
    value = 0
    for index in range(MAX_VARINT_BYTES):
        if offset >= len(data):
            raise BadMessage("a varint ends early")
        byte = data[offset]
        offset += 1
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if value >> 64:
                raise BadMessage("a varint is above 64 bits")
            return value, offset
    raise BadMessage("a varint is longer than 10 bytes")


def encode_uint(field: int, value: int) -> bytes:
    """A varint field; the default 0 is left out, as proto3 does."""
    return encode_varint(field << 3) + encode_varint(value) if value else b""


def encode_blob(field: int, value: bytes) -> bytes:
    """A length-delimited field (empty ones are written too)."""
    return encode_varint(field << 3 | 2) + encode_varint(len(value)) + value


def iter_fields(data: bytes, budget: FieldBudget | None = None) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) in order; unknown fields come too; raises BadMessage on malformed bytes.

    Messages inside others are given the budget of the outermost.
    """
    offset, budget = 0, budget or FieldBudget()
    while offset < len(data):
        budget.spend()
        key, offset = read_varint(data, offset)
        field, wire = key >> 3, key & 7
        if field == 0:
            raise BadMessage("protobuf field number 0")
        if wire == 0:
            value, offset = read_varint(data, offset)
            yield field, value
            continue
        if wire == 2:
            size, offset = read_varint(data, offset)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise BadMessage(f"protobuf wire type {wire} is not used")
        if size > len(data) - offset:
            raise BadMessage("a protobuf field ends early")
        yield field, data[offset : offset + size]
        offset += size
