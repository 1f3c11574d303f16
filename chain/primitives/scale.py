"""Bounded SCALE: compact integers, byte strings and a reader that never trusts a length.

Source: Polkadot specification, appendix "SCALE codec".
"""

from __future__ import annotations

from chain.errors import DecodeError

MAX_COMPACT_BYTES = 67  # 4 + 63, the longest big-integer mode


def encode_compact(value: int) -> bytes:
    """The compact form of a natural number below 2**536; raises ValueError outside of that."""
    if value < 0:
        raise ValueError("compact integers are not negative")
    if value < 1 << 6:
        return bytes((value << 2,))
    if value < 1 << 14:
        return (value << 2 | 1).to_bytes(2, "little")
    if value < 1 << 30:
        return (value << 2 | 2).to_bytes(4, "little")
    length = (value.bit_length() + 7) // 8
    if length > MAX_COMPACT_BYTES:
        raise ValueError("compact integers are below 2**536")
    return bytes(((length - 4) << 2 | 3,)) + value.to_bytes(length, "little")


def encode_bytes(value: bytes) -> bytes:
    """A byte string with its compact length in front."""
    return encode_compact(len(value)) + value


def encode_option(value: bytes | None) -> bytes:
    """`Option` of an already encoded value."""
    return b"\x00" if value is None else b"\x01" + value


class Reader:
    """Reads SCALE from `data` in order; every method raises DecodeError naming `what` it was reading."""

    __slots__ = ("data", "offset")

    def __init__(self, data: bytes, offset: int = 0) -> None:
        self.data = data
        self.offset = offset

    @property
    def remaining(self) -> int:
        """Bytes not read yet."""
        return len(self.data) - self.offset

    def take(self, count: int, what: str = "bytes") -> bytes:
        """The next `count` bytes."""
        end = self.offset + count
        if count < 0 or end > len(self.data):
            raise DecodeError(what, self.offset, f"needs {count} bytes, {self.remaining} are left")
        piece = self.data[self.offset : end]
        self.offset = end
        return piece

    def u8(self, what: str = "u8") -> int:
        """One byte."""
        return self.take(1, what)[0]

    def u16(self, what: str = "u16") -> int:
        """Two bytes, little-endian."""
        return int.from_bytes(self.take(2, what), "little")

    def u32(self, what: str = "u32") -> int:
        """Four bytes, little-endian."""
        return int.from_bytes(self.take(4, what), "little")

    def u64(self, what: str = "u64") -> int:
        """Eight bytes, little-endian."""
        return int.from_bytes(self.take(8, what), "little")

    def u128(self, what: str = "u128") -> int:
        """Sixteen bytes, little-endian."""
        return int.from_bytes(self.take(16, what), "little")

    def boolean(self, what: str = "bool") -> bool:
        """0 or 1; anything else is malformed."""
        at = self.offset
        value = self.u8(what)
        if value > 1:
            raise DecodeError(what, at, f"{value} is no boolean")
        return value == 1

    def option(self, what: str = "Option") -> bool:
        """The tag of an Option: whether a value follows."""
        return self.boolean(what)

    def compact(self, maximum: int = (1 << 32) - 1, what: str = "compact integer") -> int:
        """A compact integer in its shortest form, at most `maximum`."""
        at = self.offset
        first = self.u8(what)
        mode = first & 3
        if mode == 0:
            value, floor = first >> 2, 0
        elif mode == 1:
            value, floor = (first | self.u8(what) << 8) >> 2, 1 << 6
        elif mode == 2:
            value, floor = (first | int.from_bytes(self.take(3, what), "little") << 8) >> 2, 1 << 14
        else:
            length = (first >> 2) + 4
            value = int.from_bytes(self.take(length, what), "little")
            floor = max(1 << 30, 1 << (8 * (length - 1)))
        if value < floor:
            raise DecodeError(what, at, "not in its shortest form")
        if value > maximum:
            raise DecodeError(what, at, f"{value} is above the bound {maximum}")
        return value

    def bytes_(self, maximum: int, what: str = "byte string") -> bytes:
        """A byte string with a compact length of at most `maximum`."""
        return self.take(self.compact(maximum, what), what)

    def finish(self, what: str = "message") -> None:
        """Raises DecodeError if bytes are left over."""
        if self.remaining:
            raise DecodeError(what, self.offset, f"{self.remaining} bytes are left over")
