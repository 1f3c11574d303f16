"""`aipow-devnet`: a development chain in one command, and the demo that proves the protocol end to end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from chain.chain_spec import PRESETS, ChainSpec
from chain.client import ChainClient
from chain.errors import ChainError
from chain.node import Node, NodeConfig
from chain.open_chain import export_spec, load_chain_spec
from devnet.accounts import OPERATOR_URI, PLANCKS_PER_UNIT, development_accounts
from devnet.processes import DevnetError
from miner.store.blobs import BlobStore
from miner.store.errors import StoreError
from miner.store.server import BlobServer

app = typer.Typer(
    help="A development chain of aipow. Without a command: one node that authors, like anvil; Ctrl-C ends it.",
    no_args_is_help=False, pretty_exceptions_enable=False, add_completion=False,
)  # fmt: skip

Chain = Annotated[str, typer.Option(help=f"Preset ({', '.join(PRESETS)}) or chain spec file.")]
BasePath = Annotated[Path | None, typer.Option(help="Folder of the chain's data; a temporary one by default.")]
RpcPort = Annotated[int, typer.Option(help="WebSocket and HTTP port of the node; 0 takes a free one.")]
P2pPort = Annotated[int, typer.Option(help="libp2p port; 0 takes a free one.")]
BlobPort = Annotated[int, typer.Option(help="Port of the blob server; 0 takes a free one.")]
Key = Annotated[str, typer.Option(help="Secret URI that the node authors and votes with.")]
Unsafe = Annotated[bool, typer.Option("--rpc-unsafe", help="Offer author_insertKey and other unsafe methods.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log every step of the node.")]


@dataclass(frozen=True)
class OperatorOptions:
    """How the operator's node runs; ports 0 take free ones."""

    chain: str
    base_path: Path
    rpc_port: int
    p2p_port: int
    blob_port: int
    key: str
    allow_unsafe_rpc: bool


@app.callback(invoke_without_command=True)
def devnet(
    context: typer.Context,
    chain: Chain = "dev",
    base_path: BasePath = None,
    rpc_port: RpcPort = 9944,
    p2p_port: P2pPort = 0,
    blob_port: BlobPort = 0,
    key: Key = OPERATOR_URI,
    rpc_unsafe: Unsafe = False,
    verbose: Verbose = False,
) -> None:
    """Starts one node, prints the development accounts and addresses, and authors until Ctrl-C."""
    if context.invoked_subcommand is not None:
        return
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, stream=sys.stderr)
    with contextlib.ExitStack() as stack:
        if base_path is None:
            base_path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aipow-devnet-")))
        options = OperatorOptions(chain, base_path, rpc_port, p2p_port, blob_port, key, rpc_unsafe)
        _exit_on_errors(lambda: asyncio.run(run_operator(options)))


@app.command("export-spec")
def export_spec_command(
    preset: Annotated[str, typer.Option(help=f"One of {', '.join(PRESETS)}, or a chain spec file.")] = "dev",
    raw: Annotated[bool, typer.Option("--raw", help="Write the genesis out, storage entry by storage entry.")] = False,
) -> None:
    """Writes a chain spec in the standard Substrate JSON form to stdout."""

    def export() -> None:
        json.dump(export_spec(preset, raw), sys.stdout, indent=2)
        sys.stdout.write("\n")

    _exit_on_errors(export)


@app.command()
def demo(
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON on stdout.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the devnet running after the summary.")] = False,
    base_path: BasePath = None,
) -> None:
    """The main job: miners train a model, earn blocks with it, a cheater is caught; exit code 0 if all of it held."""
    from devnet.demo import DemoOptions, run_demo  # torch is slow to import and only the demo needs it

    _exit_on_errors(lambda: sys.exit(run_demo(DemoOptions(folder=base_path, keep=keep), as_json)))


async def run_operator(options: OperatorOptions) -> None:
    """The operator's node and blob server until SIGINT or SIGTERM; raises ChainError, StoreError, OSError."""
    spec = load_chain_spec(options.chain)
    config = NodeConfig(
        spec=spec, base_path=options.base_path, rpc_port=options.rpc_port, p2p_port=options.p2p_port,
        aura_uri=options.key, grandpa_uri=options.key, allow_unsafe_rpc=options.allow_unsafe_rpc, name="operator",
    )  # fmt: skip
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    with BlobStore(options.base_path / "blobs") as store:
        server = BlobServer(store, port=options.blob_port)
        await server.start()
        try:
            async with Node(config) as node:
                await _announce(node, spec, options, server.url)
                await _run_until(stopping, node)
        finally:
            await server.stop()


async def _run_until(stopping: asyncio.Event, node: Node) -> None:
    failing, stopped = asyncio.create_task(node.wait()), asyncio.create_task(stopping.wait())
    done, _ = await asyncio.wait({failing, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if failing in done:
        failing.result()
    failing.cancel()


async def _announce(node: Node, spec: ChainSpec, options: OperatorOptions, blob_url: str) -> None:
    console = Console(highlight=False, soft_wrap=True)
    table = Table("account", "address", "secret URI", "balance (UNIT)", box=None)
    async with ChainClient(node.rpc.url) as client:
        for account in development_accounts():
            stored = await client.query("System", "Account", [account.address])
            balance = f"{stored['data']['free'] / PLANCKS_PER_UNIT:,.0f}"
            table.add_row(account.name, account.address, account.uri, balance)
    await node.wait_for_network()
    console.print(table)
    console.print("These secrets are public: never use them where money is.\n")
    rows = {
        "chain": spec.name, "genesis": "0x" + node.chain.genesis_hash.hex(), "preset": options.chain,
        "rpc": node.rpc.url, "blobs": blob_url, "data": str(options.base_path),
        "bootnode": node.network.listen_addresses[0],
    }  # fmt: skip
    for name, value in rows.items():
        console.print(f"{name:>9}  {value}")
    console.print(f"\nListening on {node.rpc.url}")


def _exit_on_errors(action: Callable[[], None]) -> None:
    """Runs `action`; every error of ours ends as one line on stderr and exit code 1, Ctrl-C as 130."""
    try:
        action()
    except (ChainError, StoreError, DevnetError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def main() -> None:
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
