"""The main job: a network on this machine trains a model, earns its blocks with it, catches a cheater, proves it."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.live import Live

from devnet.checks import (
    MIN_EPOCHS,
    Finding,
    check_authors,
    check_cheater,
    check_epochs,
    check_model,
    check_shares,
    check_verification,
)
from devnet.model import HeldOutModel
from devnet.network import DEMO_PLAN, DemoNetwork, NetworkPlan
from devnet.processes import DevnetError, ProcessGroup
from devnet.table import make_table
from devnet.watcher import Watcher
from miner.wallet import Wallet
from pallets_abi import block_rights, stakes, tasks

POLL_SECONDS = 1.0
JUDGE_AFTER_WORK_EPOCHS = 5  # schedules earned by work that the shares are judged on


@dataclass(frozen=True)
class DemoOptions:
    """What the demo trains and how long it may take; the defaults fit 2 cores and 5 minutes.

    One of `segments` is drawn of half the units, for two verifiers each: p·v·q/n = 2.1 % of the work is executed again.
    """

    plan: NetworkPlan = DEMO_PLAN
    model: str = "digits-mlp"
    shards: int = 24
    rounds: int = 8
    segments: int = 48
    steps: int = 10
    limit_seconds: float = 300.0
    folder: Path | None = None


@dataclass
class DemoState:
    """What the table shows; filled by `Demo.follow`."""

    started: float = field(default_factory=time.monotonic)
    phase: str = "starting"
    losses: list[float] = field(default_factory=list)
    newest_unit: tuple[int, int, str] | None = None


class Demo:
    """One run; `run` returns the findings."""

    def __init__(self, options: DemoOptions, group: ProcessGroup, folder: Path) -> None:
        self.options, self.folder = options, folder
        self.network = DemoNetwork(options.plan, folder, group)
        self.group = group
        self.state = DemoState()
        self.watcher: Watcher
        self.model = HeldOutModel(options.model, folder / "checkpoints")
        addresses = {miner: Wallet.from_uri(miner.uri).address for miner in options.plan.miners}
        self.honest = {miner.name: address for miner, address in addresses.items() if not miner.cheat}
        self.cheaters = {miner.name: address for miner, address in addresses.items() if miner.cheat}

    def run(self, on_change: Callable[[Demo], None]) -> list[Finding]:
        """Starts everything, follows the chain until all can be judged or time is over, and judges."""
        deadline = self.state.started + self.options.limit_seconds
        self._enter("starting the operator's node", on_change)
        self.network.start_operator()
        self.watcher = Watcher(self.network.operator.rpc_url)
        self._enter("posting the task; starting miners and validators", on_change)
        options = self.options
        self.network.post_task(options.model, options.shards, options.rounds, options.segments, options.steps)
        self.network.start_workers()
        self._enter("training", on_change)
        while time.monotonic() < deadline and not self._can_judge():
            self.group.check()
            self.watcher.poll()
            self._measure_loss()
            on_change(self)
            time.sleep(POLL_SECONDS)
        self._enter("judging", on_change)
        return self.judge()

    def judge(self) -> list[Finding]:
        """The findings on everything seen so far."""
        watcher = self.watcher
        blocks = list(watcher.blocks)
        numbers = range(blocks[0].number, blocks[-1].number + 1) if blocks else range(0)
        views = {}
        for node in self.network.nodes():
            observer = Watcher(node.rpc_url)
            views[node.name] = observer.view(numbers)
            observer.close()
        watcher.close()  # idle meanwhile, so that its node may have closed it
        params = watcher.read(block_rights.PARAMS)
        works = watcher.works(params.decay_epochs, params.decay / 10**6)
        return [
            check_authors(blocks, views),
            check_epochs(watcher.epoch),
            check_shares(blocks, works, self.honest),
            self._judge_cheater(),
            self._judge_verification(),
            self._judge_model(),
        ]

    def _enter(self, phase: str, on_change: Callable[[Demo], None]) -> None:
        self.state.phase = phase
        on_change(self)

    def _can_judge(self) -> bool:
        earned = sum(any(account in slots for account in self.honest.values()) for slots in self._schedules())
        caught = all(self.watcher.accounts[account].slashed for account in self.cheaters.values())
        judged_cheater = caught and self._schedules_after_slash() > 0
        losses = self.state.losses
        return (
            self.watcher.epoch >= MIN_EPOCHS
            and earned >= JUDGE_AFTER_WORK_EPOCHS
            and judged_cheater
            and len(losses) > 1
            and losses[-1] < losses[0]
        )

    def _schedules(self) -> list[dict[str, int]]:
        return [slots for epoch, slots in self.watcher.schedules.items() if epoch <= self.watcher.epoch]

    def _schedules_after_slash(self) -> int:
        slashed = [self.watcher.accounts[account].slashed_in_epoch for account in self.cheaters.values()]
        last = max((epoch for epoch in slashed if epoch is not None), default=None)
        return 0 if last is None else sum(epoch > last for epoch in self.watcher.schedules)

    def _measure_loss(self) -> None:
        """Held-out loss of the task's first state, then of each newest final unit, fetched by root from its server."""
        losses = self.state.losses
        if not losses:
            task = self.watcher.read(tasks.TASKS, 0)
            if task is not None:
                losses.append(self.model.loss_of(task.spec.endpoint.decode(), task.spec.initial_state_root))
        newest = max(self.watcher.final_units, key=lambda unit: unit[1], default=None)
        if newest is not None and newest != self.state.newest_unit:
            losses.append(self.model.loss_of(*self._checkpoint(newest)))
            self.state.newest_unit = newest

    def _checkpoint(self, unit: tuple[int, int, str]) -> tuple[str, str]:
        """(endpoint, state root) of a final unit, both from the chain."""
        task, index, solver = unit
        record = self.watcher.read(tasks.UNITS, task, index)
        if record is None or record.state.name != "Final":
            raise DevnetError(f"unit {task}/{index} is not final any more")
        endpoint = self.watcher.read(stakes.ENDPOINTS, solver) or b""
        return endpoint.decode(), record.state.args[1].end_state_root

    def _judge_cheater(self) -> Finding:
        account = next(iter(self.cheaters.values()))
        facts = self.watcher.accounts[account]
        since = facts.slashed_in_epoch
        after = {} if since is None else {e: s for e, s in self.watcher.schedules.items() if e > since}
        slots = sum(schedule.get(account, 0) for schedule in after.values())
        bond = self.watcher.read(stakes.BONDS, stakes.Role.SOLVER.value, account)
        return check_cheater(facts.mismatches, facts.slashed, bond, slots, len(after))

    def _judge_verification(self) -> Finding:
        network = self.network
        executed = {name: network.miners[name].read_metrics()["aipow_macs_done"] for name in self.honest}
        checked = {name: node.read_metrics()["aipow_macs_checked"] for name, node in network.validators.items()}
        return check_verification(executed, checked)

    def _judge_model(self) -> Finding:
        newest = max(self.watcher.final_units, key=lambda unit: unit[1], default=None)
        if newest is None:
            return check_model(self.state.losses[0] if self.state.losses else 0.0, float("inf"), "none", "nobody")
        endpoint, root = self._checkpoint(newest)
        return check_model(self.state.losses[0], self.model.loss_of(endpoint, root), root, endpoint)


