"""Running a segment, and replaying one that somebody else committed to.

Both walk the same steps: the batch of step k by the unit seed, the executor's step, a step record. A replay reports
three separate things: the bytes match their root, the state is the one committed, the replay gives the committed end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from consensus.commit.hashing import AccountId, Hash32
from consensus.commit.records import (
    SegmentRecord,
    StepOutcome,
    compute_step_record,
    compute_unit_start_record,
    compute_witness,
    make_record,
)
from consensus.commit.state import State, compute_state_root
from consensus.commit.tensor import Array
from consensus.exact.errors import NonFiniteState
from consensus.exact.random import derive_key
from consensus.protocol.attestation import SegmentClaim
from consensus.protocol.units import STEP_PURPOSE as STEP_PURPOSE

from miner.kernels.native.hashing import get_hasher
from miner.work.cheat import HONEST, Cheat, make_up_outcome
from miner.work.errors import JobError

ProgressCallback = Callable[[int, float], None]
"""Called after each step with the steps of this segment done and the step's loss."""


class StepExecutor(Protocol):
    """What runs a committed graph: one exact step."""

    def step(
        self, state: State, batch: State, seed: tuple[int, int], step: int
    ) -> tuple[dict[str, Array], np.float32, np.float32]:
        """New state, loss and gradient norm; raises the errors of `consensus.exact`.

        `seed` and `step` (counted over the unit) are for graphs that draw random numbers (dropout, noise).
        """


class BatchSource(Protocol):
    """What gives step k's batch of a unit."""

    def batch(self, unit_seed: bytes, step: int) -> State:
        """Named arrays of that step."""


@dataclass(frozen=True)
class SegmentJob:
    """One segment of one unit: `index` of it, `steps` in each segment, the record before its first step."""

    unit_seed: Hash32
    index: int
    steps: int
    previous_record: Hash32

    @property
    def first_step(self) -> int:
        """Number of the segment's first step, counted over the unit."""
        return self.index * self.steps


@dataclass(frozen=True)
class Pace:
    """How a devnet slows or bends a worker: `throttle` is the share of full speed (0 < t ≤ 1), `cheat` its lie."""

    throttle: float = 1.0
    cheat: Cheat = HONEST

    def __post_init__(self) -> None:
        if not 0.0 < self.throttle <= 1.0:
            raise JobError(f"throttle {self.throttle} must be above 0 and at most 1")


@dataclass(frozen=True)
class SegmentExecution:
    """The steps of a segment before anything is committed; `end_state` is the next segment's start."""

    index: int
    first_step_record: Hash32
    last_step_record: Hash32
    witness: Hash32
    losses: tuple[float, ...]
    grad_norms: tuple[float, ...]
    end_state: dict[str, Array]

    def commit(self, start_root: Hash32, end_root: Hash32) -> SegmentResult:
        """The result, given the roots of the states before and after."""
        return SegmentResult(
            self.index, start_root, end_root, self.first_step_record, self.last_step_record, self.witness,
            self.losses, self.grad_norms, self.end_state,
        )  # fmt: skip


@dataclass(frozen=True)
class SegmentResult:
    """What an execution yields; `end_state` is the next segment's start."""

    index: int
    start_state_root: Hash32
    end_state_root: Hash32
    first_step_record: Hash32
    last_step_record: Hash32
    witness: Hash32
    losses: tuple[float, ...]
    grad_norms: tuple[float, ...]
    end_state: dict[str, Array]

    def compute_record(self, account: AccountId) -> SegmentRecord:
        """The record that `account` commits to, without a decoy."""
        states = (self.start_state_root, self.end_state_root)
        return make_record(account, self.index, states, (self.first_step_record, self.last_step_record), self.witness)


def compute_previous_record(unit_seed: bytes, records: list[SegmentRecord], index: int, start_root: bytes) -> Hash32:
    """The step record before segment `index`: the last one of the segment before, or the unit's start."""
    return records[index - 1].last_step_record if index else compute_unit_start_record(unit_seed, start_root)


class Training:
    """A unit's execution from state to state.

    It holds no state but the newest, so that the memory of an older one is free as soon as nobody commits to it.
    """

    def __init__(self, executor: StepExecutor, batches: BatchSource, start_state: State) -> None:
        self._executor, self._batches = executor, batches
        self._state: dict[str, Array] = dict(start_state)

    @property
    def state(self) -> dict[str, Array]:
        """The newest state."""
        return self._state

    def execute(
        self, job: SegmentJob, pace: Pace | None = None, on_step: ProgressCallback | None = None
    ) -> SegmentExecution:
        """Executes the next segment's steps; raises `NonFiniteState` and whatever the executor raises.

        The end state is not looked at: whoever commits to it must refuse a tensor that is not finite.
        """
        pace = pace or Pace()
        tensor_root = get_hasher().compute_tensor_root
        outcomes: list[StepOutcome] = []
        first = record = job.previous_record
        for position in range(job.steps):
            started = time.monotonic()
            batch, outcome = self.take_step(job, position, outcomes[-1] if outcomes else None, pace.cheat)
            digest = compute_state_root(batch, tensor_root)
            record = compute_step_record(job.unit_seed, job.first_step + position, record, digest, outcome)
            first = record if position == 0 else first
            outcomes.append(outcome)
            if on_step is not None:
                on_step(position + 1, outcome.loss)
            if pace.throttle < 1.0:
                time.sleep((time.monotonic() - started) * (1.0 / pace.throttle - 1.0))
        losses, grad_norms = tuple(o.loss for o in outcomes), tuple(o.grad_norm for o in outcomes)
        return SegmentExecution(job.index, first, record, compute_witness(outcomes), losses, grad_norms, self._state)

    def take_step(
        self, job: SegmentJob, position: int, before: StepOutcome | None, cheat: Cheat = HONEST
    ) -> tuple[State, StepOutcome]:
        """One step of a segment, `position` of it; its batch and outcome. Raises as `execute`.

        `before`: the outcome of the segment's last step, from which a cheater makes up the next.
        """
        step = job.first_step + position
        batch = cheat.bend_batch(self._batches.batch(job.unit_seed, step), position, job.steps)
        if cheat.is_skipped(position, job.steps):
            return batch, make_up_outcome(before)
        executor = cheat.bend_executor(self._executor, position, job.steps)
        key = derive_key(job.unit_seed, STEP_PURPOSE)
        self._state, loss, grad_norm = executor.step(self._state, batch, key, step)
        if not (np.isfinite(loss) and np.isfinite(grad_norm)):
            raise NonFiniteState("loss or gradient norm")
        return batch, StepOutcome(float(loss), float(grad_norm))


