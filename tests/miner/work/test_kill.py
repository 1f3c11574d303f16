"""Killed with -9 at any instant, again and again: nothing half-written, and the bytes of an undisturbed run."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from consensus.commit.records import SegmentRecord
from miner.store.address import Address, Kind
from miner.work.unit import UnitRunner, load_progress, load_result
from miner.work.worker import WorkerPool
from tests.chain.node_process import wait_until
from tests.miner.work.unit_process import SQUARE_ROOT, make_job, open_store

KILLS = 4
LATEST = 0.5  # seconds after the first step of a process at which it is killed at the latest


def run_and_kill(folder: Path, delay: float, is_worker: bool) -> bool:
    """Kills the daemon, or its worker and then the daemon; whether the unit was not finished before."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.miner.work.unit_process", str(folder)],
        stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == b"begun\n"
    time.sleep(delay)
    worker = int((folder / "worker").read_text())
    if is_worker:
        os.kill(worker, signal.SIGKILL)
        time.sleep(delay)
    process.kill()
    returncode = process.wait()
    process.stdout.close()
    wait_until(lambda: not is_running(worker), 20, "the orphaned worker ends by itself")
    return returncode == -signal.SIGKILL


def is_running(pid: int) -> bool:
    """False also for a zombie that its new parent has not reaped yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def check_store(folder: Path, expected: tuple[SegmentRecord, ...]) -> int:
    """Everything that the store says it has is whole; the journal is a beginning of the undisturbed one. Its length."""
    with open_store(folder) as store:
        for address in list(store._index):
            store.get(address)  # raises for a file that is not the one of its root
        assert not list(store.spool.iterdir())
        job = make_job(store)
        records = load_progress(store, job).records
        assert records == expected[: len(records)]
        start = records[-1].end_state_root if records else job.start_state_root
        assert store.is_stored(Address(Kind.STATE, start))
        return len(records)


async def test_killed_run_gives_the_bytes_of_an_undisturbed_one(tmp_path: Path) -> None:
    with open_store(tmp_path / "straight") as store:
        async with WorkerPool(1) as pool:
            job = make_job(store)
            straight = await UnitRunner(store, pool, SQUARE_ROOT).run(job)
        states = {address: store.get(address) for address in store._index if address.kind is Kind.STATE}
    records, done, kills = straight.progress.records, [0], 0
    instants = random.Random(4)
    while kills < KILLS and done[-1] < len(records) - 1:
        delay, is_worker = instants.uniform(0, LATEST), bool(kills % 2)
        kills += await asyncio.to_thread(run_and_kill, tmp_path, delay, is_worker)
        done.append(check_store(tmp_path, records))
    assert kills >= 2 and done == sorted(done)
    with open_store(tmp_path) as store:
        async with WorkerPool(1) as pool:
            await UnitRunner(store, pool, SQUARE_ROOT).run(make_job(store))
        assert load_result(store, job) == straight
        assert {a: store.get(a) for a in store._index if a.kind is Kind.STATE} == states
        assert len(states) == 4
