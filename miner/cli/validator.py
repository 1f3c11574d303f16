"""`aipow-validator`: re-executes drawn segments, so that nobody is paid for work that was not done."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pallets_abi.stakes import Role

from miner.cli.common import default_base_path, make_pace, open_wallet, run_app, run_async
from miner.console import set_up_logging
from miner.roles.daemon import Daemon, DaemonOptions
from miner.store.blobs import DEFAULT_LIMIT_BYTES

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def run(
    key: Annotated[str | None, typer.Option(help="Secret URI, like //Eve. For development: it shows in `ps`.")] = None,
    keystore: Annotated[Path | None, typer.Option(help="Encrypted key file made by `aipow account new`.")] = None,
    node: Annotated[str | None, typer.Option(help="Use this node (ws://…) instead of an embedded one.")] = None,
    chain: Annotated[
        str, typer.Option(help="Chain of the embedded node: a preset (dev, local, test) or a spec file.")
    ] = "dev",
    bootnode: Annotated[list[str] | None, typer.Option(help="Multiaddress of a node to join; may be repeated.")] = None,
    base_path: Annotated[Path | None, typer.Option(help="Data folder; one for each account by default.")] = None,
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
    watch: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of others' units to re-execute unasked, a segment each."),
    ] = 0.0,
    bond_again: Annotated[
        bool, typer.Option("--bond-again", help="Bond anew if the bond was lost (slashed, or withdrawn).")
    ] = False,
    cheat: Annotated[
        str, typer.Option(hidden=True, help="Attest (devnets) what this lie gives: skip:SHARE, op, data.")
    ] = "none",
    json: Annotated[bool, typer.Option(help="Log lines as JSON.")] = False,
    verbose: Annotated[bool, typer.Option(help="Log every call.")] = False,
) -> None:
    """Validate: bond, re-execute the segments that the beacon draws for you, commit to what came out, reveal it.

    The chain compares; you are paid a share of each unit that you checked, and slashed if you miss a duty. Whoever
    differs from a solver must show it in a dispute, which this daemon plays by itself: see `aipow dispute list`. With
    --watch it looks at units that nobody asked it to check, and disputes those that are wrong for a share of the slash.

    Example: aipow-validator --key //Eve --chain dev --bootnode /ip4/127.0.0.1/tcp/30333/p2p/12D3… --watch 0.1
    """
    pace = make_pace(1.0, cheat)
    set_up_logging(json, verbose)
    wallet = open_wallet(key, keystore)
    options = DaemonOptions(
        wallet=wallet, base_path=base_path or default_base_path("validator", wallet), node_url=node, chain=chain,
        bootnodes=tuple(bootnode or ()), rpc_port=rpc_port, p2p_port=p2p_port, blob_port=blob_port,
        metrics_port=metrics_port, threads=threads, store_bytes=store_bytes, pace=pace, watch=watch,
        is_bonding_again=bond_again,
    )  # fmt: skip
    run_async(Daemon(options, Role.VERIFIER).run())


def main() -> None:
    """Entry point of the console script."""
    run_app(app)


if __name__ == "__main__":
    main()
