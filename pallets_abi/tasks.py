"""Pallet Tasks (index 11).

Generated from the runtime's metadata by `python -m pallets_abi.generate`; do not edit.
"""

# ruff: noqa: E501, F401, I001 - the texts are those of the chain; every module has the same imports

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from pallets_abi.base import AccountId, Call, Constant, Event, Hash, RuntimeCall, StorageItem, Variant


@dataclass(frozen=True)
class DataRule:
    """pallet_tasks::types::DataRule."""

    root: Hash
    arrays: int
    windows: bool


@dataclass(frozen=True)
class TaskSpec:
    """pallet_tasks::types::TaskSpec."""

    spec_hash: Hash
    graph_root: Hash
    initial_state_root: Hash
    shards: int
    rounds: int
    segments_per_unit: int
    steps_per_segment: int
    macs_per_step: int
    price: int
    deadline_blocks: int
    endpoint: bytes
    node_count: int
    state_count: int
    data: DataRule


@dataclass(frozen=True)
class PostCall(Call):
    """Posts a task. price · shards · rounds is held on the sender until the units are final or refunded."""

    PALLET: ClassVar[str] = "Tasks"
    FUNCTION: ClassVar[str] = "post"

    spec: TaskSpec


@dataclass(frozen=True)
class ClaimCall(Call):
    """Takes an open unit for the sender, an eligible solver. The unit before it in its chain must be final, or
    submitted by the sender.
    """

    PALLET: ClassVar[str] = "Tasks"
    FUNCTION: ClassVar[str] = "claim"

    task: int
    unit: int


@dataclass(frozen=True)
class CloseCall(Call):
    """Closes the sender's task: its open units can no longer be claimed and are refunded, as soon as nobody asks for a
    part of its data set; the others go on.
    """

    PALLET: ClassVar[str] = "Tasks"
    FUNCTION: ClassVar[str] = "close"

    task: int


@dataclass(frozen=True)
class TaskPostedEvent(Event):
    """A task was posted and its whole price is held."""

    PALLET: ClassVar[str] = "Tasks"
    NAME: ClassVar[str] = "TaskPosted"

    task: int
    """Its number."""
    owner: AccountId
    """The submitter."""
    units: int
    """Number of its units."""


@dataclass(frozen=True)
class UnitClaimedEvent(Event):
    """A solver took a unit."""

    PALLET: ClassVar[str] = "Tasks"
    NAME: ClassVar[str] = "UnitClaimed"

    task: int
    """The task."""
    unit: int
    """The unit."""
    solver: AccountId
    """Who took it."""
    seed: Hash
    """Keys all randomness of the unit."""
    deadline: int
    """Last block in which it may be submitted."""


@dataclass(frozen=True)
class UnitSubmittedEvent(Event):
    """A solver committed to a unit's result."""

    PALLET: ClassVar[str] = "Tasks"
    NAME: ClassVar[str] = "UnitSubmitted"

    task: int
    """The task."""
    unit: int
    """The unit."""
    solver: AccountId
    """The solver."""
    transcript_root: Hash
    """Merkle root over its segment records."""


class RelistReason(StrEnum):
    """pallet_tasks::types::RelistReason."""

    TIMEOUT = "Timeout"

    REFUSED = "Refused"

    CANCELLED = "Cancelled"

    NOT_DECIDED = "NotDecided"

    NO_BOND = "NoBond"


@dataclass(frozen=True)
class UnitRelistedEvent(Event):
    """A unit is open again (or, in a closed task, refunded)."""

    PALLET: ClassVar[str] = "Tasks"
    NAME: ClassVar[str] = "UnitRelisted"

    task: int
    """The task."""
    unit: int
    """The unit."""
    attempt: int
    """How often it was listed again, this time included."""
    reason: RelistReason
    """Why."""


@dataclass(frozen=True)
class UnitFinalEvent(Event):
    """A unit is final: paid and credited."""

    PALLET: ClassVar[str] = "Tasks"
    NAME: ClassVar[str] = "UnitFinal"

    task: int
    """The task."""
    unit: int
    """The unit."""
    solver: AccountId
    """Who executed it."""
    macs: int
    """Multiply-accumulates credited."""
    paid: int
    """What the solver got, plancks."""