def execute_segment(
    executor: StepExecutor,
    batches: BatchSource,
    start_state: State,
    job: SegmentJob,
    pace: Pace | None = None,
    on_step: ProgressCallback | None = None,
) -> SegmentExecution:
    """One segment from a given state: `Training.execute`."""
    return Training(executor, batches, start_state).execute(job, pace, on_step)


def run_segment(
    executor: StepExecutor,
    batches: BatchSource,
    start_state: State,
    job: SegmentJob,
    pace: Pace | None = None,
    on_step: ProgressCallback | None = None,
    start_root: Hash32 | None = None,
) -> SegmentResult:
    """Executes a segment, then commits to its end; raises `NonFiniteState` and the executor's errors.

    `start_root` saves a hashing when the caller has just computed the start state's root.
    """
    tensor_root = get_hasher().compute_tensor_root
    start_root = start_root or compute_state_root(start_state, tensor_root)
    execution = execute_segment(executor, batches, start_state, job, pace, on_step)
    verify_finite(execution.end_state)
    return execution.commit(start_root, compute_state_root(execution.end_state, tensor_root))


def verify_finite(state: State) -> None:
    """Raises `NonFiniteState` when a tensor that is about to be committed holds a NaN or an infinity (rule E8)."""
    hasher = get_hasher()
    for name, tensor in state.items():
        if not hasher.is_finite(tensor):
            raise NonFiniteState(f"state tensor {name}")


@dataclass(frozen=True)
class CommittedSegment:
    """What is on record about a segment under check: the solver's records (verified against the transcript root),
    which of them, and the state in which the unit had to start."""

    solver: AccountId
    unit_seed: Hash32
    steps: int
    records: tuple[SegmentRecord, ...]
    index: int
    unit_start_root: Hash32


@dataclass(frozen=True)
class ReplayReport:
    """The three separate checks of a replay and what the own execution gave.

    `bytes_match`: the start state's bytes have their root. `state_committed`: that root is the one committed, in the
    record and as the end before it. `end_matches`: end state, step records and salted witness are the solver's.
    `claim` goes into the attestation whenever an execution took place, matching or not.
    """

    bytes_match: bool
    state_committed: bool
    end_matches: bool
    claim: SegmentClaim | None
    seconds: float
    detail: str

    @property
    def is_match(self) -> bool:
        """All three hold."""
        return self.bytes_match and self.state_committed and self.end_matches


def compute_expected_start_root(committed: CommittedSegment) -> Hash32:
    """The state root in which the segment had to start: the end before it, or the unit's start."""
    if committed.index:
        return committed.records[committed.index - 1].end_state_root
    return committed.unit_start_root


def replay_segment(
    executor: StepExecutor,
    batches: BatchSource,
    start_state: State,
    committed: CommittedSegment,
    on_step: ProgressCallback | None = None,
    cheat: Cheat = HONEST,
) -> ReplayReport:
    """Re-executes a committed segment from a start state; raises what the executor raises. `cheat`: a lying verifier's.

    Without the right bytes nothing is executed. With them but another committed start, the execution runs from the
    state that *had* to be the start, so that the claim is what an honest solver would have committed to.
    """
    started = time.monotonic()
    if not 0 <= committed.index < len(committed.records):
        raise JobError(f"segment {committed.index} is not one of {len(committed.records)}")
    record = committed.records[committed.index]
    expected = compute_expected_start_root(committed)
    if compute_state_root(start_state, get_hasher().compute_tensor_root) != expected:
        return ReplayReport(False, False, False, None, time.monotonic() - started, "start state has another root")
    previous = compute_previous_record(committed.unit_seed, list(committed.records), committed.index, expected)
    job = SegmentJob(committed.unit_seed, committed.index, committed.steps, previous)
    result = run_segment(executor, batches, start_state, job, Pace(cheat=cheat), on_step, expected)
    own = result.compute_record(committed.solver)
    fields = [field for field in SegmentRecord.__dataclass_fields__ if field != "claims"]  # they may have a decoy
    different = [field for field in fields if getattr(own, field) != getattr(record, field)]
    state_committed = "start_state_root" not in different
    ends = [field for field in different if field != "start_state_root"]
    detail = "all equal" if not different else "different: " + ", ".join(different)
    claim = SegmentClaim(result.end_state_root, result.witness)
    return ReplayReport(True, state_committed, not ends, claim, time.monotonic() - started, detail)
