"""The trio thread: one libp2p host, a notification link per peer, block requests both ways, redialling of bootnodes.

Everything a peer can do to us ends in its own task: a broken rule resets the stream and counts as a fault, too many
faults close the connection and refuse the peer for some minutes. If libp2p itself fails, the host is started anew.
"""

from __future__ import annotations

import logging
import math
import os
import random
import socket
import time
from functools import partial

import trio
from libp2p import new_host
from libp2p.abc import IHost, INetConn, INetStream, INetwork, INotifee
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.custom_types import TProtocol
from libp2p.host.ping import ID as PING_PROTOCOL
from libp2p.network.config import ConnectionConfig
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo, info_from_p2p_addr
from libp2p.rcmgr import ResourceManager
from multiaddr import Multiaddr

from chain.errors import PeerFault
from chain.network.bridge import Ask, Bridge, Command, Gossip, Report, Stop
from chain.network.errors import BadAddress, ListenFailed, RequestFailed, WrongNetwork
from chain.network.events import (
    BlockAnnounced,
    GrandpaMessage,
    NetworkEvent,
    PeerConnected,
    PeerDisconnected,
    TransactionsReceived,
)
from chain.network.framing import EndOfStream, FrameReader, reset_quietly
from chain.network.link import PeerLink
from chain.network.messages import (
    MAX_ANNOUNCE_BYTES,
    MAX_GRANDPA_BYTES,
    MAX_HANDSHAKE_BYTES,
    MAX_REQUEST_BYTES,
    MAX_RESPONSE_BYTES,
    MAX_TRANSACTIONS_BYTES,
    BlockAnnounce,
    BlockRequest,
    Handshake,
    decode_response,
    decode_transactions,
    frame,
)
from chain.network.service import REQUEST_TIMEOUT, NetworkConfig

logger = logging.getLogger(__name__)

HANDSHAKE_TIMEOUT = 10.0  # seconds
SERVE_TIMEOUT = 15.0  # seconds for the node to build a response
MAX_SERVED_AT_ONCE = 8  # block requests of all peers together
MAX_SERVED_PER_PEER = 2
MAX_FAULTS = 8  # broken rules until a peer is refused
BAN_SECONDS = 60.0
FORGIVE_SECONDS = 10.0  # one fault is forgotten after each
REDIAL_FIRST, REDIAL_MAX = 0.5, 3.0  # seconds; doubled at each failure, times a random factor of 0.5 to 1.5
SUFFIX = {"announce": "block-announces/1", "transactions": "transactions/1", "grandpa": "grandpa/1"}
BOUND = {"announce": MAX_ANNOUNCE_BYTES, "transactions": MAX_TRANSACTIONS_BYTES, "grandpa": MAX_GRANDPA_BYTES}


def run_host(config: NetworkConfig, bridge: Bridge) -> None:
    """The thread's body: runs hosts until the bridge says stop; only the first start may fail for good."""
    os.environ.setdefault("PY_YAMUX_RELEASE_ON_READ", "0")  # no window update for every few bytes that were read
    for name in ("libp2p", "multiaddr"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    started = False
    while not bridge.stopping.is_set():
        host = Host(config, bridge)
        try:
            trio.run(host.run)
        except BaseException as error:  # noqa: BLE001  whatever ends libp2p, the node lives on
            if not started and not host.is_listening:
                bridge.failed(_first_cause(error))
                return
            logger.warning("the libp2p host failed (%r); starting it anew", error)
            time.sleep(1.0)
        finally:
            bridge.attach(None)
            host.forget_all()
        started = started or host.is_listening


def _first_cause(error: BaseException) -> Exception:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, Exception) else RuntimeError(repr(error))


