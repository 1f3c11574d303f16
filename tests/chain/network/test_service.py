"""Real services on loopback: connect, announce, ask, gossip, suffer junk, lose and find each other again."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import pytest

from chain.network import (
    BlockAnnounced,
    Direction,
    GrandpaMessage,
    NetworkConfig,
    NetworkService,
    PeerConnected,
    PeerDisconnected,
    TransactionsReceived,
)
from chain.network.errors import BadAddress, ListenFailed, NotRunning, RequestFailed
from chain.network.messages import Handshake, Role, frame
from chain.primitives import Header
from tests.chain.network.chainlet import GENESIS_HASH, Chainlet

CHAIN = Chainlet()
Start = Callable[..., Awaitable[NetworkService]]
T = TypeVar("T")


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts services and stops them in the end."""
    running: list[NetworkService] = []

    async def begin(
        seed: int, port: int = 0, genesis: bytes = GENESIS_HASH, to: tuple[str, ...] = ()
    ) -> NetworkService:
        service = NetworkService(NetworkConfig(genesis, bytes([seed]) * 32, port, bootnodes=to), CHAIN)
        running.append(service)
        await service.start()
        return service

    yield begin
    await asyncio.gather(*(service.stop() for service in running))


async def until(service: NetworkService, kind: type[T]) -> T:
    async with asyncio.timeout(20):
        while True:
            event = await service.next_event()
            if isinstance(event, kind):
                return event


async def test_three_nodes_exchange_everything(start: Start) -> None:
    one = await start(1)
    two = await start(2, to=one.listen_addresses)
    three = await start(3, to=one.listen_addresses)
    assert {(await until(one, PeerConnected)).peer for _ in range(2)} == {two.peer_id, three.peer_id}
    connected = await until(two, PeerConnected)
    assert (connected.peer, connected.handshake.best_number) == (one.peer_id, 0)
    await until(three, PeerConnected)

    blocks = await two.request_blocks(one.peer_id, 5, 3)
    assert [(Header.decode(block.header or b"").number, block.justification) for block in blocks] == [
        (5, None), (6, b"proof"), (7, None)
    ]  # fmt: skip
    back = await one.request_blocks(three.peer_id, CHAIN.headers[3].hash, 9, Direction.DESCENDING)
    assert [block.hash for block in back] == [header.hash for header in CHAIN.headers[3::-1]]
    assert len(await two.request_blocks(one.peer_id, 1)) == 128

    async def heard(by: NetworkService, kind: type, say: Callable[[], None]) -> object:
        for _ in range(20):  # a substream may still be opening: what is said before is lost
            say()
            try:
                async with asyncio.timeout(0.5):
                    return await until(by, kind)
            except TimeoutError:
                continue
        raise AssertionError("not heard")

    header = CHAIN.headers[9]
    announced = await heard(two, BlockAnnounced, lambda: one.announce_block(header.encode(), True))
    assert isinstance(announced, BlockAnnounced)
    assert (announced.peer, announced.announce.header, announced.announce.is_best) == (one.peer_id, header, True)
    assert [peer.best_number for peer in two.peers()] == [9]
    assert isinstance(
        await heard(one, BlockAnnounced, lambda: three.announce_block(header.encode(), True)), BlockAnnounced
    )
    got = await heard(three, TransactionsReceived, lambda: one.gossip_transactions([b"\x08ab", b"\x04c"]))
    assert got == TransactionsReceived(one.peer_id, (b"\x08ab", b"\x04c"))
    assert await heard(one, GrandpaMessage, lambda: two.gossip_grandpa(b"vote")) == GrandpaMessage(two.peer_id, b"vote")


