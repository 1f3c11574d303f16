"""Our side of one peer: an outgoing substream per notification protocol, each with a bounded queue."""

from __future__ import annotations

import contextlib
import logging
import random
from typing import TYPE_CHECKING

import trio
from libp2p.abc import INetStream
from libp2p.host.ping import perform_ping_roundtrip
from libp2p.peer.id import ID

from chain.errors import PeerFault
from chain.network.bridge import Gossip
from chain.network.framing import FrameReader, reset_quietly
from chain.network.messages import MAX_HANDSHAKE_BYTES, Handshake, frame

if TYPE_CHECKING:
    from chain.network.host import Host

logger = logging.getLogger(__name__)

QUEUE = 256  # messages waiting for one peer on one protocol; more are dropped
WRITE_TIMEOUT = 10.0  # seconds
PING_SECONDS, PING_TIMEOUT = 4.0, 12.0
REOPEN_FIRST, REOPEN_MAX = 0.3, 10.0  # seconds between two tries to open a substream
GATHER_SECONDS = 0.01  # votes and transactions wait so long for more of their kind: all go in one write
MAX_WRITE = 1 << 16  # 64 KiB (= 65,536): a yamux frame's payload


class PeerLink:
    """Keeps the three notification substreams to a peer open while the connection lasts."""

    def __init__(self, host: Host, peer_id: ID) -> None:
        self.peer_id = peer_id
        self.handshake: Handshake | None = None
        self.requests = trio.Semaphore(2)  # block requests under way to this peer
        self._host = host
        self._scope = trio.CancelScope()
        self._ping_stream: INetStream | None = None
        self._queues = {
            kind: trio.open_memory_channel[bytes](QUEUE) for kind in ("announce", "transactions", "grandpa")
        }

    def send(self, gossip: Gossip) -> bool:
        """Queues a message; False when it is dropped because the peer is too slow."""
        try:
            self._queues[gossip.protocol][0].send_nowait(gossip.message)
        except trio.WouldBlock:
            return False
        return True

    def close(self) -> None:
        """Ends all of it."""
        self._scope.cancel()

    async def run(self) -> None:
        """Serves the substreams until `close`."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                for kind in self._queues:
                    nursery.start_soon(self._keep_open, kind)
                nursery.start_soon(self._watch_alive)

    async def _keep_open(self, kind: str) -> None:
        delay = REOPEN_FIRST
        while True:
            stream: INetStream | None = None
            try:
                with trio.fail_after(WRITE_TIMEOUT):
                    stream = await self._host.open_stream(self.peer_id, kind)
                    await stream.write(frame(self._host.our_handshake(kind)))
                    answer = await FrameReader(stream, self.peer_id.to_base58()).frame(MAX_HANDSHAKE_BYTES, "handshake")
                if kind == "announce":
                    self._host.on_handshake(self.peer_id.to_base58(), answer)
                delay = REOPEN_FIRST
                await self._pump(stream, kind)
            except PeerFault as error:
                self._host.fault(self.peer_id.to_base58(), error)
            except Exception as error:  # noqa: BLE001  libp2p raises many kinds
                logger.debug("%s substream to %s: %r", kind, self.peer_id, error)
            finally:
                if stream is not None:
                    await reset_quietly(stream)
            await trio.sleep(delay * random.uniform(0.5, 1.5))
            delay = min(delay * 2, REOPEN_MAX)

    async def _watch_alive(self) -> None:
        """Pings now and then: libp2p does not always notice that a connection is dead. Silence ends the link."""
        try:
            while True:
                await trio.sleep(PING_SECONDS * random.uniform(0.8, 1.2))
                with trio.fail_after(PING_TIMEOUT):
                    await self._ping()
        except Exception as error:  # noqa: BLE001  libp2p raises many kinds
            logger.info("peer %s does not answer (%s); its connection is given up", self.peer_id, error)
            self._host.give_up(self.peer_id)
        finally:
            if self._ping_stream is not None:
                await reset_quietly(self._ping_stream)

    async def _ping(self) -> None:
        """On the last ping's substream (negotiating one costs twenty frames), or a new one if the peer closed that."""
        if self._ping_stream is not None:
            try:
                await perform_ping_roundtrip(self._ping_stream)
                return
            except Exception as error:  # noqa: BLE001  libp2p raises many kinds
                logger.debug("ping substream to %s ended: %r", self.peer_id, error)
                await reset_quietly(self._ping_stream)
        self._ping_stream = await self._host.open_ping(self.peer_id)
        await perform_ping_roundtrip(self._ping_stream)

    async def _pump(self, stream: INetStream, kind: str) -> None:
        """Writes what is queued; ends when the peer closes its side or is too slow."""
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                try:
                    while await stream.read(1):
                        pass  # nothing is said on this side after the handshake
                except Exception as error:  # noqa: BLE001  libp2p raises many kinds
                    logger.debug("%s substream to %s ended: %r", kind, self.peer_id, error)
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch)
            waiting = self._queues[kind][1]
            async for message in waiting:
                if kind != "announce":
                    await trio.sleep(GATHER_SECONDS)
                data = bytearray(frame(message))
                with contextlib.suppress(trio.WouldBlock):
                    while len(data) < MAX_WRITE:
                        data += frame(waiting.receive_nowait())
                with trio.fail_after(WRITE_TIMEOUT):
                    await stream.write(bytes(data))
