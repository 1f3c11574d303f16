"""What strangers may cost a server: slow readers are cut off, no peer takes every transfer, proofs are rationed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import numpy as np
import pytest

from consensus.commit.hashing import Hash32
from miner.store import server as server_module
from miner.store.address import Address, Kind
from miner.store.allowance import Allowance
from miner.store.blobs import BlobStore
from miner.store.server import MAX_PEER_TRANSFERS, BlobServer

DATA = np.random.default_rng(3).bytes(12_000_000)
STATE = {"w": np.arange(40 * 50, dtype=np.float32).reshape(40, 50)}


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[BlobServer, Address, Address]]:
    with BlobStore(tmp_path / "served") as store:
        data = Address(Kind.BLOB, store.put_blob(DATA))
        small = Address(Kind.STATE, store.put_state(STATE))
        running = BlobServer(store)
        await running.start()
        yield running, data, small
        await running.stop()


def ask_and_never_read(server: BlobServer, address: Address) -> socket.socket:
    """A connection whose answer is not taken; its receive buffer is as small as the system allows."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    connection.setblocking(False)
    host, _, port = server.url.removeprefix("http://").partition(":")
    connection.connect_ex((host, int(port)))
    return connection


async def stall(server: BlobServer, address: Address, count: int) -> list[socket.socket]:
    loop = asyncio.get_running_loop()
    connections = [ask_and_never_read(server, address) for _ in range(count)]
    for connection in connections:
        await loop.sock_sendall(connection, f"GET /{address} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    async with asyncio.timeout(20):
        while server._transfers.total() < count:
            await asyncio.sleep(0.01)
    return connections


async def test_who_does_not_read_is_cut_off_and_others_are_served(
    served: tuple[BlobServer, Address, Address], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, data, small = served
    connections = await stall(server, data, MAX_PEER_TRANSFERS)
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{server.url}/{small}") as answer:
            assert answer.status == 503 and answer.headers["Retry-After"] == "1"
        for connection in connections:
            connection.close()
        async with asyncio.timeout(20):
            while server._transfers.total():
                await asyncio.sleep(0.01)
        monkeypatch.setattr(server_module, "PIECE_SECONDS", 0.3)
        stalled = await stall(server, data, MAX_PEER_TRANSFERS)
        async with asyncio.timeout(20):
            while server._transfers.total():
                await asyncio.sleep(0.01)
        async with session.get(f"{server.url}/{data}") as answer:
            assert answer.status == 200 and await answer.read() == DATA
    for connection in stalled:
        connection.setblocking(True)
        received = 0
        with suppress(ConnectionResetError):
            while piece := connection.recv(2**20):
                received += len(piece)
        assert received < len(DATA)
        connection.close()


async def test_proofs_are_rationed(served: tuple[BlobServer, Address, Address]) -> None:
    server, _, small = served
    now = 0.0
    server._allowance = Allowance(0.05, 0.0, lambda: now)
    root = Hash32(small.root)
    async with aiohttp.ClientSession() as session:
        url = f"{server.url}/proof/{root.hex()}/w?tile=1"
        async with session.get(url) as answer:
            assert answer.status == 200 and (await answer.json())["tile"]["index"] == 1
        async with session.get(url) as answer:
            assert answer.status == 503
            now = float(answer.headers["Retry-After"])
        async with session.get(url) as answer:
            assert answer.status == 200
        async with session.get(f"{server.url}/{small}") as answer:
            assert answer.status == 200
