"""`aipow-devnet`: a devnet like anvil; `demo` runs the main job; `export-spec` writes a chain spec."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from chain.open_chain import export_spec
from devnet.operator import MAX_CONNECTIONS, OperatorOptions, run_operator
from devnet.processes import DevnetError, ProcessGroup
from miner.cli.common import USER_ERRORS, fail, run_app, run_async
from miner.console import set_up_logging
from miner.interrupt import run_interruptibly

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, invoke_without_command=True
)

class LieName(StrEnum):
    """The lies that the demo tells (`devnet.lies`)."""

    OP = "op"
    DATA = "data"
    VERIFIER = "verifier"
    WITHHOLD = "withhold"
    UNSEEN = "unseen"


DEFAULT_RPC_PORT = 9944
"""Substrate's usual RPC port."""

Preset = Annotated[str, typer.Option(help="Preset of the runtime: dev (1 s slots, epochs of 20), local, test.")]


@app.callback()
def run(
    context: typer.Context,
    preset: Preset = "dev",
    chain: Annotated[Path | None, typer.Option(help="Chain spec file (JSON) instead of a preset.")] = None,
    base_path: Annotated[Path | None, typer.Option(help="Data folder; a temporary one by default.")] = None,
    rpc_port: Annotated[
        int, typer.Option(min=0, max=65535, help="WebSocket and HTTP port; 0 takes a free one.")
    ] = DEFAULT_RPC_PORT,
    p2p_port: Annotated[int, typer.Option(min=0, max=65535, help="libp2p port; 0 takes a free one.")] = 0,
    blob_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the blob server; 0 takes a free one.")] = 0,
    bootnode: Annotated[list[str] | None, typer.Option(help="Multiaddress of a node to join; may be repeated.")] = None,
    rpc_unsafe: Annotated[bool, typer.Option(help="Offer author_insertKey and other unsafe RPC methods.")] = False,
    rpc_cors: Annotated[
        list[str] | None,
        typer.Option(help="Web pages that may connect besides local ones, or all; may be repeated."),
    ] = None,
    rpc_max_connections: Annotated[int, typer.Option(min=1, help="WebSockets that may be open.")] = MAX_CONNECTIONS,
    json_logs: Annotated[bool, typer.Option("--json-logs", help="Log lines as JSON.")] = False,
    verbose: Annotated[bool, typer.Option(help="Log more.")] = False,
) -> None:
    """A devnet in one process: an operator's node that authors until miners earn the blocks.

    Without a command it runs until Ctrl-C and prints the development accounts and all addresses. Miners and validators
    join with the printed bootnode: aipow-miner --key //Bob --bootnode …
    """
    if context.invoked_subcommand is not None:
        return
    set_up_logging(json_logs, verbose)

    def serve(folder: Path) -> None:
        options = OperatorOptions(
            chain=str(chain) if chain else preset, base_path=folder, rpc_port=rpc_port, p2p_port=p2p_port,
            blob_port=blob_port, bootnodes=tuple(bootnode or ()), allow_unsafe_rpc=rpc_unsafe,
            rpc_origins=tuple(rpc_cors or ()), rpc_connections=rpc_max_connections,
        )  # fmt: skip
        run_async(run_operator(options))

    if base_path is not None:
        serve(base_path)
        return
    with tempfile.TemporaryDirectory(prefix="aipow-devnet-", ignore_cleanup_errors=True) as folder:
        serve(Path(folder))


@app.command("export-spec")
def export(
    preset: Preset = "dev",
    chain: Annotated[Path | None, typer.Option(help="Convert this chain spec file instead of a preset.")] = None,
    raw: Annotated[bool, typer.Option(help="Write the genesis entry by entry, without the runtime's builder.")] = False,
) -> None:
    """Write a chain spec in Substrate's standard JSON form to stdout."""
    try:
        document = export_spec(str(chain) if chain else preset, raw)
    except USER_ERRORS as error:
        fail(str(error))
    typer.echo(json.dumps(document, indent=2))


@app.command()
def demo(
    json_summary: Annotated[bool, typer.Option("--json", help="Print the summary as JSON on stdout.")] = False,
    keep: Annotated[bool, typer.Option(help="Leave the devnet running after the summary, until Ctrl-C.")] = False,
    preset: Preset = "dev",
    folder: Annotated[Path | None, typer.Option(help="Folder for data and logs; a temporary one by default.")] = None,
    seconds: Annotated[float, typer.Option(help="Longest duration before it judges what it has.")] = 300.0,
    cheat: Annotated[
        LieName | None, typer.Option(help="Tell the story of one lie, from the liar's process to the on-chain verdict.")
    ] = None,
) -> None:
    """The main job: a network trains a model, earns its blocks with it, catches a cheater, and proves it.

    Starts an operator, three miners (one throttled, one cheating) and two validators as processes, posts a training
    task, and judges from chain data. Exit code 0 only if all held.

    With --cheat, a shorter story on preset dev: a miner flips one bit in a matmul (op), trains on one wrong element
    (data) or serves nobody its data (withhold), or a validator accuses an honest miner (verifier); the dispute is
    played by the daemons and printed as a tree (withhold: they ask on chain, and there is no answer). In `unseen` a
    miner lies where nobody is drawn to check, and a validator with --watch 1 finds it.
    """
    if cheat is not None:
        _run_story(lambda group: _demo_lie(cheat, group, json_summary, folder, seconds))

    def run_main_job(group: ProcessGroup) -> int:
        from dataclasses import replace  # noqa: PLC0415 - the demo's imports (torch) cost seconds

        from devnet.demo import DemoOptions, run_demo  # noqa: PLC0415
        from devnet.network import DEMO_PLAN  # noqa: PLC0415

        options = DemoOptions(plan=replace(DEMO_PLAN, preset=preset), limit_seconds=seconds, folder=folder)
        return run_demo(options, group, json_summary)

    def stay(group: ProcessGroup) -> None:
        from devnet.demo import keep_running  # noqa: PLC0415 - as above

        keep_running(group, json_summary)

    _run_story(run_main_job, stay if keep else None)


def _demo_lie(cheat: LieName, group: ProcessGroup, json_summary: bool, folder: Path | None, seconds: float) -> int:
    from devnet.lies import LieOptions, run_lie  # noqa: PLC0415 - as above

    return run_lie(LieOptions(cheat.value, limit_seconds=seconds, folder=folder), group, json_summary)


def _run_story(work: Callable[[ProcessGroup], int], stay: Callable[[ProcessGroup], None] | None = None) -> NoReturn:
    """Runs a story and ends with its exit code, 130 on Ctrl-C; `stay` goes on with its processes until Ctrl-C."""
    with ProcessGroup() as group:

        def stop() -> None:
            typer.echo("interrupted; stopping all processes", err=True)
            group.stop()

        try:
            code = run_interruptibly(lambda: work(group), stop)
            if stay is not None:
                with contextlib.suppress(KeyboardInterrupt):
                    run_interruptibly(lambda: stay(group), stop)
        except (*USER_ERRORS, DevnetError) as error:
            fail(str(error))
        except KeyboardInterrupt:
            code = 130
    sys.stdout.flush()
    os._exit(code)  # every process and file is closed; unloading PyTorch takes seconds on a busy machine


def main() -> None:
    """Entry point of the console script."""
    run_app(app)


if __name__ == "__main__":
    main()
