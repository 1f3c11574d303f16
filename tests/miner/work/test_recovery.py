"""Dropped checkpoints come again: real workers, real HTTP, across restarts; nothing else is made."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from consensus.commit.hashing import Hash32
from miner.store.address import Address, Kind, encode_transcript
from miner.store.allowance import Allowance
from miner.store.blobs import BlobStore
from miner.store.client import BlobClient, FetchPolicy
from miner.store.errors import BlobNotFoundError, RecoveryBusyError, StillPendingError
from miner.store.server import BlobServer
from miner.work import recovery
from miner.work.cheat import Cheat, CheatKind
from miner.work.inputs import fetch_segment_start
from miner.work.journal import find_checkpoint, load_journal, save_journal
from miner.work.recovery import MAX_FAILURES, CheckpointMaker, find_nearest
from miner.work.retention import Retention
from miner.work.segment import CommittedSegment, Pace
from miner.work.unit import UnitJob, UnitResult, UnitRunner, forget_unit
from miner.work.worker import TaskInputs, WorkerOptions, WorkerPool
from tests.miner.work.linear import FACTORY, SEED, SOLVER, make_inputs, make_job, make_store

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPTIONS = WorkerOptions(niceness=1, factory=FACTORY)
SQUARE_ROOT = Retention(full_bytes=0)
SMALL = 100  # so that the states, some 300 bytes, are files as those of real models are
SEGMENTS, KEPT = 9, (0, 3, 6, 9)
QUICK = FetchPolicy(retries=1, pause_seconds=0.01, pending_seconds=60)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[BlobStore]:
    with make_store(tmp_path, SMALL) as opened:
        yield opened


def put_inputs(store: BlobStore, graph: bytes = b"0.002") -> TaskInputs:
    inputs = make_inputs(graph, segments=SEGMENTS, steps=3)
    for data in (inputs.spec.encode(), inputs.graph, inputs.dataset):
        store.put_blob(data, "task/1")
    return inputs


def address(result: UnitResult, job: UnitJob, checkpoint: int) -> Address:
    root = result.progress.records[checkpoint - 1].end_state_root if checkpoint else job.start_state_root
    return Address(Kind.STATE, root)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[WorkerPool]:
    """One miner's worker for all tests: starting a process takes longer than what it does here."""
    async with WorkerPool(1, OPTIONS) as opened:
        yield opened


async def run_unit(
    store: BlobStore, pool: WorkerPool, job: UnitJob, retention: Retention = SQUARE_ROOT
) -> UnitResult:
    return await UnitRunner(store, pool, retention).run(job)


async def run_whole(path: Path, pool: WorkerPool, job: UnitJob) -> dict[int, bytes]:
    """All checkpoints' bytes of the same unit in a store that keeps them."""
    with make_store(path / "whole", SMALL) as whole:
        fresh = make_job(whole, job.inputs, job.pace)
        result = await run_unit(whole, pool, fresh, Retention())
        return {i: whole.get(address(result, fresh, i)) for i in range(SEGMENTS + 1)}


@asynccontextmanager
async def serve(store: BlobStore) -> AsyncIterator[tuple[str, CheckpointMaker]]:
    maker = CheckpointMaker(store, WorkerPool(1, OPTIONS))
    server = BlobServer(store, recoverer=maker)
    try:
        yield await server.start(), maker
    finally:
        await server.stop()
        await maker.close()


async def test_about_the_square_root_is_stored(store: BlobStore, pool: WorkerPool) -> None:
    job = make_job(store, put_inputs(store))
    result = await run_unit(store, pool, job)
    kept = tuple(i for i in range(SEGMENTS + 1) if store.is_stored(address(result, job, i)))
    assert kept == KEPT
    assert len(list((store.path / "files").glob("state-*"))) == len(KEPT)
    assert not list(store.spool.iterdir())


