"""Lies told by real processes come to their on-chain verdict; a liar's daemon defends its lie with the same code.

The first is told in every run, with kill -9 in its middle; the others by `pytest -m slow`.
"""

import time
from pathlib import Path

import pytest

from devnet.lies import LieOptions, LieStory
from devnet.processes import ProcessGroup
from miner.disputes.story import tell

KILL_AFTER_EVENTS = 6
"""Both sides are killed when the first game is so far: its history is committed to and narrowed."""

ABSENCE = {"BeaconNoShow", "NoVerifierReveal"}
"""What a process that was killed may be fined for: that it was away, never that it was wrong."""


def show_phase(phase: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {phase}")


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
    for finding in findings:
        assert finding.held or finding.name == "slashes", finding.text
    game = next(facts for facts in story.watcher.games.values() if facts.get("GameEnded"))
    assert tell(game.events)[-1].side == "chain"
    for account, facts in story.watcher.accounts.items():
        if account != story.liar:
            assert facts.reasons <= ABSENCE, f"honest {account} was slashed for {facts.reasons}"
    assert "WrongResult" in story.watcher.accounts[story.liar].reasons


@pytest.mark.slow
@pytest.mark.timeout(360)
@pytest.mark.parametrize("name", ["verifier", "data", "withhold"])
def test_other_lies(name: str, tmp_path: Path) -> None:
    with ProcessGroup() as group:
        findings = LieStory(LieOptions(name, folder=tmp_path), group, tmp_path).run(show_phase)
    failed = [finding.text for finding in findings if not finding.held]
    assert not failed
