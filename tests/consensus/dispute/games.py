"""Plays whole games: two players and a referee, one move a block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from consensus.dispute.challenger import challenge, open_segment
from consensus.dispute.defender import defend
from consensus.dispute.execution import Execution
from consensus.dispute.moves import Move, Open, encode
from consensus.dispute.referee import expire, open_game, play
from consensus.dispute.view import Arbitration, DataStage, GameView, Side, Verdict
from tests.consensus.dispute.memory import Transcript

Player = Callable[[GameView], Move | None]
CLOCK = 60


@dataclass
class Game:
    """A game from its opening to its end."""

    opening: Open
    views: list[GameView] = field(default_factory=list)
    """After the opening and after each move but the last."""
    moves: list[tuple[Side, Move, int]] = field(default_factory=list)
    """With the block of each."""
    verdict: Verdict | None = None
    ended: int = 0
    """Block of the end."""

    @property
    def stages(self) -> list[str]:
        """Names of the stages that were reached."""
        return [type(view.stage).__name__ for view in self.views]

    @property
    def transactions(self) -> int:
        """Moves, the opening among them."""
        return len(self.moves) + 1

    @property
    def largest(self) -> int:
        """Bytes of the largest call's arguments."""
        return max(len(encode(move)) for move in (self.opening, *(move for _, move, _ in self.moves)))


def play_game(transcript: Transcript, segment: int, defender: Player, challenger: Player) -> Game:
    """A game about a segment. A player without a move lets its clock run out."""
    opening = open_segment(1, 2, transcript.records, segment)
    game, now = Game(opening), 10
    view = open_game(transcript.unit, opening, CLOCK, now)
    while game.verdict is None:
        game.views.append(view)
        now += 1
        side = view.turn
        move = (defender if side is Side.DEFENDER else challenger)(view)
        if move is None and isinstance(view.stage, Arbitration | DataStage):
            side, move = Side.CHALLENGER, challenger(view)
        if move is None:
            now = view.deadline + 1
            game.verdict = expire(view, now)
        else:
            after = play(view, move, side, now)
            game.moves.append((side, move, now))
            if isinstance(after, Verdict):
                game.verdict = after
            else:
                view = after
    game.ended = now
    return game


def play_executions(transcript: Transcript, segment: int, defender: Execution, challenger: Execution) -> Game:
    """A game between the players of this project."""
    return play_game(transcript, segment, partial(defend, defender), partial(challenge, challenger))
