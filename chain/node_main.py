"""`python -m chain.node`: a bare node in the foreground, for hands and for functional tests."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
import tempfile
from pathlib import Path

from chain.blockchain import KEPT_STATES
from chain.errors import ChainError
from chain.node import Node, NodeConfig
from chain.open_chain import export_spec, load_chain_spec


def main(arguments: list[str] | None = None) -> None:
    """Runs until SIGINT or SIGTERM. Exit code 1 and one line on stderr for any error of ours or the system's."""
    options = parse_options(arguments)
    level = logging.DEBUG if options.verbose else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        if options.export_spec:
            json.dump(export_spec(options.chain, options.raw), sys.stdout, indent=2)
            sys.stdout.write("\n")
            return
        if options.base_path is not None:
            asyncio.run(_serve(options, options.base_path))
            return
        with tempfile.TemporaryDirectory(prefix="aipow-node-") as folder:
            asyncio.run(_serve(options, Path(folder)))
    except (ChainError, TimeoutError, OSError) as error:
        sys.exit(f"error: {error}")


async def _serve(options: argparse.Namespace, base_path: Path) -> None:
    config = NodeConfig(
        spec=load_chain_spec(options.chain),
        base_path=base_path,
        rpc_port=options.rpc_port,
        p2p_port=options.p2p_port,
        bootnodes=tuple(options.bootnode),
        aura_uri=options.dev_key,
        grandpa_uri=options.dev_key,
        allow_unsafe_rpc=options.rpc_unsafe,
        rpc_origins=tuple(options.rpc_cors),
        rpc_connections=options.rpc_max_connections,
        name=options.name,
        kept_states=options.state_pruning,
    )
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with Node(config) as node:
        print(f"Listening on {node.rpc.url}", flush=True)
        failing = asyncio.create_task(node.wait())
        stopped = asyncio.create_task(stopping.wait())
        announcing = asyncio.create_task(_print_addresses(node))
        done, _ = await asyncio.wait({failing, stopped}, return_when=asyncio.FIRST_COMPLETED)
        announcing.cancel()
        if failing in done:
            failing.result()
        failing.cancel()


async def _print_addresses(node: Node) -> None:
    await node.wait_for_network()
    for address in node.network.listen_addresses:
        print(f"Bootnode {address}", flush=True)


def _parse_pruning(mode: str) -> int | None:
    """A stock node's mode as a number of states, None for all."""
    if mode == "archive":
        return None
    if not mode.isascii() or not mode.isdigit() or not 0 < int(mode) < 1 << 32:
        raise argparse.ArgumentTypeError(f"{mode!r} is neither archive nor a number of blocks from 1 on")
    return int(mode)


def parse_options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chain.node", description="A bare aipow node.")
    parser.add_argument("--chain", default="dev", help="preset (dev, local, test) or chain spec file")
    parser.add_argument("--base-path", type=Path, help="data folder (a temporary one by default)")
    parser.add_argument("--rpc-port", type=int, default=9944, help="WebSocket and HTTP port; 0 takes a free one")
    parser.add_argument("--p2p-port", type=int, default=0, help="libp2p port; 0 takes a free one")
    parser.add_argument(
        "--bootnode", action="append", default=[], metavar="MULTIADDR", help="node to join; may be repeated"
    )
    parser.add_argument("--dev-key", metavar="URI", help="secret URI of the key to author and vote with, like //Alice")
    parser.add_argument("--rpc-unsafe", action="store_true", help="offer author_insertKey and other unsafe methods")
    parser.add_argument(
        "--rpc-cors",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="web pages that may connect besides local ones, like https://polkadot.js.org, or all; may be repeated",
    )
    parser.add_argument("--rpc-max-connections", type=int, default=100, help="WebSockets that may be open")
    parser.add_argument("--name", default="aipow", help="what the node calls itself to its peers")
    parser.add_argument(
        "--state-pruning",
        type=_parse_pruning,
        default=KEPT_STATES,
        metavar="MODE",
        help=f"archive keeps all states, a number those of so many final blocks (default: {KEPT_STATES})",
    )
    parser.add_argument("--export-spec", action="store_true", help="print the chain spec and exit")
    parser.add_argument("--raw", action="store_true", help="with --export-spec: write the genesis entry by entry")
    parser.add_argument("--verbose", action="store_true", help="log more")
    return parser.parse_args(arguments)
