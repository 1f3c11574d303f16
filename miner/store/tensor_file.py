"""States as safetensors bytes: a canonical writer and a reader that checks every bound before it touches data.

Format: u64 header length, JSON header {name: {dtype, shape, data_offsets}}, data (huggingface/safetensors). The writer
sorts names by their bytes and leaves no gaps, so that equal states have equal files. Never pickle.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from consensus.commit.state import State, StateNameError, encode_name
from consensus.commit.tensor import DTYPES, Array, TensorForm, TensorFormError, compute_form

from miner.store.errors import TensorFileError

MAX_HEADER_BYTES = 2**20  # (= 1,048,576): about 8,000 tensors
MAX_TENSORS = 2**13  # (= 8,192)
MAX_FILE_BYTES = 2**32  # (= 4,294,967,296)
MAPPED_BYTES = 2**16  # (= 65,536): a tensor from there on gets pages of its own from `read_tensors`
_ALIGNMENT = 8
_LENGTH_BYTES = 8
_FILE_DTYPES = {
    "f32": "F32", "f64": "F64", "i32": "I32", "i64": "I64", "u32": "U32", "u8": "U8", "bool": "BOOL",
    "u64": "U64", "i8": "I8", "i16": "I16", "u16": "U16",
}  # fmt: skip
_OUR_DTYPES = {file: ours for ours, file in _FILE_DTYPES.items()}


@dataclass(frozen=True)
class TensorSlot:
    """Where one tensor's bytes lie: `begin`..`end`, counted from the file's start."""

    form: TensorForm
    begin: int
    end: int


def encode_tensors(state: State) -> bytes:
    """Canonical safetensors bytes; raises `TensorFormError`, `StateNameError`, `TensorFileError` when above bounds."""
    head, names = _encode_head(state)
    return b"".join([head, *(_get_bytes(state[name]) for name in names)])


def write_tensors(file: BinaryIO, state: State) -> int:
    """Writes the bytes of `encode_tensors` without a copy of the whole; returns their number. Raises as it does."""
    head, names = _encode_head(state)
    return file.write(head) + sum(file.write(_get_bytes(state[name])) for name in names)


def _encode_head(state: State) -> tuple[bytes, list[str]]:
    """Header length and header, and the names in the order of their data."""
    header: dict[str, Any] = {}
    offset = 0
    names = sorted(state, key=encode_name)
    for name in names:
        form = compute_form(state[name])
        end = offset + form.byte_count
        header[name] = {"dtype": _FILE_DTYPES[form.dtype], "shape": list(form.shape), "data_offsets": [offset, end]}
        offset = end
    encoded = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    encoded += b" " * (-len(encoded) % _ALIGNMENT)
    if len(encoded) > MAX_HEADER_BYTES or len(names) > MAX_TENSORS or offset > MAX_FILE_BYTES:
        raise TensorFileError(f"{len(names)} tensors of {offset} bytes are above the bounds")
    return len(encoded).to_bytes(8, "little") + encoded, names


def _get_bytes(tensor: Array) -> memoryview:
    """A tensor's little-endian bytes in row-major order, without a copy where it lies so already."""
    ordered = np.ascontiguousarray(tensor, compute_form(tensor).numpy_dtype)
    return ordered.reshape(-1).view(np.uint8).data


def parse_header(data: bytes | memoryview, max_bytes: int = MAX_FILE_BYTES) -> dict[str, TensorSlot]:
    """Slots by name, all checked against the file's length; raises `TensorFileError`. Touches no tensor data."""
    length = _parse_length(bytes(data[:_LENGTH_BYTES]), len(data), max_bytes)
    return _parse_slots(bytes(data[_LENGTH_BYTES : _LENGTH_BYTES + length]), len(data))


def decode_tensors(data: bytes | memoryview, max_bytes: int = MAX_FILE_BYTES) -> dict[str, Array]:
    """Read-only arrays over `data` by name; raises `TensorFileError`."""
    view = memoryview(data)
    return {
        name: _make_array(np.frombuffer(view[slot.begin : slot.end], np.uint8), name, slot.form)
        for name, slot in parse_header(view, max_bytes).items()
    }


def read_tensors(path: Path, max_bytes: int = MAX_FILE_BYTES) -> dict[str, Array]:
    """Read-only arrays of a file by name, checked as by `decode_tensors`; raises `TensorFileError`, OSError.

    Each has memory of its own, which is free as soon as nobody holds that one: whoever keeps a small tensor of a large
    state keeps no more than that. Nothing is allocated before header and length fit each other.
    """
    arrays = {}
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        length = _parse_length(file.read(_LENGTH_BYTES), size, max_bytes)
        slots = _parse_slots(file.read(length), size)
        for name, slot in sorted(slots.items(), key=lambda item: (item[1].begin, item[1].end)):
            raw = _allocate(slot.form.byte_count)
            if file.readinto(raw.data) != raw.size:
                raise TensorFileError(f"the file ends within {name[:64]!r}")
            arrays[name] = _make_array(raw, name, slot.form)
    return arrays