@dataclass(frozen=True)
class TaskClosedEvent(Event):
    """A task was closed, by its owner or because that did not show its data set; its open units were refunded."""

    PALLET: ClassVar[str] = "Tasks"
    NAME: ClassVar[str] = "TaskClosed"

    task: int
    """The task."""
    refunded: int
    """What was given back, plancks; nothing while the owner is asked for a part of its data set."""


@dataclass(frozen=True)
class RefundedEvent(Event):
    """What a closed task no longer needed was given back when its owner was not asked for anything any more."""

    PALLET: ClassVar[str] = "Tasks"
    NAME: ClassVar[str] = "Refunded"

    task: int
    """The task."""
    amount: int
    """What was given back, plancks."""


@dataclass(frozen=True)
class ForfeitedEvent(Event):
    """The owner lost a share of what it would have got back, because it did not show a part of its data set."""

    PALLET: ClassVar[str] = "Tasks"
    NAME: ClassVar[str] = "Forfeited"

    task: int
    """The task."""
    finder: AccountId
    """Who had asked for it."""
    rewarded: int
    """What the finder got, plancks."""
    burned: int
    """What was burned, plancks."""


@dataclass(frozen=True)
class TaskDoneEvent(Event):
    """Nothing of a task's escrow is left: all its units are final or refunded."""

    PALLET: ClassVar[str] = "Tasks"
    NAME: ClassVar[str] = "TaskDone"

    task: int
    """The task."""


@dataclass(frozen=True)
class TasksParams:
    """pallet_tasks::types::TasksParams."""

    floor_price: int
    mac_cost: int
    burn_share: int
    verifier_share: int
    max_claims: int


@dataclass(frozen=True)
class Task:
    """pallet_tasks::types::Task."""

    owner: AccountId
    spec: TaskSpec
    created: int
    escrowed: int
    paid: int
    refunded: int
    burned: int
    closed: bool
    active: int
    finished: int


@dataclass(frozen=True)
class Assignment:
    """pallet_tasks::types::Assignment."""

    solver: AccountId
    seed: Hash
    assigned_at: int
    deadline: int


@dataclass(frozen=True)
class Submission:
    """pallet_tasks::types::Submission."""

    transcript_root: Hash
    end_state_root: Hash
    macs: int
    submitted_at: int
    draw_epoch: int


@dataclass(frozen=True)
class UnitState(Variant):
    """pallet_tasks::types::UnitState."""

    VARIANTS: ClassVar[dict[str, tuple[Any, ...]]] = {
        "Open": (),
        "Assigned": (Assignment,),
        "Submitted": (Assignment, Submission,),
        "Challengeable": (Assignment, Submission,),
        "Final": (Assignment, Submission,),
        "Closed": (),
        "Disputed": (Assignment, Submission,),
    }


@dataclass(frozen=True)
class Unit:
    """pallet_tasks::types::Unit."""

    attempt: int
    state: UnitState


@dataclass(frozen=True)
class ShardProgress:
    """pallet_tasks::types::ShardProgress."""

    finals: int
    claimed: int


@dataclass(frozen=True)
class SolverLoad:
    """pallet_tasks::types::SolverLoad."""

    assigned: int
    awaiting: int
    disputed: int


@dataclass(frozen=True)
class Forfeit:
    """pallet_tasks::types::Forfeit."""

    finder: AccountId
    share: int
    reward: int


