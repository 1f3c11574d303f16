"""Pallet Beacon (index 13).

Generated from the runtime's metadata by `python -m pallets_abi.generate`; do not edit.
"""

# ruff: noqa: E501, F401, I001 - the texts are those of the chain; every module has the same imports

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from pallets_abi.base import AccountId, Call, Constant, Event, Hash, RuntimeCall, StorageItem, Variant


@dataclass(frozen=True)
class CommitCall(Call):
    """Commits the sender to a secret: `commitment = H("beacon/v1" ‖ account ‖ epoch u32 ‖ secret)`. Bonded accounts
    only, once an epoch, in its first third.
    """

    PALLET: ClassVar[str] = "Beacon"
    FUNCTION: ClassVar[str] = "commit"

    commitment: Hash


@dataclass(frozen=True)
class RevealCall(Call):
    """Reveals the secret that the sender committed to in this epoch, in its second third."""

    PALLET: ClassVar[str] = "Beacon"
    FUNCTION: ClassVar[str] = "reveal"

    secret: Hash


@dataclass(frozen=True)
class CommittedEvent(Event):
    """An account committed to a secret."""

    PALLET: ClassVar[str] = "Beacon"
    NAME: ClassVar[str] = "Committed"

    account: AccountId
    """The account."""
    epoch: int
    """The epoch it takes part in."""


@dataclass(frozen=True)
class RevealedEvent(Event):
    """An account revealed its secret."""

    PALLET: ClassVar[str] = "Beacon"
    NAME: ClassVar[str] = "Revealed"

    account: AccountId
    """The account."""
    epoch: int
    """The epoch it takes part in."""


@dataclass(frozen=True)
class EpochRotatedEvent(Event):
    """An epoch began."""

    PALLET: ClassVar[str] = "Beacon"
    NAME: ClassVar[str] = "EpochRotated"

    epoch: int
    """The epoch that begins."""
    seed: Hash
    """The new seed."""
    revealed: int
    """How many accounts revealed."""
    no_shows: int
    """How many committed and did not reveal."""


class BeaconError(StrEnum):
    """Errors of the calls of pallet Beacon."""

    COMMITS_CLOSED = "CommitsClosed"
    """Commits are closed: commit in the first third of an epoch's slots."""

    REVEALS_CLOSED = "RevealsClosed"
    """Reveals are closed: reveal in the second third of an epoch's slots."""

    NOT_BONDED = "NotBonded"
    """The account has no sufficient bond in any role: bond first."""

    ALREADY_COMMITTED = "AlreadyCommitted"
    """The account has committed in this epoch: reveal that secret, and commit again in the next one."""

    TOO_MANY_PARTICIPANTS = "TooManyParticipants"
    """As many accounts as allowed have committed: try again in the next epoch."""

    NOT_COMMITTED = "NotCommitted"
    """The account did not commit in this epoch: nothing to reveal."""

    ALREADY_REVEALED = "AlreadyRevealed"
    """The account has revealed its secret already."""

    WRONG_SECRET = "WrongSecret"
    """The secret is not the committed one: the commitment binds account, epoch and secret."""


EPOCH: StorageItem[int] = StorageItem("Beacon", "Epoch", (), int, False)
"""The current epoch."""

SEED: StorageItem[Hash] = StorageItem("Beacon", "Seed", (), Hash, False)
"""The seed that the last rotation made; at first that of genesis."""

GENESIS_SLOT: StorageItem[int | None] = StorageItem("Beacon", "GenesisSlot", (), int, True)
"""Slot of block 1."""

COMMITS: StorageItem[Hash | None] = StorageItem("Beacon", "Commits", (AccountId,), Hash, True)
"""Commitments of the current epoch."""

COUNTER_FOR_COMMITS: StorageItem[int] = StorageItem("Beacon", "CounterForCommits", (), int, False)
"""Counter for the related counted storage map"""

REVEALS: StorageItem[Hash | None] = StorageItem("Beacon", "Reveals", (AccountId,), Hash, True)
"""Revealed secrets of the current epoch."""

NO_SHOWS: StorageItem[list[AccountId]] = StorageItem("Beacon", "NoShows", (), list[AccountId], False)
"""Who committed in the last epoch and did not reveal, in order of account id."""

MAX_PARTICIPANTS: Constant[int] = Constant("Beacon", "MaxParticipants", int)
"""Most accounts that commit in an epoch."""
