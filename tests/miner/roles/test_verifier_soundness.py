"""A verifier accuses only from a sound machine: a liar's segment, a real replay, and a compiler that miscompiles."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from consensus.commit.hashing import AccountId, Hash32, blake2_256
from consensus.protocol.attestation import Outcome
from consensus.protocol.units import UnitRef
from miner.inspect.errors import MachineUnsound
from miner.inspect.selftest import OwnMachine
from miner.roles.availability import Asker
from miner.roles.context import RoleContext
from miner.roles.link import ChainLink
from miner.roles.replay import Replayer
from miner.roles.taskbook import TaskBook, UnitKey, UnitView
from miner.roles.verifier import Verifier
from miner.store.blobs import BlobStore
from miner.store.client import BlobClient
from miner.store.errors import TaskUnservedError
from miner.store.server import BlobServer
from miner.wallet import Wallet
from miner.work.build import build_task
from miner.work.recovery import CheckpointMaker
from miner.work.segment import CommittedSegment, ReplayReport
from miner.work.unit import UnitJob, UnitRunner
from miner.work.worker import TaskInputs, WorkerPool
from tests.miner.inspect.test_machine import make_compiler
from tests.miner.work.regression import SHAPE, make_parts

SOLVER, SEED = AccountId(b"s" * 32), blake2_256(b"unit")
UNIT = UnitView((0, 0), 0, "Submitted", None, None)
PATIENCE = 5.0


@dataclass(frozen=True)
class Case:
    """A verifier without a chain, and what a solver committed to: the truth, and a lie about the first end state."""

    context: RoleContext
    inputs: TaskInputs
    endpoint: str
    honest: CommittedSegment
    lie: CommittedSegment


class OneReplay(Replayer):
    """Replays one committed segment that does not come from a chain."""

    def __init__(self, case: Case, committed: CommittedSegment) -> None:
        super().__init__(case.context, TaskBook(case.context), OwnMachine())
        self._case, self._committed = case, committed

    async def replay(self, key: UnitKey, segments: list[int], patience: float | None = None) -> list[ReplayReport]:
        case = self._case
        return [await self._replay_one(UNIT, self._committed, case.inputs, case.endpoint, patience)]


class OneDuty(Verifier):
    """A verifier whose duty does not come from a chain."""

    def __init__(self, case: Case, committed: CommittedSegment) -> None:
        super().__init__(case.context, OneReplay(case, committed), Asker(case.context, TaskBook(case.context)))

    async def attest(self) -> Any:
        class Duty:
            segments = (0,)

        return await self._attest((0, 0, 0, 0), Duty(), PATIENCE)  # type: ignore[arg-type]


@pytest_asyncio.fixture
async def case(tmp_path: Path) -> AsyncIterator[Case]:
    with BlobStore(tmp_path / "solver") as solver_store, BlobStore(tmp_path / "verifier") as store:
        spec = build_task(make_parts(), SHAPE, solver_store)
        inputs = TaskInputs(spec, solver_store.get_blob(spec.graph.root), solver_store.get_blob(spec.dataset.root))
        start = Hash32(bytes.fromhex(spec.initial_state_root))
        server = BlobServer(solver_store)
        wallet = Wallet.from_uri("//Eve")
        async with WorkerPool() as pool, BlobClient() as client:
            result = await UnitRunner(solver_store, pool).run(UnitJob(UnitRef(0, 0, 0), inputs, SEED, SOLVER, start))
            records = result.progress.records
            lies = (replace(records[0], end_state_root=blake2_256(b"lie")), *records[1:])
            honest = CommittedSegment(SOLVER, SEED, spec.steps_per_segment, records, 0, start)
            maker_pool = WorkerPool()
            context = RoleContext(
                ChainLink("ws://127.0.0.1:1", wallet), wallet, store, client, pool, pool,
                CheckpointMaker(store, maker_pool), tmp_path, "",
            )  # fmt: skip
            yield Case(context, inputs, await server.start(), honest, replace(honest, records=lies))
            await maker_pool.close()
        await server.stop()


async def test_a_sound_machine_attests_what_it_got(case: Case) -> None:
    for committed, mismatches in ((case.honest, 0), (case.lie, 1)):
        attestation = await OneDuty(case, committed).attest()
        assert attestation.outcome is Outcome.EXECUTED
        assert attestation.segments[0].end_state_root == case.honest.records[0].end_state_root
        assert case.context.counters.mismatches == mismatches


async def test_an_unsound_machine_is_inconclusive_and_accuses_nobody(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIPOW_CC", str(make_compiler(tmp_path, "-ffast-math")))
    monkeypatch.setenv("AIPOW_KERNEL_CACHE", str(tmp_path / "cache"))
    verifier = OneDuty(case, case.lie)
    with pytest.raises(MachineUnsound):
        await verifier._replayer.replay(UNIT.key, [0], PATIENCE)
    attestation = await verifier.attest()
    assert (attestation.outcome, attestation.segments) == (Outcome.INCONCLUSIVE, ())
    assert case.context.counters.mismatches == 0
    attestation = await OneDuty(case, case.honest).attest()
    assert attestation.outcome is Outcome.EXECUTED, "equal roots cannot come about by a fault"


class UnservedReplay(Replayer):
    """Its task's inputs are served by nobody."""

    async def replay(self, key: UnitKey, segments: list[int], patience: float | None = None) -> list[ReplayReport]:
        raise TaskUnservedError(key[0], "nobody there")


async def test_what_the_owner_does_not_serve_is_no_guilt_of_the_solver(case: Case) -> None:
    asked: list[tuple[UnitKey, int]] = []

    class Witness(Asker):
        async def ask_owner(self, key: UnitKey, attempt: int) -> None:
            asked.append((key, attempt))

    verifier = OneDuty(case, case.honest)
    verifier._replayer = UnservedReplay(case.context, TaskBook(case.context), OwnMachine())
    verifier._asker = Witness(case.context, TaskBook(case.context))
    attestation = await verifier.attest()
    assert (attestation.outcome, attestation.segments) == (Outcome.INCONCLUSIVE, ())
    assert asked == [((0, 0), 0)]
