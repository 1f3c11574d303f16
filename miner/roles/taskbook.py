"""Tasks as the roles see them: the chain's record, the verified inputs, and the state in which a unit must start."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from consensus.commit.hashing import Hash32
from consensus.dispute.view import DataRule
from pallets_abi import tasks

from miner.roles.context import RoleContext, find_endpoint, to_hash
from miner.store.errors import BlobError, BlobNotFoundError, FetchError, StoreFullError, TaskUnservedError
from miner.work.inputs import fetch_task
from miner.work.task import ChainTask
from miner.work.worker import TaskInputs

MAX_CACHED_INPUTS = 4
"""Tasks whose inputs are kept in memory."""

UnitKey = tuple[int, int]
"""Task and unit index."""


@dataclass(frozen=True)
class UnitView:
    """A unit as it stands on chain; assignment and submission are None before they exist."""

    key: UnitKey
    attempt: int
    state: str
    assignment: tasks.Assignment | None
    submission: tasks.Submission | None

    def is_of(self, address: str) -> bool:
        """Whether this account is (or was, for final units) its solver."""
        return self.assignment is not None and self.assignment.solver == address


@dataclass(frozen=True)
class StartState:
    """The state root a unit starts from and who may serve it."""

    root: Hash32
    endpoint: str


class TaskBook:
    """Reads tasks and units, keeps what never changes."""

    def __init__(self, context: RoleContext) -> None:
        self._context = context
        self._inputs: dict[int, TaskInputs] = {}
        self._fetching = asyncio.Lock()

    async def get_task(self, task: int) -> tasks.Task:
        """A task's record. Raises BlobNotFoundError when the chain has no such task."""
        found = await self._context.link.query(tasks.TASKS, task)
        if found is None:
            raise BlobNotFoundError(f"task/{task}", "the chain")
        return found

    async def list_tasks(self) -> list[tuple[int, tasks.Task]]:
        """All tasks that still have money in escrow, in order of their number."""
        entries = await self._context.link.query_map(tasks.TASKS)
        return sorted(((key[0], task) for key, task in entries if task.escrowed > 0), key=lambda entry: entry[0])

    async def get_unit(self, key: UnitKey) -> UnitView:
        """A unit's record; an absent one is Open."""
        unit = await self._context.link.query(tasks.UNITS, *key)
        args = unit.state.args
        assignment = args[0] if args else None
        submission = args[1] if len(args) > 1 else None
        return UnitView(key, unit.attempt, unit.state.name, assignment, submission)

    async def get_inputs(self, number: int, task: tasks.Task, also: str = "") -> TaskInputs:
        """Document, graph and data of a task, fetched and checked once, from its owner's server or else from the one at
        `also`: who works on a task has them too. Raises TaskUnservedError, StoreError, TaskSpecError."""
        async with self._fetching:
            if number not in self._inputs:
                while len(self._inputs) >= MAX_CACHED_INPUTS:
                    self._inputs.pop(next(iter(self._inputs)))
                self._inputs[number] = await self._fetch(number, to_chain_task(task), also)
            return self._inputs[number]

    async def _fetch(self, number: int, task: ChainTask, also: str) -> TaskInputs:
        reason = "it has no server"
        for endpoint in filter(None, (task.endpoint, also)):
            try:
                from_there = replace(task, endpoint=endpoint)
                return await fetch_task(self._context.client, self._context.store, from_there, number)
            except StoreFullError:
                raise
            except (FetchError, BlobError) as error:
                reason = str(error)
        raise TaskUnservedError(number, reason)

    async def find_start(self, key: UnitKey, task: tasks.Task) -> StartState:
        """Where a unit starts: the end of the unit before it in its shard, or the task's first state."""
        number, unit = key
        if unit < task.spec.shards:
            return StartState(to_hash(task.spec.initial_state_root), task.spec.endpoint.decode(errors="replace"))
        parent = await self.get_unit((number, unit - task.spec.shards))
        if parent.submission is None or parent.assignment is None:
            raise BlobNotFoundError(f"state before unit {number}/{unit}", "the chain: its parent was listed again")
        endpoint = await find_endpoint(self._context, parent.assignment.solver)
        return StartState(to_hash(parent.submission.end_state_root), endpoint)


def to_chain_task(task: tasks.Task) -> ChainTask:
    """The chain's fields in the form that `miner.work` checks a document against."""
    spec = task.spec
    return ChainTask(
        spec_hash=to_hash(spec.spec_hash), graph_root=to_hash(spec.graph_root),
        initial_state_root=to_hash(spec.initial_state_root), shards=spec.shards, rounds=spec.rounds,
        segments_per_unit=spec.segments_per_unit, steps_per_segment=spec.steps_per_segment,
        macs_per_step=spec.macs_per_step, price=spec.price, deadline_blocks=spec.deadline_blocks,
        endpoint=spec.endpoint.decode(errors="replace"), node_count=spec.node_count, state_count=spec.state_count,
        data=DataRule(to_hash(spec.data.root), spec.data.arrays, spec.data.windows),
    )  # fmt: skip
