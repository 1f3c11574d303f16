"""Pallet Balances (index 4).

Generated from the runtime's metadata by `python -m pallets_abi.generate`; do not edit.
"""

# ruff: noqa: E501, F401, I001 - the texts are those of the chain; every module has the same imports

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from pallets_abi.base import AccountId, Call, Constant, Event, Hash, RuntimeCall, StorageItem, Variant


@dataclass(frozen=True)
class TransferAllowDeathCall(Call):
    """Transfer some liquid free balance to another account.

    `transfer_allow_death` will set the `FreeBalance` of the sender and receiver.
    If the sender's account is below the existential deposit as a result
    of the transfer, the account will be reaped.

    The dispatch origin for this call must be `Signed` by the transactor.
    """

    PALLET: ClassVar[str] = "Balances"
    FUNCTION: ClassVar[str] = "transfer_allow_death"

    dest: Any
    value: int


@dataclass(frozen=True)
class ForceTransferCall(Call):
    """Exactly as `transfer_allow_death`, except the origin must be root and the source account
    may be specified.
    """

    PALLET: ClassVar[str] = "Balances"
    FUNCTION: ClassVar[str] = "force_transfer"

    source: Any
    dest: Any
    value: int


@dataclass(frozen=True)
class TransferKeepAliveCall(Call):
    """Same as the [`transfer_allow_death`] call, but with a check that the transfer will not
    kill the origin account.

    99% of the time you want [`transfer_allow_death`] instead.

    [`transfer_allow_death`]: struct.Pallet.html#method.transfer
    """

    PALLET: ClassVar[str] = "Balances"
    FUNCTION: ClassVar[str] = "transfer_keep_alive"

    dest: Any
    value: int


@dataclass(frozen=True)
class TransferAllCall(Call):
    """Transfer the entire transferable balance from the caller account.

    NOTE: This function only attempts to transfer _transferable_ balances. This means that
    any locked, reserved, or existential deposits (when `keep_alive` is `true`), will not be
    transferred by this function. To ensure that this function results in a killed account,
    you might need to prepare the account by removing any reference counters, storage
    deposits, etc...

    The dispatch origin of this call must be Signed.

    - `dest`: The recipient of the transfer.
    - `keep_alive`: A boolean to determine if the `transfer_all` operation should send all
     of the funds the account has, causing the sender account to be killed (false), or
     transfer everything except at least the existential deposit, which will guarantee to
     keep the sender account alive (true).
    """

    PALLET: ClassVar[str] = "Balances"
    FUNCTION: ClassVar[str] = "transfer_all"

    dest: Any
    keep_alive: bool


@dataclass(frozen=True)
class ForceUnreserveCall(Call):
    """Unreserve some balance from a user by force.

    Can only be called by ROOT.
    """

    PALLET: ClassVar[str] = "Balances"
    FUNCTION: ClassVar[str] = "force_unreserve"

    who: Any
    amount: int


@dataclass(frozen=True)
class UpgradeAccountsCall(Call):
    """Upgrade a specified account.

    - `origin`: Must be `Signed`.
    - `who`: The account to be upgraded.

    This will waive the transaction fee if at least all but 10% of the accounts needed to
    be upgraded. (We let some not have to be upgraded just in order to allow for the
    possibility of churn).
    """

    PALLET: ClassVar[str] = "Balances"
    FUNCTION: ClassVar[str] = "upgrade_accounts"

    who: list[AccountId]


@dataclass(frozen=True)
class ForceSetBalanceCall(Call):
    """Set the regular balance of a given account.

    The dispatch origin for this call is `root`.
    """

    PALLET: ClassVar[str] = "Balances"
    FUNCTION: ClassVar[str] = "force_set_balance"

    who: Any
    new_free: int


@dataclass(frozen=True)
class ForceAdjustTotalIssuanceCall(Call):
    """Adjust the total issuance in a saturating way.

    Can only be called by root and always needs a positive `delta`.

    # Example
    """

    PALLET: ClassVar[str] = "Balances"
    FUNCTION: ClassVar[str] = "force_adjust_total_issuance"

    direction: Any
    delta: int


@dataclass(frozen=True)
class BurnCall(Call):
    """Burn the specified liquid free balance from the origin account.

    If the origin's account ends up below the existential deposit as a result
    of the burn and `keep_alive` is false, the account will be reaped.

    Unlike sending funds to a _burn_ address, which merely makes the funds inaccessible,
    this `burn` operation will reduce total issuance by the amount _burned_.
    """

    PALLET: ClassVar[str] = "Balances"
    FUNCTION: ClassVar[str] = "burn"

    value: int
    keep_alive: bool


