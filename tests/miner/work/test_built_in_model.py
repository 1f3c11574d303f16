"""A built-in PyTorch model as a task: traced, built, executed in a worker, replayed, loaded back into PyTorch."""

from pathlib import Path

from consensus.commit.hashing import AccountId, Hash32, blake2_256
from consensus.protocol.units import UnitRef
from miner.models import build_task_parts, evaluate
from miner.store.address import Address, Kind
from miner.store.blobs import BlobStore
from miner.store.tensor_file import decode_tensors
from miner.work.build import TaskShape, build_task
from miner.work.cheat import Cheat, CheatKind
from miner.work.segment import CommittedSegment, Pace
from miner.work.unit import UnitJob, UnitRunner, forget_unit
from miner.work.worker import TaskInputs, WorkerPool

MODEL = "digits-mlp-tiny"
SOLVER, SEED = AccountId(b"s" * 32), blake2_256(b"unit")


async def test_digits_learn_and_a_cheater_is_seen(tmp_path: Path) -> None:
    parts = build_task_parts(MODEL, bytes(32))
    with BlobStore(tmp_path / "blobs") as store:
        spec = build_task(parts, TaskShape(1, 1, 2, 60), store)
        inputs = TaskInputs(spec, store.get_blob(spec.graph.root), store.get_blob(spec.dataset.root))
        start = Hash32(bytes.fromhex(spec.initial_state_root))
        job = UnitJob(UnitRef(0, 0, 0), inputs, SEED, SOLVER, start)
        async with WorkerPool() as pool:
            runner = UnitRunner(store, pool)
            result = await runner.run(job)
            held_out = decode_tensors(store.get_blob(spec.evaluation.root))
            before = evaluate(MODEL, parts.initial_state, held_out)
            after = evaluate(MODEL, store.get_state(result.end_state_root), held_out)
            assert after.loss < 0.5 * before.loss and after.accuracy > 0.8

            def committed() -> CommittedSegment:
                return CommittedSegment(SOLVER, SEED, 60, result.progress.records, 1, start)

            middle = store.get(Address(Kind.STATE, result.progress.records[0].end_state_root))
            assert (await pool.replay(inputs, committed(), middle)).is_match
            forget_unit(store, job.label)
            pace = Pace(cheat=Cheat(CheatKind.SKIP, 0.5))
            result = await runner.run(UnitJob(UnitRef(0, 0, 0), inputs, SEED, SOLVER, start, pace))
            middle = store.get(Address(Kind.STATE, result.progress.records[0].end_state_root))
            report = await pool.replay(inputs, committed(), middle)
            assert report.bytes_match and report.state_committed and not report.end_matches
