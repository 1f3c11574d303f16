"""Units in real worker processes: resume, crash, cancel, cheat, replay."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from consensus.commit.hashing import AccountId, Hash32, blake2_256
from consensus.commit.records import OpeningError, SegmentRecord, verify_opening
from miner.store.address import Address, Kind
from miner.store.blobs import BlobStore
from miner.store.errors import BlobNotFoundError
from miner.work.cheat import Cheat, CheatKind
from miner.work.errors import JobError, JournalError, WorkerCrashedError, WorkerFailedError
from miner.work.segment import CommittedSegment, Pace
from miner.work.unit import UnitJob, UnitResult, UnitRunner, forget_unit, load_progress, load_result
from miner.work.worker import Progress, TaskInputs, WorkerOptions, WorkerPool
from tests.miner.work.linear import FACTORY, INITIAL, SEED, SOLVER, make_inputs, make_job, make_store

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPTIONS = WorkerOptions(niceness=1, factory=FACTORY)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[BlobStore]:
    with make_store(tmp_path) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[WorkerPool]:
    async with WorkerPool(1, OPTIONS) as opened:
        yield opened


def committed(result: UnitResult, index: int, job: UnitJob) -> CommittedSegment:
    steps = job.inputs.spec.steps_per_segment
    return CommittedSegment(SOLVER, SEED, steps, result.progress.records, index, job.start_state_root)


def start_bytes(store: BlobStore, result: UnitResult, index: int) -> bytes:
    return store.get(Address(Kind.STATE, result.progress.records[index].start_state_root))


async def test_unit_runs_and_everything_is_served(store: BlobStore, pool: WorkerPool) -> None:
    job = make_job(store, make_inputs())
    seen: list[Progress] = []
    result = await UnitRunner(store, pool).run(job, seen.append)
    spec, records = job.inputs.spec, result.progress.records
    assert result.macs == spec.macs_per_unit == 4 * 5 * 640
    assert [r.index for r in records] == [0, 1, 2, 3] and len(result.progress.losses) == 20
    assert result.progress.losses[-1] < result.progress.losses[0]
    for before, after in zip(records, records[1:], strict=False):
        assert before.end_state_root == after.start_state_root
    assert store.get_transcript(result.transcript_root) == list(records)
    assert int(store.get_state(result.end_state_root)["step"]) == 20
    assert seen and isinstance(seen[0], Progress) and all(p.macs <= result.macs for p in seen)
    for opening in result.compute_openings([0, 3]):
        verify_opening(opening, result.transcript_root, result.end_state_root, 4, SOLVER)
    assert load_result(store, job) == result
    assert await UnitRunner(store, pool).run(job) == result
    forget_unit(store, job.label)
    assert load_result(store, job) is None and store.unpin(job.label) == 0


async def test_replay_of_every_segment_matches(store: BlobStore, pool: WorkerPool) -> None:
    job = make_job(store, make_inputs())
    result = await UnitRunner(store, pool).run(job)
    for index, record in enumerate(result.progress.records):
        report = await pool.replay(job.inputs, committed(result, index, job), start_bytes(store, result, index))
        assert report.is_match and report.detail == "all equal"
        assert report.claim is not None and report.claim.end_state_root == record.end_state_root
        assert report.claim.witness == result.progress.witnesses[index]


async def test_cheaters_unit_mismatches_on_replay(store: BlobStore, pool: WorkerPool) -> None:
    inputs = make_inputs()
    honest = await UnitRunner(store, pool).run(make_job(store, inputs))
    forget_unit(store, make_job(store, inputs).label)
    job = make_job(store, inputs, Pace(cheat=Cheat(CheatKind.SKIP, 0.4)))
    cheat = await UnitRunner(store, pool).run(job)
    assert cheat.transcript_root != honest.transcript_root
    report = await pool.replay(inputs, committed(cheat, 2, job), start_bytes(store, cheat, 2))
    assert report.bytes_match and report.state_committed and not report.end_matches and not report.is_match
    assert "end_state_root" in report.detail and "salted_witness" in report.detail
    assert report.claim is not None and report.claim.end_state_root != cheat.progress.records[2].end_state_root


async def test_replay_tells_its_three_checks_apart(store: BlobStore, pool: WorkerPool) -> None:
    job = make_job(store, make_inputs())
    result = await UnitRunner(store, pool).run(job)
    wrong_bytes = await pool.replay(job.inputs, committed(result, 1, job), start_bytes(store, result, 2))
    assert not wrong_bytes.bytes_match and wrong_bytes.claim is None
    records = list(result.progress.records)
    fields = {**vars(records[1]), "start_state_root": Hash32(bytes(32))}
    records[1] = SegmentRecord(**fields)
    bent = CommittedSegment(SOLVER, SEED, 5, tuple(records), 1, job.start_state_root)
    report = await pool.replay(job.inputs, bent, start_bytes(store, result, 1))
    assert report.bytes_match and not report.state_committed and report.end_matches and not report.is_match
    with pytest.raises(WorkerFailedError, match="not one of"):
        await pool.replay(job.inputs, committed(result, 4, job), start_bytes(store, result, 0))


async def test_copied_transcript_fails_the_salted_witness(store: BlobStore, pool: WorkerPool) -> None:
    """Another account's records, copied: neither its openings nor a replay under the copyist's name agree."""
    copyist = AccountId(b"c" * 32)
    job = make_job(store, make_inputs())
    result = await UnitRunner(store, pool).run(job)
    with pytest.raises(OpeningError, match="not the salted one"):
        verify_opening(result.compute_openings([1])[0], result.transcript_root, result.end_state_root, 4, copyist)
    stolen = CommittedSegment(copyist, SEED, 5, result.progress.records, 1, job.start_state_root)
    report = await pool.replay(job.inputs, stolen, start_bytes(store, result, 1))
    assert not report.is_match and report.detail == "different: salted_witness"


async def test_other_seed_gives_another_transcript(store: BlobStore, pool: WorkerPool) -> None:
    inputs = make_inputs()
    first = await UnitRunner(store, pool).run(make_job(store, inputs))
    second = await UnitRunner(store, pool).run(make_job(store, inputs, seed=blake2_256(b"other")))
    assert first.transcript_root != second.transcript_root and first.end_state_root != second.end_state_root


async def test_crash_is_typed_and_unit_resumes(store: BlobStore, pool: WorkerPool) -> None:
    job = make_job(store, make_inputs(b"0.002 crash=12"))
    with pytest.raises(WorkerCrashedError, match="-9"):
        await UnitRunner(store, pool).run(job)
    assert len(load_progress(store, job).records) in (1, 2)  # the second was being committed to
    whole = make_inputs()
    mended = make_job(store, TaskInputs(job.inputs.spec, whole.graph, whole.dataset))
    resumed = await UnitRunner(store, pool).run(mended)
    with make_store(store.path.parent / "other") as other:
        straight = await UnitRunner(other, pool).run(make_job(other, whole))
    assert resumed.transcript_root == straight.transcript_root


async def test_failure_is_typed_and_worker_lives_on(store: BlobStore, pool: WorkerPool) -> None:
    with pytest.raises(WorkerFailedError) as caught:
        await UnitRunner(store, pool).run(make_job(store, make_inputs(b"0.002 nan=7")))
    assert caught.value.error_type == "NonFiniteState"
    forget_unit(store, make_job(store, make_inputs()).label)
    async with pool.acquire() as worker:
        pid = worker.pid
    assert await UnitRunner(store, pool).run(make_job(store, make_inputs()))
    async with pool.acquire() as worker:
        assert worker.pid == pid


async def test_cancel_kills_and_unit_resumes(store: BlobStore, pool: WorkerPool) -> None:
    job, started = make_job(store, make_inputs(segments=50), Pace(throttle=0.05)), asyncio.Event()
    task = asyncio.create_task(UnitRunner(store, pool).run(job, lambda _: started.set()))
    await asyncio.wait_for(started.wait(), 30)
    async with asyncio.timeout(30):
        while not load_progress(store, job).records:
            await asyncio.sleep(0.02)
    pid = pool._workers[0].pid
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pid is not None and pool._workers[0].pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    resumed = await UnitRunner(store, pool).run(make_job(store, job.inputs))
    assert len(resumed.progress.records) == 50


async def test_lost_checkpoint_is_made_again(store: BlobStore, pool: WorkerPool) -> None:
    job = make_job(store, make_inputs())
    result = await UnitRunner(store, pool).run(job)
    store.delete(Address(Kind.STATE, result.progress.records[2].end_state_root))
    store.delete(Address(Kind.STATE, result.end_state_root))
    assert (await UnitRunner(store, pool).run(job)).transcript_root == result.transcript_root
    assert store.is_stored(Address(Kind.STATE, result.end_state_root))


async def test_bad_jobs(store: BlobStore, pool: WorkerPool) -> None:
    job = make_job(store, make_inputs())
    store.delete(Address(Kind.STATE, job.start_state_root))
    with pytest.raises(BlobNotFoundError):
        await UnitRunner(store, pool).run(job)
    store.put_state(INITIAL)
    for raw in (b"junk", b"{}", b'{"version": 2, "start": ""}'):
        store.put_record(job.label, raw)
        with pytest.raises(JournalError, match="delete it"):
            await UnitRunner(store, pool).run(job)
    for throttle, skip in ((0.0, 0.0), (1.5, 0.0), (1.0, -0.1), (1.0, 1.1)):
        with pytest.raises(JobError):
            Pace(throttle, Cheat(CheatKind.SKIP, skip))


async def test_throttle_slows_down(store: BlobStore, pool: WorkerPool) -> None:
    loop = asyncio.get_running_loop()
    await UnitRunner(store, pool).run(make_job(store, make_inputs()))
    times = []
    for number, throttle in enumerate((1.0, 0.1)):
        job = make_job(store, make_inputs(), Pace(throttle=throttle), blake2_256(bytes([number])))
        start = loop.time()
        await UnitRunner(store, pool).run(job)
        times.append(loop.time() - start)
    assert times[1] > 2 * times[0]


async def test_event_loop_stays_free(store: BlobStore, pool: WorkerPool) -> None:
    loop, worst = asyncio.get_running_loop(), 0.0

    async def beat() -> None:
        nonlocal worst
        while True:
            start = loop.time()
            await asyncio.sleep(0.01)
            worst = max(worst, loop.time() - start)

    heart = asyncio.create_task(beat())
    await UnitRunner(store, pool).run(make_job(store, make_inputs(segments=20)))
    heart.cancel()
    assert worst < 0.5
