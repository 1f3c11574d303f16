"""Pallet TransactionPayment (index 5).

Generated from the runtime's metadata by `python -m pallets_abi.generate`; do not edit.
"""

# ruff: noqa: E501, F401, I001 - the texts are those of the chain; every module has the same imports

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from pallets_abi.base import AccountId, Call, Constant, Event, Hash, RuntimeCall, StorageItem, Variant


@dataclass(frozen=True)
class TransactionFeePaidEvent(Event):
    """A transaction fee `actual_fee`, of which `tip` was added to the minimum inclusion fee,
    has been paid by `who`.
    """

    PALLET: ClassVar[str] = "TransactionPayment"
    NAME: ClassVar[str] = "TransactionFeePaid"

    who: AccountId
    actual_fee: int
    tip: int


NEXT_FEE_MULTIPLIER: StorageItem[Any] = StorageItem("TransactionPayment", "NextFeeMultiplier", (), Any, False)
"""TransactionPayment.NextFeeMultiplier."""

STORAGE_VERSION: StorageItem[Any] = StorageItem("TransactionPayment", "StorageVersion", (), Any, False)
"""TransactionPayment.StorageVersion."""

TX_PAYMENT_CREDIT: StorageItem[Any | None] = StorageItem("TransactionPayment", "TxPaymentCredit", (), Any, True)
"""The `OnChargeTransaction` stores the withdrawn tx fee here.

Use `withdraw_txfee` and `remaining_txfee` to access from outside the crate.
"""

OPERATIONAL_FEE_MULTIPLIER: Constant[int] = Constant("TransactionPayment", "OperationalFeeMultiplier", int)
"""A fee multiplier for `Operational` extrinsics to compute "virtual tip" to boost their
`priority`

This value is multiplied by the `final_fee` to obtain a "virtual tip" that is later
added to a tip component in regular `priority` calculations.
It means that a `Normal` transaction can front-run a similarly-sized `Operational`
extrinsic (with no tip), by including a tip value greater than the virtual tip.

```rust,ignore
// For `Normal`
let priority = priority_calc(tip);

// For `Operational`
let virtual_tip = (inclusion_fee + tip) * OperationalFeeMultiplier;
let priority = priority_calc(tip + virtual_tip);
```

Note that since we use `final_fee` the multiplier applies also to the regular `tip`
sent with the transaction. So, not only does the transaction get a priority bump based
on the `inclusion_fee`, but we also amplify the impact of tips applied to `Operational`
transactions.
"""
