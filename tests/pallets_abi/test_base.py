"""Typed values become plain ones and come back the same; what does not fit is refused."""

from __future__ import annotations

from typing import Any

import pytest

from pallets_abi import beacon, stakes, tasks, verification
from pallets_abi.base import AbiMismatch, from_plain, to_plain

ASSIGNMENT = tasks.Assignment("5Grw", "0x" + "11" * 32, 7, 127)
SUBMISSION = tasks.Submission("0x" + "22" * 32, "0x" + "33" * 32, 168_192_000, 9, 2)


def test_call_names_pallet_function_and_arguments() -> None:
    call = stakes.BondCall(stakes.Role.SOLVER, 5)
    assert (call.pallet, call.function, call.params()) == ("Stakes", "bond", {"role": "Solver", "amount": 5})


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (tasks.UnitState, tasks.UnitState("Open")),
        (tasks.UnitState, tasks.UnitState("Assigned", (ASSIGNMENT,))),
        (tasks.UnitState, tasks.UnitState("Final", (ASSIGNMENT, SUBMISSION))),
        (verification.VerifierState, verification.VerifierState("Committed", ("0x" + "44" * 32,))),
        (list[tuple[str, int]], [("5Grw", 3)]),
        (bytes, b"http://127.0.0.1:1"),
    ],
)
def test_plain_form_comes_back(kind: Any, value: Any) -> None:
    assert from_plain(kind, to_plain(value)) == value


@pytest.mark.parametrize(
    ("kind", "plain"),
    [
        (tasks.UnitState, "Melted"),
        (tasks.UnitState, {"Assigned": {"solver": "5Grw"}}),
        (tasks.UnitState, {"Final": [1, 2, 3]}),
        (stakes.Role, "Priest"),
        (int, "7"),
        (int, True),
        (bytes, 5),
        (tasks.Assignment, {"solver": "5Grw", "seed": "0x", "assigned_at": 1}),
    ],
)
def test_value_of_another_form_is_refused(kind: Any, plain: Any) -> None:
    with pytest.raises(AbiMismatch):
        from_plain(kind, plain)


def test_event_is_read_by_its_fields() -> None:
    event = beacon.EpochRotatedEvent.from_attributes({"epoch": 3, "seed": "0x00", "revealed": 2, "no_shows": 0})
    assert event.epoch == 3
    with pytest.raises(AbiMismatch):
        beacon.EpochRotatedEvent.from_attributes({"epoch": 3})


def test_absent_entry_is_none_only_where_the_chain_says_so() -> None:
    assert tasks.TASKS.decode(None) is None
    with pytest.raises(AbiMismatch):
        tasks.PARAMS.decode(None)
