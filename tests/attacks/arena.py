"""A small real task, its honest solver and its honest verifier, for adversaries to try their luck with.

Everything is the code that miners and validators run: the exact executor, the data order by the unit seed, records,
transcript, replay. What the adversary hands in is a list of results, from which the arena makes a transcript as anybody
could.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from consensus.commit.hashing import AccountId, Hash32, blake2_256
from consensus.commit.records import SegmentRecord
from consensus.commit.state import State, compute_state_root
from miner.kernels import Executor
from miner.work.data import Dataset, make_dataset
from miner.work.segment import (
    BatchSource,
    CommittedSegment,
    Pace,
    ReplayReport,
    SegmentJob,
    SegmentResult,
    compute_previous_record,
    replay_segment,
    run_segment,
)
from tests.miner.work.regression import INITIAL, ORDER, make_graph, make_rows

SEGMENTS, STEPS = 4, 5
SOLVER, THIEF = AccountId(blake2_256(b"solver")), AccountId(blake2_256(b"thief"))
SEED, OTHER_SEED = blake2_256(b"this unit"), blake2_256(b"another unit")
BACKEND = "numpy"
"""Nothing has to be compiled for it."""


def make_executor() -> Executor:
    """Of the task's graph."""
    return Executor(make_graph(), BACKEND)


def load_data(seed: int = 1) -> Dataset:
    """The task's data set; another seed is another shard's."""
    return make_dataset(make_rows(200, seed), ORDER)


def train(
    unit_seed: Hash32 = SEED, batches: BatchSource | None = None, pace: Pace | None = None
) -> list[SegmentResult]:
    """All segments of a unit, by whatever batches and pace."""
    executor, source = make_executor(), batches or load_data()
    state: State = INITIAL
    results: list[SegmentResult] = []
    records: list[SegmentRecord] = []
    for index in range(SEGMENTS):
        previous = compute_previous_record(unit_seed, records, index, compute_state_root(INITIAL))
        job = SegmentJob(unit_seed, index, STEPS, previous)
        results.append(run_segment(executor, source, state, job, pace))
        records.append(results[-1].compute_record(SOLVER))
        state = results[-1].end_state
    return results


def sign(results: Sequence[SegmentResult], account: AccountId = SOLVER) -> tuple[SegmentRecord, ...]:
    """The records of a transcript."""
    return tuple(result.compute_record(account) for result in results)


def verify(
    records: Sequence[SegmentRecord],
    states: Sequence[State],
    index: int,
    unit_seed: Hash32 = SEED,
    solver: AccountId = SOLVER,
) -> ReplayReport:
    """An honest verifier's replay of one segment; ``states`` are the starts that the solver serves, by segment."""
    committed = CommittedSegment(solver, unit_seed, STEPS, tuple(records), index, compute_state_root(INITIAL))
    return replay_segment(make_executor(), load_data(), states[index], committed)


def serve(results: Sequence[SegmentResult]) -> list[State]:
    """Start states of all segments."""
    return [INITIAL, *(result.end_state for result in results[:-1])]


def chain_up(results: Sequence[SegmentResult]) -> list[SegmentResult]:
    """Results whose starts are the ends before them, as a transcript must look."""
    chained: list[SegmentResult] = []
    for result in results:
        start = chained[-1].end_state_root if chained else compute_state_root(INITIAL)
        chained.append(replace(result, start_state_root=start))
    return chained
