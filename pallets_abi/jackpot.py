"""Pallet Jackpot (index 18).

Generated from the runtime's metadata by `python -m pallets_abi.generate`; do not edit.
"""

# ruff: noqa: E501, F401, I001 - the texts are those of the chain; every module has the same imports

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from pallets_abi.base import AccountId, Call, Constant, Event, Hash, RuntimeCall, StorageItem, Variant
from pallets_abi.verification import SegmentRecord


@dataclass(frozen=True)
class HideCall(Call):
    """Commits the sender to the place of the decoy in a unit that is assigned to it."""

    PALLET: ClassVar[str] = "Jackpot"
    FUNCTION: ClassVar[str] = "hide"

    task: int
    unit: int
    commitment: Hash


@dataclass(frozen=True)
class SealCall(Call):
    """Seals a finding of the sender, or nothing: it can be opened as long as the unit's draw allows."""

    PALLET: ClassVar[str] = "Jackpot"
    FUNCTION: ClassVar[str] = "seal"

    commitment: Hash


@dataclass(frozen=True)
class Finding:
    """pallet_jackpot::types::Finding."""

    record: SegmentRecord
    proof: list[Hash]
    witness: Hash


@dataclass(frozen=True)
class FindCall(Call):
    """Opens the sender's sealed finding: the claim that counts in this segment is false. Free of fees if it holds."""

    PALLET: ClassVar[str] = "Jackpot"
    FUNCTION: ClassVar[str] = "find"

    task: int
    unit: int
    finding: Finding
    salt: Hash


@dataclass(frozen=True)
class ShowCall(Call):
    """Shows that the claim that counts is the sender's decoy, and pays the prizes. `shown`: the drawn segment with its
    false claim, if nobody has found one. Free of fees if it holds.
    """

    PALLET: ClassVar[str] = "Jackpot"
    FUNCTION: ClassVar[str] = "show"

    task: int
    unit: int
    place: int
    salt: Hash
    shown: Finding | None


@dataclass(frozen=True)
class DrawOpenedEvent(Event):
    """An unchallenged unit has a decoy, and this claim of it counts."""

    PALLET: ClassVar[str] = "Jackpot"
    NAME: ClassVar[str] = "DrawOpened"

    task: int
    """The task."""
    unit: int
    """The unit."""
    counting: int
    """The claim that counts."""
    seal_until: int
    """Last block in which a finding may be sealed."""


@dataclass(frozen=True)
class FoundEvent(Event):
    """A whistleblower found that the claim that counts is false."""

    PALLET: ClassVar[str] = "Jackpot"
    NAME: ClassVar[str] = "Found"

    task: int
    """The task."""
    unit: int
    """The unit."""
    finder: AccountId
    """Who found it."""
    segment: int
    """In which segment."""


@dataclass(frozen=True)
class ForcedErrorEvent(Event):
    """A unit was a forced error."""

    PALLET: ClassVar[str] = "Jackpot"
    NAME: ClassVar[str] = "ForcedError"

    task: int
    """The task."""
    unit: int
    """The unit."""
    solver: AccountId
    """The solver."""
    finders: int
    """Who found it."""
    prize: int
    """What each of them got, plancks."""
    bonus: int
    """What the solver got, plancks."""


@dataclass(frozen=True)
class FalseClaimEvent(Event):
    """A claim that counts was false, and its solver did not show that it was its decoy."""

    PALLET: ClassVar[str] = "Jackpot"
    NAME: ClassVar[str] = "FalseClaim"

    task: int
    """The task."""
    unit: int
    """The unit."""
    solver: AccountId
    """The solver."""


@dataclass(frozen=True)
class JackpotParams:
    """pallet_jackpot::types::JackpotParams."""

    share: int
    seal_blocks: int
    find_blocks: int
    show_blocks: int


@dataclass(frozen=True)
class Decoy:
    """pallet_jackpot::types::Decoy."""

    attempt: int
    commitment: Hash


