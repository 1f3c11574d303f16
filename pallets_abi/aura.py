"""Pallet Aura (index 2).

Generated from the runtime's metadata by `python -m pallets_abi.generate`; do not edit.
"""

# ruff: noqa: E501, F401, I001 - the texts are those of the chain; every module has the same imports

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from pallets_abi.base import AccountId, Call, Constant, Event, Hash, RuntimeCall, StorageItem, Variant


AUTHORITIES: StorageItem[list[Hash]] = StorageItem("Aura", "Authorities", (), list[Hash], False)
"""The current authority set."""

CURRENT_SLOT: StorageItem[int] = StorageItem("Aura", "CurrentSlot", (), int, False)
"""The current slot of this block.

This will be set in `on_initialize`.
"""

SLOT_DURATION: Constant[int] = Constant("Aura", "SlotDuration", int)
"""The slot duration Aura should run with, expressed in milliseconds.

The effective value of this type can be changed with a runtime upgrade.

For backwards compatibility either use [`MinimumPeriodTimesTwo`] or a const.
"""
