"""A unit from claim to transcript: segments in the worker, a checkpoint and a journal entry after each, resumable.

The journal (journal.py) is written after the checkpoint it names, and a checkpoint is dropped only after the journal
names the next. After kill -9 the unit goes on from the last segment that the journal knows; work being exact, the
transcript root is the same as without the interruption.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from consensus.commit.hashing import AccountId, Hash32
from consensus.commit.records import Opening, compute_transcript_root
from consensus.protocol.units import UnitRef

from miner.store.address import Address, Kind
from miner.store.blobs import BlobStore
from miner.work.errors import JobError, JournalError
from miner.work.journal import NO_PROGRESS, Journal, UnitProgress, forget_journal, load_journal, save_journal
from miner.work.retention import Retention, compute_spacing, is_kept
from miner.work.segment import Pace, compute_previous_record
from miner.work.worker import FinishedSegment, ProgressHandler, RunRequest, TaskInputs, WorkerPool

DEFAULT_RETENTION = Retention()
LABEL_PREFIX = "unit/"  # of the labels of units: their pins' and journals' names


@dataclass(frozen=True)
class UnitJob:
    """One claimed unit: the task's inputs, seed and solver from the chain, and the state root it must start from.

    The start state must be in the store before the job runs. `window_seconds`: how long a challenge waits for an
    answer, so that no dropped checkpoint takes longer to be made again. `decoy`: place of the records' false claim.
    """

    ref: UnitRef
    inputs: TaskInputs
    unit_seed: Hash32
    solver: AccountId
    start_state_root: Hash32
    pace: Pace = Pace()
    window_seconds: float = math.inf
    decoy: int | None = None

    @property
    def label(self) -> str:
        """Name of the unit's pins and of its journal; take it off with `BlobStore.unpin` when its window is closed."""
        return compute_label_prefix(self.ref) + self.unit_seed.hex()


@dataclass(frozen=True)
class UnitResult:
    """A finished unit: what `submit` takes and what `reveal_solver` needs."""

    transcript_root: Hash32
    end_state_root: Hash32
    macs: int
    progress: UnitProgress

    def compute_openings(self, segments: Sequence[int]) -> list[Opening]:
        """Openings of the drawn segments, in their order."""
        return [self.progress.open(index) for index in segments]


def load_progress(store: BlobStore, job: UnitJob) -> UnitProgress:
    """What the journal knows of a unit, nothing when there is none; raises `JournalError`."""
    journal = load_journal(store, job.label)
    if journal is None:
        return NO_PROGRESS
    if journal.start_state_root != job.start_state_root:
        raise JournalError(f"the journal {job.label} is of another start state; delete it")
    if len(journal.progress.records) > job.inputs.spec.segments_per_unit:
        raise JournalError(f"the journal {job.label} contradicts itself; delete it")
    return journal.progress


def load_result(store: BlobStore, job: UnitJob) -> UnitResult | None:
    """The result of a unit whose segments are all finished, or None; raises `JournalError`."""
    progress = load_progress(store, job)
    spec = job.inputs.spec
    if len(progress.records) != spec.segments_per_unit:
        return None
    root = compute_transcript_root(progress.records)
    return UnitResult(root, progress.records[-1].end_state_root, spec.macs_per_unit, progress)


def forget_unit(store: BlobStore, label: str) -> None:
    """Takes off a unit's pins and its journal, when its window is closed or it was relisted."""
    store.unpin(label)
    forget_journal(store, label)


def compute_label_prefix(ref: UnitRef) -> str:
    """How the labels of all executions of a unit begin; the unit seed follows."""
    return f"{LABEL_PREFIX}{ref.task}/{ref.unit}/{ref.attempt}/"


def list_units(store: BlobStore) -> list[tuple[UnitRef, str]]:
    """The units of which the store has a journal, with their labels."""
    labels = [name for name, _ in store.iterate_records(LABEL_PREFIX)]
    return [(UnitRef(*(int(part) for part in label.split("/")[1:4])), label) for label in labels]


def get_state_source(store: BlobStore, address: Address) -> bytes | Path:
    """A state for a worker: its file, or its bytes when it is small; raises as `BlobStore.get`."""
    return store.get_path(address) or store.get(address)


