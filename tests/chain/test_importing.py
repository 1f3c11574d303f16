"""The import queue on a real chain: events in order, the pool follows forks and finality."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from chain.blockchain import Blockchain
from chain.errors import FutureSlot, KnownBad, WrongExtrinsicsRoot, WrongSeal, WrongStateRoot
from chain.events import BestChanged, BlockFinalized, BlockImported, ChainEvent, EventBus
from chain.importing import ChainThread, ImportQueue
from chain.pool import TransactionSource, decode_validity
from chain.pool.errors import AlreadyImported, Refused, TemporarilyBanned
from chain.pool.service import PoolService
from chain.pool.validity import Validity
from chain.primitives import Block, blake2_256
from chain.primitives.digest import aura_seal
from chain.state.overlay import Overlay
from tests.chain.devchain import ALICE, BOB, SLOT_MS, DevChain, signed, transfer


class Parts:
    """Chain, thread, pool and queue, as a node puts them together."""

    def __init__(self, dev: DevChain) -> None:
        self.dev, self.events, self.thread = dev, EventBus(), ChainThread()
        self.pool = PoolService(self.validate, (dev.chain.best.hash, dev.chain.best.number))
        self.queue = ImportQueue(dev.chain, self.thread, self.pool, self.events)
        self.seen: list[ChainEvent] = []
        self.follower = asyncio.create_task(self.follow(self.events.stream()))

    async def validate(self, source: TransactionSource, data: bytes, at: bytes) -> Validity:
        return decode_validity(await self.thread.run(self.dev.chain.validate_transaction, at, source, data))

    async def follow(self, stream: AsyncIterator[ChainEvent]) -> None:
        async for event in stream:
            self.seen.append(event)

    async def author(self, *extrinsics: bytes, parent: bytes | None = None) -> Block:
        """The next slot's block, imported through the queue."""
        self.dev.now_ms += SLOT_MS
        block = await self.thread.run(self.dev.build, extrinsics, parent)
        assert await self.queue.import_block(block)
        await self.pool.work()
        return block


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    found = Parts(DevChain(tmp_path / "db"))
    yield found
    found.follower.cancel()
    found.dev.chain.close()
    found.thread.close()


async def test_events_of_a_block_and_its_finality_come_in_order(parts: Parts) -> None:
    first = await parts.author()
    second = await parts.author()
    assert not await parts.queue.import_block(second)
    assert await parts.queue.finalize(second.hash, b"proof")
    assert not await parts.queue.finalize(first.hash, None)
    await asyncio.sleep(0)
    kinds = [type(event) for event in parts.seen]
    assert kinds == [BlockImported, BestChanged, BlockImported, BestChanged, BlockFinalized]
    final = parts.seen[-1]
    assert isinstance(final, BlockFinalized)
    assert final.hashes == (first.hash, second.hash)
    assert parts.dev.chain.justification(second.hash) == b"proof"


async def test_a_refused_block_tells_nobody(parts: Parts) -> None:
    parts.dev.now_ms += SLOT_MS
    good = await parts.thread.run(parts.dev.build)
    bad = Block(good.header.without_seal().with_seal(aura_seal(bytes(64))), good.extrinsics)
    with pytest.raises(WrongSeal):
        await parts.queue.import_block(bad)
    await asyncio.sleep(0)
    assert parts.seen == []
    assert parts.dev.chain.best.number == 0


async def test_transactions_follow_a_reorganisation(parts: Parts) -> None:
    chain = parts.dev.chain
    first, second = transfer(chain, 0), transfer(chain, 1)
    watch = await parts.pool.submit_and_watch(first)
    await parts.pool.submit(second)
    root = chain.best.hash
    await parts.author(first, second)
    assert parts.pool.ready() == []
    rival = await parts.author(parent=root)
    await parts.author(parent=rival.hash)  # longer: the first block is retracted
    assert [tx.data for tx in parts.pool.ready()] == [first, second]
    last = await parts.author(first)
    assert [tx.data for tx in parts.pool.ready()] == [second]
    await parts.queue.finalize(last.hash, None)
    seen = [status.name async for status in watch]
    assert seen == ["ready", "inBlock", "retracted", "ready", "inBlock", "finalized"]


async def test_finality_of_a_shorter_fork_brings_back_transactions(parts: Parts) -> None:
    chain = parts.dev.chain
    data = transfer(chain, 0)
    root = chain.best.hash
    short = await parts.author()
    rival = await parts.author(parent=root)
    await parts.author(data, parent=rival.hash)
    assert chain.best.number == 2
    assert await parts.queue.finalize(short.hash, None)
    await parts.pool.work()
    assert chain.best.hash == short.hash
    assert [tx.data for tx in parts.pool.ready()] == [data]
    change = parts.seen[-2]
    assert isinstance(change, BestChanged)
    assert (len(change.enacted), len(change.retracted)) == (1, 2)


async def test_the_runtime_refuses_bad_signature_and_old_nonce(parts: Parts) -> None:
    chain = parts.dev.chain
    used = transfer(chain, 0)
    await parts.author(used)
    with pytest.raises(Refused, match="outdated"):
        await parts.pool.submit(used)
    forged = bytearray(transfer(chain, 1))
    forged[40] ^= 1
    with pytest.raises(Refused, match="bad signature"):
        await parts.pool.submit(bytes(forged))
    assert len(parts.pool.pool) == 0


async def test_what_block_building_rejects_is_banned(parts: Parts) -> None:
    data = transfer(parts.dev.chain, 0)
    await parts.pool.submit(data)
    parts.pool.reject(blake2_256(data))
    with pytest.raises(TemporarilyBanned):
        await parts.pool.submit(data)


