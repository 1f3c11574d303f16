"""`aipow lab`: the protocol's economics, tried out without a chain."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from consensus.commit.hashing import FieldRangeError
from consensus.protocol.economics import Incentive, UnprofitableHonestyError

from miner.cli.common import fail
from miner.cli.progress import Progress
from miner.roles.context import PLANCKS

if TYPE_CHECKING:
    from miner.lab.incentive import Point, Setting

app = typer.Typer(no_args_is_help=True, help="Try out the protocol's economics; needs no chain.")

EXIT_CHEATING_PAYS = 3
"""Exit code where the chain would refuse the parameters, or formula and simulation differ."""


@app.command()
def incentive(
    challenge: Annotated[float, typer.Option(min=0, max=1, help="p: chance that a unit is challenged.")] = 0.5,
    drawn: Annotated[int, typer.Option(min=1, max=16, help="q: segments drawn of a challenged unit.")] = 1,
    segments: Annotated[int, typer.Option(min=1, max=1024, help="n: segments of a unit.")] = 32,
    verifiers: Annotated[int, typer.Option(min=1, max=8, help="v: verifiers of a challenged unit.")] = 2,
    attacker: Annotated[float, typer.Option(min=0, max=1, help="r: the attacker's share of verifiers.")] = 0.333333,
    macs: Annotated[int, typer.Option(min=1, help="MACs of a unit.")] = 10**9,
    price: Annotated[float, typer.Option(min=0, help="R: price of a unit, UNIT.")] = 0.001,
    bond: Annotated[float, typer.Option(min=0, help="S: the solver's bond, UNIT.")] = 200.0,
    mac_cost: Annotated[int, typer.Option(min=1, help="Cost of 10^6 MACs, plancks.")] = 200_000,
    share: Annotated[float, typer.Option(min=0.001, max=1, help="Share cheated in the curves over r and S.")] = 1.0,
    pallet: Annotated[
        bool,
        typer.Option("--pallet", help="Play whole units on the runtime's pallets, not only draws; takes minutes."),
    ] = False,
    runs: Annotated[
        int, typer.Option(min=100, help="Simulated units: of each point; with --pallet of all points together.")
    ] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Of the simulation.")] = 1,
    plot: Annotated[Path | None, typer.Option(help="Write the curves to this picture (.svg, .png).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """What cheating pays, by formula and by simulation: of the chain's own draws, or with --pallet of whole units.

    Honesty is the best reply while p·(1−r^v)·(R+S) > C; the margin is how many times over. Defaults are preset dev's.

    Example: aipow lab incentive --bond 0.01 --attacker 0.5 --plot incentive.svg
    """
    from chain.errors import GenesisRejected

    from miner.lab.incentive import (
        POINTS,
        Setting,
        UnexpectedOutcome,
        iterate_curves,
        play_detection,
        simulate_detection,
        verify_setting,
    )

    money = Incentive(
        round(challenge * 10**6), round(attacker * 10**6), verifiers, round(price * PLANCKS), round(bond * PLANCKS),
        macs, mac_cost,
    )  # fmt: skip
    setting = Setting(money, drawn, segments)
    try:
        verify_setting(setting)
        refusal = ""
    except UnprofitableHonestyError as error:
        refusal = str(error)
    except FieldRangeError as error:
        fail(str(error))
    each, detect = (-(-runs // POINTS), play_detection) if pallet else (runs, simulate_detection)
    try:
        with Progress("simulating") as progress:
            curves = dict(iterate_curves(setting, share, each, seed, progress.tell, detect))
    except (GenesisRejected, UnexpectedOutcome) as error:
        fail(str(error))
    if plot is not None:
        _plot(curves, plot)
    if as_json:
        typer.echo(json.dumps(_make_document(setting, curves, refusal), indent=2))
    else:
        _print(setting, curves, refusal)
    if refusal or not all(point.agrees for points in curves.values() for point in points):
        raise typer.Exit(EXIT_CHEATING_PAYS)


def _make_document(setting: Setting, curves: dict[str, list[Point]], refusal: str) -> dict[str, Any]:
    points = {name: [asdict(point) | {"agrees": point.agrees} for point in found] for name, found in curves.items()}
    return {"margin": setting.margin, "refusal": refusal, "cost_plancks": setting.cost, "curves": points}


def _print(setting: Setting, curves: dict[str, list[Point]], refusal: str) -> None:
    typer.echo(f"margin p·(1−r^v)·(R+S)/C = {setting.margin:,.4g}: " + (refusal or "honesty is the best reply"))
    for name, points in curves.items():
        typer.echo(f"\ngain of cheating over honesty, in costs of a unit, by {name}")
        typer.echo("      at        formula      simulated")
        for point in points:
            mark = "" if point.agrees else "   they differ"
            typer.echo(f"{point.at:8.2f} {point.formula:14,.4g} {point.simulated:14,.4g} ± {point.error:,.2g}{mark}")


def _plot(curves: dict[str, list[Point]], path: Path) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        fail("--plot needs matplotlib: uv pip install matplotlib")
    figure = Figure((12, 4), layout="constrained")
    for axes, (name, points) in zip(figure.subplots(1, len(curves)), curves.items(), strict=True):
        at = [point.at for point in points]
        axes.plot(at, [point.formula for point in points], label="formula")
        axes.errorbar(
            at, [point.simulated for point in points], [3 * point.error for point in points], fmt="o", capsize=3,
            label="simulation, 3 standard errors",
        )  # fmt: skip
        axes.axhline(0, color="grey", linewidth=0.8)
        axes.set(xlabel=name, ylabel="gain of cheating, in C")
        axes.legend()
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        fail(f"{path}: {error}")