async def test_a_peer_that_dies_is_noticed_and_found_again(start: Start) -> None:
    one = await start(1)
    two = await start(2, to=one.listen_addresses)
    await until(two, PeerConnected)
    port = int(one.listen_addresses[0].split("/")[4])
    await one.stop()
    assert (await until(two, PeerDisconnected)).peer == one.peer_id
    assert two.peers() == []
    with pytest.raises(RequestFailed):
        await two.request_blocks(one.peer_id, 1)
    again = await start(1, port)
    assert (await until(two, PeerConnected)).peer == again.peer_id
    assert len(await two.request_blocks(again.peer_id, 1, 2)) == 2


async def peer_process(port: int = 0) -> tuple[asyncio.subprocess.Process, str]:
    """A peer in a process of its own and its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.chain.network.peer_process", "1", str(port), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 60)
    return process, line.decode().strip()


async def test_a_peer_killed_in_full_talk_is_noticed_and_found_again(start: Start) -> None:
    process, address = await peer_process()
    try:
        two = await start(2, to=(address,))
        for _ in range(3):  # libp2p leaves a dead connection in its list in one death of three
            await until(two, PeerConnected)
            await until(two, BlockAnnounced)
            two.gossip_grandpa(bytes(300))
            process.kill()
            await process.wait()
            await until(two, PeerDisconnected)
            process, _ = await peer_process(int(address.split("/")[4]))
        await until(two, PeerConnected)
        assert len(await two.request_blocks(address.rpartition("/")[2], 1, 2)) == 2
    finally:
        process.kill()
        await process.wait()


async def test_a_peer_of_another_genesis_is_no_peer(start: Start) -> None:
    one = await start(1)
    await start(2, genesis=bytes([8]) * 32, to=one.listen_addresses)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2):
            await until(one, PeerConnected)


async def test_junk_bytes_on_the_port_harm_nobody(start: Start) -> None:
    one = await start(1)
    host, port = "127.0.0.1", int(one.listen_addresses[0].split("/")[4])
    noise = b"\x13/multistream/1.0.0\n\x07/noise\n" + os.urandom(500)
    for junk in (os.urandom(10_000), b"GET / HTTP/1.1\r\n\r\n", noise, b""):
        _, writer = await asyncio.open_connection(host, port)
        writer.write(junk)
        writer.close()
    two = await start(2, to=one.listen_addresses)
    await until(two, PeerConnected)
    assert len(await two.request_blocks(one.peer_id, 1, 2)) == 2


async def test_a_peer_that_sends_junk_in_our_protocols_is_refused_in_the_end(start: Start) -> None:
    one = await start(1)
    two = await start(2, to=one.listen_addresses)
    await until(one, PeerConnected)
    async with asyncio.timeout(30):
        while one.faults < 3:  # each broken message resets the substream; the peer opens it again
            two._bridge.send_all("announce", b"\x01\x02\x03")
            two._bridge.send_all("transactions", b"\xfe\xff\xff\xff")
            await asyncio.sleep(0.1)
    for _ in range(10):
        one.report(two.peer_id)
    assert (await until(one, PeerDisconnected)).peer == two.peer_id
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2):
            await until(one, PeerConnected)
    three = await start(3, to=one.listen_addresses)
    assert (await until(three, PeerConnected)).peer == one.peer_id


async def test_invalid_port_in_use(start: Start) -> None:
    one = await start(1)
    with pytest.raises(ListenFailed):
        await start(2, int(one.listen_addresses[0].split("/")[4]))


async def test_invalid_bootnode_address(start: Start) -> None:
    with pytest.raises(BadAddress):
        await start(1, to=("127.0.0.1:30333",))


async def test_requests_before_the_start_are_refused() -> None:
    service = NetworkService(NetworkConfig(GENESIS_HASH, bytes(32)), CHAIN)
    with pytest.raises(NotRunning):
        await service.request_blocks("nobody", 1)
    service.announce_block(CHAIN.headers[1].encode(), True)
    assert service.dropped == 1
    await service.stop()


def test_a_frame_of_the_handshake_has_its_length_in_front() -> None:
    assert frame(Handshake(Role.FULL, 0, bytes(32), bytes(32)).encode())[0] == 69
