"""A solver's keeper: drawn segments' start states are made unasked; units that are over are forgotten, others never."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from consensus.protocol.units import UnitRef
from miner.roles.checkpoint_keeper import CheckpointKeeper
from miner.roles.context import RoleContext
from miner.roles.link import ChainLink
from miner.roles.taskbook import TaskBook
from miner.store.address import Address, Kind
from miner.store.blobs import BlobStore
from miner.store.client import BlobClient
from miner.wallet import Wallet
from miner.work.journal import NO_PROGRESS, Journal, save_journal
from miner.work.recovery import CheckpointMaker
from miner.work.retention import Retention
from miner.work.unit import UnitRunner, list_units
from miner.work.worker import WorkerOptions, WorkerPool
from pallets_abi import stakes, tasks
from pallets_abi.verification import Duty, Phase
from tests.chain.node_process import NodeProcess
from tests.miner.work.linear import FACTORY, make_inputs, make_job, make_store

OPTIONS = WorkerOptions(niceness=1, factory=FACTORY)
HASHES = [f"0x{number:064x}" for number in range(1, 4)]


@asynccontextmanager
async def open_context(link: ChainLink, store: BlobStore, folder: Path) -> AsyncIterator[RoleContext]:
    maker = CheckpointMaker(store, WorkerPool(1, OPTIONS))
    async with BlobClient() as client, WorkerPool(1, OPTIONS) as pool:
        try:
            yield RoleContext(link, link.wallet, store, client, pool, pool, maker, folder, "http://127.0.0.1:1")
        finally:
            await maker.close()


def make_duty(segments: list[int], phase: Phase = Phase.COMMIT, attempt: int = 0, draws: int = 1) -> Duty:
    return Duty([], segments, phase, 100, None, attempt, draws)


async def test_states_of_drawn_segments_are_made_unasked(tmp_path: Path) -> None:
    link = ChainLink("ws://127.0.0.1:1", Wallet.from_uri("//Bob"))
    with make_store(tmp_path) as store:
        inputs = make_inputs(segments=9, steps=3)
        for data in (inputs.spec.encode(), inputs.graph, inputs.dataset):
            store.put_blob(data)
        job = make_job(store, inputs)
        async with open_context(link, store, tmp_path) as context:
            result = await UnitRunner(store, context.pool, Retention(0)).run(job)
            starts = [Address(Kind.STATE, record.start_state_root) for record in result.progress.records]
            dropped = [index for index, start in enumerate(starts) if not store.is_stored(start)]
            assert dropped == [1, 2, 4, 5, 7, 8]
            keeper, unit = CheckpointKeeper(context, TaskBook(context)), (job.ref.task, job.ref.unit)
            await keeper.on_duties([
                (unit, make_duty([1, 5])), (unit, make_duty([7], Phase.REVEAL)), (unit, make_duty([8], attempt=1)),
                ((9, 9), make_duty([2])),
            ], frozenset())  # fmt: skip
            async with asyncio.timeout(60):
                while context.maker.made < 2:
                    await asyncio.sleep(0.02)
            assert [index for index in dropped if store.is_stored(starts[index])] == [1, 5]
            disputed = frozenset({starts[7].root})
            await keeper.on_duties([(unit, make_duty([1, 5])), (unit, make_duty([8], draws=2))], disputed)
            async with asyncio.timeout(60):
                while context.maker.made < 4:
                    await asyncio.sleep(0.02)
            assert store.is_stored(starts[8]) and not store.is_stored(starts[2])
            assert store.is_stored(starts[7]), "what a game starts from is made again as well"


async def test_units_that_are_not_ours_any_more_are_forgotten(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "alice", "--dev-key", "//Alice", chain="test")
    alice, bob = (None, None)
    try:
        node.start()
        alice, bob = (ChainLink(node.url, Wallet.from_uri(f"//{name}")) for name in ("Alice", "Bob"))
        for link in (alice, bob):
            await link.connect(20)
        bond = (await bob.query(stakes.PARAMS)).min_solver_bond
        await bob.submit(stakes.BondCall(stakes.Role.SOLVER, bond))
        floor = (await alice.query(tasks.PARAMS)).floor_price
        spec = tasks.TaskSpec(
            spec_hash=HASHES[0], graph_root=HASHES[1], initial_state_root=HASHES[2], shards=2, rounds=1,
            segments_per_unit=4, steps_per_segment=5, macs_per_step=10**6, price=80 * floor, deadline_blocks=1000,
            endpoint=b"http://127.0.0.1:1", node_count=1, state_count=1, data=tasks.DataRule(HASHES[0], 1, False),
        )  # fmt: skip
        await alice.submit(tasks.PostCall(spec))
        await bob.submit(tasks.ClaimCall(0, 0))
        with make_store(tmp_path) as store:
            pinned = make_job(store, make_inputs())
            for ref in (UnitRef(0, 0, 0), UnitRef(0, 0, 7), UnitRef(0, 1, 0), UnitRef(5, 0, 0)):
                label = f"unit/{ref.task}/{ref.unit}/{ref.attempt}/aa"
                store.pin(Address(Kind.STATE, pinned.start_state_root), label)
                save_journal(
                    store,
                    Journal(
                        label, pinned.inputs.spec.spec_hash, pinned.unit_seed, pinned.solver, pinned.start_state_root,
                        0.0, 0.0, NO_PROGRESS,
                    ),
                )  # fmt: skip
            async with open_context(bob, store, tmp_path) as context:
                forgotten = await CheckpointKeeper(context, TaskBook(context)).tidy()
                assert forgotten == [UnitRef(0, 0, 7), UnitRef(0, 1, 0), UnitRef(5, 0, 0)]
                assert list_units(store) == [(UnitRef(0, 0, 0), "unit/0/0/0/aa")]
                assert store._index[Address(Kind.STATE, pinned.start_state_root)].pins == {"unit/0/0/0/aa"}
                assert (context.counters.units_lost, context.counters.units_final) == (3, 0)
    finally:
        for link in filter(None, (alice, bob)):
            await link.close()
        node.stop()
