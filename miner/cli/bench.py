"""`aipow-miner bench`: exact training against PyTorch on this machine."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from miner.cli.common import fail
from miner.cli.progress import Progress
from miner.interrupt import run_interruptibly

DEFAULT_MODELS = "gpt2-10m"


def bench(  # noqa: PLR0913 - the command's options
    models: Annotated[
        str, typer.Option(help="Models, separated by commas; `all` takes the benchmark models, `list` names them all.")
    ] = DEFAULT_MODELS,
    threads: Annotated[str, typer.Option(help="Numbers of threads, separated by commas.")] = "1",
    runs: Annotated[int, typer.Option(min=1, help="Turns of each side; the least time counts.")] = 5,
    is_compiled: Annotated[
        bool, typer.Option("--compile", help="Measure torch.compile too, which takes about a minute more a row.")
    ] = False,
    is_fused: Annotated[
        bool, typer.Option("--fused", help="PyTorch's optimiser in its fused form instead of its default.")
    ] = False,
    backend: Annotated[
        str | None, typer.Option(help="Backend of the exact side; the fastest sound one by default.")
    ] = None,
    is_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measure exact training against plain PyTorch (f32, eager; --compile: compiled too) on this machine.

    Each side has a process of its own; they take turns. Printed are the fastest step of each, their ratio, the share
    that committing takes, peak memory above the start of the process, and how long the first step takes with an empty
    and with a full kernel cache. On a busy machine take more --runs.

    Example: aipow-miner bench --models gpt2-10m,llama-15m --threads 1,2
    """
    counts = _parse_threads(threads)
    with Progress("loading the models' list") as progress:

        def work() -> list[dict[str, object]]:
            chosen = _choose_models(models)
            return _measure(chosen, counts, runs, is_compiled, is_fused, backend, progress, is_json)

        try:
            rows = run_interruptibly(work, _end_processes)
        except KeyboardInterrupt:
            typer.echo("stopped; the measuring processes are ended", err=True)
            sys.exit(130)
    if is_json:
        from miner.inspect.machine import look_at_machine

        typer.echo(json.dumps({"machine": asdict(look_at_machine()), "rows": rows}, indent=2))


def _measure(
    models: list[str], counts: list[int], runs: int, is_compiled: bool, is_fused: bool, backend: str | None,
    progress: Progress, is_json: bool,
) -> list[dict[str, object]]:  # fmt: skip
    """Measures row by row and prints each as soon as it is there."""
    from miner.bench.bench import Options, measure
    from miner.bench.errors import BenchError
    from miner.bench.table import format_head, format_row
    from miner.inspect.machine import describe_machine

    rows = []
    if not is_json:
        progress.print(f"{describe_machine()}; {runs} turns of each side, the fastest step counts")
        progress.print(format_head())
    try:
        for model in models:
            for count in counts:
                row = measure(model, count, Options(runs, is_compiled, is_fused, backend), progress.tell)
                rows.append(row.to_json())
                if not is_json:
                    progress.print(format_row(row))
    except BenchError as error:
        fail(str(error))
    return rows


def _end_processes() -> None:
    from miner.bench.bench import end_all

    end_all()


def _parse_threads(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.isdigit() and 1 <= int(part) <= 1024 for part in parts):
        raise typer.BadParameter("--threads are numbers from 1 to 1024, like 1,2")
    return [int(part) for part in parts]


def _choose_models(text: str) -> list[str]:
    """Names of known models."""
    from miner.bench.errors import UnknownWorkload
    from miner.bench.workload import WORKLOADS
    from miner.models.benchmarks import BENCHMARKS

    if text == "list":
        typer.echo("\n".join(WORKLOADS))
        raise typer.Exit
    names = [n for n in BENCHMARKS if not n.endswith("-tiny")] if text == "all" else text.split(",")
    for name in names:
        if name not in WORKLOADS:
            fail(str(UnknownWorkload(name, WORKLOADS)), 2)
    return names
