"""The inequality p·(1 − r^v)·(R + S) > C on both sides of every bound."""

import dataclasses

import pytest

from consensus.commit.hashing import FieldRangeError
from consensus.protocol.economics import (
    Incentive,
    UnprofitableHonestyError,
    compute_all_verifiers_share,
    compute_price_of_macs,
    is_honesty_profitable,
    verify_incentive,
)

BASE = Incentive(1_000_000, 500_000, 3, 700, 300, 874 * 10**6, 1)


def test_equality_is_refused() -> None:
    """p = 1, r = ½, v = 3: seven eighths of R + S = 1,000 must exceed C."""
    verify_incentive(BASE)
    with pytest.raises(UnprofitableHonestyError, match="raise the price"):
        verify_incentive(dataclasses.replace(BASE, macs=875 * 10**6))
    assert is_honesty_profitable(dataclasses.replace(BASE, macs=875 * 10**6, price=701))


def test_each_parameter_counts() -> None:
    for worse in (
        {"challenge_ppm": 998_000}, {"attacker_share": 502_000}, {"verifiers": 2}, {"price": 698}, {"bond": 298},
        {"macs": 876 * 10**6}, {"mac_cost": 2},
    ):  # fmt: skip
        changed = {**vars(BASE), **worse}
        assert not is_honesty_profitable(Incentive(**changed)), worse


def test_rounding_errs_on_the_safe_side() -> None:
    assert compute_all_verifiers_share(333_333, 2) == 111_111  # 333,333²/10⁶ = 111,110.9
    assert compute_all_verifiers_share(1, 8) == 1
    assert compute_all_verifiers_share(0, 1) == 0 and compute_all_verifiers_share(10**6, 8) == 10**6
    assert [compute_price_of_macs(macs, 3) for macs in (0, 1, 333_333, 333_334, 10**6)] == [0, 1, 1, 2, 3]


def test_fields_out_of_range() -> None:
    for bad in (
        {"challenge_ppm": 10**6 + 1}, {"attacker_share": -1}, {"verifiers": 0}, {"verifiers": 9}, {"price": -1},
        {"bond": 2**128}, {"macs": -1}, {"mac_cost": 2**128},
    ):  # fmt: skip
        with pytest.raises(FieldRangeError):
            is_honesty_profitable(Incentive(**{**vars(BASE), **bad}))
