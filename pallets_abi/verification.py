"""Pallet Verification (index 12).

Generated from the runtime's metadata by `python -m pallets_abi.generate`; do not edit.
"""

# ruff: noqa: E501, F401, I001 - the texts are those of the chain; every module has the same imports

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from pallets_abi.base import AccountId, Call, Constant, Event, Hash, RuntimeCall, StorageItem, Variant
from pallets_abi.stakes import SlashReason


@dataclass(frozen=True)
class SubmitCall(Call):
    """Commits the sender to the result of a unit that is assigned to it, before the unit's deadline."""

    PALLET: ClassVar[str] = "Verification"
    FUNCTION: ClassVar[str] = "submit"

    task: int
    unit: int
    transcript_root: Hash
    end_state_root: Hash
    macs: int


@dataclass(frozen=True)
class CommitCall(Call):
    """Commits the sender, a drawn verifier, to its attestation. When all have committed, the reveal phase begins."""

    PALLET: ClassVar[str] = "Verification"
    FUNCTION: ClassVar[str] = "commit"

    task: int
    unit: int
    commitment: Hash


class Outcome(StrEnum):
    """pallet_verification::types::Outcome."""

    EXECUTED = "Executed"

    UNAVAILABLE = "Unavailable"

    INCONCLUSIVE = "Inconclusive"


@dataclass(frozen=True)
class Attestation:
    """pallet_verification::types::Attestation."""

    outcome: Outcome
    segments: list[tuple[Hash, Hash]]


@dataclass(frozen=True)
class RevealCall(Call):
    """Reveals the sender's attestation. When all who committed and the solver have revealed, the unit is settled."""

    PALLET: ClassVar[str] = "Verification"
    FUNCTION: ClassVar[str] = "reveal"

    task: int
    unit: int
    attestation: Attestation
    salt: Hash


@dataclass(frozen=True)
class SegmentRecord:
    """pallet_verification::types::SegmentRecord."""

    index: int
    start_state_root: Hash
    end_state_root: Hash
    first_step_record: Hash
    last_step_record: Hash
    salted_witness: Hash
    claims: Hash


@dataclass(frozen=True)
class Opening:
    """pallet_verification::types::Opening."""

    record: SegmentRecord
    witness: Hash
    proof: list[Hash]


@dataclass(frozen=True)
class RevealSolverCall(Call):
    """Opens the drawn segments of the sender's unit."""

    PALLET: ClassVar[str] = "Verification"
    FUNCTION: ClassVar[str] = "reveal_solver"

    task: int
    unit: int
    openings: list[Opening]


@dataclass(frozen=True)
class VerifiersDrawnEvent(Event):
    """A unit is challenged: these verifiers re-execute these segments."""

    PALLET: ClassVar[str] = "Verification"
    NAME: ClassVar[str] = "VerifiersDrawn"

    task: int
    """The task."""
    unit: int
    """The unit."""
    verifiers: list[AccountId]
    """Who re-executes."""
    segments: list[int]
    """What is re-executed, ascending."""


@dataclass(frozen=True)
class NotChallengedEvent(Event):
    """The draw left a unit unchallenged; its watch window begins."""

    PALLET: ClassVar[str] = "Verification"
    NAME: ClassVar[str] = "NotChallenged"

    task: int
    """The task."""
    unit: int
    """The unit."""


@dataclass(frozen=True)
class AttestationCommittedEvent(Event):
    """A verifier committed to its attestation."""

    PALLET: ClassVar[str] = "Verification"
    NAME: ClassVar[str] = "AttestationCommitted"

    task: int
    """The task."""
    unit: int
    """The unit."""
    verifier: AccountId
    """The verifier."""


@dataclass(frozen=True)
class RevealStartedEvent(Event):
    """The reveal phase of a unit began."""

    PALLET: ClassVar[str] = "Verification"
    NAME: ClassVar[str] = "RevealStarted"

    task: int
    """The task."""
    unit: int
    """The unit."""
    deadline: int
    """Its last block."""


@dataclass(frozen=True)
class AttestationRevealedEvent(Event):
    """A verifier revealed its attestation."""

    PALLET: ClassVar[str] = "Verification"
    NAME: ClassVar[str] = "AttestationRevealed"

    task: int
    """The task."""
    unit: int
    """The unit."""
    verifier: AccountId
    """The verifier."""
    outcome: Outcome
    """How its re-execution ended."""


