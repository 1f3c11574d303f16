"""Whatever a challenger says about an honest claim, the defender wins: hundreds of random games reach every stage."""

from __future__ import annotations

from collections import Counter
from functools import partial
from random import Random

from consensus.dispute.defender import defend
from consensus.dispute.view import ChallengerStage, DefenderStage, Reason, Side
from tests.consensus.dispute.false_challengers import RandomChallenger
from tests.consensus.dispute.games import play_game
from tests.consensus.dispute.memory import MemoryExecution, Task, make_transcript
from tests.consensus.dispute.tasks import language, vector

GAMES = 250
"""Of each task."""
NOT_REACHED = {"OutputRefute"}
"""Needs a gradient norm of +0, which no honest step of these tasks has: see `test_referee`."""


def test_an_honest_defender_wins_against_anything() -> None:
    reached: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    for task in (language(), vector()):
        _play_many(task, reached, ends)
    stages = {stage.__name__ for base in (DefenderStage, ChallengerStage) for stage in base.__subclasses__()}
    print(f"{2 * GAMES} games; stages reached {dict(reached)}; ended in {dict(ends)}")
    assert stages - set(reached) == NOT_REACHED
    assert min(reached.values()) >= 3


def _play_many(task: Task, reached: Counter[str], ends: Counter[str]) -> None:
    transcript = make_transcript(task, [partial(MemoryExecution, task)] * 2)
    for number in range(GAMES):
        segment = number % 2
        execution = transcript.executions[segment]
        random = Random(f"{len(task.graph.nodes)} {number}")
        challenger = RandomChallenger(random, execution, settles=bool(random.getrandbits(1)))
        game = play_game(transcript, segment, partial(defend, execution), challenger)
        assert game.verdict is not None and game.verdict.winner is Side.DEFENDER, (number, game.stages)
        if game.verdict.reason is Reason.CLOCK:
            assert game.views[-1].turn is Side.CHALLENGER
        assert game.transactions <= 40 and game.largest <= 2**16
        reached.update(set(game.stages))
        ends[f"{game.stages[-1]} {game.verdict.reason.name}"] += 1
