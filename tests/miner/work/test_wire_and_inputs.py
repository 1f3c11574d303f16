"""Frames are bounded; inputs come from a peer's real server and are refused when they are not what is on chain."""

import dataclasses
import io
import subprocess
import sys
from pathlib import Path

import pytest

from consensus.commit.hashing import AccountId, Hash32, blake2_256
from consensus.protocol.units import UnitRef
from miner.store.blobs import BlobStore
from miner.store.client import BlobClient, FetchPolicy
from miner.store.errors import BlobNotFoundError, BlobTooLargeError, UnreachableError
from miner.store.server import BlobServer
from miner.work.build import build_task
from miner.work.errors import TaskSpecError
from miner.work.inputs import compute_task_label, fetch_evaluation, fetch_segment_start, fetch_task, fetch_transcript
from miner.work.segment import CommittedSegment
from miner.work.task import compute_chain_task
from miner.work.unit import UnitJob, UnitRunner
from miner.work.wire import Frame, FrameError, read_frame, write_frame
from miner.work.worker import TaskInputs, WorkerPool
from tests.miner.work.regression import SHAPE, make_parts

SOLVER = AccountId(b"s" * 32)
SEED = blake2_256(b"unit")

QUICK = FetchPolicy(1, 1, 5, 0, 0.01)


def make_inputs(store: BlobStore) -> TaskInputs:
    spec = build_task(make_parts(), SHAPE, store)
    return TaskInputs(spec, store.get_blob(spec.graph.root), store.get_blob(spec.dataset.root))


def test_frames_round_trip() -> None:
    stream = io.BytesIO()
    write_frame(stream, Frame({"type": "a"}, (b"one", b"")))
    write_frame(stream, Frame({"type": "b"}))
    stream.seek(0)
    assert read_frame(stream) == Frame({"type": "a"}, (b"one", b""))
    assert read_frame(stream) == Frame({"type": "b"})
    assert read_frame(stream) is None


@pytest.mark.parametrize(
    "raw",
    [
        b"\x01", b"\x05\0\0\0{}", bytes(4), b"\xff\xff\xff\xff", b"\x02\0\0\0{}", b"\x02\0\0\0[]", b"\x02\0\0\0xx",
        b"\x0e\0\0\0" + b'{"blobs":[99]}', b"\x0e\0\0\0" + b'{"blobs":[-1]}', b"\x0b\0\0\0" + b'{"blobs":1}',
    ],
)  # fmt: skip
def test_invalid_frames(raw: bytes) -> None:
    with pytest.raises(FrameError):
        read_frame(io.BytesIO(raw))


async def test_everything_travels_from_submitter_to_validator(tmp_path: Path) -> None:
    with BlobStore(tmp_path / "submitter") as theirs, BlobStore(tmp_path / "mine") as mine:
        inputs = make_inputs(theirs)
        root = Hash32(bytes.fromhex(inputs.spec.initial_state_root))
        job = UnitJob(UnitRef(7, 0, 0), inputs, SEED, SOLVER, root)
        server = BlobServer(theirs)
        task = compute_chain_task(inputs.spec, 1, 1, await server.start())
        async with BlobClient(QUICK) as client, WorkerPool() as pool:
            fetched = await fetch_task(client, mine, task, 7)
            assert fetched == inputs and await fetch_evaluation(client, mine, task.endpoint, fetched)
            assert mine.unpin(compute_task_label(7)) == 3
            result = await UnitRunner(theirs, pool).run(job)
            records = await fetch_transcript(client, mine, server.url, result.transcript_root)
            committed = CommittedSegment(SOLVER, SEED, 5, tuple(records), 2, job.start_state_root)
            start = await fetch_segment_start(client, mine, server.url, committed, fetched)
            assert (await pool.replay(fetched, committed, start)).is_match
            with pytest.raises(BlobNotFoundError):
                await fetch_transcript(client, mine, server.url, Hash32(bytes(32)))
            await server.stop()
            with pytest.raises(UnreachableError):
                await fetch_segment_start(client, mine, server.url, dataclasses.replace(committed, index=1), fetched)


async def test_inputs_that_are_not_what_is_on_chain(tmp_path: Path) -> None:
    with BlobStore(tmp_path / "submitter") as theirs, BlobStore(tmp_path / "mine") as mine:
        inputs = make_inputs(theirs)
        costly = dataclasses.replace(inputs.spec, macs_per_step=inputs.spec.macs_per_step + 1)
        small = dataclasses.replace(inputs.spec, graph=dataclasses.replace(inputs.spec.graph, bytes=3))
        large = dataclasses.replace(inputs.spec, graph=dataclasses.replace(inputs.spec.graph, bytes=99_999))
        for data in (small.encode(), large.encode(), costly.encode(), b"no document"):
            theirs.put_blob(data)
        server = BlobServer(theirs)
        good = compute_chain_task(inputs.spec, 1, 1, await server.start())
        async with BlobClient(QUICK) as client:
            for task, error in (
                (dataclasses.replace(good, rounds=9), TaskSpecError),
                (dataclasses.replace(good, spec_hash=blake2_256(b"no document")), TaskSpecError),
                (dataclasses.replace(good, spec_hash=Hash32(bytes(32))), BlobNotFoundError),
                (compute_chain_task(small, 1, 1, server.url), BlobTooLargeError),
                (compute_chain_task(large, 1, 1, server.url), TaskSpecError),
                (compute_chain_task(costly, 1, 1, server.url), TaskSpecError),
            ):
                with pytest.raises(error):
                    await fetch_task(client, mine, task, 1)
        await server.stop()


def test_worker_imports_neither_torch_nor_daemon_parts() -> None:
    """A worker starts fast and small; LevelDB, HTTP and PyTorch stay in the daemon."""
    code = (
        "import sys, miner.work.worker_main, miner.kernels\n"
        "print([name for name in ('torch', 'plyvel', 'aiohttp', 'wasmtime') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