async def test_a_transactions_life_through_finality_of_the_other_fork(parts: Parts) -> None:
    """Included on the longer fork; finality picks the shorter one; the transaction comes back and is included there."""
    chain = parts.dev.chain
    first, second = transfer(chain, 0), transfer(chain, 1)
    watch = await parts.pool.submit_and_watch(first)
    root = chain.best.hash
    lost = await parts.author(first, parent=root)
    head = await parts.author(second, parent=lost.hash)
    won = await parts.author(parent=root)
    assert chain.best.hash == parts.pool.best == head.hash

    assert await parts.queue.finalize(won.hash, None)
    assert chain.best.hash == chain.finalized.hash == parts.pool.best == won.hash
    assert chain.nonce(head.hash, ALICE.public) == 2, "who was told of the head still reads its state"
    await parts.pool.work()
    assert [tx.data for tx in parts.pool.ready()] == [first, second]

    again = await parts.author(*[tx.data for tx in parts.pool.ready()])
    assert parts.pool.ready() == []
    await parts.queue.finalize(again.hash, None)
    seen = [status async for status in watch]
    assert [(status.name, status.payload) for status in seen] == [
        ("ready", None),
        ("inBlock", lost.hash),
        ("retracted", lost.hash),
        ("ready", None),
        ("inBlock", again.hash),
        ("finalized", again.hash),
    ]


async def test_nobody_who_was_told_of_a_head_is_refused(parts: Parts) -> None:
    """Clients read and submit at the best block they saw last, while finality takes it away again and again."""
    chain, answers = parts.dev.chain, 0
    ours, theirs = transfer(chain, 0), transfer(chain, 0, key=BOB)

    async def read() -> None:
        nonlocal answers
        while True:
            head = chain.best
            await asyncio.sleep(0.002)
            await parts.thread.run(chain.nonce, head.hash, ALICE.public)
            assert (await parts.thread.run(chain.header, head.hash)) == head
            answers += 1

    async def submit() -> None:
        while True:
            with contextlib.suppress(Refused, AlreadyImported, TemporarilyBanned):
                await parts.pool.submit(theirs)
            await asyncio.sleep(0.001)

    clients = [asyncio.create_task(work()) for work in (read, read, read, submit, submit)]
    for _ in range(6):
        root = chain.finalized.hash
        lost = await parts.author(ours, theirs, parent=root)
        await parts.author(parent=lost.hash)
        won = await parts.author(parent=root)
        assert await parts.queue.finalize(won.hash, None)
    done, _ = await asyncio.wait(clients, timeout=0.05)
    assert [task.exception() for task in done] == []
    assert answers > 20
    for task in clients:
        task.cancel()
    await asyncio.gather(*clients, return_exceptions=True)


async def test_a_mortal_one_is_ready_until_its_last_block(parts: Parts) -> None:
    chain = parts.dev.chain
    await parts.author()
    data = mortal(chain, 0, period=4)  # born at block 1: it may stand in blocks 2 to 4
    watch = await parts.pool.submit_and_watch(data)
    for number in (2, 3):
        await parts.author()
        assert chain.best.number == number
        assert [tx.data for tx in parts.pool.ready()] == [data]
    parts.dev.now_ms += SLOT_MS
    assert data in (await parts.thread.run(parts.dev.build, [data])).extrinsics, "block 4 would still take it"
    await parts.author()
    await parts.author()
    assert parts.pool.ready() == []
    assert [status.name async for status in watch] == ["ready", "invalid"]
    with pytest.raises(Refused, match="bad signature"):  # the era's next turn began, with another block's hash
        fresh = PoolService(parts.validate, (chain.best.hash, chain.best.number))
        await fresh.submit(data)


async def test_a_bad_block_is_executed_once(parts: Parts) -> None:
    parts.dev.now_ms += SLOT_MS
    good = await parts.thread.run(parts.dev.build)
    header = replace(good.header.without_seal(), state_root=b"\x07" * 32)
    bad = Block(header.with_seal(aura_seal(ALICE.sign(header.hash))), good.extrinsics)
    executed = 0
    execute = parts.dev.chain._execute

    def count(block: Block) -> Overlay:
        nonlocal executed
        executed += 1
        return execute(block)

    parts.dev.chain._execute = count  # type: ignore[method-assign]
    with pytest.raises(WrongStateRoot):
        await parts.queue.import_block(bad)
    for _ in range(5):
        with pytest.raises(KnownBad, match="Storage root"):
            await parts.queue.import_block(bad)
    assert executed == 1
    assert await parts.queue.import_block(good)


async def test_a_wrong_body_or_an_early_clock_condemns_no_block(parts: Parts) -> None:
    parts.dev.now_ms += 3 * SLOT_MS
    good = await parts.thread.run(parts.dev.build)
    with pytest.raises(WrongExtrinsicsRoot):
        await parts.queue.import_block(Block(good.header, ()))
    parts.dev.now_ms -= 2 * SLOT_MS
    with pytest.raises(FutureSlot):
        await parts.queue.import_block(good)
    parts.dev.now_ms += 2 * SLOT_MS
    assert await parts.queue.import_block(good)


def mortal(chain: Blockchain, nonce: int, period: int) -> bytes:
    """Alice's remark that is valid for `period` blocks (a power of two from 4 on), born at the best block."""
    birth = chain.best
    era = ((period.bit_length() - 2) | (birth.number % period) << 4).to_bytes(2, "little")
    return signed(chain, nonce, bytes([0, 0, 0]), era=era, birth=birth.hash)
