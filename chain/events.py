"""What a node tells its parts (RPC, pool, network): new blocks, best changes, finality. One asyncio loop, no I/O."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator
from dataclasses import dataclass

from chain.errors import Misuse
from chain.primitives import Header

QUEUE_SIZE = 1_024
"""Events a slow reader may lag behind; then its stream raises, rather than that memory grows or it misses one."""


@dataclass(frozen=True, slots=True)
class BlockImported:
    """A block was executed and stored, on whichever fork."""

    header: Header


@dataclass(frozen=True, slots=True)
class BestChanged:
    """The best block is `header` now. `enacted` (oldest first) joined the best chain, `retracted` left it."""

    header: Header
    enacted: tuple[bytes, ...]
    retracted: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class BlockFinalized:
    """`header` is final; `hashes` are all blocks that became final with it, oldest first, itself last."""

    header: Header
    hashes: tuple[bytes, ...]


ChainEvent = BlockImported | BestChanged | BlockFinalized


class ReaderTooSlow(Misuse):
    """A stream's reader lagged too far behind; it missed events and must begin anew."""

    def __init__(self) -> None:
        super().__init__(f"more than {QUEUE_SIZE} events were waiting to be read; open a new stream")


_EventQueue = asyncio.Queue[ChainEvent | ReaderTooSlow | None]


class EventBus:
    """Hands every published event to every open stream, in order."""

    def __init__(self) -> None:
        self._queues: weakref.WeakSet[_EventQueue] = weakref.WeakSet()  # owned by their streams

    def publish(self, event: ChainEvent) -> None:
        """To be called on the loop's thread. A stream that lags too far gets no more; then it raises."""
        for queue in list(self._queues):
            if queue.qsize() >= QUEUE_SIZE:
                self._queues.discard(queue)
                queue.put_nowait(ReaderTooSlow())
            else:
                queue.put_nowait(event)

    def close(self) -> None:
        """Ends all streams."""
        for queue in list(self._queues):
            queue.put_nowait(None)
        self._queues.clear()

    def stream(self) -> AsyncIterator[ChainEvent]:
        """All events from this call on (not from the first `anext`); ends with the bus.

        Raises `ReaderTooSlow` after the last event that was not missed.
        """
        queue: _EventQueue = asyncio.Queue()
        self._queues.add(queue)
        return self._drain(queue)

    async def _drain(self, queue: _EventQueue) -> AsyncIterator[ChainEvent]:
        try:
            while (event := await queue.get()) is not None:
                if isinstance(event, ReaderTooSlow):
                    raise event
                yield event
        finally:
            self._queues.discard(queue)
