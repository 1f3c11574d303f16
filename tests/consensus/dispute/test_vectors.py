"""The golden games are what their maker writes."""

from __future__ import annotations

import gzip
import json

from tests.vectors.dispute_games import FILE, make_file


def test_golden_games_are_up_to_date() -> None:
    """Write them again with ``python -m tests.vectors.dispute_games``."""
    assert gzip.decompress(FILE.read_bytes()) == gzip.decompress(make_file())


def test_golden_games_have_every_stage_and_verdict() -> None:
    games = json.loads(gzip.decompress(FILE.read_bytes()))
    moves = [move for game in games for move in (game["open"], *game["moves"]) if move["after"]]
    assert {int(move["after"]["stage"][:2], 16) for move in moves} == set(range(22))
    ends = {(game["end"]["winner"], game["end"]["verdict"]) for game in games}
    assert len(ends) == 4
