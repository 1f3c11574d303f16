"""The little of the Wasm binary format that the executor must know: how many globals can change."""

from __future__ import annotations

from chain.errors import BlobMalformed

_GLOBAL_SECTION = 6


def _read_leb(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _skip_constant(data: bytes, at: int) -> int:
    """One past the end of a constant expression: const or global.get instructions up to `end` (0x0b)."""
    while True:
        opcode = data[at]
        at += 1
        if opcode == 0x0B:
            return at
        if opcode in (0x41, 0x42, 0x23):  # i32.const, i64.const, global.get
            while data[at] & 0x80:
                at += 1
            at += 1
        elif opcode == 0x43:  # f32.const
            at += 4
        elif opcode == 0x44:  # f64.const
            at += 8
        else:
            raise BlobMalformed(f"a global is initialised with opcode 0x{opcode:02x}; rebuild the runtime for the MVP")


def count_mutable_globals(wasm: bytes) -> int:
    """How many globals of a module its code may change; raises BlobMalformed."""
    at = 8
    try:
        while at < len(wasm):
            section = wasm[at]
            size, at = _read_leb(wasm, at + 1)
            if section != _GLOBAL_SECTION:
                at += size
                continue
            count, at = _read_leb(wasm, at)
            mutable = 0
            for _ in range(count):
                mutable += wasm[at + 1]
                at = _skip_constant(wasm, at + 2)
            return mutable
    except IndexError:
        raise BlobMalformed("the runtime blob ends inside a section; rebuild it") from None
    return 0