@dataclass(frozen=True)
class EndowedEvent(Event):
    """An account was created with some free balance."""

    PALLET: ClassVar[str] = "Balances"
    NAME: ClassVar[str] = "Endowed"

    account: AccountId
    free_balance: int


@dataclass(frozen=True)
class DustLostEvent(Event):
    """An account was removed whose balance was non-zero but below ExistentialDeposit,
    resulting in an outright loss.
    """

    PALLET: ClassVar[str] = "Balances"
    NAME: ClassVar[str] = "DustLost"

    account: AccountId
    amount: int


@dataclass(frozen=True)
class TransferEvent(Event):
    """Transfer succeeded."""

    PALLET: ClassVar[str] = "Balances"
    NAME: ClassVar[str] = "Transfer"

    from_: AccountId
    to: AccountId
    amount: int


@dataclass(frozen=True)
class BalanceSetEvent(Event):
    """A balance was set by root."""

    PALLET: ClassVar[str] = "Balances"
    NAME: ClassVar[str] = "BalanceSet"

    who: AccountId
    free: int


@dataclass(frozen=True)
class ReservedEvent(Event):
    """Some balance was reserved (moved from free to reserved)."""

    PALLET: ClassVar[str] = "Balances"
    NAME: ClassVar[str] = "Reserved"

    who: AccountId
    amount: int


@dataclass(frozen=True)
class UnreservedEvent(Event):
    """Some balance was unreserved (moved from reserved to free)."""

    PALLET: ClassVar[str] = "Balances"
    NAME: ClassVar[str] = "Unreserved"

    who: AccountId
    amount: int


@dataclass(frozen=True)
class ReserveRepatriatedEvent(Event):
    """Some balance was moved from the reserve of the first account to the second account.
    Final argument indicates the destination balance type.
    """

    PALLET: ClassVar[str] = "Balances"
    NAME: ClassVar[str] = "ReserveRepatriated"

    from_: AccountId
    to: AccountId
    amount: int
    destination_status: Any


@dataclass(frozen=True)
class DepositEvent(Event):
    """Some amount was deposited (e.g. for transaction fees)."""

    PALLET: ClassVar[str] = "Balances"
    NAME: ClassVar[str] = "Deposit"

    who: AccountId
    amount: int


@dataclass(frozen=True)
class WithdrawEvent(Event):
    """Some amount was withdrawn from the account (e.g. for transaction fees)."""

    PALLET: ClassVar[str] = "Balances"
    NAME: ClassVar[str] = "Withdraw"

    who: AccountId
    amount: int


@dataclass(frozen=True)
class SlashedEvent(Event):
    """Some amount was removed from the account (e.g. for misbehavior)."""

    PALLET: ClassVar[str] = "Balances"
    NAME: ClassVar[str] = "Slashed"

    who: AccountId
    amount: int


@dataclass(frozen=True)
class MintedEvent(Event):
    """Some amount was minted into an account."""

    PALLET: ClassVar[str] = "Balances"
    NAME: ClassVar[str] = "Minted"

    who: AccountId
    amount: int


@dataclass(frozen=True)
class MintedCreditEvent(Event):
    """Some credit was balanced and added to the TotalIssuance."""

    PALLET: ClassVar[str] = "Balances"
    NAME: ClassVar[str] = "MintedCredit"

    amount: int


@dataclass(frozen=True)
class BurnedEvent(Event):
    """Some amount was burned from an account."""

    PALLET: ClassVar[str] = "Balances"
    NAME: ClassVar[str] = "Burned"

    who: AccountId
    amount: int


@dataclass(frozen=True)
class BurnedDebtEvent(Event):
    """Some debt has been dropped from the Total Issuance."""

    PALLET: ClassVar[str] = "Balances"
    NAME: ClassVar[str] = "BurnedDebt"

    amount: int


@dataclass(frozen=True)
class SuspendedEvent(Event):
    """Some amount was suspended from an account (it can be restored later)."""

    PALLET: ClassVar[str] = "Balances"
    NAME: ClassVar[str] = "Suspended"

    who: AccountId
    amount: int


@dataclass(frozen=True)
class RestoredEvent(Event):
    """Some amount was restored into an account."""

    PALLET: ClassVar[str] = "Balances"
    NAME: ClassVar[str] = "Restored"

    who: AccountId
    amount: int


