"""A task's owner answers on a real chain for its data set; a solver whom nobody gives it asks, and loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from consensus.commit.hashing import Hash32
from consensus.commit.merkle import compute_proof_of_hashes
from consensus.commit.state import State
from consensus.dispute.availability import DataChunk, Tensors, open_data
from miner.kernels.native.hashing import HashlibHasher, get_hasher
from miner.roles.availability import Answerer, Asker, to_abi_chunk
from miner.roles.context import RoleContext
from miner.roles.decoys import Decoys
from miner.roles.disputes import Disputes
from miner.roles.link import ChainLink
from miner.roles.owner import DataAnswerer, compute_siblings, hash_arrays
from miner.roles.solver import Solver
from miner.roles.taskbook import TaskBook
from miner.store.blobs import BlobStore
from miner.store.errors import TaskUnservedError
from miner.store.server import BlobServer
from miner.wallet import Wallet
from miner.work.build import build_task
from miner.work.cheat import HONEST
from miner.work.segment import Pace
from miner.work.task import TaskSpec, compute_chain_task
from pallets_abi import availability, stakes, tasks
from tests.chain.node_process import NodeProcess
from tests.miner.roles.test_checkpoint_keeper import open_context
from tests.miner.work.regression import SHAPE, make_parts

PATIENCE = 60  # seconds: blocks come late on a machine that runs other tests
NOBODY = "http://127.0.0.1:1"
ARRAYS: State = {
    "images": np.arange(70 * 40, dtype=np.float32).reshape(70, 40),
    "nothing": np.zeros((0, 3), np.int64),
    "tokens": np.arange(33 * 32, dtype=np.uint16),
}


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 33])
def test_siblings_are_those_of_the_tree(count: int) -> None:
    rows = np.random.default_rng(count).integers(0, 256, (count, 32), np.uint8)
    leaves = [Hash32(row.tobytes()) for row in rows]
    for hasher in (get_hasher(), HashlibHasher()):
        for index in range(count):
            assert compute_siblings(hasher, rows, index) == compute_proof_of_hashes(leaves, index).siblings


@pytest.mark.parametrize("array", range(len(ARRAYS)))
@pytest.mark.parametrize("tile", [0, 4, 2**32 - 1])
def test_a_hashed_data_set_opens_as_the_reference_does(array: int, tile: int) -> None:
    chunk = DataChunk(array, tile)
    assert open_data(chunk, hash_arrays(ARRAYS)) == open_data(chunk, Tensors.of(ARRAYS))


@dataclass(frozen=True)
class Setting:
    """A node of preset test, //Alice who owns tasks, and //Bob who solves; each with a store of its own."""

    alice: ChainLink
    context: RoleContext
    owner_store: BlobStore
    spec: TaskSpec

    async def post(self, endpoint: str) -> int:
        """Posts the task; its number."""
        floor = (await self.alice.query(tasks.PARAMS)).floor_price
        price = -(-self.spec.macs_per_unit * floor // 10**6)
        chain = compute_chain_task(self.spec, 2 * price, 1000, endpoint)
        number = await self.alice.query(tasks.NEXT_TASK_ID)
        await self.alice.submit(tasks.PostCall(tasks.TaskSpec(
            spec_hash="0x" + chain.spec_hash.hex(), graph_root="0x" + chain.graph_root.hex(),
            initial_state_root="0x" + chain.initial_state_root.hex(), shards=chain.shards, rounds=chain.rounds,
            segments_per_unit=chain.segments_per_unit, steps_per_segment=chain.steps_per_segment,
            macs_per_step=chain.macs_per_step, price=chain.price, deadline_blocks=chain.deadline_blocks,
            endpoint=chain.endpoint.encode(), node_count=chain.node_count, state_count=chain.state_count,
            data=tasks.DataRule("0x" + chain.data.root.hex(), chain.data.arrays, chain.data.windows),
        )))  # fmt: skip
        return number

    async def list_ended(self) -> dict[int, availability.EndedAsk]:
        """How asks ended."""
        return {int(number): ask for (number,), ask in await self.alice.query_map(availability.ENDED)}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    process = NodeProcess(tmp_path_factory.mktemp("owned") / "alice", "--dev-key", "//Alice", chain="test")
    try:
        yield process.start()
    finally:
        process.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def setting(node: NodeProcess, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Setting]:
    folder: Path = tmp_path_factory.mktemp("stores")
    alice, bob = (ChainLink(node.url, Wallet.from_uri(uri)) for uri in ("//Alice", "//Bob"))
    try:
        await asyncio.gather(alice.connect(20), bob.connect(20))
        bond = (await bob.query(stakes.PARAMS)).min_solver_bond
        await bob.submit(stakes.BondCall(stakes.Role.SOLVER, bond))
        with BlobStore(folder / "owner") as owner_store, BlobStore(folder / "solver") as store:
            spec = build_task(make_parts(), SHAPE, owner_store)
            async with open_context(bob, store, folder) as context:
                yield Setting(alice, context, owner_store, spec)
    finally:
        await asyncio.gather(alice.close(), bob.close())


async def until(predicate: Callable[[], Awaitable[bool]], step: Callable[[], Awaitable[None]]) -> None:
    """Takes steps until the predicate holds."""
    async with asyncio.timeout(3 * PATIENCE):
        while not await predicate():
            await step()
            await asyncio.sleep(0.3)


@pytest.mark.asyncio(loop_scope="module")
async def test_inputs_come_from_whoever_has_them(setting: Setting) -> None:
    task = await setting.alice.query(tasks.TASKS, await setting.post(NOBODY))
    assert task is not None
    with pytest.raises(TaskUnservedError, match="not served"):
        await TaskBook(setting.context).get_inputs(0, task)
    server = BlobServer(setting.owner_store)  # as if it were that of a solver, who has the inputs as well
    try:
        inputs = await TaskBook(setting.context).get_inputs(0, task, await server.start())
        assert inputs.spec == setting.spec
    finally:
        await server.stop()
        setting.context.store.unpin("task/0")


@pytest.mark.asyncio(loop_scope="module")
async def test_an_owner_answers_from_its_store(setting: Setting) -> None:
    number = await setting.post(NOBODY)
    link = setting.context.link
    free = await link.free_balance()
    await link.submit(tasks.ClaimCall(number, 0))
    await link.submit(availability.AskCall(number, 0, to_abi_chunk(DataChunk(1, 2**32 - 1))))
    answerer = DataAnswerer(setting.alice, setting.owner_store)  # as after a restart: it knows chain and store only
    await answerer.prepare()

    async def step() -> None:
        await answerer.on_head(await setting.alice.client.head())

    async def is_answered() -> bool:
        return not await link.query_map(availability.ASKS)

    await until(is_answered, step)
    assert [ask.outcome for ask in (await setting.list_ended()).values()] == [availability.Outcome.ANSWERED]
    params = await link.query(availability.PARAMS)
    assert free - await link.free_balance() >= params.deposit


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.timeout(240)
async def test_a_solver_that_is_not_served_asks_goes_on_and_loses_nothing(tmp_path: Path, node: NodeProcess) -> None:
    """//Eve, with an empty store, claims units of two tasks whose owner //Alice neither serves nor answers."""
    alice, eve = (ChainLink(node.url, Wallet.from_uri(uri)) for uri in ("//Alice", "//Eve"))
    try:
        await asyncio.gather(alice.connect(20), eve.connect(20))
        bond = (await eve.query(stakes.PARAMS)).min_solver_bond
        await eve.submit(stakes.BondCall(stakes.Role.SOLVER, bond))
        with BlobStore(tmp_path / "eve") as store, BlobStore(tmp_path / "owner") as owner_store:
            spec = build_task(make_parts(), SHAPE, owner_store)
            async with open_context(eve, store, tmp_path) as context:
                owner = Setting(alice, context, owner_store, spec)
                for _ in range(2):
                    await owner.post(NOBODY)
                book, asker = TaskBook(context), Asker(context, TaskBook(context))
                disputes, answerer = Disputes(context, book, HONEST), Answerer(context, HONEST)
                solver = Solver(context, book, Pace(), disputes, answerer, asker, Decoys(context, book))

                async def is_forfeited() -> bool:
                    return bool(await eve.query_map(tasks.FORFEITS))

                await until(is_forfeited, solver._work_once)
                forfeits = {int(number): forfeit for (number,), forfeit in await eve.query_map(tasks.FORFEITS)}
                assert {forfeit.finder for forfeit in forfeits.values()} == {eve.wallet.address}
                closed = {number for number, task in await book.list_tasks() if task.closed}
                assert closed == set(forfeits)
                asks = [ask for _, ask in await alice.query_map(availability.ENDED) if ask.asker == eve.wallet.address]
                assert {ask.outcome for ask in asks} == {availability.Outcome.UNANSWERED}
                assert len({(ask.task, ask.unit) for ask in asks}) == len(asks), "once a unit"
                assert (await eve.query(tasks.LOADS, eve.wallet.address)).assigned > 1, "it tried others meanwhile"
                assert await eve.query(stakes.BONDS, stakes.Role.SOLVER.value, eve.wallet.address) == bond
    finally:
        await asyncio.gather(alice.close(), eve.close())
