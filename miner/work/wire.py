"""Frames between daemon and worker: u32 length, JSON header, then the header's `blobs` (lengths) one after another.

All little-endian. Bounded before anything is read; never pickle. The blobs are safetensors or opaque bytes.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, BinaryIO

MAX_HEADER_BYTES = 2**24  # (= 16,777,216): losses of a long segment
MAX_FRAME_BLOB_BYTES = 2**32  # (= 4,294,967,296)
MAX_FRAME_BLOBS = 8


class FrameError(Exception):
    """A frame that is cut off, too large or not JSON: the other process is broken."""


@dataclass(frozen=True)
class Frame:
    """One message: `header` (JSON object) and binary `blobs`."""

    header: dict[str, Any]
    blobs: tuple[bytes, ...] = field(default=())

    def encode_head(self) -> bytes:
        """Length and header; the blobs follow as they are."""
        header = json.dumps({**self.header, "blobs": [len(blob) for blob in self.blobs]}).encode()
        if len(header) > MAX_HEADER_BYTES:
            raise FrameError(f"header of {len(header)} bytes is above {MAX_HEADER_BYTES}")
        return len(header).to_bytes(4, "little") + header


def parse_head(raw: bytes) -> tuple[dict[str, Any], list[int]]:
    """Header and blob lengths; raises `FrameError`."""
    try:
        header = json.loads(raw)
        lengths = header.pop("blobs")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise FrameError("the header is not a JSON object with blobs") from error
    if not isinstance(lengths, list) or len(lengths) > MAX_FRAME_BLOBS:
        raise FrameError("blobs is not a short list")
    if not all(type(length) is int and 0 <= length <= MAX_FRAME_BLOB_BYTES for length in lengths):
        raise FrameError("a blob's length is out of range")
    return header, lengths


def verify_header_length(length: int) -> None:
    """Raises `FrameError` above the bound."""
    if not 0 < length <= MAX_HEADER_BYTES:
        raise FrameError(f"header length {length} is not in 1..{MAX_HEADER_BYTES}")


def write_frame(stream: BinaryIO, frame: Frame) -> None:
    """Writes and flushes a frame on a blocking stream."""
    stream.write(frame.encode_head())
    for blob in frame.blobs:
        stream.write(blob)
    stream.flush()


def read_frame(stream: BinaryIO) -> Frame | None:
    """Reads a frame from a blocking stream; None at its end; raises `FrameError`."""
    prefix = stream.read(4)
    if not prefix:
        return None
    length = int.from_bytes(prefix, "little")
    verify_header_length(length)
    header, lengths = parse_head(_read_exactly(stream, length))
    return Frame(header, tuple(_read_exactly(stream, size) for size in lengths))


async def write_frame_async(writer: asyncio.StreamWriter, frame: Frame) -> None:
    """`write_frame` on asyncio."""
    writer.write(frame.encode_head())
    for blob in frame.blobs:
        writer.write(blob)
        await writer.drain()
    await writer.drain()


async def read_frame_async(reader: asyncio.StreamReader) -> Frame | None:
    """`read_frame` on asyncio."""
    try:
        prefix = await reader.readexactly(4)
        length = int.from_bytes(prefix, "little")
        verify_header_length(length)
        header, lengths = parse_head(await reader.readexactly(length))
        return Frame(header, tuple([await reader.readexactly(size) for size in lengths]))
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        raise FrameError("the frame is cut off") from error


def _read_exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise FrameError("the frame is cut off")
    return data