async def test_dropped_checkpoints_are_served_after_a_restart(tmp_path: Path, pool: WorkerPool) -> None:
    with make_store(tmp_path, SMALL) as store:
        job = make_job(store, put_inputs(store))
        result = await run_unit(store, pool, job)
    expected = await run_whole(tmp_path, pool, job)
    with make_store(tmp_path, SMALL) as store:
        async with serve(store) as (url, maker), BlobClient(QUICK) as client:
            wanted = [address(result, job, i) for i in range(SEGMENTS + 1)]
            fetched = await asyncio.gather(*(client.fetch(url, one) for one in wanted))
            assert dict(enumerate(fetched)) == expected
            assert maker.made == SEGMENTS + 1 - len(KEPT)


async def test_verifier_waits_and_replays(store: BlobStore, pool: WorkerPool, tmp_path: Path) -> None:
    job = make_job(store, put_inputs(store))
    result = await run_unit(store, pool, job)
    committed = CommittedSegment(SOLVER, SEED, 3, result.progress.records, 5, job.start_state_root)
    with make_store(tmp_path / "verifier", SMALL) as theirs:
        async with serve(store) as (url, _), BlobClient(QUICK) as client:
            with pytest.raises(StillPendingError, match="before the deadline"):
                await fetch_segment_start(client, theirs, url, committed, job.inputs, 0.0)
            start = await fetch_segment_start(client, theirs, url, committed, job.inputs, 60.0)
            assert (await pool.replay(job.inputs, committed, start)).is_match


async def test_answer_is_202_with_a_time_and_work_is_done_once(store: BlobStore, pool: WorkerPool) -> None:
    job = make_job(store, put_inputs(store))
    result = await run_unit(store, pool, job)
    async with serve(store) as (url, maker), aiohttp.ClientSession() as session:
        wanted = address(result, job, 2)

        async def ask() -> int:
            async with session.get(f"{url}/{wanted}") as answer:
                assert answer.status != 202 or int(answer.headers["Retry-After"]) >= 1
                return answer.status

        assert set(await asyncio.gather(*(ask() for _ in range(20)))) == {202}
        async with session.get(f"{url}/proof/{address(result, job, 4).root.hex()}/weight") as answer:
            assert answer.status == 202
        async with asyncio.timeout(30):
            while await ask() != 200:
                await asyncio.sleep(0.05)
        async with asyncio.timeout(30):
            while maker.made < 2:
                await asyncio.sleep(0.05)
        assert maker.made == 2


async def test_unknown_and_closed_roots_are_refused(store: BlobStore, pool: WorkerPool) -> None:
    job = make_job(store, put_inputs(store))
    result = await run_unit(store, pool, job)
    dropped = address(result, job, 2)
    async with serve(store) as (url, maker), BlobClient(QUICK) as client:
        for unknown in (Address(Kind.STATE, Hash32(bytes(32))), Address(Kind.BLOB, dropped.root)):
            with pytest.raises(BlobNotFoundError):
                await client.fetch(url, unknown)
        forget_unit(store, job.label)
        with pytest.raises(BlobNotFoundError):
            await client.fetch(url, dropped)
        assert maker.made == 0 and find_checkpoint(store, dropped.root) is None


async def test_checkpoints_of_a_running_unit_are_served(store: BlobStore, pool: WorkerPool) -> None:
    job = make_job(store, put_inputs(store), Pace(throttle=0.02))
    running = asyncio.create_task(UnitRunner(store, pool, SQUARE_ROOT).run(job))
    async with asyncio.timeout(60):
        while (journal := load_journal(store, job.label)) is None or len(journal.progress.records) < 2:
            await asyncio.sleep(0.005)
    os.kill(pool._workers[0].pid or 0, signal.SIGSTOP)
    wanted = Address(Kind.STATE, journal.get_checkpoint_root(1))
    async with serve(store) as (url, _), BlobClient(QUICK) as client:
        await client.fetch(url, wanted)
    assert not running.done()
    os.kill(pool._workers[0].pid or 0, signal.SIGCONT)
    result = await running
    assert store.is_stored(wanted) and result.progress.records[0].end_state_root == wanted.root


