"""The import queue on a real chain: events in order, the pool follows forks and finality."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chain.errors import WrongSeal
from chain.events import BestChanged, BlockFinalized, BlockImported, ChainEvent, EventBus
from chain.importing import ChainThread, ImportQueue
from chain.pool import TransactionSource, decode_validity
from chain.pool.errors import Refused, TemporarilyBanned
from chain.pool.service import PoolService
from chain.pool.validity import Validity
from chain.primitives import Block, blake2_256
from chain.primitives.digest import aura_seal
from tests.chain.devchain import SLOT_MS, DevChain, transfer


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
