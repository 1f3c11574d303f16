"""The asyncio face of the network: start, stop, announce, gossip, ask for blocks, and a queue of typed events.

libp2p (py-libp2p) is a trio library. It runs in a thread of its own (`host.py`); commands go there and events come
back through two bounded queues (`bridge.py`). A full queue never blocks the node: gossip is dropped and counted,
a request fails with RequestFailed; a full event queue makes the thread stop reading from its peers.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass

from chain.errors import DecodeError
from chain.network.bridge import Bridge
from chain.network.errors import BadMessage, BadResponse, NotRunning, RequestFailed
from chain.network.events import NetworkEvent
from chain.network.messages import (
    ALL_FIELDS,
    MAX_BLOCKS_PER_REQUEST,
    MAX_TRANSACTIONS_BYTES,
    BlockAnnounce,
    BlockData,
    BlockField,
    BlockRequest,
    Direction,
    Handshake,
    Role,
    encode_transactions,
)
from chain.network.provider import BlockProvider
from chain.primitives import Header

logger = logging.getLogger(__name__)

START_TIMEOUT = 60.0  # seconds; importing libp2p on a busy machine takes up to 20
STOP_TIMEOUT = 3.0  # seconds until the thread is left to die with the process
REQUEST_TIMEOUT = 20.0  # seconds for a block request, as a stock node


@dataclass(frozen=True)
class NetworkConfig:
    """How a node takes part in the network.

    genesis_hash: 32 bytes, names the protocols; listen_port: TCP, 0 takes a free one; bootnodes: multiaddresses
    `/ip4/…/tcp/…/p2p/…`, kept connected for ever; node_key_seed: 32-byte ed25519 seed (the peer id follows from it);
    max_peers: connections above this are closed; client_version: our name, for logs (libp2p's identify has its own).
    """

    genesis_hash: bytes
    node_key_seed: bytes
    listen_port: int = 0
    listen_host: str = "127.0.0.1"
    bootnodes: tuple[str, ...] = ()
    roles: Role = Role.FULL
    max_peers: int = 32
    client_version: str = "aipow/0.1"


@dataclass(frozen=True, slots=True)
class PeerInfo:
    """A connected peer: base58 id, roles, and the best block it has told of."""

    peer: str
    roles: Role
    best_number: int
    best_hash: bytes


class NetworkService:
    """One node's place in the network.

    `provider` answers peers' block requests (called on the asyncio thread). `best` is (number, hash) for handshakes;
    keep it current with `set_best` (announce_block with is_best does it too).
    Usage: `await start()`, then `async for event in service.events(): …`, at the end `await stop()`.
    """

    def __init__(self, config: NetworkConfig, provider: BlockProvider, best: tuple[int, bytes] | None = None) -> None:
        number, block_hash = best or (0, config.genesis_hash)
        self.config = config
        self._bridge = Bridge(provider, Handshake(config.roles, number, block_hash, config.genesis_hash))
        self._thread: threading.Thread | None = None
        self._peer_id = ""
        self._addresses: tuple[str, ...] = ()

    @property
    def peer_id(self) -> str:
        """Our base58 peer id; empty before start()."""
        return self._peer_id

    @property
    def listen_addresses(self) -> tuple[str, ...]:
        """Our multiaddresses with `/p2p/<peer id>`: what others take as --bootnode; empty before start()."""
        return self._addresses

    @property
    def dropped(self) -> int:
        """Messages dropped so far because a queue was full (for metrics)."""
        return self._bridge.dropped

    @property
    def faults(self) -> int:
        """Rules broken by peers so far (for metrics)."""
        return self._bridge.faults

    async def start(self) -> None:
        """Starts the libp2p thread and listens; raises ListenFailed, BadAddress, TimeoutError."""
        ready = self._bridge.open(asyncio.get_running_loop())
        arguments = (self.config, self._bridge)
        logger.info("network of %s starts", self.config.client_version)
        self._thread = threading.Thread(target=_run_thread, args=arguments, name="libp2p", daemon=True)
        self._thread.start()
        self._peer_id, self._addresses = await asyncio.wait_for(ready, START_TIMEOUT)

    async def stop(self) -> None:
        """Closes all connections and ends the thread; may be called twice."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._bridge.close()
        await asyncio.to_thread(thread.join, STOP_TIMEOUT)

    def peers(self) -> list[PeerInfo]:
        """The connected peers with the best block each has told of."""
        known = list(self._bridge.peers.items())
        return [PeerInfo(peer, hs.roles, hs.best_number, hs.best_hash) for peer, hs in known]

    def set_best(self, number: int, block_hash: bytes) -> None:
        """Sets what later handshakes tell of our best block."""
        genesis = self.config.genesis_hash
        self._bridge.handshake = Handshake(self.config.roles, number, block_hash, genesis)

    def announce_block(self, header_bytes: bytes, is_best: bool) -> None:
        """Announces an imported or authored block (SCALE header with seal) to all peers."""
        header = Header.decode(header_bytes)
        if is_best:
            self.set_best(header.number, header.hash)
        self._bridge.send_all("announce", BlockAnnounce(header, is_best).encode())

    def gossip_transactions(self, extrinsics: list[bytes], exclude: str | None = None) -> None:
        """Sends extrinsics (each with its compact length in front) to all peers but `exclude`, in bounded messages."""
        batch: list[bytes] = []
        size = 0
        for extrinsic in extrinsics:
            if batch and size + len(extrinsic) > MAX_TRANSACTIONS_BYTES // 16:
                self._bridge.send_all("transactions", encode_transactions(batch), exclude)
                batch, size = [], 0
            batch.append(extrinsic)
            size += len(extrinsic)
        if batch:
            self._bridge.send_all("transactions", encode_transactions(batch), exclude)

    def gossip_grandpa(self, message: bytes, exclude: str | None = None) -> None:
        """Sends an encoded GRANDPA GossipMessage to all peers but `exclude`."""
        self._bridge.send_all("grandpa", message, exclude)

    def send_grandpa(self, peer: str, message: bytes) -> None:
        """Sends an encoded GRANDPA GossipMessage to one peer."""
        self._bridge.send_one("grandpa", message, peer)

    async def request_blocks(
        self,
        peer: str,
        start: int | bytes,
        max_blocks: int = MAX_BLOCKS_PER_REQUEST,
        direction: Direction = Direction.ASCENDING,
        fields: BlockField = ALL_FIELDS,
    ) -> list[BlockData]:
        """Asks `peer` for blocks from a number or hash on; hashes and links are checked, contents are not verified.

        Raises RequestFailed (gone, refused, too slow), BadMessage and BadResponse (the peer broke a rule).
        """
        if self._thread is None:
            raise NotRunning
        request = BlockRequest(start, max_blocks, direction, fields)
        answer = self._bridge.request(peer, request)
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT + 1):
                blocks = await answer
        except TimeoutError as error:
            raise RequestFailed(peer, "no answer in time") from error
        try:
            verify_response(request, blocks, peer)
        except (BadMessage, BadResponse):
            self.report(peer)
            raise
        return blocks

    def report(self, peer: str) -> None:
        """Counts a fault of `peer` (invalid block, bad vote); too many and it is disconnected for some minutes."""
        self._bridge.report(peer)

    async def next_event(self) -> NetworkEvent:
        """The next event; waits for one."""
        return await self._bridge.next_event()

    async def events(self) -> AsyncIterator[NetworkEvent]:
        """All events from now on; ends only by cancellation."""
        while True:
            yield await self._bridge.next_event()


