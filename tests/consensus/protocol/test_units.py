"""Seeds and draws: every field counts, chances are what they should be, the bounds hold on both sides."""

from collections import Counter

import pytest

from consensus.commit.hashing import AccountId, FieldRangeError, blake2_256
from consensus.protocol.units import (
    DrawRules,
    UnitRef,
    compute_draw,
    compute_drawn_segments,
    compute_drawn_verifiers,
    compute_unit_seed,
    is_challenged,
)

SEED = blake2_256(b"beacon")


def account(index: int) -> AccountId:
    return AccountId(bytes([index]) * 32)


def test_every_field_changes_the_unit_seed() -> None:
    block = blake2_256(b"block")
    seeds = [
        compute_unit_seed(UnitRef(1, 2, 3), block, account(1)),
        compute_unit_seed(UnitRef(2, 2, 3), block, account(1)),
        compute_unit_seed(UnitRef(1, 3, 3), block, account(1)),
        compute_unit_seed(UnitRef(1, 2, 4), block, account(1)),
        compute_unit_seed(UnitRef(1, 2, 3), SEED, account(1)),
        compute_unit_seed(UnitRef(1, 2, 3), block, account(2)),
    ]
    assert len(set(seeds)) == len(seeds)
    for bad in (UnitRef(2**32, 0, 0), UnitRef(0, -1, 0), UnitRef(0, 0, 2**16)):
        with pytest.raises(FieldRangeError):
            compute_unit_seed(bad, block, account(1))
    with pytest.raises(FieldRangeError):
        compute_unit_seed(UnitRef(0, 0, 0), block, AccountId(b"short"))


def test_challenge_bounds_and_chance() -> None:
    refs = [UnitRef(0, unit, 0) for unit in range(4000)]
    assert not any(is_challenged(SEED, ref, 0) for ref in refs)
    assert all(is_challenged(SEED, ref, 10**6) for ref in refs)
    share = sum(is_challenged(SEED, ref, 250_000) for ref in refs) / len(refs)
    assert abs(share - 0.25) < 0.03  # 4.4 standard deviations


def test_segments_are_different_sorted_and_uniform() -> None:
    counts: Counter[int] = Counter()
    for unit in range(2000):
        drawn = compute_drawn_segments(SEED, UnitRef(0, unit, 0), 3, 8)
        assert len(set(drawn)) == 3 and list(drawn) == sorted(drawn) and max(drawn) < 8
        counts.update(drawn)
    assert all(abs(count - 750) < 110 for count in counts.values()) and len(counts) == 8  # 5 standard deviations
    assert compute_drawn_segments(SEED, UnitRef(0, 0, 0), 8, 8) == tuple(range(8))
    assert compute_drawn_segments(SEED, UnitRef(0, 0, 0), 9, 8) == tuple(range(8))
    with pytest.raises(FieldRangeError):
        compute_drawn_segments(SEED, UnitRef(0, 0, 0), 1, 0)


def test_verifiers_by_stake_without_the_solver() -> None:
    stakes = {account(1): 10, account(2): 30, account(3): 60, account(4): 10**9, account(5): 0}
    counts: Counter[AccountId] = Counter()
    for unit in range(3000):
        drawn = compute_drawn_verifiers(SEED, UnitRef(0, unit, 0), 1, stakes, account(4))
        assert drawn is not None
        counts.update(drawn)
    assert set(counts) == {account(1), account(2), account(3)}
    for index, share in ((1, 0.1), (2, 0.3), (3, 0.6)):
        assert abs(counts[account(index)] / 3000 - share) < 0.05


def test_verifiers_enough_and_too_few() -> None:
    stakes = {account(i): 10 for i in range(4)}
    drawn = compute_drawn_verifiers(SEED, UnitRef(0, 0, 0), 3, stakes, account(0))
    assert drawn is not None and set(drawn) == {account(1), account(2), account(3)}
    assert compute_drawn_verifiers(SEED, UnitRef(0, 0, 0), 4, stakes, account(0)) is None
    order = dict(reversed(stakes.items()))
    assert compute_drawn_verifiers(SEED, UnitRef(0, 0, 0), 3, order, account(0)) == drawn


def test_whole_draw() -> None:
    stakes = {account(1): 1, account(2): 1}
    assert not compute_draw(SEED, UnitRef(0, 0, 0), DrawRules(0, 1, 2), 4, stakes, account(3)).challenged
    draw = compute_draw(SEED, UnitRef(0, 0, 0), DrawRules(10**6, 1, 2), 4, stakes, account(3))
    assert draw.challenged and len(draw.segments) == 1 and draw.verifiers is not None and len(draw.verifiers) == 2
    assert compute_draw(SEED, UnitRef(0, 0, 0), DrawRules(10**6, 1, 2), 4, stakes, account(1)).verifiers is None