def is_same_form(state: State, forms: Mapping[str, TensorForm]) -> bool:
    """Whether a state has exactly these names, dtypes and shapes."""
    return {name: compute_form(tensor) for name, tensor in state.items()} == dict(forms)


def _parse_json(raw: bytes) -> dict[str, Any]:
    def refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            raise TensorFileError("a key stands twice in the header")
        return result

    try:
        header = json.loads(raw.decode(), object_pairs_hook=refuse_twice)
    except (ValueError, RecursionError) as error:
        raise TensorFileError(f"the header is not JSON ({type(error).__name__})") from error
    if not isinstance(header, dict):
        raise TensorFileError("the header is not a JSON object")
    return header


def _is_offsets(value: object) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 <= item <= MAX_FILE_BYTES for item in value)


def _parse_slot(name: str, entry: object, base: int) -> TensorSlot:
    short = name[:64]
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise TensorFileError(f"entry {short!r} must have dtype, shape and data_offsets only")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _OUR_DTYPES:
        raise TensorFileError(f"dtype of {short!r} is none of {', '.join(_OUR_DTYPES)}")
    if not _is_offsets(shape) or not _is_offsets(offsets) or len(offsets) != 2:
        raise TensorFileError(f"shape or data_offsets of {short!r} are not lists of sane integers")
    try:
        encode_name(name)
        form = TensorForm(_OUR_DTYPES[dtype], tuple(shape))
    except (StateNameError, TensorFormError) as error:
        raise TensorFileError(str(error)) from error
    if offsets[1] - offsets[0] != form.byte_count:
        raise TensorFileError(f"{short!r} needs {form.byte_count} bytes, its offsets give {offsets[1] - offsets[0]}")
    return TensorSlot(form, base + offsets[0], base + offsets[1])


def _verify_cover(slots: Mapping[str, TensorSlot], begin: int, end: int) -> None:
    """Slots must follow each other without gap or overlap from `begin` to `end`."""
    for slot in sorted(slots.values(), key=lambda slot: (slot.begin, slot.end)):
        if slot.begin != begin:
            raise TensorFileError(f"tensor data has a gap or an overlap at byte {begin}")
        begin = slot.end
    if begin != end:
        raise TensorFileError(f"tensors end at byte {begin}, the file at {end}")


def _parse_length(head: bytes, size: int, max_bytes: int) -> int:
    """Bytes of the header of a file of `size` bytes that begins with `head`."""
    if size > max_bytes:
        raise TensorFileError(f"{size} bytes are above the limit of {max_bytes}")
    if len(head) < _LENGTH_BYTES:
        raise TensorFileError(f"{len(head)} bytes are too few for a header length")
    length = int.from_bytes(head, "little")
    if length > MAX_HEADER_BYTES or _LENGTH_BYTES + length > size:
        raise TensorFileError(f"header length {length} is above {min(MAX_HEADER_BYTES, size - _LENGTH_BYTES)}")
    return length


def _parse_slots(raw: bytes, size: int) -> dict[str, TensorSlot]:
    """Slots by name from a header's JSON; they cover the rest of a file of `size` bytes."""
    begin = _LENGTH_BYTES + len(raw)
    header = _parse_json(raw)
    header.pop("__metadata__", None)
    if len(header) > MAX_TENSORS:
        raise TensorFileError(f"{len(header)} tensors are above {MAX_TENSORS}")
    slots = {name: _parse_slot(name, entry, begin) for name, entry in header.items()}
    _verify_cover(slots, begin, size)
    return slots


def _allocate(size: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Bytes for one tensor. `malloc` would keep many a freed one's pages, because something else lies behind them."""
    if size < MAPPED_BYTES:
        return np.empty(size, np.uint8)
    return np.frombuffer(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), np.uint8)


def _make_array(raw: np.ndarray[Any, np.dtype[np.uint8]], name: str, form: TensorForm) -> Array:
    if form.dtype == "bool" and raw.size and raw.max() > 1:
        raise TensorFileError(f"{name[:64]!r} has a bool that is neither 0 nor 1")
    array = raw.view(DTYPES[form.dtype][1]).reshape(form.shape)
    array.flags.writeable = False
    return array
