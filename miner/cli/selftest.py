"""`aipow-miner selftest`: what this machine can do, and whether it does it exactly."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from miner.cli.progress import Progress
from miner.console import format_amount

if TYPE_CHECKING:
    from miner.inspect.selftest import SelfTest

MARKS = {"passed": "✓", "failed": "✗", "unavailable": "–"}


def selftest(
    is_quick: Annotated[bool, typer.Option("--quick", help="Known-answer tests only, no timings.")] = False,
    is_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Test whether this machine computes exactly, and time it: backends, product kernels, hasher.

    Exit code 0: nothing gives wrong bytes; what this machine does not have is no fault. Exit code 1: something does,
    so this machine must neither mine nor validate; its validator says `inconclusive` and accuses nobody.

    Example: aipow-miner selftest --json
    """
    from miner.inspect.selftest import run_self_test

    with Progress("starting") as progress:
        found = run_self_test(progress.tell, not is_quick)
    if is_json:
        typer.echo(json.dumps({"is_sound": found.is_sound, **asdict(found)}, indent=2))
    else:
        _print(found)
    if not found.is_sound:
        raise typer.Exit(1)


def _print(found: SelfTest) -> None:
    machine = found.machine
    memory = "" if machine.memory_bytes is None else f", {machine.memory_bytes / 2**30:.0f} GiB"
    typer.echo(f"cpu       {machine.cpu} ({machine.architecture}), {machine.cores} cores{memory}")
    typer.echo(f"features  {' '.join(machine.features) or 'none that a kernel of ours is made for'}")
    typer.echo(f"gpu       {', '.join(machine.gpus) or 'none'}")
    typer.echo(f"compiler  {found.compiler.splitlines()[0]}")
    typer.echo(f"system    {machine.system}\n")
    for check in found.checks:
        reason = f": {check.reason.splitlines()[0]}" if check.reason else ""
        typer.echo(f"{MARKS[check.status]} {check.name} {check.status}{reason} ({check.seconds:.2f} s)")
    if found.speeds:
        typer.echo("")
    for speed in found.speeds:
        threads = f"{speed.threads} thread{'s' if speed.threads != 1 else ''}"
        typer.echo(f"{speed.name:<32} {threads:<10} {format_amount(speed.amount):>9}{speed.unit}/s")
    verdict = "sound: this machine computes exactly" if found.is_sound else "NOT SOUND: do not mine or validate here"
    typer.echo(f"\n{verdict}")