async def test_cheaters_checkpoint_comes_by_cheating(store: BlobStore, pool: WorkerPool, tmp_path: Path) -> None:
    job = make_job(store, put_inputs(store), Pace(cheat=Cheat(CheatKind.SKIP, 0.4)))
    result = await run_unit(store, pool, job)
    expected = await run_whole(tmp_path, pool, job)
    async with serve(store) as (url, _), BlobClient(QUICK) as client:
        assert await client.fetch(url, address(result, job, 5)) == expected[5]


async def test_bytes_that_do_not_come_out_are_never_served(store: BlobStore, pool: WorkerPool) -> None:
    """A journal that lies stands for hardware that gave other bytes: the error is logged, the answer 404."""
    job = make_job(store, put_inputs(store))
    await run_unit(store, pool, job)
    journal = load_journal(store, job.label)
    assert journal is not None
    wrong = Hash32(b"\x07" * 32)
    records = list(journal.progress.records)[:2]
    records[1] = dataclasses.replace(records[1], end_state_root=wrong)
    progress = dataclasses.replace(journal.progress.cut(2, 3), records=tuple(records))
    save_journal(store, dataclasses.replace(journal, progress=progress))
    before = store.total_bytes
    maker = CheckpointMaker(store, WorkerPool(1, OPTIONS))
    async with asyncio.timeout(60):
        while await maker.request(Address(Kind.STATE, wrong)) is not None:
            await asyncio.sleep(0.05)
    await maker.close()
    assert maker.made == 0 and maker._failures == {wrong: MAX_FAILURES}
    assert store.total_bytes == before and not list(store.spool.iterdir())


async def test_too_many_requests_are_refused(
    store: BlobStore, pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "MAX_WAITING", 2)
    job = make_job(store, put_inputs(store))
    result = await run_unit(store, pool, job)
    async with serve(store) as (url, maker), aiohttp.ClientSession() as session:
        first = [await maker.request(address(result, job, i)) for i in (1, 2)]
        assert first[0] is not None and first[1] is not None and first[1] > first[0]
        with pytest.raises(RecoveryBusyError):
            await maker.request(address(result, job, 4))
        async with session.get(f"{url}/{address(result, job, 4)}") as answer:
            assert answer.status == 503 and "Retry-After" in answer.headers


async def test_strangers_share_a_small_allowance(store: BlobStore, pool: WorkerPool) -> None:
    """One may overdraw it; the next is told when to come again; a drawn verifier is served all the same, and first."""
    job = make_job(store, put_inputs(store))
    result = await run_unit(store, pool, job)
    now = 0.0
    maker = CheckpointMaker(store, WorkerPool(1, OPTIONS), allowance=Allowance(0.05, 0.001, lambda: now))
    server = BlobServer(store, recoverer=maker)
    url = await server.start()
    async with aiohttp.ClientSession() as session, BlobClient(QUICK) as client:
        assert await client.fetch(url, address(result, job, 2))
        for _ in range(3):
            async with session.get(f"{url}/{address(result, job, 4)}") as answer:
                assert answer.status == 503 and int(answer.headers["Retry-After"]) >= 1
        with pytest.raises(RecoveryBusyError) as caught:
            await maker.request(address(result, job, 4))
        await maker.expect([address(result, job, 5).root])
        assert await client.fetch(url, address(result, job, 5))
        assert maker.made == 2
        with pytest.raises(RecoveryBusyError):
            await maker.request(address(result, job, 4))
        now = caught.value.seconds + 0.001
        assert await client.fetch(url, address(result, job, 4))
    await server.stop()
    await maker.close()