@dataclass(frozen=True)
class SolverRevealedEvent(Event):
    """The solver opened the drawn segments."""

    PALLET: ClassVar[str] = "Verification"
    NAME: ClassVar[str] = "SolverRevealed"

    task: int
    """The task."""
    unit: int
    """The unit."""
    solver: AccountId
    """The solver."""


@dataclass(frozen=True)
class MatchedEvent(Event):
    """All verifiers got what the solver committed to; the watch window begins."""

    PALLET: ClassVar[str] = "Verification"
    NAME: ClassVar[str] = "Matched"

    task: int
    """The task."""
    unit: int
    """The unit."""
    verifiers: list[AccountId]
    """The verifiers, who share in the price."""


@dataclass(frozen=True)
class MismatchedEvent(Event):
    """Some verifiers got something else than the solver committed to; the unit is disputed."""

    PALLET: ClassVar[str] = "Verification"
    NAME: ClassVar[str] = "Mismatched"

    task: int
    """The task."""
    unit: int
    """The unit."""
    solver: AccountId
    """The solver."""
    segment: int
    """The first drawn segment on which one of them differs."""
    accusers: list[tuple[AccountId, int]]
    """The verifiers who differ, each with the first segment on which it does."""


@dataclass(frozen=True)
class RedrawnEvent(Event):
    """A challenged unit was not decided, or lacks verifiers, and is drawn again."""

    PALLET: ClassVar[str] = "Verification"
    NAME: ClassVar[str] = "Redrawn"

    task: int
    """The task."""
    unit: int
    """The unit."""
    epoch: int
    """The epoch whose closing rotation draws it."""


@dataclass(frozen=True)
class UnitRefusedEvent(Event):
    """A unit was refused and its solver slashed."""

    PALLET: ClassVar[str] = "Verification"
    NAME: ClassVar[str] = "UnitRefused"

    task: int
    """The task."""
    unit: int
    """The unit."""
    solver: AccountId
    """The solver."""
    reason: SlashReason
    """What for."""


@dataclass(frozen=True)
class VerificationParams:
    """pallet_verification::types::VerificationParams."""

    challenge_ppm: int
    segments: int
    verifiers: int
    attacker_share: int
    commit_blocks: int
    reveal_blocks: int
    watch_blocks: int


@dataclass(frozen=True)
class VerifierState(Variant):
    """pallet_verification::types::VerifierState."""

    VARIANTS: ClassVar[dict[str, tuple[Any, ...]]] = {
        "Waiting": (),
        "Committed": (Hash,),
        "Revealed": (Outcome, Hash,),
    }


class Phase(StrEnum):
    """pallet_verification::types::Phase."""

    COMMIT = "Commit"

    REVEAL = "Reveal"


@dataclass(frozen=True)
class Duty:
    """pallet_verification::types::Duty."""

    verifiers: list[tuple[AccountId, VerifierState]]
    segments: list[int]
    phase: Phase
    deadline: int
    solver_reveal: list[tuple[Hash, Hash]] | None
    attempt: int
    draws: int


@dataclass(frozen=True)
class Watch:
    """pallet_verification::types::Watch."""

    until: int
    matched: list[AccountId]
    segments: list[int]
    second: bool


@dataclass(frozen=True)
class DueDraw:
    """pallet_verification::types::DueDraw."""

    epoch: int
    task: int
    unit: int
    attempt: int
    draws: int


@dataclass(frozen=True)
class Timer(Variant):
    """pallet_verification::types::Timer."""

    VARIANTS: ClassVar[dict[str, tuple[Any, ...]]] = {
        "Phase": (int, int, int,),
        "Watch": (int, int,),
    }