@dataclass(frozen=True)
class UpgradedEvent(Event):
    """An account was upgraded."""

    PALLET: ClassVar[str] = "Balances"
    NAME: ClassVar[str] = "Upgraded"

    who: AccountId


@dataclass(frozen=True)
class IssuedEvent(Event):
    """Total issuance was increased by `amount`, creating a credit to be balanced."""

    PALLET: ClassVar[str] = "Balances"
    NAME: ClassVar[str] = "Issued"

    amount: int


@dataclass(frozen=True)
class RescindedEvent(Event):
    """Total issuance was decreased by `amount`, creating a debt to be balanced."""

    PALLET: ClassVar[str] = "Balances"
    NAME: ClassVar[str] = "Rescinded"

    amount: int


@dataclass(frozen=True)
class LockedEvent(Event):
    """Some balance was locked."""

    PALLET: ClassVar[str] = "Balances"
    NAME: ClassVar[str] = "Locked"

    who: AccountId
    amount: int


@dataclass(frozen=True)
class UnlockedEvent(Event):
    """Some balance was unlocked."""

    PALLET: ClassVar[str] = "Balances"
    NAME: ClassVar[str] = "Unlocked"

    who: AccountId
    amount: int


@dataclass(frozen=True)
class FrozenEvent(Event):
    """Some balance was frozen."""

    PALLET: ClassVar[str] = "Balances"
    NAME: ClassVar[str] = "Frozen"

    who: AccountId
    amount: int


@dataclass(frozen=True)
class ThawedEvent(Event):
    """Some balance was thawed."""

    PALLET: ClassVar[str] = "Balances"
    NAME: ClassVar[str] = "Thawed"

    who: AccountId
    amount: int


@dataclass(frozen=True)
class TotalIssuanceForcedEvent(Event):
    """The `TotalIssuance` was forcefully changed."""

    PALLET: ClassVar[str] = "Balances"
    NAME: ClassVar[str] = "TotalIssuanceForced"

    old: int
    new: int


@dataclass(frozen=True)
class HeldEvent(Event):
    """Some balance was placed on hold."""

    PALLET: ClassVar[str] = "Balances"
    NAME: ClassVar[str] = "Held"

    reason: Any
    who: AccountId
    amount: int


@dataclass(frozen=True)
class BurnedHeldEvent(Event):
    """Held balance was burned from an account."""

    PALLET: ClassVar[str] = "Balances"
    NAME: ClassVar[str] = "BurnedHeld"

    reason: Any
    who: AccountId
    amount: int


@dataclass(frozen=True)
class TransferOnHoldEvent(Event):
    """A transfer of `amount` on hold from `source` to `dest` was initiated."""

    PALLET: ClassVar[str] = "Balances"
    NAME: ClassVar[str] = "TransferOnHold"

    reason: Any
    source: AccountId
    dest: AccountId
    amount: int


@dataclass(frozen=True)
class TransferAndHoldEvent(Event):
    """The `transferred` balance is placed on hold at the `dest` account."""

    PALLET: ClassVar[str] = "Balances"
    NAME: ClassVar[str] = "TransferAndHold"

    reason: Any
    source: AccountId
    dest: AccountId
    transferred: int


@dataclass(frozen=True)
class ReleasedEvent(Event):
    """Some balance was released from hold."""

    PALLET: ClassVar[str] = "Balances"
    NAME: ClassVar[str] = "Released"

    reason: Any
    who: AccountId
    amount: int


@dataclass(frozen=True)
class UnexpectedEvent(Event):
    """An unexpected/defensive event was triggered."""

    PALLET: ClassVar[str] = "Balances"
    NAME: ClassVar[str] = "Unexpected"

    value_0: Any


