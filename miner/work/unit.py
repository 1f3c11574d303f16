"""A unit from claim to transcript: segments in the worker, a checkpoint and a journal entry after each, resumable.

The journal is one record of the store, written after the checkpoint it names. After kill -9 the unit goes on from the
last segment that the journal knows; work being exact, the transcript root is the same as without the interruption.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass

from consensus.commit.hashing import AccountId, Hash32
from consensus.commit.records import Opening, SegmentRecord, compute_opening, compute_transcript_root
from consensus.protocol.units import UnitRef

from miner.store.address import Address, Kind, decode_transcript, encode_transcript
from miner.store.blobs import BlobStore
from miner.work.errors import JobError, JournalError
from miner.work.segment import Pace, compute_previous_record
from miner.work.worker import FinishedSegment, ProgressHandler, RunRequest, TaskInputs, WorkerPool

JOURNAL_VERSION = 1


@dataclass(frozen=True)
class UnitJob:
    """One claimed unit: the task's inputs, seed and solver from the chain, and the state root it must start from.

    The start state must be in the store before the job runs.
    """

    ref: UnitRef
    inputs: TaskInputs
    unit_seed: Hash32
    solver: AccountId
    start_state_root: Hash32
    pace: Pace = Pace()

    @property
    def label(self) -> str:
        """Name of the unit's pins and of its journal; take it off with `BlobStore.unpin` when its window is closed."""
        return f"unit/{self.ref.task}/{self.ref.unit}/{self.ref.attempt}/{self.unit_seed.hex()}"


@dataclass(frozen=True)
class UnitProgress:
    """What a finished or half-done unit has: records, witnesses and losses of its finished segments."""

    records: tuple[SegmentRecord, ...]
    witnesses: tuple[Hash32, ...]
    losses: tuple[float, ...]
    grad_norms: tuple[float, ...]


@dataclass(frozen=True)
class UnitResult:
    """A finished unit: what `submit` takes and what `reveal_solver` needs."""

    transcript_root: Hash32
    end_state_root: Hash32
    macs: int
    progress: UnitProgress

    def compute_openings(self, segments: Sequence[int]) -> list[Opening]:
        """Openings of the drawn segments, in their order."""
        records = self.progress.records
        return [compute_opening(records, index, self.progress.witnesses[index]) for index in segments]


def load_progress(store: BlobStore, job: UnitJob) -> UnitProgress:
    """What the journal knows of a unit, nothing when there is none; raises `JournalError`."""
    raw = store.get_record(job.label)
    if raw is None:
        return UnitProgress((), (), (), ())
    try:
        document = json.loads(raw)
        if document["version"] != JOURNAL_VERSION or document["start"] != job.start_state_root.hex():
            raise JournalError(f"the journal {job.label} is of another version or start state; delete it")
        progress = UnitProgress(
            tuple(decode_transcript(bytes.fromhex(document["records"]))),
            tuple(Hash32(bytes.fromhex(witness)) for witness in document["witnesses"]),
            tuple(document["losses"]),
            tuple(document["grad_norms"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise JournalError(f"the journal {job.label} is damaged ({error}); delete it") from error
    if len(progress.records) != len(progress.witnesses) or len(progress.records) > job.inputs.spec.segments_per_unit:
        raise JournalError(f"the journal {job.label} contradicts itself; delete it")
    return progress


def load_result(store: BlobStore, job: UnitJob) -> UnitResult | None:
    """The result of a unit whose segments are all finished, or None; raises `JournalError`."""
    progress = load_progress(store, job)
    spec = job.inputs.spec
    if len(progress.records) != spec.segments_per_unit:
        return None
    root = compute_transcript_root(progress.records)
    return UnitResult(root, progress.records[-1].end_state_root, spec.macs_per_unit, progress)


def forget_unit(store: BlobStore, job: UnitJob) -> None:
    """Takes off a unit's pins and its journal, when its window is closed or it was relisted."""
    store.unpin(job.label)
    store.delete_record(job.label)


class UnitRunner:
    """Runs units on a pool of workers and keeps their checkpoints in a store."""

    def __init__(self, store: BlobStore, pool: WorkerPool) -> None:
        self._store = store
        self._pool = pool

    async def run(self, job: UnitJob, on_progress: ProgressHandler | None = None) -> UnitResult:
        """Runs what is left of a unit and stores its transcript.

        Raises `BlobNotFoundError` without the start state, `StoreFullError`, `WorkerFailedError`, `WorkerCrashedError`,
        `JournalError`. May be called again after any of them, or after a restart: it resumes.
        """
        progress = await asyncio.to_thread(load_progress, self._store, job)
        progress = self._drop_lost_checkpoints(job, progress)
        first = len(progress.records)
        if first < job.inputs.spec.segments_per_unit:
            start_root = progress.records[-1].end_state_root if first else job.start_state_root
            start = Address(Kind.STATE, start_root)
            self._store.pin(start, job.label)
            previous = compute_previous_record(job.unit_seed, list(progress.records), first, start_root)
            data = await asyncio.to_thread(self._store.get, start)
            request = RunRequest(job.inputs, job.unit_seed, first, previous, data, job.pace)
            await self._pool.run_unit(request, _SegmentSink(self._store, job, progress), on_progress)
        result = await asyncio.to_thread(load_result, self._store, job)
        if result is None:
            raise JobError(f"the worker ended {job.label} before its last segment")
        await asyncio.to_thread(self._store.put_transcript, list(result.progress.records), job.label)
        return result

    def _drop_lost_checkpoints(self, job: UnitJob, progress: UnitProgress) -> UnitProgress:
        """Shortens the progress to its last segment whose end state is still here."""
        count = len(progress.records)
        while count and not self._store.is_stored(Address(Kind.STATE, progress.records[count - 1].end_state_root)):
            count -= 1
        steps = count * job.inputs.spec.steps_per_segment
        return UnitProgress(
            progress.records[:count], progress.witnesses[:count], progress.losses[:steps], progress.grad_norms[:steps]
        )


class _SegmentSink:
    """Stores each finished segment: first the checkpoint, then the journal that names it."""

    def __init__(self, store: BlobStore, job: UnitJob, progress: UnitProgress) -> None:
        self._store, self._job, self._progress = store, job, progress

    async def __call__(self, segment: FinishedSegment) -> None:
        if segment.index != len(self._progress.records):
            raise JobError(f"segment {segment.index} came when {len(self._progress.records)} was due")
        await asyncio.to_thread(self._save, segment)

    def _save(self, segment: FinishedSegment) -> None:
        address = Address(Kind.STATE, segment.end_state_root)
        self._store.put_verified(address, segment.end_state, self._job.label)
        self._progress = UnitProgress(
            (*self._progress.records, segment.compute_record(self._job.solver)),
            (*self._progress.witnesses, segment.witness),
            self._progress.losses + segment.losses,
            self._progress.grad_norms + segment.grad_norms,
        )
        document = {
            "version": JOURNAL_VERSION,
            "start": self._job.start_state_root.hex(),
            "records": encode_transcript(list(self._progress.records)).hex(),
            "witnesses": [witness.hex() for witness in self._progress.witnesses],
            "losses": self._progress.losses,
            "grad_norms": self._progress.grad_norms,
        }
        self._store.put_record(self._job.label, json.dumps(document).encode())
