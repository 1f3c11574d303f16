"""What a daemon reads off the chain about disputes: whose turn, how urgent, whom it must accuse, what it looks at."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from consensus.dispute.view import Side
from miner.roles.disputes import OpenGame, find_first_difference
from miner.roles.taskbook import UnitView
from miner.roles.watcher import Watcher
from miner.store.blobs import BlobStore
from pallets_abi import disputes

HASH = "0x" + "11" * 32
GAME = disputes.Game(
    task=0, unit=2, attempt=0, segment=1, defender="5Dave", challenger="5Eve", opened=10, defender_clock=50,
    challenger_clock=60, turn=disputes.Side.DEFENDER, since=20, moves=3, bond=3, start=HASH, end=HASH,
    salted_witness=HASH, stage=disputes.Stage("History"), history_root=None, step=None, node=None, place=None,
)  # fmt: skip


def test_turns_and_deadlines() -> None:
    defender, challenger = OpenGame(0, GAME, Side.DEFENDER), OpenGame(0, GAME, Side.CHALLENGER)
    assert defender.is_due and not challenger.is_due
    assert defender.deadline == challenger.deadline == 70
    theirs = replace(GAME, turn=disputes.Side.CHALLENGER, stage=disputes.Stage("HistoryPick"))
    assert OpenGame(0, theirs, Side.CHALLENGER).is_due and not OpenGame(0, theirs, Side.DEFENDER).is_due
    assert OpenGame(0, theirs, Side.CHALLENGER).deadline == 80


@pytest.mark.parametrize("stage", ["Arbitration", "Data"])
def test_challenger_settles_in_the_defenders_turn(stage: str) -> None:
    settled = replace(GAME, stage=disputes.Stage(stage))
    assert OpenGame(0, settled, Side.CHALLENGER).is_due and OpenGame(0, settled, Side.DEFENDER).is_due


def test_first_segment_on_which_a_verifier_differs() -> None:
    assert find_first_difference(0b111, [2, 5, 7]) is None
    assert find_first_difference(0b101, [2, 5, 7]) == 5
    assert find_first_difference(0b000, [2, 5, 7]) == 2
    assert find_first_difference(0b011, [2, 5, 7]) == 7


def test_what_a_watcher_looks_at_is_fixed_by_a_secret_that_survives_restarts(tmp_path: Path) -> None:
    class Context:
        """As much of a context as drawing takes."""

        def __init__(self, store: BlobStore) -> None:
            self.store = store

    units = [UnitView((0, number), 0, "Challengeable", None, None) for number in range(400)]

    def draw(folder: Path) -> list[int]:
        with BlobStore(folder) as store:
            missing: Any = None
            watcher = Watcher(Context(store), missing, missing, missing, missing, 0.25)  # type: ignore[arg-type]
            return [watcher._draw(unit, "look") for unit in units]

    first, again, other = draw(tmp_path / "a"), draw(tmp_path / "a"), draw(tmp_path / "b")
    assert first == again and first != other
    share = sum(value < 0.25 * 2**64 for value in first) / len(units)
    assert 0.15 < share < 0.35
