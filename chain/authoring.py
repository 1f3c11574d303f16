"""Authoring by the wall clock: in each slot whose author is a key of ours, one block on the best one.

`authorities[slot mod len]` as of the parent's state is the slot's author (stock Aura); a key may stand many times in
the list. The timestamp of a block is the start of its slot, so blocks are never closer than the runtime allows.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator

from chain.blockchain import Blockchain
from chain.errors import ChainError
from chain.identity import Sr25519Key
from chain.importing import ChainThread, ImportQueue
from chain.keystore import Keystore
from chain.pool.pool import Transaction
from chain.pool.service import PoolService
from chain.primitives import Block, Header, Reader

log = logging.getLogger(__name__)

MAX_AUTHORITIES = 4_096
PROPOSAL_SHARE = 0.4
"""Part of a slot after which no further extrinsic is begun; executing the block again takes about as long."""


class AuthoringService:
    """Authors blocks with the keystore's aura keys. `run` is its only task."""

    def __init__(
        self,
        chain: Blockchain,
        thread: ChainThread,
        queue: ImportQueue,
        pool: PoolService,
        keystore: Keystore,
    ) -> None:
        self._chain, self._thread, self._queue, self._pool = chain, thread, queue, pool
        self._keystore = keystore
        self.authored = 0
        """Blocks made since the start."""

    async def run(self) -> None:
        """Sleeps to the next slot and authors if it is ours, until cancelled."""
        duration = await self._thread.run(read_slot_duration, self._chain)
        while True:
            now = time.time() * 1_000
            slot = int(now // duration) + 1
            await asyncio.sleep((slot * duration - now) / 1_000)
            try:
                await self._on_slot(slot, duration)
            except ChainError as error:
                log.warning("slot %d: no block: %s", slot, error)

    async def _on_slot(self, slot: int, duration: int) -> None:
        parent = self._chain.best
        key = await self._thread.run(self._own_key, parent, slot)
        if key is None:
            return
        deadline = (slot + PROPOSAL_SHARE) * duration / 1_000
        extrinsics = _until(self._pool.ready(), deadline)
        block, rejected = await self._thread.run(self._build, parent, slot, duration, extrinsics, key)
        for tx_hash in rejected:
            self._pool.reject(tx_hash)
        await self._queue.import_block(block)
        self.authored += 1
        log.info("authored #%d (slot %d, %d extrinsics)", block.header.number, slot, len(block.extrinsics))

    def _own_key(self, parent: Header, slot: int) -> Sr25519Key | None:
        authorities = read_authorities(self._chain, parent.hash)
        return self._keystore.aura.get(authorities[slot % len(authorities)]) if authorities else None

    def _build(
        self, parent: Header, slot: int, duration: int, extrinsics: Iterator[bytes], key: Sr25519Key
    ) -> tuple[Block, list[bytes]]:
        built = self._chain.build_block(parent.hash, slot, slot * duration, extrinsics, key)
        return built.block, list(built.rejected)


def read_slot_duration(chain: Blockchain) -> int:
    """Milliseconds of a slot, as of the best block's state."""
    return max(1, Reader(chain.call(chain.best.hash, "AuraApi_slot_duration", b"")).u64("slot duration"))


def read_authorities(chain: Blockchain, block_hash: bytes) -> list[bytes]:
    """The author schedule in the state after a block: sr25519 keys, one per slot."""
    reader = Reader(chain.call(block_hash, "AuraApi_authorities", b""))
    return [reader.take(32, "authority") for _ in range(reader.compact(MAX_AUTHORITIES, "authorities"))]


def _until(transactions: list[Transaction], deadline: float) -> Iterator[bytes]:
    """The transactions' bytes, until `deadline` (unix seconds) is past."""
    for transaction in transactions:
        if time.time() >= deadline:
            return
        yield transaction.data
