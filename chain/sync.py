"""Following the network: announced blocks are fetched from who announced them, with all that is missing before them.

Near the head a chain of unknown blocks is fetched backwards, from the announced hash to a block we have; far behind it,
forwards by number from our last finalised block. A slow peer delays nobody else's blocks. Nothing a peer sends is
believed: the import queue executes blocks, GRANDPA verifies justifications.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from chain.blockchain import Blockchain
from chain.errors import ChainError, ConflictsWithFinalized, PeerFault
from chain.importing import ChainThread, ImportQueue
from chain.network import BlockData, Direction, NetworkService
from chain.network.errors import RequestFailed
from chain.primitives import Block, Header

log = logging.getLogger(__name__)

BATCH = 64
"""Blocks asked for at once."""

PATIENCE_SECONDS = 2.0
"""A block that one peer owes us for so long is asked from the next peer too."""

MAX_HEADS = 1_024
"""Peers whose announced head is kept; more than the network connects."""

MAX_FORK_BLOCKS = 1_024
"""Unknown blocks fetched backwards from one head."""

MAX_FORK_BYTES = 64 * 1024 * 1024
"""Bytes of their bodies; a longer or larger fork is followed when it is so far ahead that it is fetched forwards."""

CATCHING_UP_SECONDS = 5.0
"""Without a block from a peer for so long, we are not catching up any more."""


class SyncService:
    """Fetches blocks from peers. `run` is its only task; the node calls `on_head` for every announced head."""

    def __init__(self, chain: Blockchain, thread: ChainThread, queue: ImportQueue, network: NetworkService) -> None:
        self._chain, self._thread, self._queue, self._network = chain, thread, queue, network
        self._heads: dict[str, tuple[int, bytes]] = {}  # peer -> the last head it announced and we lack
        self._asked: dict[bytes, float] = {}  # head -> when a peer was last asked for it
        self._fetches: dict[str, asyncio.Task[None]] = {}  # by peer: one fetch each
        self._wake = asyncio.Event()
        self._last_import = -CATCHING_UP_SECONDS
        self.on_justification: Callable[[bytes, bytes], None] = lambda _hash, _proof: None
        """Gets each (hash, justification) that came with a block; GRANDPA verifies it before anything is final."""

    @property
    def is_syncing(self) -> bool:
        """Whether a connected peer is more than a few blocks ahead of us."""
        best = self._chain.best.number
        return any(peer.best_number > best + 5 for peer in self._network.peers())

    @property
    def is_catching_up(self) -> bool:
        """Whether we are behind and blocks keep coming: a peer's mere claim of a high block does not count."""
        return self.is_syncing and time.monotonic() - self._last_import < CATCHING_UP_SECONDS

    def on_head(self, peer: str, number: int, block_hash: bytes) -> None:
        """A peer says that it has this block. Only its last head counts: what comes before is fetched with it."""
        if number <= self._chain.finalized.number or (peer not in self._heads and len(self._heads) >= MAX_HEADS):
            return
        self._heads[peer] = (number, block_hash)
        self._wake.set()

    async def run(self) -> None:
        """Fetches announced heads, from several peers side by side, until cancelled."""
        try:
            while True:
                self._wake.clear()
                self._start_fetches(time.monotonic())
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(PATIENCE_SECONDS):  # `wait_for` of 3.11 may swallow a cancellation
                        await self._wake.wait()
        finally:
            for task in self._fetches.values():
                task.cancel()

    def _start_fetches(self, now: float) -> None:
        self._asked = {head: asked for head, asked in self._asked.items() if now - asked < PATIENCE_SECONDS}
        for peer, (number, block_hash) in list(self._heads.items()):
            if number <= self._chain.finalized.number or self._chain.header(block_hash) is not None:
                del self._heads[peer]
            elif peer not in self._fetches and block_hash not in self._asked:
                self._asked[block_hash] = now
                self._fetches[peer] = asyncio.create_task(self._fetch_from(peer, number, block_hash))

    async def _fetch_from(self, peer: str, number: int, block_hash: bytes) -> None:
        is_again = False
        try:
            await self._fetch(peer, number, block_hash)
        except RequestFailed as error:
            is_again = any(info.peer == peer for info in self._network.peers())
            log.info("sync: %s", error)
        except ConflictsWithFinalized as error:
            log.info("sync: %s", error)  # no fault: the peer is on a fork that lost, and will learn it
        except PeerFault as error:
            log.warning("sync: peer %s sent a bad block: %s", peer, error)
            self._network.report(peer)
        except ChainError as error:
            log.warning("sync: block #%d of peer %s: %s", number, peer, error)
        finally:
            del self._fetches[peer]
            if not is_again and self._heads.get(peer) == (number, block_hash):  # done, or the peer does not have it
                del self._heads[peer]
            self._wake.set()

    async def _fetch(self, peer: str, number: int, block_hash: bytes) -> None:
        if await self._is_known(block_hash):
            return
        if number > self._chain.best.number + BATCH:
            await self._fetch_forwards(peer, number)
        if not await self._is_known(block_hash):
            await self._fetch_backwards(peer, block_hash)

    async def _fetch_forwards(self, peer: str, number: int) -> None:
        start = await self._last_common(peer) + 1
        while start <= number:
            blocks = await self._network.request_blocks(peer, start, BATCH)
            if not blocks:
                return
            for data in blocks:
                await self._import(data)
            start += len(blocks)

    async def _last_common(self, peer: str) -> int:
        """The best number if the peer has our best block on its chain, else the last finalised one."""
        best = self._chain.best
        found = await self._network.request_blocks(peer, best.number, 1)
        return best.number if found and found[0].hash == best.hash else self._chain.finalized.number

    async def _fetch_backwards(self, peer: str, block_hash: bytes) -> None:
        pending: list[BlockData] = []
        size = 0
        wanted = block_hash
        while not await self._is_known(wanted):
            count = 1 if not pending else BATCH
            blocks = await self._network.request_blocks(peer, wanted, count, Direction.DESCENDING)
            size += sum(len(extrinsic) for data in blocks for extrinsic in data.body or ())
            if not blocks or len(pending) > MAX_FORK_BLOCKS or size > MAX_FORK_BYTES:
                return
            for data in blocks:
                pending.append(data)
                header = Header.decode(data.header or b"")
                if header.number <= self._chain.finalized.number:
                    self._chain.witness.on_header(header)
                    raise ConflictsWithFinalized(header.number, self._chain.finalized.number)
                wanted = header.parent_hash
                if await self._is_known(wanted):
                    break
        for data in reversed(pending):
            await self._import(data)

    async def _import(self, data: BlockData) -> None:
        header = Header.decode(data.header or b"")
        block = Block(header, data.body or ())
        if await self._queue.import_block(block):
            self._last_import = time.monotonic()
        if data.justification is not None:
            self.on_justification(header.hash, data.justification)

    async def _is_known(self, block_hash: bytes) -> bool:
        return await self._thread.run(self._chain.header, block_hash) is not None
