"""Slots follow work: sums, cap, bootstrap share, ties, decay; properties over random weights."""

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.commit.hashing import AccountId, FieldRangeError, blake2_256
from consensus.protocol.block_rights import (
    BlockRightsRules,
    compute_allocation,
    compute_bootstrap_share,
    compute_schedule,
    compute_weights,
    compute_work_slots,
)

RULES = BlockRightsRules(100, 500_000, 333_333, 500_000, 100_000, 100_000)
FREE = BlockRightsRules(100, 500_000, 1_000_000, 0, 0, 0)


def account(index: int) -> AccountId:
    return AccountId(bytes([index]) * 32)


def slots(weights: dict[int, int], rules: BlockRightsRules = FREE, worked: int = 0) -> dict[int, int]:
    named = {account(index): weight for index, weight in weights.items()}
    allocation = compute_allocation(rules, named, [account(99)], worked)
    return {who[0]: count for who, count in allocation.slots}


def test_weights_decay() -> None:
    a, b = account(1), account(2)
    assert compute_weights([{a: 8}, {a: 8, b: 8}, {b: 8}], 500_000) == {a: 12 * 10**6, b: 6 * 10**6}
    assert compute_weights([{a: 8}, {a: 8, b: 8}], 0) == {a: 8 * 10**6}
    assert compute_weights([{a: 0}], 10**6) == {}
    assert compute_weights([{b: 1, a: 1}], 10**6) == {a: 10**6, b: 10**6}


def test_bootstrap_share_shrinks_to_its_floor() -> None:
    assert compute_bootstrap_share(RULES, 0, 50) == 10**6
    assert [compute_bootstrap_share(RULES, 1, e) for e in (0, 1, 4, 5, 50)] == [
        500_000, 400_000, 100_000, 100_000, 100_000,
    ]  # fmt: skip


def test_no_work_gives_everything_to_bootstrap() -> None:
    assert slots({}, RULES) == {99: 100}
    with pytest.raises(FieldRangeError, match="bootstrap"):
        compute_allocation(RULES, {}, [], 0)


def test_shares_are_proportional() -> None:
    assert slots({1: 3, 2: 1}) == {1: 75, 2: 25}
    assert slots({1: 3, 2: 1}, RULES) == {1: 33, 2: 17, 99: 50}
    assert slots({1: 3, 2: 1}, RULES, worked=4) == {1: 33, 2: 33, 99: 34}


def test_remainder_goes_to_the_largest_then_to_the_smaller_id() -> None:
    assert slots({1: 1, 2: 1, 3: 1}) == {1: 34, 2: 33, 3: 33}
    assert slots({1: 10, 2: 10, 3: 11}) == {1: 32, 2: 32, 3: 36}


def test_cap_both_sides() -> None:
    def give(weight: int) -> int:
        named = {account(1): weight, account(2): 100 - weight}
        return compute_work_slots(named, 100, 60)[account(1)]

    assert [give(weight) for weight in (40, 41, 59, 60, 61)] == [40, 41, 59, 60, 60]
    assert sum(compute_work_slots({account(1): 1}, 100, 40).values()) == 40
    assert compute_work_slots({account(1): 5, account(2): 1, account(3): 1}, 100, 40) == {
        account(1): 40, account(2): 30, account(3): 30,
    }  # fmt: skip
    assert compute_work_slots({account(1): 5}, 0, 40) == {account(1): 0}


def test_difficulty() -> None:
    def difficulty(weight: int, rules: BlockRightsRules) -> int:
        return compute_allocation(rules, {account(1): weight} if weight else {}, [account(99)], 0).credits_per_slot

    assert difficulty(10**6 * 1000, FREE) == 10
    assert difficulty(10**6 * 1000, RULES) == 20
    assert difficulty(0, RULES) == 0
    assert difficulty(2**64 * 10**6 * 1000, FREE) == 2**64 - 1


def test_schedule_is_a_shuffle() -> None:
    allocation = compute_allocation(FREE, {account(1): 3, account(2): 1}, [account(99)], 0)
    schedules = [compute_schedule(allocation, blake2_256(bytes([i]))) for i in range(3)]
    assert len(set(schedules)) == 3
    assert all(Counter(s) == Counter({account(1): 75, account(2): 25}) for s in schedules)


WEIGHTS = st.dictionaries(st.integers(0, 90), st.integers(0, 2**70), max_size=12)


@settings(max_examples=150, deadline=None)
@given(WEIGHTS, st.integers(1, 300), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 20))
def test_properties(weights: dict[int, int], n: int, cap: int, initial: int, worked: int) -> None:
    rules = BlockRightsRules(n, 500_000, cap, initial, 10_000, 1_000)
    named = {account(index): weight for index, weight in weights.items() if weight}
    allocation = compute_allocation(rules, named, [account(98), account(99)], worked)
    given_slots = dict(allocation.slots)
    assert sum(given_slots.values()) == n and all(count > 0 for count in given_slots.values())
    worked_slots = {who: count for who, count in given_slots.items() if who in named}
    assert all(count <= n * cap // 10**6 for count in worked_slots.values())
    for one, two in ((a, b) for a in named for b in named if named[a] > named[b]):
        assert worked_slots.get(one, 0) >= worked_slots.get(two, 0)


@settings(max_examples=100, deadline=None)
@given(WEIGHTS.filter(lambda w: any(w.values())), st.integers(1, 300))
def test_quota_rule_without_cap(weights: dict[int, int], n: int) -> None:
    """Largest remainder: nobody is a whole slot away from the exact share."""
    named = {account(index): weight for index, weight in weights.items() if weight}
    result = compute_work_slots(named, n, n + 1)
    total = sum(named.values())
    assert sum(result.values()) == n
    assert all(abs(Fraction(weight * n, total) - result[who]) < 1 for who, weight in named.items())
