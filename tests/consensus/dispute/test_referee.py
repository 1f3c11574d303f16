"""Bad moves: each is refused with its own error, and changes nothing; the clocks; opening."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial

import pytest

from consensus.commit.hashing import blake2_256
from consensus.dispute import errors
from consensus.dispute.challenger import challenge, open_segment
from consensus.dispute.defender import defend
from consensus.dispute.moves import Choose, Narrow, ProveWitness, Settle, Way
from consensus.dispute.referee import MAX_WITNESS_LEAVES, expire, open_game, play
from consensus.dispute.view import HistoryPick, Reason, Side, Verdict, WitnessStage
from tests.consensus.dispute.corruptions import corrupt
from tests.consensus.dispute.games import CLOCK
from tests.consensus.dispute.memory import MemoryExecution, make_transcript
from tests.consensus.dispute.tasks import language
from tests.vectors.dispute_games import make_games

TASK = language()
TRANSCRIPT = make_transcript(TASK, [partial(MemoryExecution, TASK)] * 2)


def test_bad_moves_of_every_kind_are_refused_and_change_nothing() -> None:
    """Instead of every move of the golden games, whatever `corrupt` makes of it."""
    seen: Counter[str] = Counter()
    for name, _, game in make_games():
        for view, (side, move, now) in zip(game.views, game.moves, strict=False):
            before = repr(view)
            for bad, by, error in corrupt(view, move, side):
                with pytest.raises(error) as caught:
                    play(view, bad, by, now)
                assert type(caught.value) is error, (name, bad)
                assert repr(view) == before
                seen[error.__name__] += 1
            play(view, move, side, now)
    print(dict(seen))
    assert set(seen) >= {
        "NotYourTurn", "WrongStage", "BadProof", "BadPrevious", "BadChildren", "BadPick", "SameHash", "BadChoice",
        "BadTile", "BadClaims", "WrongPlace", "BadArray", "Refused",
    }  # fmt: skip


def test_a_move_in_the_last_block_is_in_time() -> None:
    view = open_game(TRANSCRIPT.unit, open_segment(1, 2, TRANSCRIPT.records, 1), CLOCK, 10)
    move = defend(TRANSCRIPT.executions[1], view)
    assert move is not None
    assert expire(view, view.deadline) is None
    after = play(view, move, Side.DEFENDER, view.deadline)
    assert not isinstance(after, Verdict) and after.clocks == (0, CLOCK)
    assert (after.turn, after.began) == (Side.CHALLENGER, 10 + CLOCK)


def test_a_move_after_the_last_block_is_too_late() -> None:
    view = open_game(TRANSCRIPT.unit, open_segment(1, 2, TRANSCRIPT.records, 1), CLOCK, 10)
    move = defend(TRANSCRIPT.executions[1], view)
    assert move is not None
    with pytest.raises(errors.OutOfTime):
        play(view, move, Side.DEFENDER, view.deadline + 1)
    assert expire(view, view.deadline + 1) == Verdict(Side.CHALLENGER, Reason.CLOCK)


def test_each_side_has_its_own_clock() -> None:
    view = open_game(TRANSCRIPT.unit, open_segment(1, 2, TRANSCRIPT.records, 1), CLOCK, 10)
    move = defend(TRANSCRIPT.executions[1], view)
    assert move is not None
    view = play(view, move, Side.DEFENDER, 17)  # type: ignore[assignment]
    view = play(view, Choose(Way.DESCEND), Side.CHALLENGER, 30)  # type: ignore[assignment]
    assert view.clocks == (CLOCK - 7, CLOCK - 13) and view.deadline == 30 + CLOCK - 7


@pytest.mark.parametrize("segment", [0, 1])
def test_a_game_needs_the_records_of_the_transcript(segment: int) -> None:
    opening = open_segment(1, 2, TRANSCRIPT.records, segment)
    wrong = replace(opening.opening, record=replace(opening.opening.record, end_state_root=blake2_256(b"other")))
    with pytest.raises(errors.BadProof):
        open_game(TRANSCRIPT.unit, replace(opening, opening=wrong), CLOCK, 10)
    previous = None if opening.previous else opening.opening
    with pytest.raises(errors.BadPrevious):
        open_game(TRANSCRIPT.unit, replace(opening, previous=previous), CLOCK, 10)
    if opening.previous is not None:
        with pytest.raises(errors.BadPrevious):
            open_game(TRANSCRIPT.unit, replace(opening, previous=opening.opening), CLOCK, 10)


def test_a_segment_starts_where_the_one_before_ends() -> None:
    view = open_game(TRANSCRIPT.unit, open_segment(1, 2, TRANSCRIPT.records, 1), CLOCK, 10)
    assert view.start == TRANSCRIPT.records[0].end_state_root


def test_the_last_segment_ends_where_the_unit_was_submitted_to_end() -> None:
    unit = replace(TRANSCRIPT.unit, end=blake2_256(b"submitted"))
    opening = open_segment(1, 2, TRANSCRIPT.records, 1)
    view = open_game(unit, opening, CLOCK, 10)
    assert view.record.end_state_root == unit.end
    move = defend(TRANSCRIPT.executions[1], open_game(TRANSCRIPT.unit, opening, CLOCK, 10))
    assert move is not None and defend(TRANSCRIPT.executions[1], view) is None
    with pytest.raises(errors.WrongEnd):
        play(view, move, Side.DEFENDER, 11)


def test_a_witness_of_too_many_leaves() -> None:
    view = open_game(TRANSCRIPT.unit, open_segment(1, 2, TRANSCRIPT.records, 1), CLOCK, 10)
    leaf = TRANSCRIPT.executions[1].history()[0]
    with pytest.raises(errors.TooLarge):
        play(replace(view, stage=WitnessStage()), ProveWitness((leaf,) * (MAX_WITNESS_LEAVES + 1)), view.turn, 11)


def test_players_wait_for_their_turn() -> None:
    view = open_game(TRANSCRIPT.unit, open_segment(1, 2, TRANSCRIPT.records, 1), CLOCK, 10)
    assert challenge(TRANSCRIPT.executions[1], view) is None
    assert defend(TRANSCRIPT.executions[1], replace(view, stage=HistoryPick())) is None
    with pytest.raises(errors.WrongStage):
        play(view, Narrow(()), Side.DEFENDER, 11)


def test_an_opening_of_more_than_64_kib() -> None:
    """The arbiter's bound; one operand too many times."""
    games = {name: game for name, _, game in make_games()}
    game = games["sum of a part of K is right"]
    side, move, now = game.moves[-1]
    assert isinstance(move, Settle)
    operands = move.opening.operands * 3
    with pytest.raises(errors.TooLarge):
        play(game.views[-1], Settle(replace(move.opening, operands=operands)), side, now)
