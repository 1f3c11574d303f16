"""Pallet Evidence (index 17).

Generated from the runtime's metadata by `python -m pallets_abi.generate`; do not edit.
"""

# ruff: noqa: E501, F401, I001 - the texts are those of the chain; every module has the same imports

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from pallets_abi.base import AccountId, Call, Constant, Event, Hash, RuntimeCall, StorageItem, Variant


@dataclass(frozen=True)
class ReportAuraCall(Call):
    """Charges the owner of an authoring key with two blocks of one slot. `first` and `second` are their headers in
    SCALE with their seals, at most 64 KiB each; parents and numbers do not matter. Free of fees if it holds.
    """

    PALLET: ClassVar[str] = "Evidence"
    FUNCTION: ClassVar[str] = "report_aura"

    author: Hash
    first: bytes
    second: bytes


@dataclass(frozen=True)
class ReportGrandpaCall(Call):
    """Charges the owner of a finality key with two prevotes, or two precommits, of one round. The proof is that of a
    stock node. Free of fees if it holds.
    """

    PALLET: ClassVar[str] = "Evidence"
    FUNCTION: ClassVar[str] = "report_grandpa"

    proof: Any


@dataclass(frozen=True)
class Offence(Variant):
    """pallet_evidence::types::Offence."""

    VARIANTS: ClassVar[dict[str, tuple[Any, ...]]] = {
        "Blocks": (int,),
        "Votes": (int, int,),
    }
    FIELDS: ClassVar[dict[str, tuple[str, ...]]] = {
        "Blocks": ("slot",),
        "Votes": ("set_id", "round",),
    }


@dataclass(frozen=True)
class ChargedEvent(Event):
    """An account lost its solver bond for an equivocation."""

    PALLET: ClassVar[str] = "Evidence"
    NAME: ClassVar[str] = "Charged"

    offender: AccountId
    """Whose key signed twice."""
    reporter: AccountId
    """Who showed it."""
    offence: Offence
    """What it signed twice."""
    amount: int
    """What was taken, plancks; the reporter's share included."""


@dataclass(frozen=True)
class Settlement:
    """pallet_evidence::types::Settlement."""

    account: AccountId
    slot: int
    set_id: int


class EvidenceError(StrEnum):
    """Errors of the calls of pallet Evidence."""

    MALFORMED_HEADER = "MalformedHeader"
    """The bytes are no header, or more than one: hand in a block's header in SCALE, with its seal."""

    BAD_DIGEST = "BadDigest"
    """A header needs exactly one Aura slot of 8 bytes, and as its last item one Aura seal of 64."""

    DIFFERENT_SLOTS = "DifferentSlots"
    """The headers are of different slots: an author may seal one block in each."""

    SAME_BLOCK = "SameBlock"
    """Both headers are the same: show two."""

    BAD_SEAL = "BadSeal"
    """A seal is not the key's signature of its header."""

    BAD_VOTES = "BadVotes"
    """The votes are for the same block, or a signature is not the voter's for this round and set."""

    FUTURE_SLOT = "FutureSlot"
    """The slot is still to come: wait for it."""

    FUTURE_SET = "FutureSet"
    """No such set has voted yet."""

    TOO_OLD = "TooOld"
    """It is longer ago than an unbonding takes: the bond need not be there any more."""

    UNKNOWN_KEY = "UnknownKey"
    """No account answers for this key."""

    ALREADY_SETTLED = "AlreadySettled"
    """The account has lost its bond since, and with that answered for it."""

    NOTHING_TO_SLASH = "NothingToSlash"
    """The account has no solver bond: there is nothing to take."""


SET_STARTS: StorageItem[list[tuple[int, int]]] = StorageItem("Evidence", "SetStarts", (), list[tuple[int, int]], False)
"""GRANDPA sets whose votes can be charged, each with the slot from which it is in force; the current one is the last."""

SETTLEMENTS: StorageItem[list[Settlement]] = StorageItem("Evidence", "Settlements", (), list[Settlement], False)
"""What has been answered for, the oldest first."""
