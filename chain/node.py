"""A whole node in one object: chain, pool, RPC, authoring, network, finality. `await start()`, `await stop()`.

Everything that executes or stores blocks happens on one chain thread, libp2p on another; all else is this asyncio
loop. A service that fails in a way it does not handle itself stops the node (`failed` tells which), never silently.

    python -m chain.node --chain dev --dev-key //Alice --base-path /tmp/alice
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
import sys
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from chain.authoring import AuthoringService, SpentSlots
from chain.blockchain import KEPT_STATES, Blockchain
from chain.chain_spec import ChainSpec
from chain.equivocation import EvidenceBox
from chain.errors import HostFault, Misuse
from chain.events import BestChanged, EventBus
from chain.grandpa.service import GrandpaService, load_genesis_authorities
from chain.identity import Ed25519Key, load_node_key
from chain.importing import ChainThread, ImportQueue
from chain.keystore import AURA, GRANDPA, Keystore
from chain.network import (
    BlockAnnounced,
    GrandpaMessage,
    NetworkConfig,
    NetworkService,
    PeerConnected,
    Role,
    TransactionsReceived,
)
from chain.network.errors import BadAddress
from chain.node_views import NodeNetworkView, NodeProvider
from chain.open_chain import open_blockchain
from chain.pool import PoolLimits, Transaction, TransactionSource, decode_validity
from chain.pool.service import PoolService
from chain.pool.validity import Validity
from chain.rpc import NodeInfo, RpcConfig, RpcContext, RpcServer
from chain.sync import SyncService

log = logging.getLogger(__name__)

VERSION = "0.1.0"
LONELY_SECONDS = 15.0
"""A node with bootnodes that finds no peer for so long after its start authors alone."""

GOSSIP_SECONDS = 0.1
"""Transactions that became ready within this time are sent to peers in one message."""


@dataclass(frozen=True)
class NodeConfig:
    """How a node runs.

    `aura_uri`, `grandpa_uri`: secret URIs of keys to author and to vote with (besides those in its keystore); ports:
    0 takes a free one; `bootnodes`: multiaddresses with peer id, added to those of the spec; `allow_unsafe_rpc`:
    offer `author_insertKey` and the like; `rpc_origins`: web pages that may use the RPC besides local ones;
    `rpc_connections`: how many WebSockets may be open; `name`: what telemetry and logs call the node;
    `kept_states`: how many final blocks' states are kept (None: all).
    """

    spec: ChainSpec
    base_path: Path
    rpc_host: str = "127.0.0.1"
    rpc_port: int = 9944
    p2p_host: str = "127.0.0.1"
    p2p_port: int = 0
    bootnodes: tuple[str, ...] = ()
    aura_uri: str | None = None
    grandpa_uri: str | None = None
    allow_unsafe_rpc: bool = False
    rpc_origins: tuple[str, ...] = ()
    rpc_connections: int = 100
    name: str = "aipow"
    kept_states: int | None = KEPT_STATES
    pool: PoolLimits = field(default_factory=PoolLimits)


SWITCH_SECONDS = 0.0005
"""How long a thread may keep the interpreter while others wait (CPython: 0.005): a block passes the loop, the chain and
the libp2p thread several times within its slot, beside roles that decode storage."""


class Node:
    """One node. After `start` its services run until `stop`, or until one of them fails (`wait` raises its error)."""

    def __init__(self, config: NodeConfig) -> None:
        self.config = config
        self.events = EventBus()
        self.evidence = EvidenceBox()
        self._thread = ChainThread()
        self._tasks: list[asyncio.Task[None]] = []
        self._to_gossip: list[Transaction] = []
        self._network_ready = asyncio.Event()
        self._started = time.monotonic()

    # ---- life

    async def start(self) -> None:
        """Opens the chain and serves. Raises `PortInUse`, `DatabaseLocked`, `DatabaseCorrupt`, `WrongGenesis`, …

        RPC answers and blocks are authored when it returns; peers are connected a little later (`wait_for_network`).
        """
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        config = self.config
        sys.setswitchinterval(SWITCH_SECONDS)
        check_port_is_free(config.p2p_host, config.p2p_port)
        for address in config.bootnodes:
            check_bootnode(address)
        config.base_path.mkdir(parents=True, exist_ok=True)
        self.keystore = Keystore(config.base_path / "keystore")
        node_key = load_node_key(config.base_path / "network")
        grandpa_key = self._load_keys()
        self.chain: Blockchain = await self._thread.run(
            open_blockchain, config.spec, config.base_path, config.kept_states
        )
        self.chain.witness.on_found = self.evidence.add
        self.pool = PoolService(self._validate, (self.chain.best.hash, self.chain.best.number), config.pool)
        self.pool.on_ready = self._to_gossip.append
        self.imports = ImportQueue(self.chain, self._thread, self.pool, self.events)
        self.network = self._make_network(node_key)
        self.pool.on_fault = self.network.report
        self.sync = SyncService(self.chain, self._thread, self.imports, self.network)
        self.authoring = AuthoringService(
            self.chain, self._thread, self.imports, self.pool, self.keystore, self._may_author,
            SpentSlots(config.base_path / "spent_slots.json"),
        )  # fmt: skip
        self.grandpa = await self._make_grandpa(grandpa_key)
        self.sync.on_justification = self.grandpa.on_justification
        self.grandpa.on_missing = self.sync.on_head
        self.grandpa.on_double_vote = self.evidence.add
        self.rpc = RpcServer(self._rpc_config(), self._rpc_context(), self._metrics())
        await self.rpc.start()
        self._spawn("pool", self.pool.run())
        self._spawn("database", self._thread.watch())
        self._spawn("grandpa", self.grandpa.run())
        self._spawn("authoring", self.authoring.run())
        self._spawn("network", self._run_network())
        self._spawn("gossip", self._run_gossip())
        self._spawn("announces", self._run_announces())

    async def stop(self) -> None:
        """Ends all services and closes the database; may be called twice."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.events.close()
        for name in ("rpc", "network"):
            service = getattr(self, name, None)
            if service is not None:
                await service.stop()
        chain: Blockchain | None = getattr(self, "chain", None)
        if chain is not None:
            with contextlib.suppress(RuntimeError):  # the thread is closed already
                await self._thread.run(chain.close)
        await asyncio.to_thread(self._thread.close)

    async def wait(self) -> None:
        """Until a service fails; raises its error, or `ServiceEnded`."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
            raise ServiceEnded(task.get_name())

    async def wait_for_network(self) -> None:
        """Until libp2p listens (`network.listen_addresses` are known)."""
        await self._network_ready.wait()

    async def __aenter__(self) -> Node:
        await self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.stop()

    # ---- parts

    def _load_keys(self) -> Ed25519Key | None:
        """Adds the configured keys to the keystore in memory; the GRANDPA key to vote with."""
        memory = Keystore()
        if self.config.aura_uri is not None:
            memory.insert(AURA, self.config.aura_uri)
        if self.config.grandpa_uri is not None:
            memory.insert(GRANDPA, self.config.grandpa_uri)
        configured = next(iter(memory.grandpa.values()), None)
        self.keystore.aura.update(memory.aura)
        self.keystore.grandpa.update(memory.grandpa)
        return configured or next(iter(self.keystore.grandpa.values()), None)

    def _make_network(self, node_key: Ed25519Key) -> NetworkService:
        config, best = self.config, self.chain.best
        settings = NetworkConfig(
            genesis_hash=self.chain.genesis_hash,
            node_key_seed=node_key.seed,
            listen_port=config.p2p_port,
            listen_host=config.p2p_host,
            bootnodes=(*config.bootnodes, *config.spec.boot_nodes),
            roles=Role.AUTHORITY if self.keystore.aura else Role.FULL,
            client_version=f"aipow/{VERSION} ({config.name})",
        )
        return NetworkService(settings, NodeProvider(self.chain), (best.number, best.hash))

    async def _make_grandpa(self, key: Ed25519Key | None) -> GrandpaService:
        genesis = self.chain.genesis_hash
        folder = self.config.base_path / "grandpa"
        authorities = await load_genesis_authorities(
            folder, lambda: self._thread.run(self.chain.call, genesis, "GrandpaApi_grandpa_authorities", b"")
        )
        return GrandpaService(
            NodeProvider(self.chain), authorities, key, self.imports.finalize, self.events, self.network, folder
        )

    def _rpc_config(self) -> RpcConfig:
        config = self.config
        origins = frozenset(config.rpc_origins)
        return RpcConfig(config.rpc_host, config.rpc_port, max_connections=config.rpc_connections, origins=origins)

    def _rpc_context(self) -> RpcContext:
        spec = self.config.spec
        info = NodeInfo(
            name="aipow",
            version=VERSION,
            chain_name=spec.name,
            chain_type=spec.chain_type,
            properties=spec.properties,
            is_authority=bool(self.keystore.aura),
        )
        return RpcContext(
            chain=self.chain,
            run=self._thread.run,
            pool=self.pool,
            events=self.events,
            info=info,
            network=NodeNetworkView(self.network, self.sync),
            keystore=self.keystore,
            evidence=self.evidence,
            allow_unsafe=self.config.allow_unsafe_rpc,
        )

    async def _validate(self, source: TransactionSource, data: bytes, block_hash: bytes) -> Validity:
        arguments = bytes([source]) + data + block_hash
        method = "TaggedTransactionQueue_validate_transaction"
        return decode_validity(await self._thread.run(self.chain.call, block_hash, method, arguments))

    def _metrics(self) -> Any:
        registry = CollectorRegistry()
        values = {
            "substrate_block_height_best": lambda: self.chain.best.number,
            "substrate_block_height_finalized": lambda: self.chain.finalized.number,
            "substrate_sub_libp2p_peers_count": lambda: len(self.network.peers()),
            "substrate_ready_transactions_number": lambda: self.pool.pool.ready_count,
            "substrate_sub_txpool_validations_finished": lambda: self.pool.validations,
            "substrate_proposer_number_of_blocks": lambda: self.authoring.authored,
            "aipow_equivocations_found": lambda: self.evidence.count,
        }
        for name, read in values.items():
            Gauge(name, name.replace("_", " "), registry=registry).set_function(read)
        return lambda: generate_latest(registry)

    # ---- tasks

    def _may_author(self) -> bool:
        """Not on an old head: not while blocks stream in, nor right after the start before a peer is found."""
        if self.network.config.bootnodes and not self.network.peers():
            return time.monotonic() > self._started + LONELY_SECONDS
        return not self.sync.is_catching_up

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work, name=name))

    async def _run_network(self) -> None:
        await self.network.start()
        self._network_ready.set()
        syncing = asyncio.create_task(self.sync.run(), name="sync")
        try:
            async for event in self.network.events():
                if isinstance(event, BlockAnnounced):
                    header = event.announce.header
                    self.chain.witness.on_header(header)  # an old block is not fetched, and counts all the same
                    self.sync.on_head(event.peer, header.number, header.hash)
                elif isinstance(event, PeerConnected):
                    self.sync.on_head(event.peer, event.handshake.best_number, event.handshake.best_hash)
                    self._offer_pool()
                elif isinstance(event, TransactionsReceived):
                    self.pool.offer(event.peer, event.extrinsics)
                elif isinstance(event, GrandpaMessage):
                    self.grandpa.on_message(event.peer, event.message)
                if syncing.done():
                    syncing.result()
        finally:
            syncing.cancel()

    def _offer_pool(self) -> None:
        """A new peer gets what waits here."""
        self._to_gossip.extend(tx for tx in self.pool.ready() if tx.propagate)

    async def _run_gossip(self) -> None:
        while True:
            await asyncio.sleep(GOSSIP_SECONDS)
            batch, self._to_gossip[:] = list({tx.hash: tx for tx in self._to_gossip}.values()), []
            peers = [peer.peer for peer in self.network.peers()]
            if batch and peers:
                self.network.gossip_transactions([tx.data for tx in batch])
                for tx in batch:
                    self.pool.broadcast(tx.hash, peers)

    async def _run_announces(self) -> None:
        """Tells peers of each new best block, ours or others', so that it spreads beyond direct neighbours."""
        async for event in self.events.stream():
            if isinstance(event, BestChanged):
                self.network.announce_block(event.header.encode(), True)


class ServiceEnded(HostFault):
    """A service that must run for ever returned; `service` names it."""

    def __init__(self, service: str) -> None:
        self.service = service
        super().__init__(
            f"the node's {service} service ended by itself; restart the node and report the log before this"
        )


class P2pPortInUse(Misuse):
    """The libp2p port is taken."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        super().__init__(
            f"cannot listen on {host}:{port}: the port is in use; stop the other process or take another --p2p-port"
        )


_BOOTNODE = re.compile(r"/(ip4|ip6|dns|dns4|dns6)/[^/]+/tcp/\d{1,5}(/[a-z]+)*/p2p/[1-9A-HJ-NP-Za-km-z]{46,64}")


def check_bootnode(address: str) -> None:
    """Raises `BadAddress` for what is no multiaddress with a peer id; libp2p itself would tell only seconds later."""
    if not _BOOTNODE.fullmatch(address):
        raise BadAddress(address)


def check_port_is_free(host: str, port: int) -> None:
    """Raises `P2pPortInUse`; libp2p itself would tell only seconds later."""
    if port == 0:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise P2pPortInUse(host, port) from error


if __name__ == "__main__":
    from chain.node_main import main

    main()
