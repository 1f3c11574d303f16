"""Re-executing committed segments: what a drawn verifier must do, and what a watcher does unasked.

For each segment three separate checks: the fetched bytes have their root; the state is the one committed; the replay
gives the committed end. A difference is told only by a machine that passed its known-answer tests in a fresh process
not long ago.
"""

from __future__ import annotations

import logging

from consensus.commit.records import SegmentRecord

from miner.inspect.selftest import OwnMachine
from miner.roles.context import RoleContext, find_endpoint, to_account, to_hash
from miner.roles.taskbook import TaskBook, UnitKey, UnitView
from miner.store.errors import BlobError
from miner.work.cheat import HONEST, Cheat
from miner.work.inputs import fetch_segment_start, fetch_transcript
from miner.work.segment import CommittedSegment, ReplayReport
from miner.work.worker import Progress, TaskInputs

log = logging.getLogger(__name__)


class Replayer:
    """Re-executes segments of submitted units. `cheat`: how a devnet's lying verifier does it."""

    def __init__(self, context: RoleContext, book: TaskBook, machine: OwnMachine, cheat: Cheat = HONEST) -> None:
        self.machine = machine
        self._context, self._book, self._cheat = context, book, cheat

    async def fetch_records(self, unit: UnitView) -> tuple[SegmentRecord, ...]:
        """A submitted unit's segment records, under its transcript root. Raises `BlobError`, `FetchError`."""
        if unit.assignment is None or unit.submission is None:
            raise BlobError(f"unit/{unit.key[0]}/{unit.key[1]}", "is not submitted any more")
        endpoint = await find_endpoint(self._context, unit.assignment.solver)
        root = to_hash(unit.submission.transcript_root)
        records = tuple(await fetch_transcript(self._context.client, self._context.store, endpoint, root))
        expected = (await self._book.get_task(unit.key[0])).spec.segments_per_unit
        if len(records) != expected:
            raise BlobError(f"transcript/{root.hex()}", f"has {len(records)} records, the task {expected} segments")
        return records

    async def replay(self, key: UnitKey, segments: list[int], patience: float | None = None) -> list[ReplayReport]:
        """Segments of a unit, each with a claim of what came out.

        `patience`: seconds that the solver has to make a dropped checkpoint again, the client's own unless given.
        Raises `TaskUnservedError` for what neither the owner nor the solver serves of the task, `BlobError` and
        `FetchError` for what the solver does not serve of the unit, `WorkError`, and `MachineUnsound` when a segment
        differs and our own machine is at fault.
        """
        unit, task = await self._book.get_unit(key), await self._book.get_task(key[0])
        records = await self.fetch_records(unit)
        if unit.assignment is None:
            raise BlobError(f"unit/{key[0]}/{key[1]}", "is not submitted any more")
        endpoint = await find_endpoint(self._context, unit.assignment.solver)
        inputs = await self._book.get_inputs(key[0], task, endpoint)
        start = await self._book.find_start(key, task)
        solver = to_account(unit.assignment.solver)
        steps, seed = inputs.spec.steps_per_segment, to_hash(unit.assignment.seed)
        reports = []
        for index in segments:
            committed = CommittedSegment(solver, seed, steps, records, index, start.root)
            reports.append(await self._replay_one(unit, committed, inputs, endpoint, patience))
        return reports

    async def _replay_one(
        self, unit: UnitView, committed: CommittedSegment, inputs: TaskInputs, endpoint: str, patience: float | None
    ) -> ReplayReport:
        context = self._context
        name = f"unit {unit.key[0]}/{unit.key[1]} segment {committed.index}"
        before, context.counters.activity = context.counters.activity, f"checking {name}"
        data = await fetch_segment_start(context.client, context.store, endpoint, committed, inputs, patience)
        counter = _ReplayCounter(context)
        report = await context.pool.replay(inputs, committed, data, counter, self._cheat)
        if report.claim is not None:
            counter.count(inputs.spec.steps_per_segment * inputs.spec.macs_per_step)
        if not report.is_match:
            log.warning("%s differs (%s); testing our own machine before we say so", name, report.detail)
            await self.machine.verify()
        context.counters.segments_checked += 1
        context.counters.mismatches += int(not report.is_match)
        level = logging.INFO if report.is_match else logging.WARNING
        log.log(
            level, "%s: bytes %s, state %s, end %s (%s, %.1f s)", name, report.bytes_match, report.state_committed,
            report.end_matches, report.detail, report.seconds,
        )  # fmt: skip
        context.counters.activity = before
        if report.claim is None:
            raise BlobError(f"state of {name}", "has other bytes than its root says")
        return report


class _ReplayCounter:
    """Adds a replay's progress to the daemon's counters."""

    def __init__(self, context: RoleContext) -> None:
        self._counters, self._last = context.counters, 0

    def __call__(self, progress: Progress) -> None:
        self.count(progress.macs)

    def count(self, macs: int) -> None:
        """So many are done of this segment: of its last steps no progress is told."""
        self._counters.macs_checked += max(0, macs - self._last)
        self._last = macs
