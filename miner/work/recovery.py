"""Checkpoints on demand: a root that the store dropped is made again by re-executing from the nearest one it kept.

Only roots that the journal of an open unit knows are made, one at a time, each once however often it is asked for, in a
worker of its own, so that the unit in training goes on. With the retention's spacing (`retention.py`) that is at most
√n segments, and within the window in which a challenge may ask.

Who asks is not known, so there are two ranks. What an open duty on chain asks for (`expect`) is made at once, before
anything else, and pinned. Everybody else shares an allowance, a small share of the time that passes: a stranger cannot
bleed a solver by asking for one checkpoint after another, and cannot stand in a drawn verifier's way. He gets nothing
wrong either: what comes out must have the root that the journal has.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

from consensus.commit.hashing import Hash32

from miner.store.address import Address, Kind
from miner.store.allowance import Allowance
from miner.store.blobs import BlobStore
from miner.store.errors import RecoveryBusyError, StoreError
from miner.work.errors import JournalError, RecoveryError, WorkError
from miner.work.inputs import load_task_inputs
from miner.work.journal import Journal, find_checkpoint, load_journal
from miner.work.segment import Pace, compute_previous_record
from miner.work.unit import get_state_source
from miner.work.worker import FinishedSegment, RunRequest, SegmentHandler, WorkerPool

log = logging.getLogger(__name__)

MAX_WAITING = 8  # checkpoints that strangers may wait for at once
MAX_FAILURES = 3  # attempts at one checkpoint before it counts as one that we cannot make
IDLE_SECONDS = 30.0  # after which the worker process is ended
DEFAULT_SEGMENT_SECONDS = 1.0  # before a segment was measured
STRANGERS_SHARE = 0.05  # of one worker's time, for all that no duty asks for
STRANGERS_BURST = 60.0  # seconds of a worker that may be saved up for them


@dataclass
class _Order:
    """A checkpoint that is waited for: the seconds that it should take, and whether a duty asks for it."""

    seconds: float
    is_due: bool


class CheckpointMaker:
    """Makes dropped checkpoints of one store's units again; `await close()` at the end. A `Recoverer` of the server."""

    def __init__(
        self,
        store: BlobStore,
        pool: WorkerPool,
        idle_seconds: float = IDLE_SECONDS,
        allowance: Allowance | None = None,
    ) -> None:
        """The pool is this maker's own and is closed when it idles. `allowance`: what strangers may ask of it."""
        self._store, self._pool = store, pool
        self._idle_seconds = idle_seconds
        self._allowance = allowance or Allowance(STRANGERS_SHARE, STRANGERS_BURST)
        self._waiting: dict[Hash32, _Order] = {}
        self._due: frozenset[Hash32] = frozenset()
        self._failures: dict[Hash32, int] = {}
        self._asking, self._asked = asyncio.Lock(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.made = 0

    async def expect(self, roots: Collection[Hash32]) -> None:
        """Has the checkpoints made that open duties ask for; a later call replaces the set.

        Called with every head: what failed is tried again then. A root of no open unit of ours is ignored.
        """
        new, self._due = frozenset(roots) - self._due, frozenset(roots)
        for root in roots:
            address, place = Address(Kind.STATE, root), find_checkpoint(self._store, root)
            if self._store.is_stored(address):
                if root in new and place is not None:
                    self._store.pin(address, place.label)
                continue
            self._failures.pop(root, None)
            await self.request(address)

    async def request(self, address: Address) -> float | None:
        """Begins to make a state, or goes on; the seconds until it is worth asking again, None when it is not one of an
        open unit of ours. Raises `RecoveryBusyError`."""
        root, is_due = address.root, address.root in self._due
        if address.kind is not Kind.STATE or self._failures.get(root, 0) >= MAX_FAILURES:
            return None
        async with self._asking:
            if root not in self._waiting and not await self._accept(address, is_due):
                return None
        self._waiting[root].is_due |= is_due
        self._asked.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        queue = self._get_queue()
        return sum(self._waiting[other].seconds for other in queue[: queue.index(root) + 1])

    async def close(self) -> None:
        """Ends what is under way and the worker."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._pool.close()

    async def _accept(self, address: Address, is_due: bool) -> bool:
        """Puts a checkpoint into the queue; False when no open unit has it. Raises `RecoveryBusyError`."""
        if find_checkpoint(self._store, address.root) is None:
            return False
        if not is_due:
            self._verify_allowed(address)
        seconds = await asyncio.to_thread(self._estimate, address.root)
        if seconds is None:
            return False
        self._waiting[address.root] = _Order(seconds, is_due)
        if not is_due:
            self._allowance.spend(seconds)
        return True

    def _verify_allowed(self, address: Address) -> None:
        """Raises `RecoveryBusyError` when strangers have asked for enough."""
        wait = self._allowance.compute_wait()
        strangers = [order.seconds for order in self._waiting.values() if not order.is_due]
        if len(strangers) >= MAX_WAITING:
            wait = max(wait, strangers[0])
        elif not wait:
            return
        raise RecoveryBusyError(address, wait)

    def _get_queue(self) -> list[Hash32]:
        """What is waited for: due ones first, each rank in the order of asking."""
        return sorted(self._waiting, key=lambda root: not self._waiting[root].is_due)

    def _estimate(self, root: Hash32) -> float | None:
        """Seconds that making a state takes, None when no open unit has it."""
        place = find_checkpoint(self._store, root)
        try:
            journal = None if place is None else load_journal(self._store, place.label)
        except JournalError as error:
            log.warning("checkpoint %s: %s", root.hex(), error)
            return None
        if place is None or journal is None or len(journal.progress.records) < place.index:
            return None
        start = find_nearest(self._store, journal, place.index)
        if start is None:
            return None
        return (place.index - start) * (journal.segment_seconds or DEFAULT_SEGMENT_SECONDS)

    async def _work(self) -> None:
        """Makes what is waited for; ends the worker, then itself, after a while without anything."""
        while True:
            while self._waiting:
                await self._work_on(self._get_queue()[0])
            self._asked.clear()
            try:
                async with asyncio.timeout(self._idle_seconds):
                    await self._asked.wait()
            except TimeoutError:
                await self._pool.close()
                if not self._waiting:
                    return

    async def _work_on(self, root: Hash32) -> None:
        """One attempt at one checkpoint; strangers are charged what it really took."""
        loop = asyncio.get_running_loop()
        order, started = self._waiting[root], loop.time()
        try:
            await self._make(root)
            self._failures.pop(root, None)
            log.info("checkpoint %s is here again after %.1f s", root.hex()[:16], loop.time() - started)
        except (StoreError, WorkError, OSError) as error:
            self._failures[root] = self._failures.get(root, 0) + 1
            log.error("checkpoint %s could not be made again: %s", root.hex(), error)
        finally:
            del self._waiting[root]
            if not order.is_due:
                self._allowance.spend(loop.time() - started - order.seconds)

    async def _make(self, root: Hash32) -> None:
        store, place = self._store, find_checkpoint(self._store, root)
        if store.is_stored(Address(Kind.STATE, root)):
            return
        journal = None if place is None else await asyncio.to_thread(load_journal, store, place.label)
        if place is None or journal is None:
            raise RecoveryError(root, "its unit was forgotten meanwhile")
        first = find_nearest(store, journal, place.index)
        if first is None:
            raise RecoveryError(root, "no earlier checkpoint of its unit is left")
        inputs = await asyncio.to_thread(load_task_inputs, store, journal.spec_hash)
        start_root = journal.get_checkpoint_root(first)
        start, label = Address(Kind.STATE, start_root), f"recovery/{root.hex()}"
        store.pin(start, label)
        try:
            request = RunRequest(
                inputs, journal.unit_seed, first,
                compute_previous_record(
                    journal.unit_seed, list(journal.progress.records), first, journal.start_state_root
                ),
                await asyncio.to_thread(get_state_source, store, start), start_root, store.spool,
                Pace(cheat=journal.cheat), stop=place.index, written=(place.index - 1,),
            )  # fmt: skip
            log.info("making checkpoint %s again: segments %d to %d", root.hex()[:16], first, place.index - 1)
            await self._pool.run_unit(request, self._make_taker(journal))
        finally:
            store.unpin(label)

    def _make_taker(self, journal: Journal) -> SegmentHandler:
        """Compares each segment that comes out with the journal and stores the checkpoint that was asked for."""

        async def take(segment: FinishedSegment) -> None:
            expected = journal.progress.records[segment.index].end_state_root
            if segment.end_state_root != expected:
                raise RecoveryError(expected, f"segment {segment.index} now ends in {segment.end_state_root.hex()}")
            if segment.checkpoint is not None:
                pin = journal.label if expected in self._due else None
                await asyncio.to_thread(self._store.adopt, Address(Kind.STATE, expected), segment.checkpoint, pin)
                self.made += 1

        return take


def find_nearest(store: BlobStore, journal: Journal, checkpoint: int) -> int | None:
    """The last checkpoint before the given one that is in the store, None when there is none."""
    for earlier in range(checkpoint - 1, -1, -1):
        if store.is_stored(Address(Kind.STATE, journal.get_checkpoint_root(earlier))):
            return earlier
    return None