async def test_what_duties_ask_for_is_made_first_unasked_and_pinned(store: BlobStore, pool: WorkerPool) -> None:
    job = make_job(store, put_inputs(store))
    result = await run_unit(store, pool, job)
    maker = CheckpointMaker(store, WorkerPool(1, OPTIONS))
    made: list[int] = []
    strangers, due = (1, 2, 4), (7, 8)
    for checkpoint in strangers:
        await maker.request(address(result, job, checkpoint))
    await maker.expect([address(result, job, i).root for i in due] + [Hash32(bytes(32))])
    async with asyncio.timeout(60):
        while len(made) < len(strangers) + len(due):
            made += [i for i in (*strangers, *due) if i not in made and store.is_stored(address(result, job, i))]
            await asyncio.sleep(0.001)
    assert set(made[:2]) <= {1, 7, 8} and set(made[3:]) == {2, 4}
    await maker.expect([address(result, job, 1).root])
    await maker.close()
    stored = [i for i in range(SEGMENTS + 1) if store.is_stored(address(result, job, i))]
    assert [i for i in stored if job.label in store._index[address(result, job, i)].pins] == [0, 1, 3, 6, 7, 8, 9]


async def test_worker_is_ended_when_nothing_is_asked(store: BlobStore, pool: WorkerPool) -> None:
    job = make_job(store, put_inputs(store))
    result = await run_unit(store, pool, job)
    others = WorkerPool(1, OPTIONS)
    maker = CheckpointMaker(store, others, idle_seconds=0.1)
    async with asyncio.timeout(30):
        for checkpoint in (1, 4):
            await maker.request(address(result, job, checkpoint))
            while not store.is_stored(address(result, job, checkpoint)) or others._workers[0].pid is not None:
                await asyncio.sleep(0.02)
    await maker.close()
    assert maker.made == 2


async def test_lost_kept_checkpoint_is_made_from_an_earlier_one(store: BlobStore, pool: WorkerPool) -> None:
    job = make_job(store, put_inputs(store))
    result = await run_unit(store, pool, job)
    store.delete(address(result, job, 3))
    journal = load_journal(store, job.label)
    assert journal is not None and find_nearest(store, journal, 5) == 0
    async with serve(store) as (url, _), BlobClient(QUICK) as client:
        await client.fetch(url, address(result, job, 5))
        store.delete(address(result, job, 0))
        with pytest.raises(BlobNotFoundError):
            await client.fetch(url, address(result, job, 1))


async def test_killed_unit_resumes_with_few_checkpoints(tmp_path: Path, pool: WorkerPool) -> None:
    """Worker killed at step 16 (segment 5): the last checkpoint is there although it is none of those that stay."""
    with make_store(tmp_path, SMALL) as store:
        inputs = put_inputs(store, b"0.002 crash=16")
        job = make_job(store, inputs)
        with pytest.raises(Exception, match="-9"):
            await run_unit(store, pool, job)
        journal = load_journal(store, job.label)
        assert journal is not None and len(journal.progress.records) in (4, 5)
        last = len(journal.progress.records)
        kept = [i for i in range(last + 1) if store.is_stored(Address(Kind.STATE, journal.get_checkpoint_root(i)))]
        assert kept == [0, 3, last] and not list(store.spool.iterdir())
        whole = make_inputs(b"0.002", segments=SEGMENTS, steps=3)
        mended = make_job(store, TaskInputs(inputs.spec, whole.graph, whole.dataset))
        resumed = await run_unit(store, pool, mended)
        assert tuple(i for i in range(SEGMENTS + 1) if store.is_stored(address(resumed, mended, i))) == KEPT
    with make_store(tmp_path / "straight", SMALL) as other:
        straight = await run_unit(other, pool, make_job(other, whole))
    assert resumed.transcript_root == straight.transcript_root
    assert encode_transcript(list(resumed.progress.records)) == encode_transcript(list(straight.progress.records))
