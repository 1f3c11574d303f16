"""The demo's lies, one story each: real processes lie, the chain finds it out, the liar pays.

    op        a miner flips one bit deep in a training step; the chain itself computes the wrong tile
    data      a miner trains on one wrong element of a batch; the chain itself looks the element up
    verifier  a validator attests something false against an honest miner, and must defend it in a game
    withhold  a miner serves nobody what verifiers need; one of them asks on chain, and there is no answer either
    unseen    a miner flips a bit in units that nobody is drawn to check; a validator that watches unasked finds it
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from devnet.checks import (
    Finding,
    GameOutcome,
    check_authors,
    check_game,
    check_silence,
    check_slashes,
    check_unit,
    check_unseen,
)
from devnet.demo import report
from devnet.network import DemoNetwork, MinerPlan, NetworkPlan, ValidatorPlan
from devnet.processes import ProcessGroup
from devnet.watcher import GameFacts, Watcher
from miner.disputes.story import draw, tell
from miner.wallet import Wallet
from pallets_abi import stakes

POLL_SECONDS = 0.5
HONEST_MINER, LIAR_MINER = MinerPlan("honest miner", "//Bob"), "//Dave"
VALIDATORS = (ValidatorPlan("validator 1", "//Eve"), ValidatorPlan("validator 2", "//Ferdie"))


Genesis = Mapping[str, Mapping[str, object]]
"""Values of a genesis that differ from the preset's, by pallet."""

GENESIS: Genesis = {"verification": {"challengePpm": 1_000_000}}
"""Every unit is challenged, so that no story waits for luck."""

UNSEEN_GENESIS: Genesis = {"verification": {"challengePpm": 100, "watchBlocks": 40}}
"""One unit in 10,000 is challenged, which the bond of 200 UNIT still makes enough for units of up to 10^9 MACs."""


@dataclass(frozen=True)
class Lie:
    """One story: who takes part, who lies in which role, and what the chain must make of it."""

    miners: tuple[MinerPlan, ...]
    validators: tuple[ValidatorPlan, ...]
    liar: str
    """Secret URI of the liar's account."""
    role: str
    """Solver or Verifier."""
    reason: str
    """Name of the slash."""
    verdict: str
    """How the game ends; empty where an ask on chain decides, to which there is no answer."""
    genesis: Genesis = field(default_factory=lambda: GENESIS)
    is_unseen: bool = False
    """Whether nobody may have been drawn to check the unit."""


