"""Pallet Availability (index 16).

Generated from the runtime's metadata by `python -m pallets_abi.generate`; do not edit.
"""

# ruff: noqa: E501, F401, I001 - the texts are those of the chain; every module has the same imports

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from pallets_abi.base import AccountId, Call, Constant, Event, Hash, RuntimeCall, StorageItem, Variant
from pallets_abi.disputes import ArrayForm, OpenedRecord, TileOpening


@dataclass(frozen=True)
class Chunk(Variant):
    """pallet_availability::types::Chunk."""

    VARIANTS: ClassVar[dict[str, tuple[Any, ...]]] = {
        "Transcript": (int,),
        "Checkpoint": (int, int, int,),
        "Data": (int, int,),
    }
    FIELDS: ClassVar[dict[str, tuple[str, ...]]] = {
        "Transcript": ("segment",),
        "Checkpoint": ("checkpoint", "entry", "tile",),
        "Data": ("array", "tile",),
    }


@dataclass(frozen=True)
class AskCall(Call):
    """Asks a unit's solver for a chunk of what it committed to, or the task's owner for one of the data set, and holds
    the sender's deposit. The sender must be eligible in a role; who asks an owner must work on the unit or be drawn
    as its verifier.
    """

    PALLET: ClassVar[str] = "Availability"
    FUNCTION: ClassVar[str] = "ask"

    task: int
    unit: int
    chunk: Chunk


@dataclass(frozen=True)
class EntryOpening:
    """pallet_availability::types::EntryOpening."""

    name: bytes
    form: ArrayForm
    inner_root: Hash
    siblings: list[Hash]


@dataclass(frozen=True)
class Opening(Variant):
    """pallet_availability::types::Opening."""

    VARIANTS: ClassVar[dict[str, tuple[Any, ...]]] = {
        "Transcript": (OpenedRecord,),
        "Checkpoint": (OpenedRecord | None, EntryOpening, TileOpening,),
        "Data": (EntryOpening, TileOpening,),
    }
    FIELDS: ClassVar[dict[str, tuple[str, ...]]] = {
        "Checkpoint": ("record", "entry", "tile",),
        "Data": ("entry", "tile",),
    }


@dataclass(frozen=True)
class AnswerCall(Call):
    """Opens the chunk that was asked for. The sender, the unit's solver or the task's owner, gets a part of the deposit."""

    PALLET: ClassVar[str] = "Availability"
    FUNCTION: ClassVar[str] = "answer"

    ask: int
    opening: Opening


@dataclass(frozen=True)
class AskedEvent(Event):
    """A chunk was asked for; the unit's solver, or for the data set the task's owner, must answer until the deadline."""

    PALLET: ClassVar[str] = "Availability"
    NAME: ClassVar[str] = "Asked"

    ask: int
    """The ask."""
    task: int
    """The task."""
    unit: int
    """The unit."""
    answerer: AccountId
    """Who must answer."""
    asker: AccountId
    """Who asked."""
    chunk: Chunk
    """What is asked for."""
    deposit: int
    """What is held of the asker, plancks."""
    deadline: int
    """Last block in which the answer is in time."""


@dataclass(frozen=True)
class AnsweredEvent(Event):
    """The chunk was opened."""

    PALLET: ClassVar[str] = "Availability"
    NAME: ClassVar[str] = "Answered"

    ask: int
    """The ask."""
    answerer: AccountId
    """Who answered."""
    paid: int
    """What it got of the deposit, plancks."""


@dataclass(frozen=True)
class UnansweredEvent(Event):
    """A solver stayed silent: it loses its bond and the unit. Or an owner did: its task is closed, and it loses a share
    of what it gets back of it.
    """

    PALLET: ClassVar[str] = "Availability"
    NAME: ClassVar[str] = "Unanswered"

    ask: int
    """The ask."""
    task: int
    """The task."""
    unit: int
    """The unit."""
    answerer: AccountId
    """Who stayed silent."""
    asker: AccountId
    """Who asked."""


@dataclass(frozen=True)
class MootEvent(Event):
    """The unit was listed again for another reason, or the owner has lost for another ask already: nobody loses."""

    PALLET: ClassVar[str] = "Availability"
    NAME: ClassVar[str] = "Moot"

    ask: int
    """The ask."""


@dataclass(frozen=True)
class AvailabilityParams:
    """pallet_availability::types::AvailabilityParams."""

    answer_blocks: int
    deposit: int
    compensation: int
    reward_share: int
    owner_share: int


