"""The import queue: the one way by which blocks enter the chain, whoever made them, and by which they become final.

Each step runs on the chain thread; its consequences (pool, subscriptions, announces) are worked out here, in order.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from chain.blockchain import Blockchain
from chain.errors import (
    BodyInvalid,
    BodyTooLarge,
    DatabaseUnwritable,
    FutureSlot,
    HeaderInvalid,
    KnownBad,
    UnknownBlock,
    WrongExtrinsicsRoot,
)
from chain.events import BestChanged, BlockFinalized, BlockImported, EventBus
from chain.pool.service import BlockView, PoolService
from chain.primitives import Block, DigestKind, Header

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_BAD = 4_096
"""Refused blocks that are remembered."""


class ChainThread:
    """A thread of its own for all that executes or reads the chain: one call at a time, the loop never waits."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="chain")
        self._is_broken = asyncio.Event()
        self._reason: DatabaseUnwritable | None = None

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """The function's result, from the chain thread."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)
        except DatabaseUnwritable as error:
            self._reason = error
            self._is_broken.set()
            raise

    async def watch(self) -> None:
        """Waits until the database takes no more writes and raises DatabaseUnwritable: whoever asked for the write may
        go on with other work, the node must not."""
        await self._is_broken.wait()
        if self._reason is not None:
            raise self._reason

    def close(self) -> None:
        """Waits for the running call; no further ones are taken."""
        self._executor.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True)
class _Imported:
    """What an import did: the best block after it, and what the best chain gained and lost (empty: nothing)."""

    best: Header
    enacted: list[BlockView]
    retracted: list[BlockView]


@dataclass(frozen=True)
class _Finalized:
    """What a finalisation did: `hashes` became final (oldest first); the best chain gained and lost blocks."""

    header: Header
    best: Header
    hashes: tuple[bytes, ...]
    enacted: list[BlockView]
    retracted: list[BlockView]


class ImportQueue:
    """Imports and finalises, one after the other, and tells the pool and the event bus."""

    def __init__(self, chain: Blockchain, thread: ChainThread, pool: PoolService, events: EventBus) -> None:
        self._chain, self._thread, self._pool, self._events = chain, thread, pool, events
        self._lock = asyncio.Lock()
        self._bad: OrderedDict[bytes, str] = OrderedDict()  # hash -> why it was refused

    async def import_block(self, block: Block) -> bool:
        """Verifies, executes and stores a block; whether it was new. Raises what `Blockchain.import_block` raises, and
        `KnownBad` for one that was refused before."""
        async with self._lock:
            why = self._bad.get(block.hash)
            if why is not None:
                raise KnownBad(block.header.number, why)
            try:
                step = await self._thread.run(self._import, block)
            except (HeaderInvalid, BodyInvalid) as error:
                self._remember_bad(block.hash, error)
                raise
            if step is None:
                return False
            self._events.publish(BlockImported(block.header))
            if step.enacted:
                self._on_best(step.best, step.enacted, step.retracted)
        return True

    def _import(self, block: Block) -> _Imported | None:
        """On the chain thread."""
        before = self._chain.best
        if not self._chain.import_block(block).is_new:
            return None
        return _Imported(self._chain.best, *self._route(before, self._chain.best))

    def _remember_bad(self, block_hash: bytes, error: HeaderInvalid | BodyInvalid) -> None:
        """Nobody makes us execute a bad block twice. A hash says nothing about the body that came with it, nor does the
        clock's verdict last."""
        if isinstance(error, (FutureSlot, WrongExtrinsicsRoot, BodyTooLarge)):
            return
        self._bad[block_hash] = str(error)
        while len(self._bad) > MAX_BAD:
            self._bad.popitem(last=False)

    async def finalize(self, block_hash: bytes, justification: bytes | None) -> bool:
        """Makes a block and its ancestors final; whether that was news."""
        async with self._lock:
            step = await self._thread.run(self._finalize, block_hash, justification)
            if step is None:
                return False
            if step.enacted or step.retracted:
                self._on_best(step.best, step.enacted, step.retracted)
            self._pool.on_finalized(step.hashes)
            self._events.publish(BlockFinalized(step.header, step.hashes))
        return True

    def _finalize(self, block_hash: bytes, justification: bytes | None) -> _Finalized | None:
        """On the chain thread. Blocks that lose are read before they are deleted: their transactions come back."""
        last, before = self._chain.finalized, self._chain.best
        header = self._chain.header(block_hash)
        if header is None or header.number <= last.number:
            return None
        is_on_best_chain = self._chain.hash_of(header.number) == block_hash
        enacted, retracted = ([], []) if is_on_best_chain else self._route(before, header)
        self._chain.finalize(block_hash, justification)
        if not is_on_best_chain:
            enacted += self._route(header, self._chain.best)[0]
        return _Finalized(header, self._chain.best, tuple(self._path(last, header)), enacted, retracted)

    def _on_best(self, best: Header, enacted: list[BlockView], retracted: list[BlockView]) -> None:
        self._pool.on_best_changed(enacted, retracted)
        self._events.publish(
            BestChanged(best, tuple(view.hash for view in enacted), tuple(view.hash for view in retracted))
        )

    def _route(self, before: Header, after: Header) -> tuple[list[BlockView], list[BlockView]]:
        """(enacted, retracted), both oldest first, between two best blocks."""
        enacted: list[BlockView] = []
        retracted: list[BlockView] = []
        old, new = before, after
        while old.hash != new.hash:
            if new.number >= old.number:
                enacted.append(self._view(new))
                new = self._parent(new)
            else:
                retracted.append(self._view(old))
                old = self._parent(old)
        return enacted[::-1], retracted[::-1]

    def _path(self, last: Header, header: Header) -> list[bytes]:
        hashes: list[bytes] = []
        while header.number > last.number:
            hashes.append(header.hash)
            header = self._parent(header)
        return hashes[::-1]

    def _parent(self, header: Header) -> Header:
        parent = self._chain.header(header.parent_hash)
        if parent is None:
            raise UnknownBlock(header.parent_hash)
        return parent

    def _view(self, header: Header) -> BlockView:
        has_new_runtime = any(item.kind is DigestKind.RUNTIME_ENVIRONMENT_UPDATED for item in header.digest)
        return BlockView(header.hash, header.number, self._chain.body(header.hash) or (), has_new_runtime)
