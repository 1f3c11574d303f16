"""A story over real libp2p: three of four voters, a change of the set, then the fourth comes late and is needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from chain.events import BestChanged, BlockImported, EventBus
from chain.grandpa.authorities import encode_voters
from chain.grandpa.service import GrandpaService
from chain.network import BlockProvider, GrandpaMessage, NetworkConfig, NetworkService
from chain.primitives import DigestItem, Header
from tests.chain.grandpa.simulation import GENESIS, KEYS, change, child, voters

SECONDS = 30.0


class Ledger(BlockProvider):
    """Blocks in a row with their justifications: the chain as GRANDPA reads it and as peers ask for it."""

    def __init__(self) -> None:
        self.headers = [GENESIS]
        self.finalized = GENESIS
        self.proofs: dict[bytes, bytes] = {}

    @property
    def best(self) -> Header:
        return self.headers[-1]

    def leaves(self) -> list[bytes]:
        return [self.best.hash]

    def header(self, block_hash: bytes) -> Header | None:
        return next((one for one in self.headers if one.hash == block_hash), None)

    def canonical_hash(self, number: int) -> bytes | None:
        return self.headers[number].hash if number < len(self.headers) else None

    def header_bytes(self, block_hash: bytes) -> bytes | None:
        header = self.header(block_hash)
        return None if header is None else header.encode()

    def body_bytes(self, block_hash: bytes) -> tuple[bytes, ...] | None:
        return ()

    def justification_bytes(self, block_hash: bytes) -> bytes | None:
        return self.proofs.get(block_hash)

    async def finalize(self, block_hash: bytes, proof: bytes) -> None:
        header = self.header(block_hash)
        assert header is not None
        assert header.number > self.finalized.number
        self.finalized, self.proofs[block_hash] = header, proof


class Member:
    """A voter with a network of its own."""

    def __init__(self, index: int, folder: Path, to: tuple[str, ...]) -> None:
        self.ledger, self.events = Ledger(), EventBus()
        config = NetworkConfig(GENESIS.hash, bytes([index + 1]) * 32, bootnodes=to)
        self.network = NetworkService(config, self.ledger)
        genesis, key = encode_voters(voters(1, 1, 1, 1)), KEYS[index]
        self.grandpa = GrandpaService(
            self.ledger, genesis, key, self.ledger.finalize, self.events, self.network, folder / str(index)
        )
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await self.network.start()
        self.tasks = [asyncio.create_task(self.grandpa.run()), asyncio.create_task(self._listen())]

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await self.network.stop()

    def add(self, header: Header) -> None:
        self.ledger.headers.append(header)
        self.events.publish(BlockImported(header))
        self.events.publish(BestChanged(header, (header.hash,), ()))

    async def _listen(self) -> None:
        async for event in self.network.events():
            if isinstance(event, GrandpaMessage):
                self.grandpa.on_message(event.peer, event.message)


Join = Callable[[int], Awaitable[Member]]


@pytest.fixture
async def join(tmp_path: Path) -> AsyncIterator[Join]:
    """Starts voters, each connected to all before it, and stops them in the end."""
    members: list[Member] = []

    async def begin(index: int) -> Member:
        member = Member(index, tmp_path, tuple(one.network.listen_addresses[0] for one in members))
        members.append(member)
        await member.start()
        return member

    yield begin
    for member in members:
        await member.stop()


async def until(predicate: Callable[[], bool], what: str) -> None:
    deadline = asyncio.get_running_loop().time() + SECONDS
    while not predicate():
        assert asyncio.get_running_loop().time() < deadline, f"not within {SECONDS} s: {what}"
        await asyncio.sleep(0.05)


async def test_a_late_voter_comes_over_a_set_change_and_is_needed_then(join: Join) -> None:
    present = [await join(index) for index in range(3)]
    await until(lambda: all(len(one.network.peers()) == 2 for one in present), "three are connected")
    blocks = [GENESIS]

    def extend(count: int, *digest: DigestItem) -> None:
        for _ in range(count):
            blocks.append(child(blocks[-1], *digest))
            for one in present:
                one.add(blocks[-1])

    def all_final(number: int) -> bool:
        return all(one.ledger.finalized == blocks[number] for one in present)

    # one of four is down
    extend(2)
    await until(lambda: all_final(2), "three of four make block 2 final")
    # while the round about the next blocks runs, the set gets weights 1, 1, 1, 2: three weigh 3 of 5, 4 are needed
    extend(1)
    extend(1, change(voters(1, 1, 1, 2)))
    extend(2)
    await until(lambda: all_final(4), "the old set makes its last block final")
    assert {one.grandpa.status.set_id for one in present} == {1}
    assert all(blocks[4].hash in one.ledger.proofs for one in present), "the block that ends a set has its own proof"
    await asyncio.sleep(1)
    assert all_final(4)
    # the fourth has all blocks and no proof: it asks a peer of the later set for that of block 4, then votes
    late = await join(3)
    for header in blocks[1:]:
        late.add(header)
    present.append(late)
    await until(lambda: all_final(6), "with the fourth voter block 6 is final")
    assert late.grandpa.status.set_id == 1
    assert blocks[4].hash in late.ledger.proofs
