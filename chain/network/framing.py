"""Length-prefixed messages over a libp2p stream, with a bound before a byte is kept."""

from __future__ import annotations

import logging
from typing import Any, Protocol

import trio

from chain.network.errors import BadMessage, MessageTooLarge
from chain.network.protobuf import MAX_VARINT_BYTES, read_varint

logger = logging.getLogger(__name__)

READ_CHUNK = 1 << 16  # 64 KiB: a yamux frame's payload


class ByteStream(Protocol):
    """What is needed of a libp2p stream."""

    async def read(self, n: int | None = None) -> bytes:
        """Up to `n` bytes; empty or an exception at the end."""


class EndOfStream(Exception):  # noqa: N818  (an outcome, not an error: the peer closed its side)
    """The peer closed the stream between two messages."""


class FrameReader:
    """Reads varint-prefixed messages one after the other; keeps at most one bound plus 64 KiB in memory."""

    def __init__(self, stream: ByteStream, peer: str) -> None:
        self._stream, self._peer, self._buffer = stream, peer, bytearray()

    async def frame(self, bound: int, what: str) -> bytes:
        """The next message of at most `bound` bytes; raises MessageTooLarge, BadMessage, EndOfStream."""
        while not any(byte < 0x80 for byte in self._buffer[:MAX_VARINT_BYTES]):
            if len(self._buffer) >= MAX_VARINT_BYTES:
                raise BadMessage(f"the length of a {what} is no varint", self._peer)
            await self._fill(what)
        size, start = read_varint(bytes(self._buffer[:MAX_VARINT_BYTES]), 0)
        if size > bound:
            raise MessageTooLarge(what, size, bound, self._peer)
        while len(self._buffer) < start + size:
            await self._fill(what)
        message = bytes(self._buffer[start : start + size])
        del self._buffer[: start + size]
        return message

    async def _fill(self, what: str) -> None:
        data = await self._stream.read(READ_CHUNK)
        if not data:
            if self._buffer:
                raise BadMessage(f"the stream ended inside a {what}", self._peer)
            raise EndOfStream
        self._buffer += data


async def reset_quietly(stream: Any) -> None:
    """Resets a libp2p stream within a second, also while being cancelled; an error is of no interest any more."""
    try:
        with trio.CancelScope(deadline=trio.current_time() + 1.0, shield=True):
            await stream.reset()
    except Exception as error:  # noqa: BLE001  libp2p raises many kinds
        logger.debug("resetting a stream: %r", error)
