"""Pallet TransactionPayment (index 5).

Generated from the runtime's metadata by `python -m pallets_abi.generate`; do not edit.
"""

# ruff: noqa: E501, F401, I001 - the texts are those of the chain; every module has the same imports

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from pallets_abi.base import AccountId, Call, Event, Hash, StorageItem, Variant


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
