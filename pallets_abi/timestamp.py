"""Pallet Timestamp (index 1).

Generated from the runtime's metadata by `python -m pallets_abi.generate`; do not edit.
"""

# ruff: noqa: E501, F401, I001 - the texts are those of the chain; every module has the same imports

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from pallets_abi.base import AccountId, Call, Constant, Event, Hash, RuntimeCall, StorageItem, Variant


@dataclass(frozen=True)
class SetCall(Call):
    """Set the current time.

    This call should be invoked exactly once per block. It will panic at the finalization
    phase, if this call hasn't been invoked by that time.

    The timestamp should be greater than the previous one by the amount specified by
    [`Config::MinimumPeriod`].

    The dispatch origin for this call must be _None_.

    This dispatch class is _Mandatory_ to ensure it gets executed in the block. Be aware
    that changing the complexity of this call could result exhausting the resources in a
    block to execute any other calls.

    ## Complexity
    - `O(1)` (Note that implementations of `OnTimestampSet` must also be `O(1)`)
    - 1 storage read and 1 storage mutation (codec `O(1)` because of `DidUpdate::take` in
     `on_finalize`)
    - 1 event handler `on_timestamp_set`. Must be `O(1)`.
    """

    PALLET: ClassVar[str] = "Timestamp"
    FUNCTION: ClassVar[str] = "set"

    now: int


NOW: StorageItem[int] = StorageItem("Timestamp", "Now", (), int, False)
"""The current time for the current block."""

DID_UPDATE: StorageItem[bool] = StorageItem("Timestamp", "DidUpdate", (), bool, False)
"""Whether the timestamp has been updated in this block.

This value is updated to `true` upon successful submission of a timestamp by a node.
It is then checked at the end of each block execution in the `on_finalize` hook.
"""

MINIMUM_PERIOD: Constant[int] = Constant("Timestamp", "MinimumPeriod", int)
"""The minimum period between blocks.

Be aware that this is different to the *expected* period that the block production
apparatus provides. Your chosen consensus system will generally work with this to
determine a sensible block time. For example, in the Aura pallet it will be double this
period on default settings.
"""
