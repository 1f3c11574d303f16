"""Pallet Sudo (index 7).

Generated from the runtime's metadata by `python -m pallets_abi.generate`; do not edit.
"""

# ruff: noqa: E501, F401, I001 - the texts are those of the chain; every module has the same imports

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from pallets_abi.base import AccountId, Call, Constant, Event, Hash, RuntimeCall, StorageItem, Variant


@dataclass(frozen=True)
class SudoCall(Call):
    """Authenticates the sudo key and dispatches a function call with `Root` origin."""

    PALLET: ClassVar[str] = "Sudo"
    FUNCTION: ClassVar[str] = "sudo"

    call: Any


@dataclass(frozen=True)
class SudoUncheckedWeightCall(Call):
    """Authenticates the sudo key and dispatches a function call with `Root` origin.
    This function does not check the weight of the call, and instead allows the
    Sudo user to specify the weight of the call.

    The dispatch origin for this call must be _Signed_.
    """

    PALLET: ClassVar[str] = "Sudo"
    FUNCTION: ClassVar[str] = "sudo_unchecked_weight"

    call: Any
    weight: Any


@dataclass(frozen=True)
class SetKeyCall(Call):
    """Authenticates the current sudo key and sets the given AccountId (`new`) as the new sudo
    key.
    """

    PALLET: ClassVar[str] = "Sudo"
    FUNCTION: ClassVar[str] = "set_key"

    new: Any


@dataclass(frozen=True)
class SudoAsCall(Call):
    """Authenticates the sudo key and dispatches a function call with `Signed` origin from
    a given account.

    The dispatch origin for this call must be _Signed_.
    """

    PALLET: ClassVar[str] = "Sudo"
    FUNCTION: ClassVar[str] = "sudo_as"

    who: Any
    call: Any


@dataclass(frozen=True)
class RemoveKeyCall(Call):
    """Permanently removes the sudo key.

    **This cannot be un-done.**
    """

    PALLET: ClassVar[str] = "Sudo"
    FUNCTION: ClassVar[str] = "remove_key"


@dataclass(frozen=True)
class SudidEvent(Event):
    """A sudo call just took place."""

    PALLET: ClassVar[str] = "Sudo"
    NAME: ClassVar[str] = "Sudid"

    sudo_result: Any
    """The result of the call made by the sudo user."""


@dataclass(frozen=True)
class KeyChangedEvent(Event):
    """The sudo key has been updated."""

    PALLET: ClassVar[str] = "Sudo"
    NAME: ClassVar[str] = "KeyChanged"

    old: AccountId | None
    """The old sudo key (if one was previously set)."""
    new: AccountId
    """The new sudo key (if one was set)."""


@dataclass(frozen=True)
class KeyRemovedEvent(Event):
    """The key was permanently removed."""

    PALLET: ClassVar[str] = "Sudo"
    NAME: ClassVar[str] = "KeyRemoved"


@dataclass(frozen=True)
class SudoAsDoneEvent(Event):
    """A [sudo_as](Pallet::sudo_as) call just took place."""

    PALLET: ClassVar[str] = "Sudo"
    NAME: ClassVar[str] = "SudoAsDone"

    sudo_result: Any
    """The result of the call made by the sudo user."""


class SudoError(StrEnum):
    """Errors of the calls of pallet Sudo."""

    REQUIRE_SUDO = "RequireSudo"
    """Sender must be the Sudo account."""


KEY: StorageItem[AccountId | None] = StorageItem("Sudo", "Key", (), AccountId, True)
"""The `AccountId` of the sudo key."""