class Host(INotifee):  # type: ignore[misc]  # libp2p is untyped here
    """One libp2p host and its peers; lives on the trio thread."""

    def __init__(self, config: NetworkConfig, bridge: Bridge) -> None:
        self.config, self.bridge = config, bridge
        self.is_listening = False
        self._links: dict[str, PeerLink] = {}
        self._faults: dict[str, tuple[int, float]] = {}
        self._banned: dict[str, float] = {}
        self._served: dict[str, int] = {}
        self._serving = trio.Semaphore(MAX_SERVED_AT_ONCE)
        self._prefix = f"/{config.genesis_hash.hex()}/"
        self._host: IHost
        self._nursery: trio.Nursery
        self._token: trio.lowlevel.TrioToken

    # ---- life

    async def run(self) -> None:
        """Listens and serves until a Stop command; raises ListenFailed, BadAddress."""
        bootnodes = [_parse_address(address) for address in self.config.bootnodes]
        self._token = trio.lowlevel.current_trio_token()
        send, receive = trio.open_memory_channel[Command](math.inf)  # bounded by the bridge's own count
        address = f"/ip4/{self.config.listen_host}/tcp/{self.config.listen_port}"
        _check_port(self.config.listen_host, self.config.listen_port, address)
        self._host = self._new_host()
        for kind in SUFFIX:
            self._host.set_stream_handler(self.protocol(kind), partial(self._on_notifications, kind))
        self._host.set_stream_handler(TProtocol(f"{self._prefix}sync/2"), self._on_block_request)
        self._host.get_network().register_notifee(self)
        async with trio.open_nursery() as self._nursery:
            async with self._host.run(listen_addrs=[Multiaddr(address)]):
                addresses = tuple(str(one) for one in self._host.get_addrs())
                if not self._host.get_network().listeners:
                    raise ListenFailed(address, "the port is in use or not allowed")
                self.is_listening = True
                peer_id = self._host.get_id().to_base58()
                self.bridge.attach(lambda command: self._token.run_sync_soon(send.send_nowait, command))
                self.bridge.ready(peer_id, tuple(_with_peer(one, peer_id) for one in addresses))
                for info in bootnodes:
                    if info.peer_id != self._host.get_id():
                        self._nursery.start_soon(self._keep_connected, info)
                async for command in receive:
                    self.bridge.taken()
                    if isinstance(command, Stop):
                        break
                    self._on_command(command)
                with trio.move_on_after(1.0):
                    await self._host.close()
            self._nursery.cancel_scope.cancel()

    def _new_host(self) -> IHost:
        manager = ResourceManager(
            enable_memory_limits=False,
            enable_circuit_breaker=False,
            enable_graceful_degradation=False,
            enable_metrics=False,
        )
        limits = ConnectionConfig(
            max_connections=self.config.max_peers * 3,
            min_connections=0,
            low_watermark=0,
            high_watermark=self.config.max_peers * 3,
            auto_connect_interval=3_600.0,
        )
        host = new_host(
            key_pair=create_new_key_pair(self.config.node_key_seed),
            muxer_preference="YAMUX",
            resource_manager=manager,
            connection_config=limits,
            disable_identify_address_discovery=True,
        )
        host.get_network().retry_config.max_retries = 0
        return host

    def forget_all(self) -> None:
        """Tells the node that all peers are gone (the host has ended)."""
        for peer in list(self._links):
            self._drop_link(peer)

    def protocol(self, kind: str) -> TProtocol:
        """Full protocol name of a notification kind."""
        return TProtocol(self._prefix + SUFFIX[kind])

    # ---- connections

    async def connected(self, network: INetwork, conn: INetConn) -> None:
        """libp2p has a connection: open our notification substreams."""
        peer_id = conn.muxed_conn.peer_id
        self._nursery.start_soon(self._welcome, peer_id)

    async def disconnected(self, network: INetwork, conn: INetConn) -> None:
        """libp2p lost a connection; the peer is gone when it was the last."""
        peer_id = conn.muxed_conn.peer_id
        if not self._is_connected(peer_id):
            self._drop_link(peer_id.to_base58())

    async def opened_stream(self, network: INetwork, stream: INetStream) -> None:
        """Of no interest."""

    async def closed_stream(self, network: INetwork, stream: INetStream) -> None:
        """Of no interest."""

    async def listen(self, network: INetwork, multiaddr: Multiaddr) -> None:
        """Of no interest."""

    async def listen_close(self, network: INetwork, multiaddr: Multiaddr) -> None:
        """Of no interest."""

    def _is_connected(self, peer_id: ID) -> bool:
        connections = self._host.get_network().connections.get(peer_id, [])
        return any(not conn.is_closed for conn in connections)

    async def _welcome(self, peer_id: ID) -> None:
        peer = peer_id.to_base58()
        if self._is_banned(peer) or len(self._links) >= self.config.max_peers:
            await self._disconnect(peer_id)
            return
        if peer in self._links:
            return
        link = PeerLink(self, peer_id)
        self._links[peer] = link
        self._nursery.start_soon(link.run)

    def _drop_link(self, peer: str) -> None:
        link = self._links.pop(peer, None)
        if link is None:
            return
        link.close()
        if link.handshake is not None:
            self.bridge.set_peer(peer, None)
            self.bridge.emit(PeerDisconnected(peer))

    def give_up(self, peer_id: ID) -> None:
        """Forgets a peer whose connection is dead, whatever libp2p thinks of it, so that it is dialled anew."""
        self._drop_link(peer_id.to_base58())
        self._nursery.start_soon(self._disconnect, peer_id)

    async def _disconnect(self, peer_id: ID) -> None:
        """Closes the connections that there are now, and forgets them even where libp2p cannot close them."""
        connections = self._host.get_network().connections
        dead = list(connections.get(peer_id, []))
        for conn in dead:
            try:
                with trio.move_on_after(2.0):
                    await conn.close()
            except Exception as error:  # noqa: BLE001  libp2p raises many kinds
                logger.debug("disconnecting %s: %r", peer_id, error)
        left = [conn for conn in connections.get(peer_id, []) if conn not in dead]
        if left:
            connections[peer_id] = left
        else:
            connections.pop(peer_id, None)
            self._drop_link(peer_id.to_base58())

    async def _keep_connected(self, info: PeerInfo) -> None:
        delay = REDIAL_FIRST
        while True:
            if self._is_connected(info.peer_id):
                delay = REDIAL_FIRST
                await trio.sleep(0.5)
                continue
            try:
                # libp2p takes a closed connection that it still lists for a good one, and would not dial
                self._host.get_network().connections.pop(info.peer_id, None)
                self._host.get_network().unblock_peer(info.peer_id)
                with trio.fail_after(HANDSHAKE_TIMEOUT):
                    await self._host.connect(info)
            except Exception as error:  # noqa: BLE001  libp2p raises many kinds
                logger.debug("dialling %s: %r", info.peer_id, error)
            await trio.sleep(delay * random.uniform(0.5, 1.5))
            delay = min(delay * 2, REDIAL_MAX)

    # ---- faults

    def fault(self, peer: str, error: object) -> None:
        """Counts a broken rule; refuses the peer when there are too many."""
        self.bridge.faults += 1
        logger.info("peer %s broke a rule: %s", peer, error)
        if len(self._faults) > 4_096:
            self._faults.clear()
        now = trio.current_time()
        count, last = self._faults.get(peer, (0, now))
        count = max(0, count - int((now - last) / FORGIVE_SECONDS)) + 1
        self._faults[peer] = (count, now)
        if count >= MAX_FAULTS:
            del self._faults[peer]
            self._banned[peer] = trio.current_time() + BAN_SECONDS
            self._nursery.start_soon(self._disconnect, ID.from_base58(peer))

    def _is_banned(self, peer: str) -> bool:
        until = self._banned.get(peer)
        if until is not None and trio.current_time() >= until:
            del self._banned[peer]
            return False
        return until is not None

    # ---- commands of the node

    def _on_command(self, command: Command) -> None:
        if isinstance(command, Gossip):
            for peer, link in self._links.items():
                if peer != command.exclude and command.only in (None, peer) and not link.send(command):
                    self.bridge.dropped += 1
        elif isinstance(command, Ask):
            self._nursery.start_soon(self._request, command)
        elif isinstance(command, Report) and command.peer in self._links:
            self.fault(command.peer, "reported by the node")

    async def _request(self, ask: Ask) -> None:
        link = self._links.get(ask.peer)
        if link is None:
            self.bridge.answer(ask.ticket, RequestFailed(ask.peer, "not connected"))
            return
        try:
            with trio.fail_after(REQUEST_TIMEOUT):
                async with link.requests:
                    data = await self._exchange(link.peer_id, ask.request.encode())
            self.bridge.answer(ask.ticket, decode_response(data, ask.request))
        except PeerFault as error:
            self.fault(ask.peer, error)
            self.bridge.answer(ask.ticket, error)
        except Exception as error:  # noqa: BLE001  libp2p raises many kinds
            self.bridge.answer(ask.ticket, RequestFailed(ask.peer, f"{type(error).__name__}: {error}"))

    async def _exchange(self, peer_id: ID, message: bytes) -> bytes:
        stream = await self._host.new_stream(peer_id, [TProtocol(f"{self._prefix}sync/2")])
        try:
            await stream.write(frame(message))
            await stream.close_write()
            return await FrameReader(stream, peer_id.to_base58()).frame(MAX_RESPONSE_BYTES, "block response")
        finally:
            await reset_quietly(stream)

    # ---- what peers open

    async def _on_block_request(self, stream: INetStream) -> None:
        peer = stream.muxed_conn.peer_id.to_base58()
        if self._is_banned(peer) or self._served.get(peer, 0) >= MAX_SERVED_PER_PEER:
            await reset_quietly(stream)
            return
        self._served[peer] = self._served.get(peer, 0) + 1
        try:
            with trio.fail_after(HANDSHAKE_TIMEOUT):
                data = await FrameReader(stream, peer).frame(MAX_REQUEST_BYTES, "block request")
            request = BlockRequest.decode(data)
            async with self._serving:
                response = await self._serve(request)
            await stream.write(frame(response))
            await stream.close()
        except PeerFault as error:
            self.fault(peer, error)
            await reset_quietly(stream)
        except Exception as error:  # noqa: BLE001  libp2p raises many kinds
            logger.debug("serving %s: %r", peer, error)
            await reset_quietly(stream)
        finally:
            self._served[peer] -= 1
            if not self._served[peer]:
                del self._served[peer]

    async def _serve(self, request: BlockRequest) -> bytes:
        done, box = trio.Event(), list[bytes]()

        def settle(response: bytes) -> None:
            box.append(response)
            done.set()

        self.bridge.serve(request, lambda response: self._token.run_sync_soon(settle, response))
        with trio.fail_after(SERVE_TIMEOUT):
            await done.wait()
        return box[0]

    async def _on_notifications(self, kind: str, stream: INetStream) -> None:
        peer = stream.muxed_conn.peer_id.to_base58()
        if self._is_banned(peer):
            await reset_quietly(stream)
            return
        reader = FrameReader(stream, peer)
        try:
            with trio.fail_after(HANDSHAKE_TIMEOUT):
                theirs = await reader.frame(MAX_HANDSHAKE_BYTES, "handshake")
                if kind == "announce":
                    self.on_handshake(peer, theirs)
                await stream.write(frame(self.our_handshake(kind)))
            while True:
                message = await reader.frame(BOUND[kind], kind)
                event = _decode(kind, peer, message)
                while self.bridge.is_full:
                    await trio.sleep(0.02)
                if peer in self._links:
                    self.bridge.emit(event)
        except PeerFault as error:
            self.fault(peer, error)
        except EndOfStream:
            pass
        except Exception as error:  # noqa: BLE001  libp2p raises many kinds
            logger.debug("%s stream of %s ended: %r", kind, peer, error)
        await reset_quietly(stream)

    # ---- handshakes

    def our_handshake(self, kind: str) -> bytes:
        """Our side of a notification handshake: roles alone, or for block announces the whole."""
        ours = self.bridge.handshake
        return ours.encode() if kind == "announce" else bytes((ours.roles,))

    def on_handshake(self, peer: str, data: bytes) -> None:
        """Checks a peer's block-announces handshake and tells the node once; raises BadMessage, WrongNetwork."""
        handshake = Handshake.decode(data)
        if handshake.genesis_hash != self.config.genesis_hash:
            raise WrongNetwork(f"its genesis is 0x{handshake.genesis_hash.hex()}", peer)
        link = self._links.get(peer)
        if link is None:
            return
        first, link.handshake = link.handshake is None, handshake
        self.bridge.set_peer(peer, handshake)
        if first:
            self.bridge.emit(PeerConnected(peer, handshake))

    async def open_ping(self, peer_id: ID) -> INetStream:
        """A new substream to the peer for a ping."""
        return await self._host.new_stream(peer_id, [PING_PROTOCOL])

    async def open_stream(self, peer_id: ID, kind: str) -> INetStream:
        """A new substream to the peer for a notification kind."""
        return await self._host.new_stream(peer_id, [self.protocol(kind)])


def _decode(kind: str, peer: str, message: bytes) -> NetworkEvent:
    if kind == "announce":
        return BlockAnnounced(peer, BlockAnnounce.decode(message))
    if kind == "transactions":
        return TransactionsReceived(peer, tuple(decode_transactions(message)))
    return GrandpaMessage(peer, message)


def _check_port(host: str, port: int, address: str) -> None:
    """Raises ListenFailed if the port is taken; libp2p shares ports (SO_REUSEPORT) and would not tell."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            raise ListenFailed(address, str(error)) from error


def _parse_address(address: str) -> PeerInfo:
    try:
        return info_from_p2p_addr(Multiaddr(address))
    except Exception as error:  # noqa: BLE001  multiaddr raises many kinds
        raise BadAddress(address) from error


def _with_peer(address: str, peer_id: str) -> str:
    return address if "/p2p/" in address else f"{address}/p2p/{peer_id}"