class UnitRunner:
    """Runs units on a pool of workers and keeps about √n of their checkpoints in a store."""

    def __init__(self, store: BlobStore, pool: WorkerPool, retention: Retention = DEFAULT_RETENTION) -> None:
        self._store = store
        self._pool = pool
        self._retention = retention

    async def run(self, job: UnitJob, on_progress: ProgressHandler | None = None) -> UnitResult:
        """Runs what is left of a unit and stores its transcript.

        Raises `BlobNotFoundError` without the start state, `StoreFullError`, `WorkerFailedError`, `WorkerCrashedError`,
        `JournalError`. May be called again after any of them, or after a restart: it resumes.
        """
        progress = await asyncio.to_thread(load_progress, self._store, job)
        progress = self._drop_lost_segments(job, progress)
        first = len(progress.records)
        if first < job.inputs.spec.segments_per_unit:
            start_root = progress.records[-1].end_state_root if first else job.start_state_root
            start = Address(Kind.STATE, start_root)
            self._store.pin(start, job.label)
            previous = compute_previous_record(job.unit_seed, list(progress.records), first, start_root)
            source = await asyncio.to_thread(get_state_source, self._store, start)
            request = RunRequest(
                job.inputs, job.unit_seed, first, previous, source, start_root, self._store.spool, job.pace
            )
            sink = _SegmentSink(self._store, job, progress, self._retention)
            await self._pool.run_unit(request, sink, on_progress)
        result = await asyncio.to_thread(load_result, self._store, job)
        if result is None:
            raise JobError(f"the worker ended {job.label} before its last segment")
        await asyncio.to_thread(self._store.put_transcript, list(result.progress.records), job.label)
        return result

    def _drop_lost_segments(self, job: UnitJob, progress: UnitProgress) -> UnitProgress:
        """Shortens the progress to its last segment whose end state is still here; all of it when the end is here."""
        count = len(progress.records)
        while count and not self._store.is_stored(Address(Kind.STATE, progress.records[count - 1].end_state_root)):
            count -= 1
        return progress.cut(count, job.inputs.spec.steps_per_segment)


class _SegmentSink:
    """Stores each finished segment: first the checkpoint, then the journal that names it; then drops the checkpoint
    before it, unless it is one of those that are kept."""

    def __init__(self, store: BlobStore, job: UnitJob, progress: UnitProgress, retention: Retention) -> None:
        self._store, self._job, self._retention = store, job, retention
        self._journal = Journal(
            job.label, job.inputs.spec.spec_hash, job.unit_seed, job.solver, job.start_state_root,
            job.pace.cheat, 0.0, progress,
        )  # fmt: skip

    async def __call__(self, segment: FinishedSegment) -> None:
        if segment.index != len(self._journal.progress.records):
            raise JobError(f"segment {segment.index} came when {len(self._journal.progress.records)} was due")
        if segment.checkpoint is None:
            raise JobError(f"segment {segment.index} came without its checkpoint")
        await asyncio.to_thread(self._save, segment, segment.checkpoint)

    def _save(self, segment: FinishedSegment, checkpoint: Path) -> None:
        self._store.adopt(Address(Kind.STATE, segment.end_state_root), checkpoint, self._job.label)
        before = self._journal.progress
        record = segment.compute_record(self._job.solver, self._job.decoy)
        progress = UnitProgress(
            (*before.records, record), (*before.witnesses, segment.witness),
            before.losses + segment.losses, before.grad_norms + segment.grad_norms,
        )  # fmt: skip
        self._journal = replace(self._journal, progress=progress, segment_seconds=segment.seconds)
        save_journal(self._store, self._journal)
        self._drop(segment.index)

    def _drop(self, checkpoint: int) -> None:
        """Removes a checkpoint that has a later one now, when it need not stay."""
        journal, spec = self._journal, self._job.inputs.spec
        spacing = compute_spacing(
            spec.segments_per_unit, spec.initial_state_bytes, self._retention, journal.segment_seconds,
            self._job.window_seconds,
        )  # fmt: skip
        root, label = journal.get_checkpoint_root(checkpoint), self._job.label
        others = (journal.get_checkpoint_root(other) for other in range(len(journal.progress.records) + 1))
        if is_kept(checkpoint, spec.segments_per_unit, spacing) or sum(root == other for other in others) > 1:
            return  # the second: a step that changes nothing, or a cheater's, gives one state several numbers
        self._store.release(Address(Kind.STATE, root), label)
