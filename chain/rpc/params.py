"""Reading parameters of a request, with a bound on everything. Each reader raises `InvalidParams`."""

from __future__ import annotations

import re
from typing import Any

from scalecodec.utils.ss58 import ss58_decode

from chain.rpc.errors import InvalidParams

MAX_HEX_BYTES = 8 * 1024 * 1024
MAX_KEYS = 4_096
MAX_TEXT_CHARS = 4_096
MAX_U32 = 2**32 - 1
HEX_NUMBER = re.compile("0x[0-9a-fA-F]{1,8}")


class Params:
    """The parameters of one request, read in order; an object's are read by name instead."""

    def __init__(self, values: list[Any] | dict[str, Any]) -> None:
        self._values = values
        self._position = 0

    def _next(self, name: str) -> Any:
        if isinstance(self._values, dict):
            return self._values.get(name)
        index, self._position = self._position, self._position + 1
        return self._values[index] if index < len(self._values) else None

    def finish(self) -> None:
        """Refuses parameters that nobody read; trailing nulls are fine."""
        if isinstance(self._values, list) and any(value is not None for value in self._values[self._position :]):
            raise InvalidParams("params", f"expected at most {self._position}")

    def bytes_(self, name: str, limit: int = MAX_HEX_BYTES) -> bytes:
        """Required bytes in 0x-hex."""
        return parse_hex(self._next(name), name, limit)

    def optional_bytes(self, name: str, limit: int = MAX_HEX_BYTES) -> bytes | None:
        """Bytes in 0x-hex or nothing."""
        value = self._next(name)
        return None if value is None else parse_hex(value, name, limit)

    def hash(self, name: str) -> bytes:
        """A required 32-byte hash."""
        return _sized(self.bytes_(name, 32), name)

    def optional_hash(self, name: str = "hash") -> bytes | None:
        """A 32-byte hash or nothing (the best block, as a rule)."""
        value = self.optional_bytes(name, 32)
        return None if value is None else _sized(value, name)

    def keys(self, name: str) -> list[bytes]:
        """A list of storage keys in 0x-hex."""
        value = self._next(name)
        if not isinstance(value, list):
            raise InvalidParams(name, "expected a list of hex strings")
        if len(value) > MAX_KEYS:
            raise InvalidParams(name, f"at most {MAX_KEYS} keys")
        return [parse_hex(item, name, MAX_TEXT_CHARS) for item in value]

    def integer(self, name: str, low: int, high: int) -> int:
        """A required integer in [low, high]."""
        value = self._next(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise InvalidParams(name, "expected an integer")
        if not low <= value <= high:
            raise InvalidParams(name, f"expected {low} to {high}")
        return value

    def text(self, name: str) -> str:
        """A required string."""
        value = self._next(name)
        if not isinstance(value, str) or len(value) > MAX_TEXT_CHARS:
            raise InvalidParams(name, f"expected a string of at most {MAX_TEXT_CHARS} characters")
        try:
            value.encode()
        except UnicodeEncodeError as error:  # JSON can hold half a surrogate pair
            raise InvalidParams(name, "it has characters that are none") from error
        return value

    def raw(self, name: str) -> Any:
        """The parameter as JSON gave it; the caller checks it."""
        return self._next(name)

    def flag(self, name: str) -> bool:
        """A required boolean."""
        value = self._next(name)
        if not isinstance(value, bool):
            raise InvalidParams(name, "expected true or false")
        return value

    def hashes(self, name: str, limit: int) -> list[bytes]:
        """A required 32-byte hash, or a list of them."""
        value = self._next(name)
        values = value if isinstance(value, list) else [value]
        if len(values) > limit:
            raise InvalidParams(name, f"at most {limit} hashes")
        return [_sized(parse_hex(item, name, 32), name) for item in values]

    def account(self, name: str) -> bytes:
        """A required account: SS58 of any prefix, or 32 bytes in 0x-hex."""
        value = self.text(name)
        if value.startswith("0x"):
            return _sized(parse_hex(value, name, 32), name)
        try:
            return _sized(bytes.fromhex(ss58_decode(value)), name)
        except (ValueError, IndexError) as error:
            raise InvalidParams(name, "no SS58 address") from error


def parse_hex(value: Any, name: str, limit: int) -> bytes:
    """Bytes of a hex string of at most `limit` bytes; 0x in front may be missing, as polkadot-sdk allows and
    async-substrate-interface relies on."""
    if not isinstance(value, str):
        raise InvalidParams(name, "expected a hex string")
    digits = value.removeprefix("0x")
    if len(digits) > 2 * limit:
        raise InvalidParams(name, f"more than {limit} bytes")
    try:
        data = bytes.fromhex(digits)
    except ValueError as error:
        raise InvalidParams(name, "expected an even number of hex digits") from error
    if 2 * len(data) != len(digits):  # fromhex passes over blanks
        raise InvalidParams(name, "expected hex digits without blanks")
    return data


def parse_block_number(value: Any, name: str) -> int:
    """A block number: an integer, or a 0x-hex number as polkadot.js sends it."""
    if isinstance(value, str) and HEX_NUMBER.fullmatch(value):
        value = int(value[2:], 16)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_U32:
        raise InvalidParams(name, "expected a block number")
    return value


def to_hex(value: bytes) -> str:
    """0x-hex."""
    return "0x" + value.hex()


def _sized(value: bytes, name: str) -> bytes:
    if len(value) != 32:
        raise InvalidParams(name, f"expected 32 bytes, got {len(value)}")
    return value
