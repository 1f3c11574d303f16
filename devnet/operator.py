"""The operator's node: a devnet in one process, like anvil. Node with //Alice as author, blob server, a banner."""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import typer

from chain.client import ChainClient
from chain.node import Node, NodeConfig
from chain.open_chain import load_chain_spec
from miner.roles.context import PLANCKS
from miner.store.blobs import BlobStore
from miner.store.server import BlobServer
from miner.wallet import DEV_NAMES, Wallet

log = logging.getLogger(__name__)

OPERATOR_URI = "//Alice"
"""Author before any work was done, voter, sudo: the development presets name her as bootstrap account."""

MAX_CONNECTIONS = NodeConfig.rpc_connections
"""WebSockets that may be open, unless the operator says otherwise."""

STOP_SECONDS = 2.0
"""What each part gets to end."""

NETWORK_SECONDS = 20.0
"""How long libp2p may take to listen before the banner appears without its address."""


@dataclass(frozen=True)
class OperatorOptions:
    """`chain` is a preset or a chain spec file; port 0 takes a free one; `is_quiet` leaves the accounts out."""

    chain: str
    base_path: Path
    rpc_port: int = 9944
    p2p_port: int = 0
    blob_port: int = 0
    bootnodes: tuple[str, ...] = ()
    is_quiet: bool = False
    allow_unsafe_rpc: bool = False
    rpc_origins: tuple[str, ...] = ()
    rpc_connections: int = MAX_CONNECTIONS


async def run_operator(options: OperatorOptions) -> None:
    """Until SIGINT or SIGTERM. Raises PortInUse, DatabaseLocked, StoreOpenError, ChainSpecError, …"""
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as stack:
        options.base_path.mkdir(parents=True, exist_ok=True)
        store = stack.enter_context(BlobStore(options.base_path / "blobs"))
        server = BlobServer(store, port=options.blob_port)
        blobs = await server.start()
        stack.push_async_callback(server.stop)
        node = Node(_node_config(options))
        await node.start()
        stack.push_async_callback(_stop_node, node)
        failing = asyncio.create_task(node.wait())
        stopped = asyncio.create_task(stopping.wait())
        banner = asyncio.create_task(_print_banner(options, node, blobs))
        await asyncio.wait({failing, stopped}, return_when=asyncio.FIRST_COMPLETED)
        banner.cancel()
        stopped.cancel()
        if failing.done():
            failing.result()
        failing.cancel()


def _node_config(options: OperatorOptions) -> NodeConfig:
    return NodeConfig(
        spec=load_chain_spec(options.chain), base_path=options.base_path / "node", rpc_port=options.rpc_port,
        p2p_port=options.p2p_port, bootnodes=options.bootnodes, aura_uri=OPERATOR_URI, grandpa_uri=OPERATOR_URI,
        name="aipow-operator", allow_unsafe_rpc=options.allow_unsafe_rpc, rpc_origins=options.rpc_origins,
        rpc_connections=options.rpc_connections,
    )  # fmt: skip


async def _stop_node(node: Node) -> None:
    try:
        await asyncio.wait_for(node.stop(), STOP_SECONDS)
    except TimeoutError:
        log.warning("the node did not end within %.0f s", STOP_SECONDS)


async def _print_banner(options: OperatorOptions, node: Node, blobs: str) -> None:
    url = f"ws://127.0.0.1:{str(node.rpc.url).rsplit(':', 1)[1].strip('/')}"
    lines = [] if options.is_quiet else await _describe_accounts(url)
    try:
        await asyncio.wait_for(node.wait_for_network(), NETWORK_SECONDS)
        addresses = list(node.network.listen_addresses)
    except TimeoutError:
        addresses = ["not listening yet"]
    spec = node.config.spec
    lines += [
        f"Chain         {spec.name}",
        f"Genesis hash  0x{node.chain.genesis_hash.hex()}",
        f"Preset        {options.chain}",
        f"RPC           {url}",
        f"Blobs         {blobs}",
        *(f"Bootnode      {address}" for address in addresses),
        f"Data          {options.base_path}",
        "",
        f"Listening on {url}",
    ]
    typer.echo("\n".join(lines))


async def _describe_accounts(url: str) -> list[str]:
    lines = ["", "Development accounts (their secrets are public: never send real money)", ""]
    async with ChainClient(url) as client:
        for name in DEV_NAMES:
            wallet = Wallet.from_uri(f"//{name}")
            account = await client.query("System", "Account", [wallet.address])
            free = int(account["data"]["free"]) / PLANCKS
            lines.append(f"  {name:<8} {wallet.address}  {wallet.uri:<10} {free:>14,.2f} UNIT")
    return [*lines, ""]
