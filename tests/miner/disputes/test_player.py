"""What storage holds is what players see, and a worker process makes the moves that follow from it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from consensus.arbiter.errors import ArbiterError
from consensus.commit.hashing import Hash32
from consensus.commit.state import compute_state_root
from consensus.dispute.view import GameView, Side
from miner.disputes.chain import GameCall, RawGame, read_view, to_call
from miner.disputes.player import PlayRequest
from miner.models import build_task_parts
from miner.store.blobs import BlobStore
from miner.store.tensor_file import encode_tensors
from miner.work.build import TaskShape, build_task
from miner.work.cheat import HONEST, Cheat, CheatKind
from miner.work.worker import TaskInputs, Worker
from tests.consensus.dispute.games import Game
from tests.miner.disputes.games import SEGMENTS, STEPS, DisputedUnit
from tests.miner.disputes.raw import encode_game

MODEL = "digits-mlp-tiny"
LIES = [Cheat(CheatKind.OP), Cheat(CheatKind.DATA), Cheat(CheatKind.SKIP, 0.5)]


def forget(view: GameView) -> GameView:
    """Without what storage does not keep: the segment's step records and claims."""
    nothing = Hash32(bytes(32))
    record = dataclasses.replace(
        view.record, start_state_root=view.start, first_step_record=nothing, last_step_record=nothing, claims=nothing
    )
    return dataclasses.replace(view, record=record)


def moves_of(game: Game) -> list[tuple[GameView, Side, GameCall]]:
    return [(view, side, to_call(move, 7)) for view, (side, move, _) in zip(game.views, game.moves, strict=False)]


@pytest.mark.parametrize("lie", LIES, ids=str)
def test_view_is_read_from_storage(lie: Cheat) -> None:
    for game in (DisputedUnit(MODEL, lie).play(1, HONEST), DisputedUnit(MODEL, HONEST).play(1, lie)):
        for view in game.views:
            assert read_view(encode_game(view), view.unit) == forget(view)


def test_invalid_bytes_are_refused() -> None:
    view = DisputedUnit(MODEL, LIES[0]).play(1, HONEST).views[-1]
    raw = encode_game(view)
    for bad in (
        dataclasses.replace(raw, game=raw.game + b"\0"), dataclasses.replace(raw, game=raw.game[:-1]),
        dataclasses.replace(raw, node=raw.node + b"\0"), RawGame(b""),
    ):  # fmt: skip
        with pytest.raises(ArbiterError):
            read_view(bad, view.unit)


@pytest.mark.parametrize("lie", LIES[:2], ids=str)
async def test_worker_makes_the_moves_of_both_sides_and_survives_a_kill(lie: Cheat, tmp_path: Path) -> None:
    disputed = DisputedUnit(MODEL, lie)
    start = disputed.starts[1]
    with BlobStore(tmp_path / "blobs") as store:
        spec = build_task(build_task_parts(MODEL, bytes(32)), TaskShape(1, 1, SEGMENTS, STEPS), store)
        inputs = TaskInputs(spec, store.get_blob(spec.graph.root), store.get_blob(spec.dataset.root))
    root, blob = compute_state_root(start), encode_tensors(start)
    worker = Worker()
    try:
        for number, (view, side, expected) in enumerate(moves_of(disputed.play(1, HONEST))):
            cheat = lie if side is Side.DEFENDER else HONEST
            request = PlayRequest(7, side, disputed.unit, 1, encode_game(view), root, blob, cheat)
            assert await worker.play(inputs, request) == expected
            if number % 7 == 3:
                await worker.close()  # the next move starts another process
    finally:
        await worker.close()
