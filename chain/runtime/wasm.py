"""The little of the Wasm binary format that the executor must know: its globals and its custom sections."""

from __future__ import annotations

from chain.errors import BlobMalformed

_CUSTOM_SECTION, _GLOBAL_SECTION, _EXPORT_SECTION = 0, 6, 7
_GLOBAL_KIND = 3
_I32_CONST = 0x41
MAX_LEB_BYTES = 5  # of a u32: ceil(32 / 7)
MAX_SECTIONS = 1_024  # some twelve, and custom ones


def _read_leb(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 7 * MAX_LEB_BYTES, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise BlobMalformed(f"the runtime blob has an integer of more than {MAX_LEB_BYTES} bytes; rebuild it")


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


def _sections(wasm: bytes) -> dict[int, int]:
    """Section id -> offset of its contents (the last of that id)."""
    found = {}
    at, count = 8, 0
    while at < len(wasm):
        count += 1
        if count > MAX_SECTIONS:
            raise BlobMalformed(f"the runtime blob has more than {MAX_SECTIONS} sections; rebuild it")
        section = wasm[at]
        size, at = _read_leb(wasm, at + 1)
        found[section] = at
        at += size
    return found


def find_custom_section(wasm: bytes, name: str) -> bytes | None:
    """The contents of a custom section, None if there is none of this name; raises BlobMalformed."""
    wanted = name.encode()
    try:
        at = 8
        while at < len(wasm):
            section = wasm[at]
            size, at = _read_leb(wasm, at + 1)
            if section == _CUSTOM_SECTION:
                length, start = _read_leb(wasm, at)
                if wasm[start : start + length] == wanted:
                    return wasm[start + length : at + size]
            at += size
    except IndexError:
        raise BlobMalformed("the runtime blob ends inside a section; rebuild it") from None
    return None


def _globals(wasm: bytes) -> list[tuple[bool, int]]:
    """Each own global: whether it is mutable, and where its initial expression begins."""
    at = _sections(wasm).get(_GLOBAL_SECTION)
    if at is None:
        return []
    count, at = _read_leb(wasm, at)
    found = []
    for _ in range(count):
        found.append((wasm[at + 1] == 1, at + 2))
        at = _skip_constant(wasm, at + 2)
    return found


def count_mutable_globals(wasm: bytes) -> int:
    """How many globals of a module its code may change; raises BlobMalformed."""
    try:
        return sum(mutable for mutable, _ in _globals(wasm))
    except IndexError:
        raise BlobMalformed("the runtime blob ends inside a section; rebuild it") from None


def find_heap_base(wasm: bytes) -> int:
    """The value of the exported global `__heap_base`; raises BlobMalformed."""
    try:
        at = _sections(wasm)[_EXPORT_SECTION]
        count, at = _read_leb(wasm, at)
        for _ in range(count):
            length, at = _read_leb(wasm, at)
            name = wasm[at : at + length]
            kind = wasm[at + length]
            index, at = _read_leb(wasm, at + length + 1)
            if name == b"__heap_base" and kind == _GLOBAL_KIND:
                start = _globals(wasm)[index][1]
                if wasm[start] != _I32_CONST:
                    break
                return _read_leb(wasm, start + 1)[0]
    except (IndexError, KeyError):
        raise BlobMalformed("the runtime blob is cut off or exports nothing; rebuild it") from None
    raise BlobMalformed(
        "the runtime exports no constant global __heap_base; build it with -C link-arg=--export=__heap_base"
    )
