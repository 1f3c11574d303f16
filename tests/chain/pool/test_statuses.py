"""What the watcher of a transaction is told, status by status, and what the pool does with its doubts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from chain.errors import RuntimeTrapped, StatePruned
from chain.pool import InvalidTransaction, PoolLimits, TransactionSource, ValidTransaction
from chain.pool.errors import AlreadyImported, TemporarilyBanned
from chain.pool.service import BATCH, REVALIDATE_AFTER, REVALIDATE_PER_BLOCK, BlockView, PoolService
from chain.pool.validity import Validity
from chain.pool.watch import FINALITY_TIMEOUT_BLOCKS, Watch
from chain.primitives import blake2_256, encode_bytes

ALICE, BOB = b"A" * 32, b"B" * 32
GENESIS = (bytes(32), 0)


def extrinsic(nonce: int, sender: bytes = ALICE, tip: int = 1) -> bytes:
    return encode_bytes(b"\x84\x00" + sender + bytes([tip, nonce]))


class Runtime:
    """Knows each account's nonce after each block; a transaction's priority is its tip. It may trap or be pruned."""

    def __init__(self) -> None:
        self.nonces: dict[bytes, dict[bytes, int]] = {}  # block -> account -> nonce
        self.refused: set[bytes] = set()
        self.trapping: set[bytes] = set()
        self.pruned: set[bytes] = set()
        self.asked: list[tuple[bytes, bytes]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def validate(self, _source: TransactionSource, data: bytes, at: bytes) -> Validity:
        self.asked.append((data, at))
        await self.gate.wait()
        if at in self.pruned:
            raise StatePruned(at, 0)
        if data in self.trapping:
            raise RuntimeTrapped("validate_transaction", "unreachable")
        if data in self.refused:
            return InvalidTransaction("Payment")
        sender, nonce = data[-34:-2], data[-1]
        expected = self.nonces.get(at, {}).get(sender, 0)
        if nonce < expected:
            return InvalidTransaction("Stale")
        requires = (sender + (nonce - 1).to_bytes(4, "little"),) if nonce > expected else ()
        return ValidTransaction(data[-2], requires, (sender + nonce.to_bytes(4, "little"),), 2**64 - 1, True)


class Chain:
    """Makes blocks for the pool and tells the runtime what nonces they lead to."""

    def __init__(self, limits: PoolLimits | None = None) -> None:
        self.runtime = Runtime()
        self.pool = PoolService(self.runtime.validate, GENESIS, limits)
        self.count = 0

    def block(
        self, number: int, *extrinsics: bytes, parent: BlockView | None = None, upgrade: bool = False
    ) -> BlockView:
        self.count += 1
        view = BlockView(self.count.to_bytes(32, "big"), number, extrinsics, upgrade)
        nonces = dict(self.runtime.nonces.get(parent.hash, {}) if parent else {})
        for data in extrinsics:
            nonces[data[-34:-2]] = data[-1] + 1
        self.runtime.nonces[view.hash] = nonces
        return view

    async def move(self, enacted: Iterable[BlockView], retracted: Iterable[BlockView] = ()) -> None:
        self.pool.on_best_changed(list(enacted), list(retracted))
        await self.pool.work()


async def statuses(watch: Watch) -> list[str]:
    return [status.name async for status in watch]


async def test_future_ready_broadcast_in_block_finalized() -> None:
    chain = Chain()
    watch = await chain.pool.submit_and_watch(extrinsic(1))
    await chain.pool.submit(extrinsic(0))
    chain.pool.broadcast(watch.hash, ["peer one", "peer two"])
    chain.pool.broadcast(watch.hash, [])
    block = chain.block(1, extrinsic(0), extrinsic(1))
    await chain.move([block])
    chain.pool.on_finalized([block.hash])
    seen = [status async for status in watch]
    assert [status.name for status in seen] == ["future", "ready", "broadcast", "inBlock", "finalized"]
    assert seen[2].payload == b"peer one\npeer two"
    assert seen[3].payload == seen[4].payload == block.hash
    assert len(chain.pool._watchers) == 0


async def test_usurped_by_a_better_one_of_its_nonce() -> None:
    chain = Chain()
    watch = await chain.pool.submit_and_watch(extrinsic(0, tip=1))
    better = await chain.pool.submit(extrinsic(0, tip=2))
    seen = [status async for status in watch]
    assert [(status.name, status.payload) for status in seen] == [("ready", None), ("usurped", better)]


async def test_dropped_from_a_full_pool() -> None:
    chain = Chain(PoolLimits(ready_count=1))
    watch = await chain.pool.submit_and_watch(extrinsic(0, tip=1))
    await chain.pool.submit(extrinsic(0, BOB, tip=2))
    assert await statuses(watch) == ["ready", "dropped"]


async def test_invalid_when_an_author_cannot_include_it() -> None:
    chain = Chain()
    watch = await chain.pool.submit_and_watch(extrinsic(0))
    chain.pool.reject(watch.hash)
    assert await statuses(watch) == ["ready", "invalid"]
    with pytest.raises(TemporarilyBanned):
        await chain.pool.submit(extrinsic(0))


async def test_finality_timeout_comes_after_its_last_block() -> None:
    chain = Chain()
    watch = await chain.pool.submit_and_watch(extrinsic(0))
    block = chain.block(1, extrinsic(0))
    await chain.move([block])
    await chain.move([chain.block(1 + FINALITY_TIMEOUT_BLOCKS, parent=block)])
    assert watch._queue.qsize() == 2
    await chain.move([chain.block(2 + FINALITY_TIMEOUT_BLOCKS, parent=block)])
    assert await statuses(watch) == ["ready", "inBlock", "finalityTimeout"]


async def test_retracted_and_included_on_the_other_fork_in_one_step() -> None:
    chain = Chain()
    watch = await chain.pool.submit_and_watch(extrinsic(0))
    old = chain.block(1, extrinsic(0))
    await chain.move([old])
    new = chain.block(1, extrinsic(0))
    await chain.move([new, chain.block(2, parent=new)], [old])
    assert len(chain.pool.pool) == 0
    chain.pool.on_finalized([new.hash])
    seen = [status async for status in watch]
    assert [status.name for status in seen] == ["ready", "inBlock", "retracted", "inBlock", "finalized"]
    assert [status.payload for status in seen[1:]] == [old.hash, old.hash, new.hash, new.hash]


async def test_retracted_with_its_successor_keeps_the_successor() -> None:
    """The successor was ready because the chain had the first: it must neither be taken first nor be lost."""
    chain = Chain()
    first, second = await chain.pool.submit_and_watch(extrinsic(0)), await chain.pool.submit_and_watch(extrinsic(1))
    old = chain.block(1, extrinsic(0))
    await chain.move([old])
    assert [tx.data for tx in chain.pool.ready()] == [extrinsic(1)]
    await chain.move([chain.block(1)], [old])
    assert [tx.data for tx in chain.pool.ready()] == [extrinsic(0), extrinsic(1)]
    first.close()
    second.close()


async def test_a_retracted_one_that_cannot_come_back_is_told_why() -> None:
    chain = Chain(PoolLimits(ready_count=1))
    stale, poor = await chain.pool.submit_and_watch(extrinsic(0)), extrinsic(0, BOB)
    old = chain.block(1, extrinsic(0))
    await chain.move([old])
    rival = chain.block(1, extrinsic(0, tip=9))
    await chain.move([rival], [old])
    assert await statuses(stale) == ["ready", "inBlock", "retracted", "invalid"]

    dropped = await chain.pool.submit_and_watch(poor)
    with_it = chain.block(2, poor, parent=rival)
    await chain.move([with_it])
    await chain.pool.submit(extrinsic(0, b"C" * 32, tip=5))  # fills the pool
    await chain.move([chain.block(2, parent=rival)], [with_it])
    assert await statuses(dropped) == ["ready", "inBlock", "retracted", "dropped"]


async def test_a_block_that_arrives_while_one_comes_back_decides_anew() -> None:
    """Back and forth between two forks: what was retracted, and asked about on one, is judged on the other."""
    chain = Chain()
    first, second = await chain.pool.submit_and_watch(extrinsic(0)), await chain.pool.submit_and_watch(extrinsic(1))
    old = chain.block(1, extrinsic(0), extrinsic(1))
    await chain.move([old])
    rival = chain.block(1, extrinsic(0, tip=9))
    chain.runtime.gate.clear()
    chain.pool.on_best_changed([rival], [old])
    working = asyncio.create_task(chain.pool.work())
    await asyncio.sleep(0)
    other = chain.block(1, extrinsic(0))
    chain.pool.on_best_changed([other, chain.block(2, parent=other)], [rival])
    chain.runtime.gate.set()
    await working
    assert [tx.data for tx in chain.pool.ready()] == [extrinsic(1)]
    assert chain.pool._returning == {}
    chain.pool.on_finalized([other.hash])
    assert await statuses(first) == ["ready", "inBlock", "retracted", "inBlock", "finalized"]
    second.close()


async def test_a_block_that_arrives_while_one_is_validated_is_not_forgotten() -> None:
    """The transaction is in that block: it must not enter the pool, and its watcher hears of the block."""
    chain = Chain()
    chain.runtime.gate.clear()
    submitting = asyncio.create_task(chain.pool.submit_and_watch(extrinsic(0)))
    await asyncio.sleep(0)
    block = chain.block(1, extrinsic(0))
    chain.pool.on_best_changed([block], [])
    chain.runtime.gate.set()
    watch = await submitting
    await chain.pool.work()
    assert len(chain.pool.pool) == 0
    chain.pool.on_finalized([block.hash])
    assert await statuses(watch) == ["inBlock", "finalized"]


async def test_one_validated_before_the_best_block_moved_is_validated_again() -> None:
    chain = Chain()
    chain.runtime.gate.clear()
    submitting = asyncio.create_task(chain.pool.submit_and_watch(extrinsic(0)))
    await asyncio.sleep(0)
    chain.pool.on_best_changed([chain.block(1, extrinsic(0, tip=7))], [])  # another one of its nonce
    chain.runtime.gate.set()
    watch = await submitting
    await chain.pool.work()
    assert await statuses(watch) == ["ready", "invalid"]
    assert len(chain.pool.pool) == 0


# ---- what is validated when


async def test_waiting_costs_one_validation_in_twenty_blocks() -> None:
    chain = Chain()
    count = REVALIDATE_PER_BLOCK + 5
    for nonce in range(count):
        await chain.pool.submit(extrinsic(nonce))
    assert chain.pool.validations == count
    parent = None
    for number in range(1, REVALIDATE_AFTER):
        parent = chain.block(number, parent=parent)
        await chain.move([parent])
    assert chain.pool.validations == count, "nothing touched them"
    await chain.move([chain.block(REVALIDATE_AFTER)])
    assert chain.pool.validations == count + REVALIDATE_PER_BLOCK
    await chain.move([chain.block(REVALIDATE_AFTER + 1)])
    assert chain.pool.validations == 2 * count
    await chain.move([chain.block(REVALIDATE_AFTER + 2)])
    assert chain.pool.validations == 2 * count
    assert len(chain.pool.ready()) == count


async def test_only_senders_that_a_block_surprises_with_are_validated_anew() -> None:
    chain = Chain()
    for nonce in range(3):
        await chain.pool.submit(extrinsic(nonce))
        await chain.pool.submit(extrinsic(nonce, BOB))
    first = chain.block(1, extrinsic(0))
    await chain.move([first])  # known: the tags say all but whether the next one can still pay
    assert chain.runtime.asked[6:] == [(extrinsic(1), first.hash)]
    surprise = chain.block(2, extrinsic(0, BOB, tip=9), parent=first)
    await chain.move([surprise])
    assert [data for data, at in chain.runtime.asked if at == surprise.hash] == [
        extrinsic(nonce, BOB) for nonce in range(3)
    ]
    assert chain.pool.next_nonce(BOB, 1) == 3
    assert extrinsic(0, BOB) not in [tx.data for tx in chain.pool.ready()]


async def test_who_cannot_pay_after_a_block_is_told_at_once_with_all_successors() -> None:
    chain = Chain()
    watches = [await chain.pool.submit_and_watch(extrinsic(nonce)) for nonce in range(3)]
    chain.runtime.refused.add(extrinsic(1))
    await chain.move([chain.block(1, extrinsic(0))])
    assert [await statuses(watch) for watch in watches[1:]] == [["ready", "invalid"]] * 2
    assert len(chain.pool.pool) == 0
    watches[0].close()


async def test_successors_of_a_strangers_nonces_stay_however_many_there_are() -> None:
    chain = Chain()
    count = 2 * BATCH
    for nonce in range(count + 1):
        await chain.pool.submit(extrinsic(nonce))
    await chain.move([chain.block(1, *(extrinsic(nonce, tip=9) for nonce in range(count)))])
    assert [tx.data for tx in chain.pool.ready()] == [extrinsic(count)]
    assert chain.pool.validations <= 2 * (count + 1) + 1


async def test_a_new_runtime_makes_all_doubtful() -> None:
    chain = Chain()
    for nonce in range(BATCH + 1):
        await chain.pool.submit(extrinsic(nonce))
    chain.runtime.refused.add(extrinsic(BATCH))
    await chain.move([chain.block(1, upgrade=True)])
    assert chain.pool.validations == 2 * (BATCH + 1)
    assert len(chain.pool.ready()) == BATCH


async def test_one_on_which_the_runtime_traps_leaves_and_holds_nobody_up() -> None:
    chain = Chain()
    for nonce in range(3):
        await chain.pool.submit(extrinsic(nonce, bytes([nonce]) * 32))
    chain.runtime.trapping.add(extrinsic(0, bytes(32)))
    chain.runtime.refused.add(extrinsic(2, b"\x02" * 32))
    await chain.move([chain.block(1, upgrade=True)])
    assert [tx.data for tx in chain.pool.pool.transactions()] == [extrinsic(1, b"\x01" * 32)]


async def test_a_state_that_cannot_be_read_loses_nothing() -> None:
    chain = Chain()
    await chain.pool.submit(extrinsic(1))
    old = chain.block(1, extrinsic(0))
    await chain.move([old])
    bad = chain.block(1)
    chain.runtime.pruned.add(bad.hash)
    chain.pool.on_best_changed([bad], [old])
    with pytest.raises(StatePruned):
        await chain.pool.work()
    await asyncio.wait_for(chain.pool.wait_until_settled(0.01), 5)
    await chain.move([chain.block(2, parent=bad)])
    assert [tx.data for tx in chain.pool.ready()] == [extrinsic(0), extrinsic(1)]


async def test_run_works_by_itself_and_survives_a_failure() -> None:
    chain = Chain()
    running = asyncio.create_task(chain.pool.run())
    bad = chain.block(1)
    chain.runtime.pruned.add(bad.hash)
    chain.pool.on_best_changed([bad], [])
    chain.pool.offer("peer", [extrinsic(0)])
    await asyncio.sleep(0.05)
    assert len(chain.pool.pool) == 0
    chain.pool.on_best_changed([chain.block(2)], [])
    chain.pool.offer("peer", [extrinsic(1)])
    chain.pool.offer("peer", [extrinsic(0)])
    async with asyncio.timeout(10):
        while len(chain.pool.ready()) < 2:
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_is_in_the_pool_or_in_a_recent_block_costs_no_validation_when_peers_send_it() -> None:
    chain = Chain()
    await chain.pool.submit(extrinsic(0))
    await chain.pool.submit(extrinsic(1))
    with pytest.raises(AlreadyImported):
        await chain.pool.submit(extrinsic(1))
    await chain.move([chain.block(1, extrinsic(0))])
    for peer in ("a", "b", "c"):
        chain.pool.offer(peer, [extrinsic(0), extrinsic(1), extrinsic(2)])
    await chain.pool.work()
    assert chain.pool.validations == 2 + 1 + 1, "two came, one of them was the next after a block, one is new"
    assert [tx.data for tx in chain.pool.ready()] == [extrinsic(1), extrinsic(2)]
    assert blake2_256(extrinsic(2)) in chain.pool.pool
