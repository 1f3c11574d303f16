"""Lies told by real processes come to their on-chain verdict; a liar's daemon defends its lie with the same code.

The first is told in every run, with kill -9 in its middle; the others, one of them with a kill -9 at each stage of the
game, by `pytest -m slow`.
"""

import time
from pathlib import Path

import pytest

from devnet.checks import Finding
from devnet.lies import LieOptions, LieStory
from devnet.processes import ManagedProcess, ProcessGroup, wait_until
from devnet.watcher import Watcher
from miner.disputes.story import tell
from pallets_abi import disputes

pytestmark = pytest.mark.alone

KILL_AFTER_EVENTS = 6
"""Both sides are killed when the first game is so far: its history is committed to and narrowed."""

ABSENCE = {"BeaconNoShow", "NoVerifierReveal"}
"""What a process that was killed may be fined for: that it was away, never that it was wrong."""


LONG_CLOCKS = {"disputes": {"clockBlocks": 900}}
"""Time for a daemon to start again at each stage, on a busy machine."""

LOOK_SECONDS = 0.1
"""A stage stays for a block of 1 s at least."""

STAGES = {
    "History", "HistoryPick", "Narrow History", "Pick History", "Step", "StepPick", "Narrow Trace", "Pick Trace",
    "Node", "NodePick", "Claims", "ClaimsPick", "Arbitration",
}  # fmt: skip
"""Those that a game about one flipped bit in a product goes through."""


def show_phase(phase: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {phase}")


def check_verdict(story: LieStory, findings: list[Finding]) -> None:
    """The chain itself computed that the liar lies; nobody honest lost more than what absence costs."""
    for finding in findings:
        assert finding.held or finding.name == "slashes", finding.text
    game = next(facts for facts in story.watcher.games.values() if facts.get("GameEnded"))
    assert tell(game.events)[-1].side == "chain"
    for account, facts in story.watcher.accounts.items():
        if account != story.liar:
            assert facts.reasons <= ABSENCE, f"honest {account} was slashed for {facts.reasons}"
    assert "WrongResult" in story.watcher.accounts[story.liar].reasons


@pytest.mark.timeout(360)
def test_one_flipped_bit_is_found_by_the_chain_whoever_is_killed(tmp_path: Path) -> None:
    killed = []

    def kill_both_sides(story: LieStory) -> None:
        if killed or max((len(game.events) for game in story.watcher.games.values()), default=0) < KILL_AFTER_EVENTS:
            return
        killed.extend([story.network.miners["liar"], story.network.validators["validator 1"]])
        for process in killed:
            process.kill()
        for process in killed:
            process.start()
        for process in killed:
            process.wait_healthy()
        show_phase("both sides were killed and are back")

    with ProcessGroup() as group:
        story = LieStory(LieOptions("op", folder=tmp_path), group, tmp_path)
        findings = story.run(show_phase, kill_both_sides)
        print("\n".join(story.tell()))
    assert killed
    check_verdict(story, findings)


def find_stage(game: disputes.Game) -> str:
    """A game's stage, with the tree for those that narrow: `Narrow History`."""
    stage = game.stage
    return f"{stage.name} {stage.args[0]}" if stage.name in {"Narrow", "Pick"} else stage.name


def wait_until_followed(process: ManagedProcess, watcher: Watcher) -> None:
    """Until a node that was started again has finalised what the operator's has."""
    observer = Watcher(process.rpc_url)

    def has_followed() -> bool:
        watcher.poll()
        number = watcher.blocks[-1].number
        return number in observer.view(range(number, number + 1))

    wait_until(has_followed, 60, f"{process.name} to catch up")
    observer.close()


class KillAtEachStage:
    """Kills the daemon whose turn it is, whenever a game comes to a stage for the first time, and starts it again."""

    def __init__(self) -> None:
        self.stages: list[str] = []

    def __call__(self, story: LieStory) -> None:
        """Plays from a game's first block to its last; returns at once while there is no game."""
        if self.stages or not story.watcher.games:
            return
        network, number = story.network, min(story.watcher.games)
        sides = {"Defender": network.miners["liar"], "Challenger": network.validators["watcher"]}
        while (game := story.watcher.read(disputes.GAMES, number)) is not None:
            story.group.check()
            story.watcher.poll()  # its node keeps the states of so many blocks only
            stage = find_stage(game)
            if stage not in self.stages:
                self.stages.append(stage)
                mover = sides[game.turn]
                mover.kill()
                mover.start()
                show_phase(f"{mover.name} was killed at {stage}, move {game.moves}")
            time.sleep(LOOK_SECONDS)
        for process in sides.values():  # who was killed last is asked for its blocks when all is judged
            process.wait_healthy()
            wait_until_followed(process, story.watcher)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_verdict_is_the_same_when_the_mover_is_killed_at_each_stage(tmp_path: Path) -> None:
    options = LieOptions("unseen", shards=1, limit_seconds=1300, folder=tmp_path, genesis=LONG_CLOCKS)
    killer = KillAtEachStage()
    with ProcessGroup() as group:
        story = LieStory(options, group, tmp_path)
        findings = story.run(show_phase, killer)
        print("\n".join(story.tell()))
    assert set(killer.stages) >= STAGES, f"the game has passed {killer.stages} only"
    check_verdict(story, findings)


@pytest.mark.slow
@pytest.mark.timeout(360)
@pytest.mark.parametrize("name", ["verifier", "data", "withhold", "unseen"])
def test_other_lies(name: str, tmp_path: Path) -> None:
    with ProcessGroup() as group:
        findings = LieStory(LieOptions(name, folder=tmp_path), group, tmp_path).run(show_phase)
    failed = [finding.text for finding in findings if not finding.held]
    assert not failed
