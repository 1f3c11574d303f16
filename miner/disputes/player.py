"""A game's next move, asked of a worker process: it executes the segment once and keeps it for the moves that follow.

The daemon sends what the chain says of the game (`PlayRequest`); the answer is the call to make, or none. Nothing but
chain and store is needed, so that a worker or a daemon that was killed goes on with the next request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from consensus.commit.hashing import AccountId, Hash32
from consensus.commit.state import State
from consensus.dispute.challenger import challenge
from consensus.dispute.defender import defend
from consensus.dispute.view import DataRule, Side, Unit

from miner.disputes.chain import GameCall, RawGame, read_view, to_call
from miner.disputes.execution import Cache, ReplayedSegment
from miner.kernels import Executor
from miner.work.cheat import Cheat, parse_cheat
from miner.work.data import Dataset
from miner.work.errors import JobError
from miner.work.segment import SegmentJob, StepExecutor

KEPT_SEGMENTS = 2
"""Segments whose executions a worker keeps."""

UNUSED_RECORD = Hash32(bytes(32))
"""Step records play no part in a game."""


@dataclass(frozen=True)
class PlayRequest:
    """A game as it stands, with all that its next move needs. `cheat`: the lie that a liar defends."""

    number: int
    side: Side
    unit: Unit
    segment: int
    raw: RawGame = field(repr=False)
    start_root: Hash32
    start_state: bytes | Path = field(repr=False)
    cheat: Cheat

    def describe(self) -> dict[str, Any]:
        """JSON form of everything but raw bytes and state."""
        return {
            "number": self.number, "side": int(self.side), "unit": _describe(self.unit), "segment": self.segment,
            "start_root": self.start_root.hex(), "cheat": str(self.cheat),
        }  # fmt: skip


def _describe(unit: Unit) -> dict[str, Any]:
    hashes = (unit.graph_root, unit.data.root, unit.seed, unit.start, unit.transcript_root, unit.solver)
    numbers = (unit.node_count, unit.state_count, unit.data.arrays, unit.steps, unit.segments)
    return {"hashes": [value.hex() for value in hashes], "numbers": numbers, "windows": unit.data.windows}


def _parse_unit(document: dict[str, Any]) -> Unit:
    graph, data, seed, start, transcript, solver = (Hash32(bytes.fromhex(value)) for value in document["hashes"])
    nodes, tensors, arrays, steps, segments = document["numbers"]
    rule = DataRule(data, arrays, document["windows"])
    return Unit(graph, nodes, tensors, rule, steps, segments, seed, start, transcript, AccountId(solver))


class Players:
    """The worker's side: executions of the last few segments, and the moves that follow from them."""

    def __init__(self) -> None:
        self._segments: Cache[str, ReplayedSegment] = Cache(KEPT_SEGMENTS)

    def play(
        self, header: dict[str, Any], raw: RawGame, load_start: Callable[[], State], executor: StepExecutor,
        dataset: Dataset,
    ) -> GameCall | None:  # fmt: skip
        """The call of the next move; None when there is nothing to do, or nothing that would hold. `header` is
        `PlayRequest.describe`'s; the start state is loaded only for a segment that is not known yet.

        Raises `JobError` for an executor without a graph, `Malformed` for a game that is not of our types.
        """
        if not isinstance(executor, Executor):
            raise JobError(f"{type(executor).__name__} has no graph to dispute")
        unit, segment, cheat = _parse_unit(header["unit"]), header["segment"], parse_cheat(header["cheat"])
        name = f"{unit.seed.hex()}/{segment}/{header['start_root']}/{cheat}"
        job = SegmentJob(unit.seed, segment, unit.steps, UNUSED_RECORD)
        execution = self._segments.find(
            name, lambda: ReplayedSegment(executor.graph, executor, dataset, job, load_start(), cheat)
        )
        view = read_view(raw, unit)
        move = (defend if header["side"] == Side.DEFENDER else challenge)(execution, view)
        return None if move is None else to_call(move, header["number"])
