"""`Follow` on a chain in this process: forks, pins, and how a subscription ends that cannot go on without a gap."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chain.errors import StatePruned
from chain.events import QUEUE_SIZE, BestChanged, ReaderTooSlow
from chain.keystore import Keystore
from chain.primitives import Block
from chain.rpc import NodeInfo, RpcContext, follow
from chain.rpc.errors import NoContinuation
from chain.rpc.follow import Follow, Operation
from chain.rpc.session import Session, SessionLimits
from chain.state import pruning
from tests.chain.devchain import DevChain
from tests.chain.test_importing import Parts


class NoNetwork:
    """A node without peers."""

    def local_peer_id(self) -> str:
        return ""

    def listen_addresses(self) -> list[str]:
        return []

    def peers(self) -> list[Any]:
        return []

    def is_syncing(self) -> bool:
        return False


class Follower:
    """A session with one subscription, whose events the test reads itself."""

    def __init__(self, parts: Parts, outbox_bytes: int = 2**20) -> None:
        info = NodeInfo("test", "0", "test", "Development", {}, True)
        self.parts = parts
        self.context = RpcContext(
            parts.dev.chain, parts.thread.run, parts.pool, parts.events, info, NoNetwork(), Keystore()
        )
        self.session = Session(SessionLimits(outbox_bytes=outbox_bytes))
        self.follow = Follow(self.context, self.session, with_runtime=True)
        self.session.follows[self.follow.id] = self.follow
        self.follow.task = self.session.spawn(self.follow.run)
        self.session.on_answered()

    async def event(self) -> dict[str, Any]:
        """The next event."""
        message = json.loads(await asyncio.wait_for(self.session.outbox.get(), 30))
        assert message["params"]["subscription"] == self.follow.id
        result: dict[str, Any] = message["params"]["result"]
        return result

    async def events(self, *names: str) -> list[dict[str, Any]]:
        """The next events, which must be of these names in this order."""
        found = [await self.event() for _ in names]
        assert [event["event"] for event in found] == list(names)
        return found


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    found = Parts(DevChain(tmp_path / "db", kept_states=4))
    yield found
    found.follower.cancel()
    found.dev.chain.close()
    found.thread.close()


def hex_of(*blocks: Block) -> list[str]:
    return ["0x" + block.hash.hex() for block in blocks]


async def test_starts_with_finalized_blocks_then_all_forks_then_the_best(parts: Parts) -> None:
    final = [await parts.author() for _ in range(18)]
    await parts.queue.finalize(final[-1].hash, None)
    one = await parts.author()
    other = await parts.author(parent=final[-1].hash)
    best = await parts.author(parent=other.hash)
    follower = Follower(parts)
    told = await follower.events("initialized", "newBlock", "newBlock", "newBlock", "bestBlockChanged")
    assert told[0]["finalizedBlockHashes"] == hex_of(*final[-16:])
    assert told[0]["finalizedBlockRuntime"]["spec"]["specName"]
    assert [event["blockHash"] for event in told[1:4]] == hex_of(one, other, best)
    assert told[4]["bestBlockHash"] == hex_of(best)[0]
    await follower.session.close()


async def test_a_pruned_fork_stays_pinned_with_its_state(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    root = await parts.author()
    follower = Follower(parts)
    await follower.events("initialized", "newBlock", "bestBlockChanged")
    lost = await parts.author(parent=root.hash)
    kept = await parts.author(parent=root.hash)
    above = await parts.author(parent=kept.hash)
    await parts.queue.finalize(kept.hash, None)
    await follower.events("newBlock", "bestBlockChanged", "newBlock", "newBlock", "bestBlockChanged")
    (final,) = await follower.events("finalized")
    assert final["finalizedBlockHashes"] == hex_of(root, kept)
    assert final["prunedBlockHashes"] == hex_of(lost)

    chain = parts.dev.chain
    monkeypatch.setattr(pruning, "SWEEP_EVERY", 1)
    await parts.queue.finalize(above.hash, None)
    for _ in range(8):  # twice the kept window
        await parts.queue.finalize((await parts.author()).hash, None)
    follower.follow.unpin([kept.hash])
    with pytest.raises(StatePruned):
        chain.call(kept.hash, "Core_version")
    assert chain.body(lost.hash) == lost.extrinsics
    assert chain.call(lost.hash, "Core_version")
    follower.follow.unpin([lost.hash])
    with pytest.raises(StatePruned):
        chain.call(lost.hash, "Core_version")
    await parts.queue.finalize((await parts.author()).hash, None)
    assert chain.header(lost.hash) is None
    await follower.session.close()


async def test_a_pinned_state_survives_the_sweep_and_goes_after_it(parts: Parts) -> None:
    first = await parts.author()
    follower = Follower(parts)
    await follower.events("initialized", "newBlock", "bestBlockChanged")
    last = first
    for _ in range(140):  # kept states + blocks between two sweeps
        last = await parts.author()
    await parts.queue.finalize(last.hash, None)
    chain = parts.dev.chain
    assert chain.call(first.hash, "Core_version")
    assert chain.state_at(first.hash).merkle_value(b"") == first.header.state_root
    await follower.session.close()
    with pytest.raises(StatePruned):
        chain.state_at(first.hash)


async def test_stops_when_too_many_settled_blocks_are_pinned(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "MAX_PINNED", 3)
    follower = Follower(parts)
    await follower.events("initialized", "bestBlockChanged")
    for _ in range(2):
        await parts.queue.finalize((await parts.author()).hash, None)
        await follower.events("newBlock", "bestBlockChanged", "finalized")
    await parts.queue.finalize((await parts.author()).hash, None)
    await follower.events("newBlock", "bestBlockChanged", "stop")
    assert follower.session.follows == {}
    assert parts.dev.chain._pins == {}  # noqa: SLF001 - nothing may stay pinned


async def test_stops_when_its_reader_is_too_slow(parts: Parts) -> None:
    follower = Follower(parts, outbox_bytes=1)
    await parts.author()
    for number in range(QUEUE_SIZE + 3):
        parts.events.publish(BestChanged(parts.dev.chain.best, (), ()))
        if number % 100 == 0:
            await asyncio.sleep(0.01)
    names = []
    while not names or names[-1] != "stop":
        names.append((await follower.event())["event"])
    assert names[0] == "initialized"
    assert follower.session.follows == {}


async def test_a_slow_reader_of_older_subscriptions_is_told_by_the_end_of_its_connection(parts: Parts) -> None:
    closed: list[bool] = []
    session = Session(SessionLimits(outbox_bytes=1), lambda: closed.append(True))
    events = parts.events.stream()

    async def heads() -> AsyncIterator[Any]:
        async for _ in events:
            yield "head"

    session.start("head", heads())
    session.on_answered()
    for _ in range(QUEUE_SIZE + 1):
        parts.events.publish(BestChanged(parts.dev.chain.best, (), ()))
    while not closed:
        await asyncio.wait_for(session.outbox.get(), 30)
        await asyncio.sleep(0)
    await session.close()


async def test_event_stream_raises_once_it_has_missed_one(parts: Parts) -> None:
    stream = parts.events.stream()
    for _ in range(QUEUE_SIZE + 5):
        parts.events.publish(BestChanged(parts.dev.chain.best, (), ()))
    for _ in range(QUEUE_SIZE):
        await anext(stream)
    with pytest.raises(ReaderTooSlow):
        await anext(stream)


async def test_continue_is_for_operations_that_wait(parts: Parts) -> None:
    follower = Follower(parts)
    await follower.events("initialized", "bestBlockChanged")
    one = follower.follow
    going = asyncio.Event()

    async def work(operation: Operation) -> dict[str, Any]:
        await going.wait()
        await one.wait_for_continue(operation)
        return {"event": "operationStorageDone"}

    operation = one.start(1, parts.dev.chain.genesis_hash, work)
    follower.session.on_answered()
    with pytest.raises(NoContinuation):
        one.resume(operation)
    one.resume("unknown")
    going.set()
    await follower.events("operationWaitingForContinue")
    assert one.free_slots() == 15
    one.resume(operation)
    await follower.events("operationStorageDone")
    assert one.free_slots() == 16
    one.resume(operation)
    await follower.session.close()
