"""The demo's live table."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from pallets_abi import system, tasks

if TYPE_CHECKING:
    from devnet.demo import Demo

BARS = "▁▂▃▄▅▆▇█"
SPARK_WIDTH = 48
PLANCKS_PER_UNIT = 10**12


def make_sparkline(values: list[float], width: int = SPARK_WIDTH) -> str:
    """The last `width` values as bars between their least and greatest."""
    shown = values[-width:]
    low, high = min(shown, default=0.0), max(shown, default=0.0)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((value - low) * scale)] for value in shown)


def make_table(demo: Demo) -> Group:
    """Head line, a row per miner, units by state, and the loss curve."""
    seconds = time.monotonic() - demo.state.started
    if not hasattr(demo, "watcher") or not demo.watcher.blocks:
        return Group(Text(f"{seconds:5.0f} s  {demo.state.phase}"))
    watcher = demo.watcher
    block = watcher.blocks[-1]
    names = {account: name for name, account in {**demo.honest, **demo.cheaters}.items()}
    author = names.get(block.sealer, "operator")
    head = f"{seconds:5.0f} s  {demo.state.phase}  block {block.number}  epoch {watcher.epoch}  author {author}"
    return Group(Text(head), _miners(demo), Text(_units(demo)), Text(_loss(demo.state.losses)))


def _miners(demo: Demo) -> Table:
    table = Table("miner", "verified MACs", "share", "credits this epoch", "slots", "share", "blocks", "balance", "")
    watcher = demo.watcher
    total_macs = sum(facts.verified_macs for facts in watcher.accounts.values()) or 1
    schedule = watcher.schedules.get(watcher.epoch, {})
    total_slots = sum(schedule.values()) or 1
    authored = Counter(block.sealer for block in watcher.blocks)
    for name, account in {**demo.honest, **demo.cheaters}.items():
        facts = watcher.accounts[account]
        slots = schedule.get(account, 0)
        balance = watcher.read(system.ACCOUNT, account)["data"]["free"] / PLANCKS_PER_UNIT
        table.add_row(
            name, f"{facts.verified_macs:,}", f"{facts.verified_macs / total_macs:.0%}",
            f"{watcher.credits[watcher.epoch].get(account, 0):,}", str(slots), f"{slots / total_slots:.0%}",
            str(authored[account]), f"{balance:,.0f}", "slashed" if facts.slashed else "",
        )  # fmt: skip
    return table


def _units(demo: Demo) -> str:
    states: Counter[str] = Counter()
    for unit in demo.watcher.read_all(tasks.UNITS):
        states[unit.state.name] += 1
    units = demo.options.shards * demo.options.rounds
    states["Open"] += units - sum(states.values())
    return "units  " + "  ".join(f"{name} {count}" for name, count in sorted(states.items()))


def _loss(losses: list[float]) -> str:
    newest = f"{losses[-1]:.4f}" if losses else "not yet"
    return f"held-out loss  {make_sparkline(losses)}  {newest}"