def run_demo(options: DemoOptions, group: ProcessGroup, as_json: bool) -> int:
    """The command `aipow-devnet demo`; returns its exit code: 0 when every finding held, 1 when not."""
    console = Console(stderr=as_json)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="aipow-demo-"))
    demo = Demo(options, group, folder)
    findings = _run_live(demo, console)
    report(findings, time.monotonic() - demo.state.started, folder, console, as_json)
    return 0 if all(finding.held for finding in findings) else 1


def _run_live(demo: Demo, console: Console) -> list[Finding]:
    if not console.is_terminal:
        last_phase = ""

        def show(changed: Demo) -> None:
            nonlocal last_phase
            if changed.state.phase != last_phase:
                last_phase = changed.state.phase
                console.print(f"{time.monotonic() - changed.state.started:6.1f} s  {last_phase}")

        return demo.run(show)
    with Live(console=console, refresh_per_second=2) as live:
        return demo.run(lambda changed: live.update(make_table(changed)))


def report(findings: list[Finding], seconds: float, folder: Path, console: Console, as_json: bool) -> None:
    """Prints the findings, as lines or as JSON on stdout."""
    if as_json:
        document = {
            "ok": all(finding.held for finding in findings), "seconds": round(seconds, 1), "folder": str(folder),
            "findings": [asdict(finding) for finding in findings],
        }  # fmt: skip
        json.dump(document, sys.stdout, indent=2)
        print()
        return
    for finding in findings:
        console.print(f"{'✓' if finding.held else '✗'} {finding.name}: {finding.text}", highlight=False)
    console.print(f"{seconds:.0f} s; logs and data in {folder}", highlight=False)


def keep_running(group: ProcessGroup, as_json: bool) -> None:
    """Says where the nodes are, and waits until the group is stopped or a process dies (`DevnetError`)."""
    console = Console(stderr=as_json)
    console.print("the devnet goes on; Ctrl-C ends it")
    for process in group.processes:
        if process.rpc_port:
            console.print(f"  {process.name}: {process.rpc_url}", highlight=False)
    while True:
        group.check()
        time.sleep(POLL_SECONDS)
