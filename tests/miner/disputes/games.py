"""Whole games between executions of a real task, under the pure referee."""

from __future__ import annotations

from consensus.commit.hashing import AccountId, Hash32, blake2_256
from consensus.commit.records import compute_transcript_root
from consensus.commit.state import compute_state_root
from consensus.dispute.view import DataRule, Unit
from miner.disputes.execution import ReplayedSegment
from miner.kernels import Executor
from miner.models import build_task_graph, initial_state, load_dataset
from miner.work.cheat import Cheat
from miner.work.execution import compute_data_root
from miner.work.segment import Pace, SegmentJob, compute_previous_record, run_segment
from tests.consensus.dispute.games import Game, play_executions
from tests.consensus.dispute.memory import Transcript

SEED, SOLVER = blake2_256(b"unit"), AccountId(b"s" * 32)
STEPS, SEGMENTS = 4, 2


class DisputedUnit:
    """A unit of a built-in model that a solver executed with or without a lie."""

    def __init__(self, model: str, cheat: Cheat) -> None:
        self.graph, self.data = build_task_graph(model), load_dataset(model)
        self.executor = Executor(self.graph)
        start = initial_state(model, blake2_256(b"weights"))
        self.starts, self.cheat = [start], cheat
        records = []
        for index in range(SEGMENTS):
            previous = compute_previous_record(SEED, records, index, compute_state_root(start))
            job = SegmentJob(SEED, index, STEPS, previous)
            result = run_segment(self.executor, self.data, self.starts[-1], job, Pace(cheat=cheat))
            self.starts.append(result.end_state)
            records.append(result.compute_record(SOLVER))
        rule = DataRule(compute_data_root(self.data.arrays), len(self.data.arrays), self.data.order.rule == "windows")
        self.unit = Unit(
            Hash32(self.graph.root()), len(self.graph.nodes), len(start), rule, STEPS, SEGMENTS, SEED,
            compute_state_root(start), compute_transcript_root(records), SOLVER,
        )  # fmt: skip
        self.transcript = Transcript(self.unit, records, [])

    def execute(self, segment: int, cheat: Cheat) -> ReplayedSegment:
        """A party's execution of a segment from its committed start."""
        job = SegmentJob(SEED, segment, STEPS, Hash32(bytes(32)))
        return ReplayedSegment(self.graph, self.executor, self.data, job, self.starts[segment], cheat)

    def play(self, segment: int, challenger: Cheat) -> Game:
        """A game: the solver defends its execution, the challenger has its own."""
        return play_executions(
            self.transcript, segment, self.execute(segment, self.cheat), self.execute(segment, challenger)
        )
