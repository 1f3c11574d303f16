"""Following peers: real chains on both sides, the wire between them replaced by direct calls."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from chain import importing, sync
from chain.events import EventBus
from chain.importing import ChainThread, ImportQueue
from chain.network import BlockData, Direction, NetworkService, PeerInfo, Role
from chain.network.errors import RequestFailed
from chain.pool import TransactionSource, decode_validity
from chain.pool.service import PoolService
from chain.pool.validity import Validity
from chain.primitives import Block
from chain.primitives.digest import aura_seal
from chain.sync import SyncService
from tests.chain.devchain import DevChain


@dataclass
class Wire:
    """Peers by name: a chain that answers, or None for one that never does."""

    peers_by_name: dict[str, DevChain | None] = field(default_factory=dict)
    reported: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    forge: bool = False
    forgeries: dict[bytes, Block] = field(default_factory=dict)  # served by everybody

    def peers(self) -> list[PeerInfo]:
        return [
            PeerInfo(name, Role.FULL, dev.chain.best.number if dev else 0, dev.chain.best.hash if dev else bytes(32))
            for name, dev in self.peers_by_name.items()
        ]

    def report(self, peer: str) -> None:
        self.reported.append(peer)

    async def request_blocks(
        self, peer: str, start: int | bytes, count: int, direction: Direction = Direction.ASCENDING
    ) -> list[BlockData]:
        self.requests.append(peer)
        if isinstance(start, bytes) and start in self.forgeries:
            forgery = self.forgeries[start]
            return [BlockData(start, forgery.header.encode(), forgery.extrinsics)]
        dev = self.peers_by_name[peer]
        if dev is None:
            await asyncio.sleep(20)
            raise RequestFailed(peer, "no answer in time")
        found: list[BlockData] = []
        at = dev.chain.hash_of(start) if isinstance(start, int) else start
        while at is not None and len(found) < count and (block := dev.chain.block(at)) is not None:
            header = block.header
            if self.forge:
                header = header.without_seal().with_seal(aura_seal(bytes(64)))
            found.append(BlockData(at, header.encode(), block.extrinsics))
            step = 1 if direction is Direction.ASCENDING else -1
            number = block.header.number + step
            at = (
                block.header.parent_hash if step < 0 and number > 0 else dev.chain.hash_of(number) if step > 0 else None
            )
        return found


class Follower:
    """A chain that follows others over a `Wire`."""

    def __init__(self, dev: DevChain) -> None:
        self.dev, self.wire, self.thread = dev, Wire(), ChainThread()
        pool = PoolService(self.validate, (dev.chain.best.hash, 0))
        self.queue = ImportQueue(dev.chain, self.thread, pool, EventBus())
        self.sync = SyncService(dev.chain, self.thread, self.queue, cast(NetworkService, cast(Any, self.wire)))
        self.task = asyncio.create_task(self.sync.run())

    async def validate(self, source: TransactionSource, data: bytes, at: bytes) -> Validity:
        return decode_validity(await self.thread.run(self.dev.chain.validate_transaction, at, source, data))

    async def until(self, block: Block, seconds: float = 10.0) -> float:
        """Seconds until the block is the best one."""
        start = time.monotonic()
        while self.dev.chain.best.hash != block.hash:
            assert time.monotonic() < start + seconds, "not followed"
            await asyncio.sleep(0.02)
        return time.monotonic() - start


@pytest.fixture
async def follower(tmp_path: Path) -> AsyncIterator[Follower]:
    found = Follower(DevChain(tmp_path / "follower"))
    found.dev.now_ms += 3_600_000  # no block of a peer comes from the future
    yield found
    found.task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await found.task
    found.dev.chain.close()
    found.thread.close()


def grow(dev: DevChain, count: int, parent: bytes | None = None) -> Block:
    """The last of `count` further blocks."""
    for _ in range(count):
        parent = dev.author(parent=parent).hash
    block = dev.chain.block(parent or dev.chain.best.hash)
    assert block is not None
    return block


def announce(follower: Follower, peer: str, block: Block) -> None:
    follower.sync.on_head(peer, block.header.number, block.hash)


@pytest.mark.parametrize("count", [1, 5, sync.BATCH, sync.BATCH + 1])
async def test_missing_blocks_before_the_announced_one_are_fetched(
    follower: Follower, tmp_path: Path, count: int
) -> None:
    peer = follower.wire.peers_by_name["peer"] = DevChain(tmp_path / "peer")
    assert peer is not None
    last = grow(peer, count)
    announce(follower, "peer", last)
    await follower.until(last)
    peer.chain.close()


async def test_a_silent_peer_delays_nobody(follower: Follower, tmp_path: Path) -> None:
    peer = follower.wire.peers_by_name["good"] = DevChain(tmp_path / "peer")
    follower.wire.peers_by_name["silent"] = None
    assert peer is not None
    last = grow(peer, 3)
    announce(follower, "silent", last)
    await asyncio.sleep(0.05)
    announce(follower, "good", last)
    assert await follower.until(last) < sync.PATIENCE_SECONDS + 3
    assert follower.wire.requests[0] == "silent"
    peer.chain.close()


async def test_a_longer_fork_is_followed_and_one_below_finality_is_not(follower: Follower, tmp_path: Path) -> None:
    peer = follower.wire.peers_by_name["peer"] = DevChain(tmp_path / "peer")
    assert peer is not None
    root = peer.chain.genesis_hash
    short = grow(peer, 2)
    announce(follower, "peer", short)
    await follower.until(short)
    fork = grow(peer, 3, root)
    announce(follower, "peer", fork)
    await follower.until(fork)
    await follower.queue.finalize(fork.header.parent_hash, None)
    late = grow(peer, 2, short.hash)
    announce(follower, "peer", late)
    await asyncio.sleep(0.5)
    assert follower.dev.chain.best.hash == fork.hash
    assert follower.wire.reported == [], "to be on a losing fork is no fault"
    peer.chain.close()


async def test_forged_blocks_are_reported_and_change_nothing(follower: Follower, tmp_path: Path) -> None:
    peer = follower.wire.peers_by_name["peer"] = DevChain(tmp_path / "peer")
    assert peer is not None
    follower.wire.forge = True
    announce(follower, "peer", grow(peer, 1))
    async with asyncio.timeout(10):
        while not follower.wire.reported:
            await asyncio.sleep(0.02)
    assert follower.dev.chain.best.number == 0
    peer.chain.close()


async def test_a_cancellation_in_the_moment_of_a_head_is_heard(follower: Follower) -> None:
    await asyncio.sleep(0.05)  # it waits
    follower.sync.on_head("a", 1, bytes(32))
    follower.task.cancel()
    done, _ = await asyncio.wait([follower.task], timeout=10)
    assert done


async def test_a_flood_of_forged_blocks_delays_the_good_ones_little(follower: Follower, tmp_path: Path) -> None:
    """Sixteen peers announce and serve ever new forged blocks; each is reported, and the good peer is followed."""
    good = follower.wire.peers_by_name["good"] = DevChain(tmp_path / "good")
    assert good is not None
    real = grow(good, 1)
    names = [f"junk {number}" for number in range(16)]
    follower.wire.peers_by_name.update(dict.fromkeys(names))

    async def flood() -> None:
        while True:
            for name in names:
                seal = aura_seal(len(follower.wire.forgeries).to_bytes(64, "big"))
                forged = Block(real.header.without_seal().with_seal(seal), real.extrinsics)
                follower.wire.forgeries[forged.hash] = forged
                announce(follower, name, forged)
            await asyncio.sleep(0.001)

    flooding = asyncio.create_task(flood())
    await asyncio.sleep(0.5)
    for _ in range(5):
        real = grow(good, 1)
        announce(follower, "good", real)
        assert await follower.until(real) < 5
    flooding.cancel()
    assert set(follower.wire.reported) == set(names)
    assert len(follower.sync._heads) <= len(names) + 1
    assert 0 < len(follower.queue._bad) <= importing.MAX_BAD
    assert follower.dev.chain.leaves() == [real.hash], "none of them was taken"
    good.chain.close()


async def test_a_fork_of_too_many_bytes_is_not_held_in_memory(
    follower: Follower, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = follower.wire.peers_by_name["peer"] = DevChain(tmp_path / "peer")
    assert peer is not None
    block = grow(peer, 3)
    monkeypatch.setattr(sync, "MAX_FORK_BYTES", 3 * sum(map(len, block.extrinsics)) - 1)
    announce(follower, "peer", block)
    await asyncio.sleep(0.5)
    assert follower.dev.chain.best.number == 0
    monkeypatch.setattr(sync, "MAX_FORK_BYTES", 3 * sum(map(len, block.extrinsics)))
    announce(follower, "peer", block)
    await follower.until(block)
    peer.chain.close()
