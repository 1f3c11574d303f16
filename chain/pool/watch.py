"""Watchers: who follows which transaction, and in which blocks these stand. All belongs to the loop's thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable

from chain.pool.pool import Status

FINALITY_TIMEOUT_BLOCKS = 512
"""A watcher is told `finalityTimeout` when its block is not final after this many blocks."""


class Watch:
    """The statuses of one transaction, as an async iterator that ends after the last one."""

    def __init__(self, watchers: Watchers, tx_hash: bytes) -> None:
        self._watchers, self.hash = watchers, tx_hash
        self._queue: asyncio.Queue[Status] = asyncio.Queue()

    def put(self, status: Status) -> None:
        """Adds a status."""
        self._queue.put_nowait(status)

    def close(self) -> None:
        """Stops following the transaction; may be called twice."""
        self._watchers.remove(self)

    async def __aiter__(self) -> AsyncIterator[Status]:
        try:
            while True:
                status = await self._queue.get()
                yield status
                if status.is_last:
                    return
        finally:
            self.close()


class Watchers:
    """All watches by transaction."""

    def __init__(self) -> None:
        self._watches: dict[bytes, set[Watch]] = {}
        self._included: dict[bytes, tuple[int, list[bytes]]] = {}  # block -> number, watched transactions in it

    def __len__(self) -> int:
        return len(self._watches)

    def add(self, tx_hash: bytes) -> Watch:
        """A new watch, which is told everything from now on."""
        watch = Watch(self, tx_hash)
        self._watches.setdefault(tx_hash, set()).add(watch)
        return watch

    def remove(self, watch: Watch) -> None:
        """Forgets a watch."""
        watchers = self._watches.get(watch.hash)
        if watchers is not None:
            watchers.discard(watch)
            if not watchers:
                del self._watches[watch.hash]

    def tell(self, tx_hash: bytes, status: Status) -> None:
        """Tells all who watch the transaction."""
        for watch in list(self._watches.get(tx_hash, ())):
            watch.put(status)

    def on_included(self, block_hash: bytes, number: int, hashes: Iterable[bytes], told: Collection[bytes]) -> None:
        """The block became part of the best chain. `told`: those of its transactions whose watchers know it already."""
        watched = [tx_hash for tx_hash in hashes if tx_hash in self._watches]
        for tx_hash in watched:
            if tx_hash not in told:
                self.tell(tx_hash, Status("inBlock", block_hash))
        if watched:
            self._included[block_hash] = (number, watched)
        for old, (old_number, transactions) in list(self._included.items()):
            if old_number + FINALITY_TIMEOUT_BLOCKS < number:
                del self._included[old]
                for tx_hash in transactions:
                    self.tell(tx_hash, Status("finalityTimeout", old))

    def on_retracted(self, block_hash: bytes) -> None:
        """The block left the best chain."""
        for tx_hash in self._included.pop(block_hash, (0, []))[1]:
            self.tell(tx_hash, Status("retracted", block_hash))

    def on_finalized(self, block_hash: bytes) -> None:
        """The block is final: the last status of its transactions."""
        for tx_hash in self._included.pop(block_hash, (0, []))[1]:
            self.tell(tx_hash, Status("finalized", block_hash))
