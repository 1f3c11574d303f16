"""Lies told by real processes come to their on-chain verdict; a liar's daemon defends its lie with the same code.

The first is quick enough for every run; the others are told by `pytest -m slow`.
"""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from devnet.lies import LieOptions, LieStory
from devnet.processes import ProcessGroup
from miner.disputes.story import tell


def tell_story(name: str, folder: Path, meddle: Callable[[LieStory], None] | None = None) -> LieStory:
    """Runs a story; every finding must hold. `meddle` is called once, when the first game has begun."""
    with ProcessGroup() as group:
        story = LieStory(LieOptions(name, folder=folder), group, folder)

        def on_phase(phase: str) -> None:
            print(f"{time.strftime('%H:%M:%S')} {phase}")
            if meddle is not None and phase == "game 0 has begun":
                meddle(story)

        findings = story.run(on_phase)
        print("\n".join(story.tell()))
    failed = [finding for finding in findings if not finding.held]
    assert not failed, [finding.text for finding in failed]
    return story


@pytest.mark.timeout(330)
def test_one_flipped_bit_is_found_by_the_chain(tmp_path: Path) -> None:
    def kill_both(story: LieStory) -> None:
        """kill -9 of both sides in the middle of the game: they go on from chain storage."""
        for process in (story.network.miners["liar"], story.network.validators["validator 1"]):
            process.kill()
            process.start()
            process.wait_healthy()

    story = tell_story("op", tmp_path, kill_both)
    game = next(facts for facts in story.watcher.games.values() if facts.get("GameEnded"))
    assert tell(game.events)[-1].side == "chain"


@pytest.mark.slow
@pytest.mark.timeout(330)
@pytest.mark.parametrize("name", ["verifier", "data", "withhold"])
def test_other_lies(name: str, tmp_path: Path) -> None:
    tell_story(name, tmp_path)
