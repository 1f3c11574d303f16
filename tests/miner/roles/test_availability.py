"""A solver's daemon answers on a real chain what it is asked for, a dropped checkpoint too; silence costs the bond."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from chain.client import ExtrinsicFailed
from consensus.commit.hashing import blake2_256
from consensus.dispute.availability import (
    CheckpointChunk,
    Chunk,
    TranscriptChunk,
    TranscriptOpening,
    encode_answer,
    open_record,
)
from consensus.protocol.units import UnitRef
from miner.roles.availability import PALLET, Answerer, Asker, to_abi_chunk
from miner.roles.context import RoleContext, to_hash
from miner.roles.link import ChainLink, EncodedCall
from miner.roles.taskbook import TaskBook
from miner.store.address import Address, Kind
from miner.store.blobs import BlobStore
from miner.wallet import Wallet
from miner.work.cheat import HONEST, Cheat, CheatKind
from miner.work.retention import Retention
from miner.work.unit import UnitJob, UnitResult, UnitRunner
from pallets_abi import availability, stakes, tasks, verification
from tests.chain.node_process import NodeProcess
from tests.miner.roles.test_checkpoint_keeper import open_context
from tests.miner.work.linear import INITIAL, make_inputs, make_store

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE = 40  # seconds: blocks come late on a machine that runs other tests
INPUTS = make_inputs()
SEGMENTS = INPUTS.spec.segments_per_unit
ASKERS = ("Charlie", "Dave", "Eve", "Ferdie")


@dataclass(frozen=True)
class Setting:
    """A node of preset test, //Bob as solver of a task of two units, and four bonded accounts that ask."""

    bob: ChainLink
    askers: dict[str, ChainLink]
    context: RoleContext
    store: BlobStore

    async def submit_unit(self, unit: int) -> UnitResult:
        """Claims, executes and submits a unit, of whose checkpoints only every second stays."""
        await self.bob.submit(tasks.ClaimCall(0, unit))
        view = await TaskBook(self.context).get_unit((0, unit))
        assert view.assignment is not None
        seed, start = to_hash(view.assignment.seed), self.store.put_state(INITIAL)
        job = UnitJob(UnitRef(0, unit, view.attempt), INPUTS, seed, self.context.account, start)
        result = await UnitRunner(self.store, self.context.pool, Retention(0)).run(job)
        roots = ["0x" + root.hex() for root in (result.transcript_root, result.end_state_root)]
        await self.bob.submit(verification.SubmitCall(0, unit, *roots, result.macs))
        return result

    async def ask(self, name: str, unit: int, chunk: Chunk) -> int:
        """An account asks; the number of the ask."""
        receipt = await self.askers[name].submit(availability.AskCall(0, unit, to_abi_chunk(chunk)))
        event = next(event for event in receipt.events if event.name == "Asked")
        return availability.AskedEvent.from_attributes(event.attributes).ask

    async def list_open(self) -> list[int]:
        """Numbers of the open asks."""
        return [int(number) for (number,), _ in await self.bob.query_map(availability.ASKS)]

    async def bond(self) -> int:
        """What //Bob has at stake as a solver, plancks."""
        return await self.bob.query(stakes.BONDS, stakes.Role.SOLVER.value, self.bob.wallet.address)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    process = NodeProcess(tmp_path_factory.mktemp("asked") / "alice", "--dev-key", "//Alice", chain="test")
    try:
        yield process.start()
    finally:
        process.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def setting(node: NodeProcess, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Setting]:
    folder: Path = tmp_path_factory.mktemp("solver")
    links = {name: ChainLink(node.url, Wallet.from_uri(f"//{name}")) for name in ("Alice", "Bob", *ASKERS)}
    try:
        await asyncio.gather(*(link.connect(20) for link in links.values()))
        minimum = (await links["Bob"].query(stakes.PARAMS)).min_solver_bond
        bond = stakes.BondCall(stakes.Role.SOLVER, minimum)
        await asyncio.gather(*(links[name].submit(bond) for name in ("Bob", *ASKERS)))
        await links["Alice"].submit(tasks.PostCall(await make_spec(links["Alice"])))
        with make_store(folder) as store:
            for data in (INPUTS.spec.encode(), INPUTS.graph, INPUTS.dataset):
                store.put_blob(data)
            async with open_context(links["Bob"], store, folder) as context:
                askers = {name: links[name] for name in ASKERS}
                yield Setting(links["Bob"], askers, context, store)
    finally:
        for link in links.values():
            await link.close()