def _run_thread(config: NetworkConfig, bridge: Bridge) -> None:
    """Imports libp2p (it takes seconds, so not on the node's thread) and runs the host."""
    try:
        from chain.network.host import run_host
    except Exception as error:
        bridge.failed(error)
        raise
    run_host(config, bridge)


def verify_response(request: BlockRequest, blocks: list[BlockData], peer: str) -> None:
    """Raises BadResponse unless headers hash to the given hashes and follow each other from the asked start.

    Still trusted: everything inside the headers and bodies; import verifies that.
    """
    headers = []
    for block in blocks:
        if not request.fields & BlockField.HEADER:
            continue
        if block.header is None:
            raise BadResponse("a block without the header asked for", peer)
        try:
            header = Header.decode(block.header)
        except DecodeError as error:
            raise BadResponse(f"a header does not decode: {error}", peer) from error
        if header.hash != block.hash:
            raise BadResponse(f"header #{header.number} does not hash to its block's hash", peer)
        headers.append(header)
    if not headers:
        return
    first = headers[0].number if isinstance(request.start, int) else headers[0].hash
    if first != request.start:
        raise BadResponse("the first block is not the one asked for", peer)
    if request.direction is Direction.DESCENDING:
        headers.reverse()
    for older, newer in zip(headers, headers[1:], strict=False):
        if newer.parent_hash != older.hash or newer.number != older.number + 1:
            raise BadResponse(f"block #{newer.number} does not follow #{older.number}", peer)