@dataclass(frozen=True)
class Ask:
    """pallet_availability::types::Ask."""

    task: int
    unit: int
    attempt: int
    answerer: AccountId
    asker: AccountId
    chunk: Chunk
    deposit: int
    deadline: int
    is_drawn: bool


class Outcome(StrEnum):
    """pallet_availability::types::Outcome."""

    ANSWERED = "Answered"

    UNANSWERED = "Unanswered"

    MOOT = "Moot"


@dataclass(frozen=True)
class EndedAsk:
    """pallet_availability::types::EndedAsk."""

    task: int
    unit: int
    answerer: AccountId
    asker: AccountId
    chunk: Chunk
    deposit: int
    deadline: int
    ended: int
    outcome: Outcome


@dataclass(frozen=True)
class UnitAsks:
    """pallet_availability::types::UnitAsks."""

    attempt: int
    strangers: int
    open: int
    askers: list[AccountId]
    askers_of_data: list[AccountId]


class AvailabilityError(StrEnum):
    """Errors of the calls of pallet Availability."""

    NOT_ELIGIBLE = "NotEligible"
    """The sender has the minimum bond in no role: bond first."""

    OWN_UNIT = "OwnUnit"
    """Nobody asks itself."""

    NOT_ASKABLE = "NotAskable"
    """The unit is not submitted, or its last window is over; or the task's owner has lost for its silence already."""

    NO_SUCH_CHUNK = "NoSuchChunk"
    """The task has no such segment, its states no such checkpoint or tensor, or its data set no such array."""

    ALREADY_ASKED = "AlreadyAsked"
    """The sender has asked about this attempt of the unit already: each may ask its solver once, and the owner once."""

    TOO_MANY_ASKS = "TooManyAsks"
    """As many asks as allowed are open about this unit, or were made: wait for an answer."""

    ANSWERER_BUSY = "AnswererBusy"
    """As many asks as allowed wait for the answers of who must answer: wait for one."""

    NO_NEED = "NoNeed"
    """Only who needs the data set may ask for it: claim the unit, or be drawn as its verifier."""

    NO_ASK = "NoAsk"
    """There is no such open ask: it never was, is answered, or its unit was listed again."""

    NOT_ANSWERER = "NotAnswerer"
    """Only who is asked answers: the unit's solver, or the task's owner."""

    OUT_OF_TIME = "OutOfTime"
    """The deadline has passed; the ask ends by itself."""

    WRONG_OPENING = "WrongOpening"
    """The opening is of another kind, segment or checkpoint than the ask, or has a record where none belongs."""

    BAD_PROOF = "BadProof"
    """The proof does not lead to what was committed to."""

    BAD_FORM = "BadForm"
    """The tensor has no such dtype, or more than 2^40 elements."""

    BAD_TILE = "BadTile"
    """The bytes are not as long as a tile of the dtype."""


PARAMS: StorageItem[AvailabilityParams] = StorageItem("Availability", "Params", (), AvailabilityParams, False)
"""Parameters, set at genesis."""

NEXT_ASK: StorageItem[int] = StorageItem("Availability", "NextAsk", (), int, False)
"""Number of the next ask."""

ASKS: StorageItem[Ask | None] = StorageItem("Availability", "Asks", (int,), Ask, True)
"""Asks that wait for their answers."""

ENDED: StorageItem[EndedAsk | None] = StorageItem("Availability", "Ended", (int,), EndedAsk, True)
"""How asks ended."""

ASKS_OF_UNIT: StorageItem[UnitAsks | None] = StorageItem("Availability", "AsksOfUnit", (int, int,), UnitAsks, True)
"""What was asked about a unit, for its last attempt that was asked about."""

OPEN_OF_ANSWERER: StorageItem[int] = StorageItem("Availability", "OpenOfAnswerer", (AccountId,), int, False)
"""Open asks of strangers that a solver must answer, and of solvers that an owner must, over all units and tasks."""

DEADLINE_ITEMS: StorageItem[int | None] = StorageItem("Availability", "DeadlineItems", (int, int,), int, True)
"""Asks to look at when their deadline has passed, by block and position."""

DEADLINE_COUNTS: StorageItem[int] = StorageItem("Availability", "DeadlineCounts", (int,), int, False)
"""Number of asks to look at in a block."""

DEADLINE_CURSOR: StorageItem[tuple[int, int]] = StorageItem("Availability", "DeadlineCursor", (), tuple[int, int], False)
"""Block and position of the next ask to look at."""

MAX_DEADLINES_PER_BLOCK: Constant[int] = Constant("Availability", "MaxDeadlinesPerBlock", int)
"""Most deadlines looked at in one block; the rest follows in the next."""
