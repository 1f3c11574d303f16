"""The solver: claims units, executes them, commits to them, opens drawn segments; goes on after kill -9.

One unit at a time: `Idle → Claimed → Running → Submitted`, while units submitted earlier wait for their draws. Nothing
is remembered that is not on chain or in the store: after a restart the chain says which unit is ours and the store's
journal where it stopped.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from chain.client import ExtrinsicFailed
from consensus.protocol.units import UnitRef
from pallets_abi import availability, stakes, tasks, verification

from miner.roles.availability import Answerer, Asker
from miner.roles.checkpoint_keeper import CheckpointKeeper
from miner.roles.context import (
    RoleContext,
    ensure_bond,
    ensure_endpoint,
    ensure_keys,
    guard,
    to_hash,
)
from miner.roles.decoys import Decoys
from miner.roles.disputes import Disputes
from miner.roles.forms import to_abi_opening
from miner.roles.link import Head
from miner.roles.taskbook import TaskBook, UnitKey, UnitView
from miner.store.errors import TaskUnservedError
from miner.work.inputs import compute_state_limit, fetch_state
from miner.work.segment import Pace
from miner.work.unit import UnitJob, UnitResult, UnitRunner, forget_unit, load_result
from miner.work.worker import Progress

log = logging.getLogger(__name__)

IDLE_SECONDS = 1.0
"""Pause when there is nothing to claim."""

FINALITY_POLL_SECONDS = 0.25
"""Pause between two looks at whether a claim is final."""

TIDY_HEADS = 10
"""Every so many heads the units that wait are looked at."""


@dataclass(frozen=True)
class _Candidate:
    """A unit that may be worked on now; `is_ours` when it is already assigned to us."""

    key: UnitKey
    task: tasks.Task
    is_ours: bool


class Solver:
    """One miner's work; `prepare` once, then `work` for ever, and `on_head` with every head."""

    def __init__(
        self,
        context: RoleContext,
        book: TaskBook,
        pace: Pace,
        disputes: Disputes,
        answerer: Answerer,
        asker: Asker,
        decoys: Decoys,
    ) -> None:
        self._context, self._book, self._disputes, self._answerer = context, book, disputes, answerer
        self._asker, self._decoys = asker, decoys
        self._aside: dict[int, float] = {}
        self._pace = pace
        self._runner = UnitRunner(context.store, context.pool)
        self._keeper = CheckpointKeeper(context, book)
        self._waiting: dict[UnitKey, UnitJob] = {}
        self._chains: list[tuple[int, int]] = []
        self._revealing: dict[UnitKey, asyncio.Task[bool]] = {}
        self._submitting: dict[UnitKey, asyncio.Task[bool]] = {}
        self._hiding: dict[UnitKey, asyncio.Task[bool]] = {}
        self._is_resumed = False
        self._is_slashed = False
        self._is_idle = True

    async def prepare(self) -> None:
        """Bond, keys and endpoint on chain. Raises ChainClientError."""
        context = self._context
        params = await context.link.query(stakes.PARAMS)
        is_bonded = await ensure_bond(context, stakes.Role.SOLVER, params.min_solver_bond)
        await ensure_keys(context)
        await ensure_endpoint(context)
        log.info("%s, keys and endpoint on chain; looking for units", "bonded" if is_bonded else "no bond")

    async def work(self) -> None:
        """Claims and executes units, for ever; errors are logged and tried again."""
        while True:
            self._is_idle = True
            await guard("unit", self._context.counters, self._work_once())
            if self._is_idle:
                await asyncio.sleep(IDLE_SECONDS)

    async def stop(self) -> None:
        """Ends transactions under way."""
        running = [*self._revealing.values(), *self._submitting.values(), *self._hiding.values()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def on_head(self, head: Head) -> None:
        """Opens drawn segments and has their states made; forgets units that are over. Raises ChainClientError."""
        duties = await self._context.link.query_map(verification.DUTIES)
        for parts, duty in duties:
            key = (int(parts[0]), int(parts[1]))
            if duty.phase is verification.Phase.REVEAL and duty.solver_reveal is None and key not in self._revealing:
                self._start(self._revealing, key, self._reveal(key, duty))
        await self._keeper.on_duties(duties, self._disputes.starts | self._answerer.wanted)
        if head.number % TIDY_HEADS == 0:
            for ref in await self._keeper.tidy():
                self._waiting.pop((ref.task, ref.unit), None)

    def _start(self, running: dict[UnitKey, asyncio.Task[bool]], key: UnitKey, work: Coroutine[Any, Any, None]) -> None:
        """Runs something about a unit beside everything else; its errors are logged."""
        task = asyncio.create_task(guard(_name(key), self._context.counters, work))
        running[key] = task
        task.add_done_callback(lambda _: running.pop(key, None))

    async def _work_once(self) -> None:
        """One unit, if there is one."""
        address = self._context.wallet.address
        params = await self._context.link.query(stakes.PARAMS)
        bonded = await self._context.link.query(stakes.BONDS, stakes.Role.SOLVER.value, address)
        if bonded < params.min_solver_bond:
            if not self._is_slashed:
                log.error("our bond is below the minimum (slashed?): no more units; --bond-again bonds another")
            self._is_slashed = True
            self._context.counters.activity = "no bond"
            return
        self._is_slashed = False
        candidate = await self._find_candidate()
        if candidate is None:
            self._context.counters.activity = "no unit to claim"
            return
        if not candidate.is_ours and await self._is_full():
            self._context.counters.activity = "no more units before a verdict: one of ours is disputed"
            return
        if candidate.is_ours or await self._claim(candidate):
            try:
                await self._execute(candidate)
                self._is_idle = False
            except TaskUnservedError as error:
                await self._put_aside(candidate.key, error)

    async def _put_aside(self, key: UnitKey, error: TaskUnservedError) -> None:
        """Leaves a task that nobody serves alone for an answer's time, and has its owner asked when it goes on so. Our
        claim ends by itself, and costs nothing."""
        log.warning("%s: %s; trying another task", _name(key), error)
        self._aside[key[0]] = time.monotonic() + await self._asker.get_answer_seconds()
        await self._asker.ask_owner(key, (await self._book.get_unit(key)).attempt)

    async def _find_candidate(self) -> _Candidate | None:
        """A unit of ours first, then the next of our own chains, then any free one."""
        if not self._is_resumed:
            await self._find_own_chains()
            self._is_resumed = True
        free: list[_Candidate] = []
        for number, task in await self._book.list_tasks():
            if time.monotonic() < self._aside.get(number, 0):
                continue
            found = await self._search_task(number, task)
            if found is not None and (found.is_ours or self._is_own_chain(found)):
                return found
            if found is not None:
                free.append(found)
        return free[0] if free else None

    async def _find_own_chains(self) -> None:
        """After a start: the shards in which a unit is assigned to us, so that it is gone on with first."""
        address = self._context.wallet.address
        if not (await self._context.link.query(tasks.LOADS, address)).assigned:
            return
        for number, task in await self._book.list_tasks():
            for (shard,), progress in await self._context.link.query_map(tasks.SHARDS, number):
                if progress.claimed == progress.finals:
                    continue
                last = await self._book.get_unit((number, (progress.claimed - 1) * task.spec.shards + shard))
                if last.state == "Assigned" and last.is_of(address):
                    log.info("going on with %s", _name(last.key))
                    self._chains.append((number, shard))

    def _is_own_chain(self, candidate: _Candidate) -> bool:
        number, unit = candidate.key
        return (number, unit % candidate.task.spec.shards) in self._chains

    async def _search_task(self, number: int, task: tasks.Task) -> _Candidate | None:
        entries = await self._context.link.query_map(tasks.SHARDS, number)
        progress = {int(key[0]): value for key, value in entries}
        shards = task.spec.shards
        own = [shard for chained, shard in self._chains if chained == number]
        offset = int.from_bytes(self._context.account[:4], "little") % shards
        rest = [(offset + k) % shards for k in range(shards)]
        for shard in [*own, *(shard for shard in rest if shard not in own)]:
            known = progress.get(shard, tasks.ShardProgress(0, 0))
            candidate = await self._check_shard(number, task, shard, known)
            if candidate is not None:
                return candidate
        return None

    async def _check_shard(
        self, number: int, task: tasks.Task, shard: int, progress: tasks.ShardProgress
    ) -> _Candidate | None:
        """The unit of a shard that can be claimed or is ours already."""
        shards, address = task.spec.shards, self._context.wallet.address
        following = (number, progress.claimed * shards + shard)
        is_open = progress.claimed < task.spec.rounds and not task.closed
        if progress.claimed == 0:
            return _Candidate(following, task, False) if is_open else None
        if progress.claimed == progress.finals:
            return _Candidate(following, task, False) if is_open else None
        last_key = (number, (progress.claimed - 1) * shards + shard)
        if last_key in self._submitting or (last_key in self._waiting and not is_open):
            return _Candidate(following, task, False) if is_open else None
        last = await self._book.get_unit(last_key)
        if not last.is_of(address):
            return None
        if last.state == "Assigned":
            return _Candidate(last.key, task, True)
        return _Candidate(following, task, False) if is_open else None

    async def _is_full(self) -> bool:
        """Whether a unit of ours is disputed and the chain refuses us more units meanwhile (`UnderDispute`)."""
        load = await self._context.link.query(tasks.LOADS, self._context.wallet.address)
        params = await self._context.link.query(tasks.PARAMS)
        return load.disputed > 0 and load.assigned + load.awaiting >= params.max_claims

    async def _claim(self, candidate: _Candidate) -> bool:
        """Whether the unit is ours now; somebody else may have been faster."""
        self._context.counters.activity = f"claiming {_name(candidate.key)}"
        try:
            await self._context.submit(tasks.ClaimCall(*candidate.key))
        except ExtrinsicFailed as error:
            log.info("%s not claimed: %s", _name(candidate.key), error)
            return False
        return True

    async def _execute(self, candidate: _Candidate) -> None:
        unit = await self._book.get_unit(candidate.key)
        if unit.state != "Assigned" or not unit.is_of(self._context.wallet.address):
            return
        job = await self._make_job(unit, candidate.task)
        chain = (candidate.key[0], candidate.key[1] % candidate.task.spec.shards)
        if chain not in self._chains:
            self._chains.append(chain)
        self._context.counters.activity = f"running {_name(candidate.key)}"
        self._start(self._hiding, candidate.key, self._decoys.hide(job.ref))
        result = await self._runner.run(job, _ProgressCounter(self._context))
        if not await self._is_claim_final(job):
            log.warning("%s: a fork moved our claim, so its seed is another; the work is dropped", _name(candidate.key))
            await asyncio.to_thread(forget_unit, self._context.store, job.label)
            return
        self._start(self._submitting, candidate.key, self._submit(candidate.key, job, result))
        await asyncio.sleep(0)  # the submission takes its nonce before the next claim does

    async def _is_claim_final(self, job: UnitJob) -> bool:
        """Whether the unit is ours for good with the seed that was executed; waits for the claim's finality.

        The seed holds the parent hash of the claim's block. A fork that takes the claim into another block gives a new
        seed, and whoever submits the transcript of the old one is slashed as a liar.
        """
        key = (job.ref.task, job.ref.unit)
        while True:
            unit = await self._book.get_unit(key)
            claim = unit.assignment
            if claim is None or unit.state != "Assigned" or unit.attempt != job.ref.attempt:
                return False
            if claim.solver != self._context.wallet.address or to_hash(claim.seed) != job.unit_seed:
                return False
            if (await self._context.link.client.finalized_head()).number >= claim.assigned_at:
                return True
            await asyncio.sleep(FINALITY_POLL_SECONDS)

    async def _submit(self, key: UnitKey, job: UnitJob, result: UnitResult) -> None:
        """Hands a unit in; the next one, which may be its child, is claimed meanwhile."""
        call = verification.SubmitCall(
            *key, "0x" + result.transcript_root.hex(), "0x" + result.end_state_root.hex(), result.macs
        )
        await self._context.submit(call)
        self._waiting[key] = job
        self._context.counters.units_submitted += 1
        log.info("submitted %s, loss %.4f", _name(key), result.progress.losses[-1])

    async def _make_job(self, unit: UnitView, task: tasks.Task) -> UnitJob:
        """The job of a unit of ours, its start state fetched and checked by root."""
        if unit.assignment is None:
            raise LookupError(f"{_name(unit.key)} has no solver")
        inputs = await self._book.get_inputs(unit.key[0], task)
        start = await self._book.find_start(unit.key, task)
        ref = UnitRef(unit.key[0], unit.key[1], unit.attempt)
        seed = to_hash(unit.assignment.seed)
        window = await self._get_window_seconds()
        decoy = self._decoys.get_decoy(ref).place
        job = UnitJob(ref, inputs, seed, self._context.account, start.root, self._pace, window, decoy)
        endpoints = [start.endpoint] if start.endpoint else []
        limit = compute_state_limit(inputs)
        await fetch_state(self._context.client, self._context.store, endpoints, start.root, limit, job.label)
        return job

    async def _get_window_seconds(self) -> float:
        """How long verifiers can wait for each checkpoint that they need, all of them before commitments are due; and
        half of an answer's time, so that all that strangers may ask for at once can be made within it."""
        params = await self._context.link.query(verification.PARAMS)
        asked = await self._context.link.query(availability.PARAMS)
        blocks = min(params.commit_blocks / params.segments, asked.answer_blocks / 2)
        return blocks * await self._context.link.slot_seconds()

    async def _reveal(self, key: UnitKey, duty: verification.Duty) -> None:
        job = self._waiting.get(key)
        if job is None:
            unit = await self._book.get_unit(key)
            if not unit.is_of(self._context.wallet.address):
                return
            job = await self._make_job(unit, await self._book.get_task(key[0]))
            self._waiting[key] = job
        result = await asyncio.to_thread(load_result, self._context.store, job)
        if result is None:
            log.error("%s is challenged and its journal is not in our store", _name(key))
            return
        openings = [to_abi_opening(opening) for opening in result.compute_openings(duty.segments)]
        await self._context.submit(verification.RevealSolverCall(*key, openings))


class _ProgressCounter:
    """Adds a job's progress to the daemon's counters."""

    def __init__(self, context: RoleContext) -> None:
        self._counters = context.counters
        self._last = 0

    def __call__(self, progress: Progress) -> None:
        self._counters.macs_done += max(0, progress.macs - self._last)
        self._counters.loss = progress.loss
        self._last = progress.macs


def _name(key: UnitKey) -> str:
    return f"unit {key[0]}/{key[1]}"
