"""Pallet BlockRights (index 14).

Generated from the runtime's metadata by `python -m pallets_abi.generate`; do not edit.
"""

# ruff: noqa: E501, F401, I001 - the texts are those of the chain; every module has the same imports

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from pallets_abi.base import AccountId, Call, Constant, Event, Hash, RuntimeCall, StorageItem, Variant


@dataclass(frozen=True)
class SetKeysCall(Call):
    """Registers the keys with which the sender seals blocks and votes on finality; they count from the next rotation.
    Eligible solvers only; each key belongs to one account. The keys of an account whose solver bond is gone are
    dropped. An account answers for the keys that it gave up for an epoch and an unbonding; nobody else can have
    them before.
    """

    PALLET: ClassVar[str] = "BlockRights"
    FUNCTION: ClassVar[str] = "set_keys"

    aura: Hash
    grandpa: Hash


@dataclass(frozen=True)
class KeysSetEvent(Event):
    """An account registered its keys."""

    PALLET: ClassVar[str] = "BlockRights"
    NAME: ClassVar[str] = "KeysSet"

    account: AccountId
    """The account."""
    aura: Hash
    """Block authoring, sr25519."""
    grandpa: Hash
    """Finality, ed25519."""


@dataclass(frozen=True)
class KeysDroppedEvent(Event):
    """The keys of an account without any bond were dropped."""

    PALLET: ClassVar[str] = "BlockRights"
    NAME: ClassVar[str] = "KeysDropped"

    account: AccountId
    """The account."""


@dataclass(frozen=True)
class ScheduleWrittenEvent(Event):
    """The authors of an epoch were written."""

    PALLET: ClassVar[str] = "BlockRights"
    NAME: ClassVar[str] = "ScheduleWritten"

    epoch: int
    """The epoch that begins."""
    slots: list[tuple[AccountId, int]]
    """Slots of each account, in order of account id."""
    credits_per_slot: int
    """The network's difficulty."""


@dataclass(frozen=True)
class RightsParams:
    """pallet_block_rights::types::RightsParams."""

    slot_duration: int
    slots_per_epoch: int
    decay_epochs: int
    decay: int
    cap: int
    bootstrap_initial: int
    bootstrap_step: int
    bootstrap_floor: int
    grandpa_cap: int
    grandpa_guarded: int


@dataclass(frozen=True)
class AuthorKeys:
    """pallet_block_rights::types::AuthorKeys."""

    aura: Hash
    grandpa: Hash


@dataclass(frozen=True)
class Retired:
    """pallet_block_rights::types::Retired."""

    keys: AuthorKeys
    until: int


@dataclass(frozen=True)
class EpochSchedule:
    """pallet_block_rights::types::EpochSchedule."""

    epoch: int
    entries: list[AccountId]


class BlockRightsError(StrEnum):
    """Errors of the calls of pallet BlockRights."""

    NOT_BONDED = "NotBonded"
    """The account is no eligible solver: bond at least the minimum first."""

    KEY_OWNED = "KeyOwned"
    """Another account owns one of the keys: make keys of your own."""

    TOO_MANY_ACCOUNTS = "TooManyAccounts"
    """As many accounts as allowed have keys: wait until one leaves."""

    BOOTSTRAP_ACCOUNT = "BootstrapAccount"
    """The keys of a bootstrap account are those of genesis."""

    TOO_MANY_KEY_CHANGES = "TooManyKeyChanges"
    """The account has changed its keys too often: wait until it does not answer for the oldest ones any more."""


PARAMS: StorageItem[RightsParams] = StorageItem("BlockRights", "Params", (), RightsParams, False)
"""Parameters, set at genesis."""

BOOTSTRAP: StorageItem[list[tuple[AccountId, Hash, Hash]]] = StorageItem("BlockRights", "Bootstrap", (), list[tuple[AccountId, Hash, Hash]], False)
"""Accounts that keep the chain alive while there is little work."""

KEYS: StorageItem[AuthorKeys | None] = StorageItem("BlockRights", "Keys", (AccountId,), AuthorKeys, True)
"""Keys of each account that wants slots."""

COUNTER_FOR_KEYS: StorageItem[int] = StorageItem("BlockRights", "CounterForKeys", (), int, False)
"""Counter for the related counted storage map"""

AURA_OWNER: StorageItem[AccountId | None] = StorageItem("BlockRights", "AuraOwner", (Hash,), AccountId, True)
"""Whose authoring key it is."""

GRANDPA_OWNER: StorageItem[AccountId | None] = StorageItem("BlockRights", "GrandpaOwner", (Hash,), AccountId, True)
"""Whose finality key it is."""

RETIRED_KEYS: StorageItem[list[Retired]] = StorageItem("BlockRights", "RetiredKeys", (AccountId,), list[Retired], False)
"""Keys that accounts gave up and still answer for: they stay theirs (`AuraOwner`, `GrandpaOwner`) for an epoch, the
longest that a schedule may still hold them, and as long as a bond can be taken afterwards.
"""

COUNTER_FOR_RETIRED_KEYS: StorageItem[int] = StorageItem("BlockRights", "CounterForRetiredKeys", (), int, False)
"""Counter for the related counted storage map"""

BARRED: StorageItem[list[AccountId]] = StorageItem("BlockRights", "Barred", (), list[AccountId], False)
"""Accounts that the next rotation leaves out, whatever they earned and bonded since."""

CREDITS: StorageItem[int] = StorageItem("BlockRights", "Credits", (int, AccountId,), int, False)
"""Multiply-accumulates finalised per epoch and account; kept for `decay_epochs`."""

CREDIT_EPOCHS: StorageItem[list[int]] = StorageItem("BlockRights", "CreditEpochs", (), list[int], False)
"""Epochs for which credits are stored, oldest first."""

WORK_EPOCHS: StorageItem[int] = StorageItem("BlockRights", "WorkEpochs", (), int, False)
"""Number of rotations so far that found work."""

SCHEDULE: StorageItem[EpochSchedule] = StorageItem("BlockRights", "Schedule", (), EpochSchedule, False)
"""The authors of the current epoch."""

CREDITS_PER_SLOT: StorageItem[int] = StorageItem("BlockRights", "CreditsPerSlot", (), int, False)
"""The network's difficulty: decayed MACs behind one earned slot; 0 without work."""
