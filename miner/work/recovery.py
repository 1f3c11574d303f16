"""Checkpoints on demand: a root that the store dropped is made again by re-executing from the nearest one it kept.

Only roots that the journal of an open unit knows are made, one at a time, each once however often it is asked for, in a
worker of its own, so that the unit in training goes on. With the retention's spacing (`retention.py`) that is at most
√n segments, and within the window in which a challenge may ask. A stranger can make us repeat our own work this way,
bounded by one such worker; he gets nothing wrong: what comes out must have the root that the journal has.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from consensus.commit.hashing import Hash32

from miner.store.address import Address, Kind
from miner.store.blobs import BlobStore
from miner.store.errors import RecoveryBusyError, StoreError
from miner.work.errors import JournalError, RecoveryError, WorkError
from miner.work.inputs import load_task_inputs
from miner.work.journal import Journal, find_checkpoint, load_journal
from miner.work.segment import Pace, compute_previous_record
from miner.work.unit import get_state_source
from miner.work.worker import FinishedSegment, RunRequest, WorkerPool

log = logging.getLogger(__name__)

MAX_WAITING = 8  # checkpoints that may be asked for at once
MAX_FAILURES = 3  # attempts at one checkpoint before it counts as one that we cannot make
IDLE_SECONDS = 30.0  # after which the worker process is ended
DEFAULT_SEGMENT_SECONDS = 1.0  # before a segment was measured


class CheckpointMaker:
    """Makes dropped checkpoints of one store's units again; `await close()` at the end. A `Recoverer` of the server."""

    def __init__(self, store: BlobStore, pool: WorkerPool, idle_seconds: float = IDLE_SECONDS) -> None:
        """The pool is this maker's own and is closed when it idles."""
        self._store, self._pool = store, pool
        self._idle_seconds = idle_seconds
        self._waiting: dict[Hash32, float] = {}  # root -> seconds that it will take
        self._failures: dict[Hash32, int] = {}
        self._task: asyncio.Task[None] | None = None
        self.made = 0

    async def request(self, address: Address) -> float | None:
        """Begins to make a state, or goes on; the seconds until it is worth asking again, None when it is not one of an
        open unit of ours. Raises `RecoveryBusyError`."""
        root = address.root
        if address.kind is not Kind.STATE or self._failures.get(root, 0) >= MAX_FAILURES:
            return None
        if root not in self._waiting:
            seconds = await asyncio.to_thread(self._estimate, root)
            if seconds is None:
                return None
            if len(self._waiting) >= MAX_WAITING and root not in self._waiting:
                raise RecoveryBusyError(address, len(self._waiting))
            self._waiting.setdefault(root, seconds)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        roots = list(self._waiting)
        return sum(self._waiting[other] for other in roots[: roots.index(root) + 1]) if root in roots else 0.0

    async def close(self) -> None:
        """Ends what is under way and the worker."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._pool.close()

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
        """Makes what is waiting, in the order of asking; ends the worker after a while without anything."""
        idle_since = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() - idle_since < self._idle_seconds:
            if not self._waiting:
                await asyncio.sleep(min(0.05, self._idle_seconds))
                continue
            root = next(iter(self._waiting))
            try:
                await self._make(root)
                self.made += 1
                self._failures.pop(root, None)
            except (StoreError, WorkError, OSError) as error:
                self._failures[root] = self._failures.get(root, 0) + 1
                log.error("checkpoint %s could not be made again: %s", root.hex(), error)
            finally:
                self._waiting.pop(root, None)
            idle_since = asyncio.get_running_loop().time()
        await self._pool.close()

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
                Pace(skip_share=journal.skip_share), stop=place.index, written=(place.index - 1,),
            )  # fmt: skip
            log.info("making checkpoint %s again: segments %d to %d", root.hex()[:16], first, place.index - 1)
            await self._pool.run_unit(request, _Taker(store, journal))
        finally:
            store.unpin(label)


class _Taker:
    """Compares each segment that comes out with the journal and stores the checkpoint that was asked for."""

    def __init__(self, store: BlobStore, journal: Journal) -> None:
        self._store, self._journal = store, journal

    async def __call__(self, segment: FinishedSegment) -> None:
        expected = self._journal.progress.records[segment.index].end_state_root
        if segment.end_state_root != expected:
            raise RecoveryError(expected, f"segment {segment.index} now ends in {segment.end_state_root.hex()}")
        if segment.checkpoint is not None:
            await asyncio.to_thread(self._store.adopt, Address(Kind.STATE, expected), segment.checkpoint)


def find_nearest(store: BlobStore, journal: Journal, checkpoint: int) -> int | None:
    """The last checkpoint before the given one that is in the store, None when there is none."""
    for earlier in range(checkpoint - 1, -1, -1):
        if store.is_stored(Address(Kind.STATE, journal.get_checkpoint_root(earlier))):
            return earlier
    return None