LIES: dict[str, Lie] = {
    "op": Lie(
        (HONEST_MINER, MinerPlan("liar", LIAR_MINER, cheat="op")), VALIDATORS, LIAR_MINER, "Solver", "WrongResult",
        "Refuted",
    ),
    "data": Lie(
        (HONEST_MINER, MinerPlan("liar", LIAR_MINER, cheat="data")), VALIDATORS, LIAR_MINER, "Solver", "WrongResult",
        "Refuted",
    ),
    "verifier": Lie(
        (HONEST_MINER,), (*VALIDATORS[:1], ValidatorPlan("liar", "//Ferdie", cheat="op")), "//Ferdie", "Verifier",
        "WrongAttestation", "Proved",
    ),
    "withhold": Lie(
        (HONEST_MINER, MinerPlan("liar", LIAR_MINER, cheat="withhold")), VALIDATORS, LIAR_MINER, "Solver",
        "Unavailable", "",
    ),
    "unseen": Lie(
        (MinerPlan("liar", LIAR_MINER, cheat="op"),), (ValidatorPlan("watcher", "//Eve", watch=1.0),), LIAR_MINER,
        "Solver", "WrongResult", "Refuted", UNSEEN_GENESIS, is_unseen=True,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class LieOptions:
    """Which lie, on which preset, of which model, and how long the story may take."""

    name: str
    preset: str = "dev"
    model: str = "digits-mlp-tiny"
    shards: int = 4
    rounds: int = 1
    segments: int = 4
    steps: int = 20
    limit_seconds: float = 300.0
    folder: Path | None = None
    genesis: Genesis = field(default_factory=dict)
    """Instead of what the lie's own genesis has of a pallet."""


class LieStory:
    """One run; `run` returns the findings."""

    def __init__(self, options: LieOptions, group: ProcessGroup, folder: Path) -> None:
        self.options, self.lie, self.group = options, LIES[options.name], group
        genesis = {**self.lie.genesis, **options.genesis}
        plan = NetworkPlan(options.preset, self.lie.miners, self.lie.validators, genesis)
        self.network = DemoNetwork(plan, folder, group)
        self.liar = Wallet.from_uri(self.lie.liar).address
        self.watcher: Watcher

    def run(
        self, on_phase: Callable[[str], None], on_poll: Callable[[LieStory], None] | None = None
    ) -> list[Finding]:
        """Starts everything, follows the chain until the lie is judged or time is over, and judges. `on_poll` is called
        after each look at the chain."""
        options = self.options
        deadline = time.monotonic() + options.limit_seconds
        on_phase("starting the operator's node")
        self.network.start_operator()
        self.watcher = Watcher(self.network.operator.rpc_url)
        on_phase("posting the task; starting miners and validators")
        self.network.post_task(options.model, options.shards, options.rounds, options.segments, options.steps)
        self.network.start_workers()
        on_phase("working; somebody lies")
        seen: set[int] = set()
        while time.monotonic() < deadline and not self._is_judged():
            self.group.check()
            self.watcher.poll()
            if on_poll is not None:
                on_poll(self)
            for number in set(self.watcher.games) - seen:
                seen.add(number)
                on_phase(f"game {number} has begun")
            time.sleep(POLL_SECONDS)
        on_phase("judging")
        return self.judge()

    def judge(self) -> list[Finding]:
        """The findings on everything seen so far."""
        watcher, lie = self.watcher, self.lie
        blocks = list(watcher.blocks)
        numbers = range(blocks[0].number, blocks[-1].number + 1) if blocks else range(0)
        views = {}
        for node in self.network.nodes():
            observer = Watcher(node.rpc_url)
            views[node.name] = observer.view(numbers)
            observer.close()
        watcher.close()  # idle meanwhile, so that its node may have closed it
        slashed = {account: facts.slashed for account, facts in watcher.accounts.items()}
        bond = watcher.read(stakes.BONDS, lie.role, self.liar)
        findings = [check_authors(blocks, views)]
        if lie.verdict:
            findings.append(check_game(self._outcome(), self.liar, lie.verdict != "Clock"))
        else:
            findings.append(check_silence(watcher.unanswered, watcher.answered, self.liar, bond))
        findings.append(check_slashes(slashed, watcher.accounts[self.liar].reasons, self.liar, lie.reason, bond))
        unit = self._unit()
        is_refused, is_final = unit in watcher.refused_units, unit in {entry[:2] for entry in watcher.final_units}
        findings.append(check_unit(is_refused, is_final, lie.role == "Solver"))
        if lie.is_unseen:
            findings.append(check_unseen(unit, watcher.drawn_units))
        return findings

    def tell(self) -> list[str]:
        """The deciding game as a tree."""
        found = self._game()
        return [] if found is None else draw(tell(found[1].events))

    def _is_judged(self) -> bool:
        watcher = self.watcher
        if self.lie.reason not in watcher.accounts[self.liar].reasons:
            return False
        if self.lie.role == "Solver":
            return self._unit() in watcher.refused_units
        return self._unit() in {entry[:2] for entry in watcher.final_units}

    def _game(self) -> tuple[int, GameFacts] | None:
        """The first game with the liar in it that has a loser, or one that goes on."""
        for number, facts in sorted(self.watcher.games.items()):
            opened, ended = facts.get("Opened"), facts.get("GameEnded")
            is_party = opened is not None and self.liar in (opened["defender"], opened["challenger"])
            if is_party and (ended is None or ended["loser"] is not None):
                return number, facts
        return None

    def _unit(self) -> tuple[int, int]:
        """The unit that is disputed or refused; (-1, -1) before."""
        found = self._game()
        if found is None:
            return self.watcher.refused_units[0] if self.watcher.refused_units else (-1, -1)
        opened = found[1].get("Opened") or {}
        return opened["task"], opened["unit"]

    def _outcome(self) -> GameOutcome | None:
        found = self._game()
        ended = None if found is None else found[1].get("GameEnded")
        if found is None or ended is None:
            return None
        number, facts = found
        sizes = facts.sizes.values()
        return GameOutcome(
            number, ended["verdict"], ended["winner"] or "", ended["loser"] or "", len(sizes), max(sizes, default=0),
            facts.blocks,
        )  # fmt: skip


def run_lie(options: LieOptions, group: ProcessGroup, as_json: bool) -> int:
    """The command `aipow-devnet demo --cheat NAME`; its exit code: 0 when every finding held, 1 when not."""
    console = Console(stderr=as_json)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="aipow-lie-"))
    started = time.monotonic()
    story = LieStory(options, group, folder)
    findings = story.run(lambda phase: console.print(f"{time.monotonic() - started:6.1f} s  {phase}"))
    for line in story.tell():
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    report(findings, time.monotonic() - started, folder, console, as_json)
    return 0 if all(finding.held for finding in findings) else 1