class VerificationError(StrEnum):
    """Errors of the calls of pallet Verification."""

    DUPLICATE_TRANSCRIPT = "DuplicateTranscript"
    """This transcript root was submitted before."""

    NO_DUTY = "NoDuty"
    """The unit is not under verification."""

    NOT_VERIFIER = "NotVerifier"
    """The sender was not drawn for this unit."""

    NOT_COMMIT_PHASE = "NotCommitPhase"
    """The commit phase is over, or its last block has passed."""

    NOT_REVEAL_PHASE = "NotRevealPhase"
    """The reveal phase has not begun, or its last block has passed."""

    ALREADY_COMMITTED = "AlreadyCommitted"
    """The sender has committed already."""

    ALREADY_REVEALED = "AlreadyRevealed"
    """The sender has revealed already."""

    NOT_COMMITTED = "NotCommitted"
    """The sender has not committed and so cannot reveal."""

    REVEAL_MISMATCH = "RevealMismatch"
    """Attestation and salt do not give the commitment."""

    BAD_ATTESTATION = "BadAttestation"
    """An executed attestation needs one result for each drawn segment, any other one none."""

    NOT_SOLVER = "NotSolver"
    """Only the unit's solver may open its segments."""

    WRONG_SEGMENTS = "WrongSegments"
    """There must be one opening for each drawn segment, in the duty's order."""

    BAD_PROOF = "BadProof"
    """The proof does not lead from the record to the transcript root."""

    BAD_WITNESS = "BadWitness"
    """The witness is not the one behind the record's salted witness."""

    WRONG_START_STATE = "WrongStartState"
    """The record of the first segment does not start from the state that the unit starts from."""

    WRONG_END_STATE = "WrongEndState"
    """The record of the last segment does not end in the unit's end state."""


PARAMS: StorageItem[VerificationParams] = StorageItem("Verification", "Params", (), VerificationParams, False)
"""Parameters, set at genesis."""

TRANSCRIPTS: StorageItem[tuple[int, int] | None] = StorageItem("Verification", "Transcripts", (Hash,), tuple[int, int], True)
"""Transcript roots submitted so far, and for which unit: none is taken twice."""

DUTIES: StorageItem[Duty | None] = StorageItem("Verification", "Duties", (int, int,), Duty, True)
"""Challenged units under verification."""

ATTESTATIONS: StorageItem[list[tuple[Hash, Hash]]] = StorageItem("Verification", "Attestations", (tuple[int, int], AccountId,), list[tuple[Hash, Hash]], False)
"""What the verifiers of a unit revealed, until the unit is settled."""

OPEN_DUTIES: StorageItem[int] = StorageItem("Verification", "OpenDuties", (AccountId,), int, False)
"""Number of a verifier's obligations: unsettled duties, and attested units that are neither final nor listed again."""

WATCHES: StorageItem[Watch | None] = StorageItem("Verification", "Watches", (int, int,), Watch, True)
"""Units in their watch window, or waiting for their parent after it."""

LAST_SEED: StorageItem[tuple[int, Hash] | None] = StorageItem("Verification", "LastSeed", (), tuple[int, Hash], True)
"""The last closed epoch and the seed made at its end, with which due units are drawn."""

DUE_ITEMS: StorageItem[DueDraw | None] = StorageItem("Verification", "DueItems", (int,), DueDraw, True)
"""Units that wait for their draw, oldest first."""

DUE_BOUNDS: StorageItem[tuple[int, int]] = StorageItem("Verification", "DueBounds", (), tuple[int, int], False)
"""First and one-past-last position of the waiting units."""

TIMER_ITEMS: StorageItem[Timer | None] = StorageItem("Verification", "TimerItems", (int, int,), Timer, True)
"""Deadlines by block and position."""

TIMER_COUNTS: StorageItem[int] = StorageItem("Verification", "TimerCounts", (int,), int, False)
"""Number of deadlines of a block."""

TIMER_CURSOR: StorageItem[tuple[int, int]] = StorageItem("Verification", "TimerCursor", (), tuple[int, int], False)
"""Block and position of the next deadline."""

HOLDS: StorageItem[int] = StorageItem("Verification", "Holds", (int, int,), int, False)
"""Units that must not become final yet, and for how many reasons: open asks of pallet Availability."""

MAX_DRAWS_PER_BLOCK: Constant[int] = Constant("Verification", "MaxDrawsPerBlock", int)
"""Most units drawn in one block; the rest follows in the next."""

MAX_TIMERS_PER_BLOCK: Constant[int] = Constant("Verification", "MaxTimersPerBlock", int)
"""Most deadlines processed in one block; the rest follows in the next."""
