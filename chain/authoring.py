"""Authoring by the wall clock: in each slot whose author is a key of ours, one block on the best one.

`authorities[slot mod len]` as of the parent's state is the slot's author (stock Aura); a key may stand many times in
the list. The timestamp of a block is the start of its slot, so blocks are never closer than the runtime allows.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from chain.aura import get_slot
from chain.blockchain import Blockchain
from chain.errors import ChainError, Misuse
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


KEPT_SLOTS = 1_024
"""Spent slots that are remembered, the highest of them."""


class SpentSlots:
    """Slots in which no block may be sealed any more, because one was: in a small file, so that a restart remembers.

    The chain alone does not tell: a clock that was an hour ahead has sealed a block of a slot to come, others refused
    that block, finality dropped its fork, and when the slot comes a second block of it would cost the bond. Raises
    SpentSlotsDamaged: what the file held may not be guessed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            found = json.loads(path.read_text())
        except FileNotFoundError:
            found = []
        except (ValueError, RecursionError) as error:
            raise SpentSlotsDamaged(path) from error
        if not isinstance(found, list) or not all(type(slot) is int and 0 <= slot < 1 << 64 for slot in found):
            raise SpentSlotsDamaged(path)
        self._slots = set(found)

    def __contains__(self, slot: int) -> bool:
        return slot in self._slots

    def spend(self, slot: int) -> None:
        """From now on `slot` is spent, also for a process that is started after this one was killed."""
        self._slots.add(slot)
        self._slots = set(sorted(self._slots)[-KEPT_SLOTS:])
        temporary = self._path.with_suffix(".new")
        temporary.write_text(json.dumps(sorted(self._slots)))
        temporary.replace(self._path)


class SpentSlotsDamaged(Misuse):
    """The file of spent slots cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f"{path} is damaged; if this machine's clock was never ahead, remove it and start again: it names the "
            "slots in which this node must not author a second time"
        )


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
        spent: SpentSlots,
    ) -> None:
        self._chain, self._thread, self._queue, self._pool = chain, thread, queue, pool
        self._keystore, self._may_author, self._spent = keystore, may_author, spent
        self.authored = 0
        """Blocks made since the start."""

    async def run(self) -> None:
        """Sleeps to the next slot and authors if it is ours, until cancelled.

        Never twice in a slot, whatever the clock does: two blocks of a slot cost their author its bond.
        """
        duration = await self._thread.run(self._chain.slot_duration, self._chain.best.hash)
        while True:
            now = time.time() * 1_000
            slot = int(now // duration) + 1
            await asyncio.sleep((slot * duration - now) / 1_000)
            try:
                await self._on_slot(slot, duration)
            except (ChainError, OSError) as error:
                log.warning("slot %d: no block: %s", slot, error)

    async def _on_slot(self, slot: int, duration: int) -> None:
        if slot in self._spent or not self._may_author():
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
        if parent.number and slot <= get_slot(parent):
            return None
        key = self._own_key(parent, slot)
        if key is None:
            return None
        self._spent.spend(slot)
        return self._chain.build_block(
            parent.hash, slot, timestamp, proposal.extrinsics(), key, proposal.on_rejected
        )

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
