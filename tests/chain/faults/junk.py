"""Strangers: some that only know TCP, and one that is a libp2p peer of the chain and sends junk on every protocol."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import threading

from chain.network import NetworkConfig, NetworkService
from chain.network.protobuf import encode_varint
from tests.chain.network.chainlet import Chainlet

MULTISTREAM = b"\x13/multistream/1.0.0\n"
NOISE = b"\x07/noise\n"
OPENINGS = (
    b"",
    MULTISTREAM,
    MULTISTREAM[:7],
    MULTISTREAM + NOISE,
    MULTISTREAM + NOISE + b"\x00\x20" + bytes(32),
    MULTISTREAM + NOISE + b"\xff\xff",
    encode_varint(2**31),
    encode_varint(2**63) + MULTISTREAM,
    b"GET / HTTP/1.1\r\n\r\n",
)
"""How a stranger begins: with nothing, with half a handshake, with a frame of 2 GiB, with something else altogether."""


class Strangers:
    """Threads that connect to a port again and again, say something wrong, and stay or go; `junk_peer` is a peer."""

    def __init__(self, port: int, address: str, genesis: bytes, seed: int) -> None:
        self._port, self._address, self._genesis = port, address, genesis
        self._random = random.Random(seed)
        self._stop = threading.Event()
        self._held: list[socket.socket] = []
        self.connections = 0
        """How many times somebody got in."""
        self.peer_id = ""
        """The junk peer's id, once it is connected."""
        self._threads = [threading.Thread(target=self._knock), threading.Thread(target=self._run_peer)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """They go."""
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
        for one in self._held:
            one.close()

    def _knock(self) -> None:
        while not self._stop.wait(0.05):
            with contextlib.suppress(OSError):
                one = socket.create_connection(("127.0.0.1", self._port), 2)
                self.connections += 1
                one.sendall(self._random.choice(OPENINGS))
                if self._random.random() < 0.7:
                    one.sendall(self._random.randbytes(self._random.randrange(1, 1 << 16)))
                if self._random.random() < 0.3 and len(self._held) < 32:
                    self._held.append(one)  # says nothing more, and stays
                else:
                    one.close()

    def _run_peer(self) -> None:
        asyncio.run(self._junk_peer())

    async def _junk_peer(self) -> None:
        config = NetworkConfig(self._genesis, self._random.randbytes(32), bootnodes=(self._address,))
        service = NetworkService(config, Chainlet(20), (1_000_000, self._random.randbytes(32)))
        await service.start()
        try:
            while not self._stop.is_set():
                self.peer_id = self.peer_id or (service.peer_id if service.peers() else "")
                for protocol in ("announce", "transactions", "grandpa"):
                    junk = self._random.randbytes(self._random.randrange(1, 4_096))
                    service._bridge.send_all(protocol, junk)  # noqa: SLF001 - it has no method for what is wrong
                service.set_best(self._random.randrange(2**32), self._random.randbytes(32))
                await asyncio.sleep(0.1)
        finally:
            await service.stop()
