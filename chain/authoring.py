"""Authoring by the wall clock: in each slot whose author is a key of ours, one block on the best one.

`authorities[slot mod len]` as of the parent's state is the slot's author (stock Aura); a key may stand many times in
the list. The timestamp of a block is the start of its slot, so blocks are never closer than the runtime allows.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator

from chain.aura import get_slot
from chain.blockchain import Blockchain
from chain.errors import ChainError
from chain.identity import Sr25519Key
from chain.importing import ChainThread, ImportQueue
from chain.keystore import Keystore
from chain.pool.pool import Transaction
from chain.pool.service import PoolService
from chain.pool.validity import InvalidTransaction, read_validity_error
from chain.primitives import Block, Header, Reader, blake2_256

log = logging.getLogger(__name__)

PROPOSAL_SHARE = 0.4
"""Part of a slot after which no further extrinsic is begun; executing the block again takes about as long."""

SETTLE_SHARE = 0.1
"""Part of a slot that the pool gets at most to take in the last block's consequences."""


class AuthoringService:
    """Authors blocks with the keystore's aura keys, while `may_author` says yes. `run` is its only task."""

    def __init__(
        self,
        chain: Blockchain,
        thread: ChainThread,
        queue: ImportQueue,
        pool: PoolService,
        keystore: Keystore,
        may_author: Callable[[], bool],
    ) -> None:
        self._chain, self._thread, self._queue, self._pool = chain, thread, queue, pool
        self._keystore, self._may_author = keystore, may_author
        self.authored = 0
        """Blocks made since the start."""
        self._last_slot = -1

    async def run(self) -> None:
        """Sleeps to the next slot and authors if it is ours, until cancelled.

        Never twice in a slot, nor in one that a known block has reached, whatever the clock does: two blocks of a slot
        cost their author its bond.
        """
        duration = await self._thread.run(self._chain.slot_duration, self._chain.best.hash)
        self._last_slot = await self._thread.run(self._find_last_slot)
        while True:
            now = time.time() * 1_000
            slot = int(now // duration) + 1
            await asyncio.sleep((slot * duration - now) / 1_000)
            try:
                await self._on_slot(slot, duration)
            except ChainError as error:
                log.warning("slot %d: no block: %s", slot, error)

    async def _on_slot(self, slot: int, duration: int) -> None:
        if slot <= self._last_slot or not self._may_author():
            return
        await self._pool.wait_until_settled(SETTLE_SHARE * duration / 1_000)
        proposal = _Proposal(self._pool.ready(), (slot + PROPOSAL_SHARE) * duration / 1_000)
        block = await self._thread.run(self._build, slot, slot * duration, proposal)
        self._pool.doubt(proposal.doubtful)
        for tx_hash in proposal.rejected:
            self._pool.reject(tx_hash)
        if block is None:
            return
        await self._queue.import_block(block)
        self.authored += 1
        log.info("authored #%d (slot %d, %d extrinsics)", block.header.number, slot, len(block.extrinsics))

    def _build(self, slot: int, timestamp: int, proposal: _Proposal) -> Block | None:
        """On the chain thread: the parent is the best block of the moment in which building begins."""
        parent = self._chain.best
        key = self._own_key(parent, slot)
        if key is None:
            return None
        self._last_slot = slot
        return self._chain.build_block(
            parent.hash, slot, timestamp, proposal.extrinsics(), key, proposal.on_rejected
        )

    def _find_last_slot(self) -> int:
        """The highest slot of all blocks above the finalised one."""
        headers = [self._chain.header(leaf) for leaf in self._chain.leaves()]
        return max((get_slot(header) for header in headers if header is not None and header.number), default=-1)

    def _own_key(self, parent: Header, slot: int) -> Sr25519Key | None:
        authorities = self._chain.authorities(parent.hash)
        return self._keystore.aura.get(authorities[slot % len(authorities)]) if authorities else None


class _Proposal:
    """What a block under construction takes from the pool: until the deadline (unix seconds), or until it is full."""

    def __init__(self, transactions: list[Transaction], deadline: float) -> None:
        self._transactions, self._deadline = transactions, deadline
        self._is_full = False
        self.rejected: list[bytes] = []
        """Hashes of transactions that turned out invalid."""
        self.doubtful: list[bytes] = []
        """Those of a wrong nonce: the best block moved, and the pool will know better soon."""

    def extrinsics(self) -> Iterator[bytes]:
        """The transactions' bytes, one at a time, on the chain thread."""
        for transaction in self._transactions:
            if self._is_full or time.time() >= self._deadline:
                return
            yield transaction.data

    def on_rejected(self, data: bytes, error: bytes) -> None:
        """Block building refused one: it only does not fit any more, or it is invalid."""
        why = read_validity_error(Reader(error))
        if isinstance(why, InvalidTransaction) and why.is_exhausts_resources:
            self._is_full = True
        elif isinstance(why, InvalidTransaction) and why.is_wrong_nonce:
            self.doubtful.append(blake2_256(data))
        else:
            self.rejected.append(blake2_256(data))