class BalancesError(StrEnum):
    """Errors of the calls of pallet Balances."""

    VESTING_BALANCE = "VestingBalance"
    """Vesting balance too high to send value."""

    LIQUIDITY_RESTRICTIONS = "LiquidityRestrictions"
    """Account liquidity restrictions prevent withdrawal."""

    INSUFFICIENT_BALANCE = "InsufficientBalance"
    """Balance too low to send value."""

    EXISTENTIAL_DEPOSIT = "ExistentialDeposit"
    """Value too low to create account due to existential deposit."""

    EXPENDABILITY = "Expendability"
    """Transfer/payment would kill account."""

    EXISTING_VESTING_SCHEDULE = "ExistingVestingSchedule"
    """A vesting schedule already exists for this account."""

    DEAD_ACCOUNT = "DeadAccount"
    """Beneficiary account must pre-exist."""

    TOO_MANY_RESERVES = "TooManyReserves"
    """Number of named reserves exceed `MaxReserves`."""

    TOO_MANY_HOLDS = "TooManyHolds"
    """Number of holds exceed `VariantCountOf<T::RuntimeHoldReason>`."""

    TOO_MANY_FREEZES = "TooManyFreezes"
    """Number of freezes exceed `MaxFreezes`."""

    ISSUANCE_DEACTIVATED = "IssuanceDeactivated"
    """The issuance cannot be modified since it is already deactivated."""

    DELTA_ZERO = "DeltaZero"
    """The delta cannot be zero."""


TOTAL_ISSUANCE: StorageItem[int] = StorageItem("Balances", "TotalIssuance", (), int, False)
"""The total units issued in the system."""

INACTIVE_ISSUANCE: StorageItem[int] = StorageItem("Balances", "InactiveIssuance", (), int, False)
"""The total units of outstanding deactivated balance in the system.

This is not guaranteed to be less than or equal to [`TotalIssuance`]. Total issuance may be
reduced independently of this value, including while a reversible imbalance is outstanding.
Active issuance is therefore derived using saturating subtraction.
"""

ACCOUNT: StorageItem[Any] = StorageItem("Balances", "Account", (AccountId,), Any, False)
"""The Balances pallet example of storing the balance of an account.

# Example

```nocompile
 impl pallet_balances::Config for Runtime {
   type AccountStore = StorageMapShim<Self::Account<Runtime>, frame_system::Provider<Runtime>, AccountId, Self::AccountData<Balance>>
 }
```

You can also store the balance of an account in the `System` pallet.

# Example

```nocompile
 impl pallet_balances::Config for Runtime {
  type AccountStore = System
 }
```

But this comes with tradeoffs, storing account balances in the system pallet stores
`frame_system` data alongside the account data contrary to storing account balances in the
`Balances` pallet, which uses a `StorageMap` to store balances data only.
NOTE: This is only used in the case that this pallet is used to store balances.
"""

LOCKS: StorageItem[list[Any]] = StorageItem("Balances", "Locks", (AccountId,), list[Any], False)
"""Any liquidity locks on some account balances.
NOTE: Should only be accessed when setting, changing and freeing a lock.

Use of locks is deprecated in favour of freezes. See `https://github.com/paritytech/substrate/pull/12951/`
"""

RESERVES: StorageItem[list[Any]] = StorageItem("Balances", "Reserves", (AccountId,), list[Any], False)
"""Named reserves on some account balances.

Use of reserves is deprecated in favour of holds. See `https://github.com/paritytech/substrate/pull/12951/`
"""

HOLDS: StorageItem[list[Any]] = StorageItem("Balances", "Holds", (AccountId,), list[Any], False)
"""Holds on account balances."""

FREEZES: StorageItem[list[Any]] = StorageItem("Balances", "Freezes", (AccountId,), list[Any], False)
"""Freeze locks on account balances."""

EXISTENTIAL_DEPOSIT: Constant[int] = Constant("Balances", "ExistentialDeposit", int)
"""The minimum amount required to keep an account open. MUST BE GREATER THAN ZERO!

If you *really* need it to be zero, you can enable the feature `insecure_zero_ed` for
this pallet. However, you do so at your own risk: this will open up a major DoS vector.
In case you have multiple sources of provider references, you may also get unexpected
behaviour if you set this to zero.

Bottom line: Do yourself a favour and make it at least one!
"""

MAX_LOCKS: Constant[int] = Constant("Balances", "MaxLocks", int)
"""The maximum number of locks that should exist on an account.
Not strictly enforced, but used for weight estimation.

Use of locks is deprecated in favour of freezes. See `https://github.com/paritytech/substrate/pull/12951/`
"""

MAX_RESERVES: Constant[int] = Constant("Balances", "MaxReserves", int)
"""The maximum number of named reserves that can exist on an account.

Use of reserves is deprecated in favour of holds. See `https://github.com/paritytech/substrate/pull/12951/`
"""

MAX_FREEZES: Constant[int] = Constant("Balances", "MaxFreezes", int)
"""The maximum number of individual freeze locks that can exist on an account at any time."""