async def make_spec(link: ChainLink) -> tasks.TaskSpec:
    floor, spec = (await link.query(tasks.PARAMS)).floor_price, INPUTS.spec
    root = f"0x{1:064x}"
    return tasks.TaskSpec(
        spec_hash="0x" + blake2_256(spec.encode()).hex(), graph_root=root,
        initial_state_root="0x" + spec.initial_state_root, shards=2, rounds=1, segments_per_unit=SEGMENTS,
        steps_per_segment=spec.steps_per_segment, macs_per_step=spec.macs_per_step, price=floor, deadline_blocks=1000,
        endpoint=b"http://127.0.0.1:1", node_count=1, state_count=len(INITIAL),
        data=tasks.DataRule(root, 1, False),
    )  # fmt: skip


async def until(predicate: Callable[[], Awaitable[bool]], step: Callable[[], Awaitable[None]]) -> None:
    """Takes steps until the predicate holds."""
    async with asyncio.timeout(PATIENCE):
        while not await predicate():
            await step()
            await asyncio.sleep(0.3)


async def test_all_that_is_asked_for_is_answered(setting: Setting) -> None:
    result = await setting.submit_unit(0)
    dropped = Address(Kind.STATE, result.progress.records[0].end_state_root)
    assert not setting.store.is_stored(dropped)
    free = await setting.askers["Charlie"].free_balance()
    first = await setting.ask("Charlie", 0, TranscriptChunk(SEGMENTS - 1))
    wrong = encode_answer(first, TranscriptOpening(open_record(result.progress.records, 0)))
    with pytest.raises(ExtrinsicFailed, match="WrongOpening"):
        await setting.bob.submit(EncodedCall(PALLET, "answer", wrong))
    await setting.ask("Dave", 0, CheckpointChunk(1, 1, 5))

    def make_step(answerer: Answerer) -> Callable[[], Awaitable[None]]:
        async def step() -> None:
            await answerer.on_head(await setting.bob.client.head())
            await setting.context.maker.expect(answerer.wanted)

        return step

    async def is_answered() -> bool:
        return not await setting.list_open()

    await until(is_answered, make_step(Answerer(setting.context, HONEST)))
    assert setting.store.is_stored(dropped), "it was made again"
    await setting.ask("Eve", 0, CheckpointChunk(0, 0, 2**32 - 1))
    await setting.ask("Ferdie", 0, CheckpointChunk(SEGMENTS, 1, 1))
    another = Answerer(setting.context, HONEST)  # as after a restart: it knows nothing but chain and store
    await until(is_answered, make_step(another))
    params = await setting.bob.query(availability.PARAMS)
    assert free - await setting.askers["Charlie"].free_balance() >= params.deposit
    assert await setting.bond() > 0
    asks = await setting.bob.query(availability.ASKS_OF_UNIT, 0, 0)
    assert asks is not None and (asks.strangers, asks.open) == (len(ASKERS), 0)


async def test_silence_costs_the_bond(setting: Setting) -> None:
    await setting.submit_unit(1)
    book = TaskBook(setting.context)
    asker = Asker(setting.context, book)
    assert not await asker.is_asked((0, 1), 0)
    number = await setting.ask("Charlie", 1, CheckpointChunk(2, 0, 0))
    silent = Answerer(setting.context, Cheat(CheatKind.WITHHOLD))

    async def step() -> None:
        await silent.on_head(await setting.bob.client.head())

    async def is_over() -> bool:
        return number not in await setting.list_open()

    await until(is_over, step)
    assert await setting.bond() == 0
    unit = await book.get_unit((0, 1))
    assert (unit.attempt, unit.state) == (1, "Open")
