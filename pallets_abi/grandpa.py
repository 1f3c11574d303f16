"""Pallet Grandpa (index 3).

Generated from the runtime's metadata by `python -m pallets_abi.generate`; do not edit.
"""

# ruff: noqa: E501, F401, I001 - the texts are those of the chain; every module has the same imports

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from pallets_abi.base import AccountId, Call, Constant, Event, Hash, RuntimeCall, StorageItem, Variant


@dataclass(frozen=True)
class ReportEquivocationCall(Call):
    """Report voter equivocation/misbehavior. This method will verify the
    equivocation proof and validate the given key ownership proof
    against the extracted offender. If both are valid, the offence
    will be reported.
    """

    PALLET: ClassVar[str] = "Grandpa"
    FUNCTION: ClassVar[str] = "report_equivocation"

    equivocation_proof: Any
    key_owner_proof: Any


@dataclass(frozen=True)
class ReportEquivocationUnsignedCall(Call):
    """Report voter equivocation/misbehavior. This method will verify the
    equivocation proof and validate the given key ownership proof
    against the extracted offender. If both are valid, the offence
    will be reported.

    This extrinsic must be called unsigned and it is expected that only
    block authors will call it (validated in `ValidateUnsigned`), as such
    if the block author is defined it will be defined as the equivocation
    reporter.
    """

    PALLET: ClassVar[str] = "Grandpa"
    FUNCTION: ClassVar[str] = "report_equivocation_unsigned"

    equivocation_proof: Any
    key_owner_proof: Any


@dataclass(frozen=True)
class NoteStalledCall(Call):
    """Note that the current authority set of the GRANDPA finality gadget has stalled.

    This will trigger a forced authority set change at the beginning of the next session, to
    be enacted `delay` blocks after that. The `delay` should be high enough to safely assume
    that the block signalling the forced change will not be re-orged e.g. 1000 blocks.
    The block production rate (which may be slowed down because of finality lagging) should
    be taken into account when choosing the `delay`. The GRANDPA voters based on the new
    authority will start voting on top of `best_finalized_block_number` for new finalized
    blocks. `best_finalized_block_number` should be the highest of the latest finalized
    block of all validators of the new authority set.

    Only callable by root.
    """

    PALLET: ClassVar[str] = "Grandpa"
    FUNCTION: ClassVar[str] = "note_stalled"

    delay: int
    best_finalized_block_number: int


@dataclass(frozen=True)
class NewAuthoritiesEvent(Event):
    """New authority set has been applied."""

    PALLET: ClassVar[str] = "Grandpa"
    NAME: ClassVar[str] = "NewAuthorities"

    authority_set: list[tuple[Hash, int]]


@dataclass(frozen=True)
class PausedEvent(Event):
    """Current authority set has been paused."""

    PALLET: ClassVar[str] = "Grandpa"
    NAME: ClassVar[str] = "Paused"


@dataclass(frozen=True)
class ResumedEvent(Event):
    """Current authority set has been resumed."""

    PALLET: ClassVar[str] = "Grandpa"
    NAME: ClassVar[str] = "Resumed"


class GrandpaError(StrEnum):
    """Errors of the calls of pallet Grandpa."""

    PAUSE_FAILED = "PauseFailed"
    """Attempt to signal GRANDPA pause when the authority set isn't live
    (either paused or already pending pause).
    """

    RESUME_FAILED = "ResumeFailed"
    """Attempt to signal GRANDPA resume when the authority set isn't paused
    (either live or already pending resume).
    """

    CHANGE_PENDING = "ChangePending"
    """Attempt to signal GRANDPA change with one already pending."""

    TOO_SOON = "TooSoon"
    """Cannot signal forced change so soon after last."""

    INVALID_KEY_OWNERSHIP_PROOF = "InvalidKeyOwnershipProof"
    """A key ownership proof provided as part of an equivocation report is invalid."""

    INVALID_EQUIVOCATION_PROOF = "InvalidEquivocationProof"
    """An equivocation proof provided as part of an equivocation report is invalid."""

    DUPLICATE_OFFENCE_REPORT = "DuplicateOffenceReport"
    """A given equivocation report is valid but already previously reported."""


STATE: StorageItem[Any] = StorageItem("Grandpa", "State", (), Any, False)
"""State of the current authority set."""

PENDING_CHANGE: StorageItem[Any | None] = StorageItem("Grandpa", "PendingChange", (), Any, True)
"""Pending change: (signaled at, scheduled change)."""

NEXT_FORCED: StorageItem[int | None] = StorageItem("Grandpa", "NextForced", (), int, True)
"""next block number where we can force a change."""

STALLED: StorageItem[tuple[int, int] | None] = StorageItem("Grandpa", "Stalled", (), tuple[int, int], True)
"""`true` if we are currently stalled."""

CURRENT_SET_ID: StorageItem[int] = StorageItem("Grandpa", "CurrentSetId", (), int, False)
"""The number of changes (both in terms of keys and underlying economic responsibilities)
in the "set" of Grandpa validators from genesis.
"""

SET_ID_SESSION: StorageItem[int | None] = StorageItem("Grandpa", "SetIdSession", (int,), int, True)
"""A mapping from grandpa set ID to the index of the *most recent* session for which its
members were responsible.

This is only used for validating equivocation proofs. An equivocation proof must
contains a key-ownership proof for a given session, therefore we need a way to tie
together sessions and GRANDPA set ids, i.e. we need to validate that a validator
was the owner of a given key on a given session, and what the active set ID was
during that session.

TWOX-NOTE: `SetId` is not under user control.
"""

AUTHORITIES: StorageItem[list[tuple[Hash, int]]] = StorageItem("Grandpa", "Authorities", (), list[tuple[Hash, int]], False)
"""The current list of authorities."""

MAX_AUTHORITIES: Constant[int] = Constant("Grandpa", "MaxAuthorities", int)
"""Max Authorities in use"""

MAX_NOMINATORS: Constant[int] = Constant("Grandpa", "MaxNominators", int)
"""The maximum number of nominators for each validator."""

MAX_SET_ID_SESSION_ENTRIES: Constant[int] = Constant("Grandpa", "MaxSetIdSessionEntries", int)
"""The maximum number of entries to keep in the set id to session index mapping.

Since the `SetIdSession` map is only used for validating equivocations this
value should relate to the bonding duration of whatever staking system is
being used (if any). If equivocation handling is not enabled then this value
can be zero.
"""