class TasksError(StrEnum):
    """Errors of the calls of pallet Tasks."""

    BAD_SHAPE = "BadShape"
    """The task has no shard or no round, or more than 2^16 units."""

    BAD_WORK = "BadWork"
    """A unit has no segments, fewer than are drawn for a check, no steps, no MACs, or more MACs than 64 bits hold."""

    BAD_DEADLINE = "BadDeadline"
    """The deadline is zero or longer than `MaxDeadline` blocks."""

    PRICE_BELOW_FLOOR = "PriceBelowFloor"
    """The price is below the floor for this many MACs: offer at least `floor_price` per 10^6 MACs."""

    CHEATING_PAYS = "CheatingPays"
    """Cheating would pay: p·(1−r^v)·(price + minimum bond) must exceed the cost of honest work; offer more per unit."""

    ESCROW_OVERFLOW = "EscrowOverflow"
    """price · units is more than a balance can hold."""

    NO_TASK_IDS = "NoTaskIds"
    """No more task numbers are left."""

    UNKNOWN_TASK = "UnknownTask"
    """There is no such task."""

    UNKNOWN_UNIT = "UnknownUnit"
    """The task has no such unit."""

    NOT_ELIGIBLE = "NotEligible"
    """The sender's solver bond is below the minimum: bond more first."""

    TASK_IS_CLOSED = "TaskIsClosed"
    """The task is closed or done."""

    UNIT_NOT_OPEN = "UnitNotOpen"
    """The unit is not open: claim another one."""

    PARENT_NOT_READY = "ParentNotReady"
    """The unit before it in its chain is neither final nor submitted by the sender."""

    CHAIN_TOO_LONG = "ChainTooLong"
    """Too many units of this chain are not final yet: wait for them."""

    TOO_MANY_CLAIMS = "TooManyClaims"
    """The sender has as many claimed units as allowed: submit one first."""

    NOT_OWNER = "NotOwner"
    """Only the task's owner may do this."""

    NOT_ASSIGNED = "NotAssigned"
    """The unit is not assigned, or not to the sender."""

    DEADLINE_PASSED = "DeadlinePassed"
    """The unit's deadline has passed."""

    WRONG_MACS = "WrongMacs"
    """The claimed MACs are not macs_per_step · steps_per_segment · segments_per_unit."""

    WRONG_STATE = "WrongState"
    """The unit is not in the state that this step needs."""

    NOT_DISPUTABLE = "NotDisputable"
    """Segments of more than 2^10 steps, or a graph, a state or a data set without or with more than 2^16 parts: no
    dispute about the task could be played.
    """

    UNDER_DISPUTE = "UnderDispute"
    """A unit of the sender is disputed, and it has as many unfinished units as it may have meanwhile: wait for the verdict."""


PARAMS: StorageItem[TasksParams] = StorageItem("Tasks", "Params", (), TasksParams, False)
"""Parameters, set at genesis."""

NEXT_TASK_ID: StorageItem[int] = StorageItem("Tasks", "NextTaskId", (), int, False)
"""Number of the next task."""

TASKS: StorageItem[Task | None] = StorageItem("Tasks", "Tasks", (int,), Task, True)
"""All tasks ever posted."""

UNITS: StorageItem[Unit] = StorageItem("Tasks", "Units", (int, int,), Unit, False)
"""Units by task and index; absent = attempt 0, open."""

SHARDS: StorageItem[ShardProgress] = StorageItem("Tasks", "Shards", (int, int,), ShardProgress, False)
"""Progress of the shards of a task; absent = nothing claimed yet."""

LOADS: StorageItem[SolverLoad] = StorageItem("Tasks", "Loads", (AccountId,), SolverLoad, False)
"""Unfinished units of each solver."""

QUESTIONS: StorageItem[int] = StorageItem("Tasks", "Questions", (int,), int, False)
"""Open questions for the data set of a task; while there is one nothing of its escrow is given back."""

FORFEITS: StorageItem[Forfeit | None] = StorageItem("Tasks", "Forfeits", (int,), Forfeit, True)
"""Tasks whose owner did not show a part of its data set that it was asked for."""

DEADLINE_ITEMS: StorageItem[tuple[int, int, int] | None] = StorageItem("Tasks", "DeadlineItems", (int, int,), tuple[int, int, int], True)
"""Claims to look at when their deadline has passed: (task, unit, attempt) by block and position."""

DEADLINE_COUNTS: StorageItem[int] = StorageItem("Tasks", "DeadlineCounts", (int,), int, False)
"""Number of claims to look at in a block."""

DEADLINE_CURSOR: StorageItem[tuple[int, int]] = StorageItem("Tasks", "DeadlineCursor", (), tuple[int, int], False)
"""Block and position of the next claim to look at."""

MAX_DEADLINE: Constant[int] = Constant("Tasks", "MaxDeadline", int)
"""Longest time between claim and submission that a task may give, blocks."""

MAX_TIMEOUTS_PER_BLOCK: Constant[int] = Constant("Tasks", "MaxTimeoutsPerBlock", int)
"""Most deadlines processed in one block; the rest follows in the next."""