@dataclass(frozen=True)
class Draw:
    """pallet_jackpot::types::Draw."""

    attempt: int
    commitment: Hash
    counting: int
    segment: int
    seal_until: int
    find_until: int
    show_until: int
    finders: list[AccountId]


@dataclass(frozen=True)
class Seal:
    """pallet_jackpot::types::Seal."""

    block: int
    commitment: Hash


class JackpotError(StrEnum):
    """Errors of the calls of pallet Jackpot."""

    NOT_ASSIGNED = "NotAssigned"
    """The unit is not assigned to the sender: hide a decoy between claim and submission."""

    ALREADY_HIDDEN = "AlreadyHidden"
    """The unit has a decoy already."""

    NOT_ELIGIBLE = "NotEligible"
    """Only accounts bonded as solver or verifier may seal findings."""

    ALREADY_SEALED = "AlreadySealed"
    """The last seal can still be opened: one finding at a time."""

    NO_DRAW = "NoDraw"
    """The unit has no decoy that may count."""

    OWN_UNIT = "OwnUnit"
    """Nobody finds its own decoy."""

    NOT_FIND_PHASE = "NotFindPhase"
    """Findings are opened after the last block for seals, and only for a while."""

    NOT_SEALED = "NotSealed"
    """No seal of the sender, made in time, binds this finding."""

    ALREADY_FOUND = "AlreadyFound"
    """The sender has found it already."""

    TOO_MANY_FINDERS = "TooManyFinders"
    """Enough have found it."""

    BAD_PROOF = "BadProof"
    """The proof does not lead from the record to the transcript root."""

    BAD_WITNESS = "BadWitness"
    """The witness is not the one behind the record's salted witness."""

    TRUE_CLAIM = "TrueClaim"
    """The claim that counts is true."""

    NOT_SOLVER = "NotSolver"
    """Only the unit's solver shows its decoy."""

    NOT_SHOW_PHASE = "NotShowPhase"
    """The decoy is shown after the last block for findings, and only for a while."""

    WRONG_DECOY = "WrongDecoy"
    """Place and salt do not give the commitment."""

    NOT_FORCED = "NotForced"
    """The decoy is not at the claim that counts."""

    NOT_SHOWN = "NotShown"
    """Nobody has found the decoy: show it in the segment that was drawn for that."""


PARAMS: StorageItem[JackpotParams] = StorageItem("Jackpot", "Params", (), JackpotParams, False)
"""Parameters, set at genesis."""

POT: StorageItem[int] = StorageItem("Jackpot", "Pot", (), int, False)
"""What may still be paid out, plancks: it was burned with the prices of final units and is minted when it is paid."""

DECOYS: StorageItem[Decoy | None] = StorageItem("Jackpot", "Decoys", (int, int,), Decoy, True)
"""Decoys of units that were not drawn yet."""

DRAWS: StorageItem[Draw | None] = StorageItem("Jackpot", "Draws", (int, int,), Draw, True)
"""Unchallenged units whose decoy may count."""

SEALS: StorageItem[Seal | None] = StorageItem("Jackpot", "Seals", (AccountId,), Seal, True)
"""The last sealed finding of each whistleblower."""

END_ITEMS: StorageItem[tuple[int, int, int] | None] = StorageItem("Jackpot", "EndItems", (int, int,), tuple[int, int, int], True)
"""Draws to end, with their attempt, by block and position."""

END_COUNTS: StorageItem[int] = StorageItem("Jackpot", "EndCounts", (int,), int, False)
"""Number of draws to end in a block."""

END_CURSOR: StorageItem[tuple[int, int]] = StorageItem("Jackpot", "EndCursor", (), tuple[int, int], False)
"""Block and position of the next draw to end."""

MAX_ENDS_PER_BLOCK: Constant[int] = Constant("Jackpot", "MaxEndsPerBlock", int)
"""Most draws ended in one block; the rest follows in the next."""
