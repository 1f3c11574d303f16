"""A miner's side of one unit as a process that can be killed: `python -m tests.miner.work.unit_process FOLDER`.

Runs the unit of `make_job` on a built-in model with the real executor, resuming what an earlier process left behind;
prints a line when the unit's steps have begun and one when all is stored. A killed worker is started again.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from consensus.commit.hashing import AccountId, Hash32, blake2_256
from consensus.protocol.units import UnitRef
from miner.models import build_task_parts
from miner.store.blobs import BlobStore
from miner.work.build import TaskShape, build_task
from miner.work.errors import WorkerCrashedError
from miner.work.retention import Retention
from miner.work.segment import Pace
from miner.work.unit import UnitJob, UnitRunner
from miner.work.worker import TaskInputs, WorkerPool

SHAPE = TaskShape(rounds=1, shards=1, segments_per_unit=9, steps_per_segment=6)
FILE_BYTES = 1000  # so that the states, some 20 kB, are files as those of larger models are
SQUARE_ROOT = Retention(full_bytes=0)
SLOW = 0.03  # throttle at which the unit takes a second or more


def open_store(folder: Path) -> BlobStore:
    """The store of such a process."""
    return BlobStore(folder / "blobs", file_bytes=FILE_BYTES)


def make_job(store: BlobStore, throttle: float = 1.0) -> UnitJob:
    """The unit; its task is stored anew, which changes nothing the second time."""
    spec = build_task(build_task_parts("digits-mlp-tiny", bytes(32)), SHAPE, store)
    inputs = TaskInputs(spec, store.get_blob(spec.graph.root), store.get_blob(spec.dataset.root))
    start = Hash32(bytes.fromhex(spec.initial_state_root))
    return UnitJob(UnitRef(0, 0, 0), inputs, blake2_256(b"unit"), AccountId(b"s" * 32), start, Pace(throttle))


async def run(folder: Path) -> None:
    """Until the unit is finished."""
    has_begun = False
    with open_store(folder) as store:
        async with WorkerPool(1) as pool:

            def on_progress(_: object) -> None:
                nonlocal has_begun
                (folder / "worker").write_text(str(pool._workers[0].pid))
                if not has_begun:
                    print("begun", flush=True)
                has_begun = True

            while True:
                try:
                    await UnitRunner(store, pool, SQUARE_ROOT).run(make_job(store, SLOW), on_progress)
                    break
                except WorkerCrashedError as error:
                    print(error, file=sys.stderr)
    print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1])))
