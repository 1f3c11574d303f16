"""`aipow-miner`: trains, earns block rights, authors blocks; measures and tests the machine that shall do it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pallets_abi.stakes import Role

from miner.cli import bench, selftest
from miner.cli.common import default_base_path, make_pace, open_wallet, run_app, run_async
from miner.console import set_up_logging
from miner.roles.daemon import Daemon, DaemonOptions
from miner.store.blobs import DEFAULT_LIMIT_BYTES

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.callback(invoke_without_command=True)
@app.command("run")
def run(
    context: typer.Context,
    key: Annotated[str | None, typer.Option(help="Secret URI, like //Bob. For development: it shows in `ps`.")] = None,
    keystore: Annotated[Path | None, typer.Option(help="Encrypted key file made by `aipow account new`.")] = None,
    node: Annotated[str | None, typer.Option(help="Use this node (ws://…) instead of an embedded one.")] = None,
    chain: Annotated[
        str, typer.Option(help="Chain of the embedded node: a preset (dev, local, test) or a spec file.")
    ] = "dev",
    bootnode: Annotated[list[str] | None, typer.Option(help="Multiaddress of a node to join; may be repeated.")] = None,
    base_path: Annotated[Path | None, typer.Option(help="Data folder; one for each account by default.")] = None,
    throttle: Annotated[float, typer.Option(help="Share of full speed to use, above 0 and at most 1.")] = 1.0,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the worker's numeric libraries.")] = 1,
    rpc_port: Annotated[
        int, typer.Option(min=0, max=65535, help="RPC port of the embedded node; 0 takes a free one.")
    ] = 0,
    p2p_port: Annotated[
        int, typer.Option(min=0, max=65535, help="libp2p port of the embedded node; 0 takes a free one.")
    ] = 0,
    blob_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the blob server; 0 takes a free one.")] = 0,
    metrics_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of /metrics; 0 takes a free one.")] = 0,
    store_bytes: Annotated[int, typer.Option(min=2**20, help="Bound on the blob store, bytes.")] = DEFAULT_LIMIT_BYTES,
    bond_again: Annotated[
        bool, typer.Option("--bond-again", help="Bond anew if the bond was lost (slashed, or withdrawn).")
    ] = False,
    cheat: Annotated[
        str, typer.Option(hidden=True, help="Lie (devnets): skip:SHARE of each segment's steps, op, data, withhold.")
    ] = "none",
    json: Annotated[bool, typer.Option(help="Log lines as JSON.")] = False,
    verbose: Annotated[bool, typer.Option(help="Log every call.")] = False,
) -> None:
    """Mine: bond, claim units of training tasks, execute them exactly, earn slots, author blocks in them.

    Joins a network with an embedded node (--chain, --bootnode) or uses another node (--node). Your account needs money
    for the bond; it is slashed if a re-execution shows that your result is not what your inputs give. Killed at any
    moment, it goes on where it stopped when started again on the same --base-path.

    Example: aipow-miner --key //Bob --chain dev --bootnode /ip4/127.0.0.1/tcp/30333/p2p/12D3…
    """
    if context.invoked_subcommand is not None:
        _refuse_options(context, context.invoked_subcommand)
        return
    pace = make_pace(throttle, cheat)
    set_up_logging(json, verbose)
    wallet = open_wallet(key, keystore)
    options = DaemonOptions(
        wallet=wallet, base_path=base_path or default_base_path("miner", wallet), node_url=node, chain=chain,
        bootnodes=tuple(bootnode or ()), rpc_port=rpc_port, p2p_port=p2p_port, blob_port=blob_port,
        metrics_port=metrics_port, threads=threads, store_bytes=store_bytes, pace=pace,
        is_bonding_again=bond_again,
    )  # fmt: skip
    run_async(Daemon(options, Role.SOLVER).run())


app.command("bench")(bench.bench)
app.command("selftest")(selftest.selftest)


def _refuse_options(context: typer.Context, command: str) -> None:
    """Options before a command would be lost."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(f"put --{name.replace('_', '-')} after {command!r}, not before it")


def main() -> None:
    """Entry point of the console script."""
    run_app(app)


if __name__ == "__main__":
    main()
