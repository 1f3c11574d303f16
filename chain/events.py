"""What a node tells its parts (RPC, pool, network): new blocks, best changes, finality. One asyncio loop, no I/O."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

from chain.errors import Misuse
from chain.primitives import Header

QUEUE_SIZE = 1_024
"""Events a slow reader may lag behind; then its stream raises, rather than that memory grows or it misses one."""

TOLD_AT_ONCE = 16
"""Readers told of an event in one turn of the loop, so that requests get their turns between."""


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
    """Hands every published event to every open stream, in order.

    Many readers are told a few at a time, so that what else the loop serves does not wait for all of them.
    """

    def __init__(self) -> None:
        self._readers: weakref.WeakKeyDictionary[_EventQueue, tuple[type, ...]] = weakref.WeakKeyDictionary()
        self._telling: deque[tuple[ChainEvent, list[_EventQueue]]] = deque()

    def publish(self, event: ChainEvent) -> None:
        """To be called on the loop's thread. A stream that lags too far gets no more; then it raises."""
        readers = [queue for queue, kinds in list(self._readers.items()) if not kinds or isinstance(event, kinds)]
        self._telling.append((event, readers))
        if len(self._telling) == 1:
            self._tell_some()

    def close(self) -> None:
        """Ends all streams."""
        while self._telling:
            event, readers = self._telling.popleft()
            self._tell(event, readers)
        for queue in list(self._readers):
            queue.put_nowait(None)
        self._readers.clear()

    def stream(self, *kinds: type[ChainEvent]) -> AsyncIterator[ChainEvent]:
        """All events (of these kinds) from this call on, not from the first `anext`; ends with the bus.

        Raises `ReaderTooSlow` after the last event that was not missed.
        """
        queue: _EventQueue = asyncio.Queue()
        self._readers[queue] = kinds
        return self._drain(queue)

    def _tell_some(self) -> None:
        if not self._telling:
            return
        event, readers = self._telling[0]
        self._tell(event, readers[:TOLD_AT_ONCE])
        del readers[:TOLD_AT_ONCE]
        if not readers:
            self._telling.popleft()
        if self._telling:
            asyncio.get_running_loop().call_soon(self._tell_some)

    def _tell(self, event: ChainEvent, readers: list[_EventQueue]) -> None:
        for queue in readers:
            if queue not in self._readers:
                continue  # it lagged too far behind, or was closed
            if queue.qsize() >= QUEUE_SIZE:
                del self._readers[queue]
                queue.put_nowait(ReaderTooSlow())
            else:
                queue.put_nowait(event)

    async def _drain(self, queue: _EventQueue) -> AsyncIterator[ChainEvent]:
        try:
            while (event := await queue.get()) is not None:
                if isinstance(event, ReaderTooSlow):
                    raise event
                yield event
        finally:
            self._readers.pop(queue, None)
