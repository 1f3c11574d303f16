"""The pool's rules, each with both sides of its bound. A refused import leaves the pool as it was."""

from __future__ import annotations

import pytest

from chain.pool import PoolLimits, Status, Transaction, TransactionPool
from chain.pool.errors import (
    AlreadyImported,
    BadFormat,
    CycleDetected,
    ImmediatelyDropped,
    TemporarilyBanned,
    TooLowPriority,
    TooManyOfAccount,
    Unactionable,
)
from chain.pool.validity import ValidTransaction

ALICE, BOB = b"A" * 32, b"B" * 32
NOW = 1_000.0


def tx(name: str, nonce: int = 0, sender: bytes = ALICE, priority: int = 1, till: int = 64) -> Transaction:
    requires = {sender + bytes([nonce - 1])} if nonce else set()
    return Transaction(
        hash=name.encode().ljust(32, b"."),
        data=name.encode(),
        sender=sender,
        priority=priority,
        requires=frozenset(requires),
        provides=frozenset({sender + bytes([nonce])}),
        valid_till=till,
        propagate=True,
    )


class Log:
    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def __call__(self, tx_hash: bytes, status: Status) -> None:
        self.seen.append((tx_hash.rstrip(b".").decode(), status.name))


def snapshot(pool: TransactionPool) -> list[Transaction]:
    return pool.transactions()


def names(pool: TransactionPool) -> list[str]:
    return [one.data.decode() for one in pool.ready()]


def test_gap_in_nonces_waits_and_is_promoted_in_order() -> None:
    log = Log()
    pool = TransactionPool(listener=log)
    assert pool.import_transaction(tx("c", 2), NOW).name == "future"
    assert pool.import_transaction(tx("b", 1), NOW).name == "future"
    assert names(pool) == []
    assert pool.import_transaction(tx("a", 0), NOW).name == "ready"
    assert names(pool) == ["a", "b", "c"]
    assert pool.future_count == 0
    assert log.seen == [("c", "future"), ("b", "future"), ("a", "ready"), ("b", "ready"), ("c", "ready")]


def test_priority_orders_accounts_but_never_a_dependant_before_its_provider() -> None:
    pool = TransactionPool()
    pool.import_transaction(tx("a0", 0, ALICE, priority=1), NOW)
    pool.import_transaction(tx("a1", 1, ALICE, priority=9), NOW)
    pool.import_transaction(tx("b0", 0, BOB, priority=5), NOW)
    assert names(pool) == ["b0", "a0", "a1"]


def test_equal_priority_is_ordered_by_longevity_then_age() -> None:
    pool = TransactionPool()
    pool.import_transaction(tx("old", 0, ALICE, till=64), NOW)
    pool.import_transaction(tx("new", 0, BOB, till=64), NOW)
    pool.import_transaction(tx("soon", 0, b"C" * 32, till=63), NOW)
    assert names(pool) == ["soon", "old", "new"]


def test_same_nonce_replaces_only_with_higher_priority() -> None:
    log = Log()
    pool = TransactionPool(listener=log)
    pool.import_transaction(tx("first", 0, priority=5), NOW)
    pool.import_transaction(tx("next", 1, priority=5), NOW)
    before = snapshot(pool)
    with pytest.raises(TooLowPriority) as raised:
        pool.import_transaction(tx("equal", 0, priority=5), NOW)
    assert (raised.value.old, raised.value.new) == (5, 5)
    assert snapshot(pool) == before
    pool.import_transaction(tx("better", 0, priority=6), NOW)
    assert names(pool) == ["better", "next"]
    assert ("first", "usurped") in log.seen


def test_duplicate_is_refused() -> None:
    pool = TransactionPool()
    pool.import_transaction(tx("a"), NOW)
    before = snapshot(pool)
    with pytest.raises(AlreadyImported):
        pool.import_transaction(tx("a"), NOW)
    assert snapshot(pool) == before


def test_ban_lasts_exactly_its_time() -> None:
    pool = TransactionPool(PoolLimits(ban_seconds=10))
    pool.import_transaction(tx("a"), NOW)
    pool.remove_invalid(tx("a").hash, NOW)
    with pytest.raises(TemporarilyBanned):
        pool.import_transaction(tx("a"), NOW + 9.9)
    assert len(pool) == 0
    pool.import_transaction(tx("a"), NOW + 10)
    assert names(pool) == ["a"]


def test_invalid_takes_its_dependants_with_it() -> None:
    log = Log()
    pool = TransactionPool(listener=log)
    for nonce, name in enumerate("abc"):
        pool.import_transaction(tx(name, nonce), NOW)
    pool.import_transaction(tx("other", 0, BOB), NOW)
    pool.remove_invalid(tx("a").hash, NOW)
    assert names(pool) == ["other"]
    assert {("a", "invalid"), ("b", "invalid"), ("c", "invalid")} <= set(log.seen)


def test_included_leaves_and_its_successors_need_it_no_more() -> None:
    log = Log()
    pool = TransactionPool(listener=log)
    for nonce, name in enumerate("abc"):
        pool.import_transaction(tx(name, nonce), NOW)
    pool.on_block(1, [tx("a").hash, tx("b", 1).hash], b"H" * 32, NOW)
    assert names(pool) == ["c"]
    assert next(pool.ready()).requires == frozenset()
    assert ("a", "inBlock") in log.seen


def test_future_is_promoted_when_a_block_provides_its_tag() -> None:
    pool = TransactionPool()
    pool.import_transaction(tx("a", 0), NOW)
    pool.import_transaction(tx("c", 2), NOW)
    pool.import_transaction(tx("b", 1), NOW)
    pool.on_block(1, [tx("a").hash, tx("b", 1).hash], b"H" * 32, NOW)
    assert names(pool) == ["c"]


def test_expired_leaves_only_after_its_last_block() -> None:
    pool = TransactionPool()
    pool.import_transaction(tx("a", till=10), NOW)
    pool.on_block(10, [], b"H" * 32, NOW)
    assert names(pool) == ["a"]
    pool.on_block(11, [], b"I" * 32, NOW)
    assert names(pool) == []
    assert pool.is_banned(tx("a").hash, NOW)


def test_account_limit() -> None:
    pool = TransactionPool(PoolLimits(per_account=2))
    pool.import_transaction(tx("a", 0), NOW)
    pool.import_transaction(tx("b", 1), NOW)
    before = snapshot(pool)
    with pytest.raises(TooManyOfAccount):
        pool.import_transaction(tx("c", 2), NOW)
    assert snapshot(pool) == before
    pool.import_transaction(tx("d", 0, BOB), NOW)
    pool.on_block(1, [tx("a").hash], b"H" * 32, NOW)
    pool.import_transaction(tx("c", 2), NOW)
    assert len(pool) == 3


def test_account_limit_in_bytes() -> None:
    pool = TransactionPool(PoolLimits(per_account_bytes=6))
    pool.import_transaction(tx("aaa", 0), NOW)
    pool.import_transaction(tx("ccc", 2), NOW)  # those that wait for others count as well
    before = snapshot(pool)
    with pytest.raises(TooManyOfAccount):
        pool.import_transaction(tx("b", 1), NOW)
    assert snapshot(pool) == before
    pool.import_transaction(tx("ddd", 0, BOB), NOW)
    pool.remove_invalid(tx("ccc", 2).hash, NOW)
    pool.import_transaction(tx("bbb", 1), NOW)
    assert len(pool) == 3


def test_full_pool_drops_its_worst_for_a_better_and_refuses_an_equal() -> None:
    log = Log()
    pool = TransactionPool(PoolLimits(ready_count=2), log)
    pool.import_transaction(tx("low", 0, ALICE, priority=1), NOW)
    pool.import_transaction(tx("mid", 0, BOB, priority=2), NOW)
    before = snapshot(pool)
    with pytest.raises(ImmediatelyDropped):
        pool.import_transaction(tx("equal", 0, b"C" * 32, priority=1), NOW)
    assert snapshot(pool) == before
    pool.import_transaction(tx("high", 0, b"D" * 32, priority=3), NOW)
    assert names(pool) == ["high", "mid"]
    assert ("low", "dropped") in log.seen


def test_full_by_bytes() -> None:
    pool = TransactionPool(PoolLimits(ready_bytes=6))
    pool.import_transaction(tx("aaa", 0, ALICE), NOW)
    pool.import_transaction(tx("bbb", 0, BOB), NOW)
    with pytest.raises(ImmediatelyDropped):
        pool.import_transaction(tx("c", 0, b"C" * 32), NOW)


def test_one_larger_than_the_whole_pool() -> None:
    pool = TransactionPool(PoolLimits(ready_bytes=2))
    with pytest.raises(ImmediatelyDropped):
        pool.import_transaction(tx("aaa"), NOW)
    assert pool.import_transaction(tx("aa"), NOW).name == "ready"


def test_dropping_the_worst_takes_those_that_need_it() -> None:
    log = Log()
    pool = TransactionPool(PoolLimits(ready_count=3), log)
    pool.import_transaction(tx("a0", 0, ALICE, priority=1), NOW)
    pool.import_transaction(tx("a1", 1, ALICE, priority=9), NOW)
    pool.import_transaction(tx("b0", 0, BOB, priority=5), NOW)
    pool.import_transaction(tx("c0", 0, b"C" * 32, priority=5), NOW)
    assert names(pool) == ["b0", "c0"]
    assert {("a0", "dropped"), ("a1", "dropped")} <= set(log.seen)


def test_future_queue_is_bounded_in_bytes() -> None:
    pool = TransactionPool(PoolLimits(future_bytes=3))
    pool.import_transaction(tx("bb", 1), NOW)
    with pytest.raises(ImmediatelyDropped):
        pool.import_transaction(tx("cc", 2), NOW)
    pool.import_transaction(tx("c", 2), NOW)
    assert pool.future_count == 2


def test_future_queue_is_bounded() -> None:
    pool = TransactionPool(PoolLimits(future_count=1))
    pool.import_transaction(tx("b", 1), NOW)
    with pytest.raises(ImmediatelyDropped):
        pool.import_transaction(tx("c", 2), NOW)
    assert len(pool) == 1


@pytest.mark.parametrize("size", [0, 11])
def test_size_out_of_bounds(size: int) -> None:
    pool = TransactionPool(PoolLimits(extrinsic_bytes=10))
    with pytest.raises(BadFormat):
        pool.check_new(b"x" * size, b"h" * 32, None, NOW)
    pool.check_new(b"x" * 10, b"h" * 32, None, NOW)


def test_providing_nothing_or_what_it_requires() -> None:
    pool = TransactionPool()
    nothing = Transaction(b"n" * 32, b"n", None, 1, frozenset(), frozenset(), 64, True)
    with pytest.raises(Unactionable):
        pool.import_transaction(nothing, NOW)
    circle = Transaction(b"c" * 32, b"c", None, 1, frozenset({b"t"}), frozenset({b"t"}), 64, True)
    with pytest.raises(CycleDetected):
        pool.import_transaction(circle, NOW)
    assert len(pool) == 0


def test_a_future_one_that_a_better_one_anticipated_is_usurped_when_its_turn_comes() -> None:
    log = Log()
    pool = TransactionPool(listener=log)
    pool.import_transaction(tx("late", 1, priority=1), NOW)
    pool.import_transaction(tx("good", 1, priority=2), NOW)
    pool.import_transaction(tx("a", 0), NOW)
    assert names(pool) == ["a", "good"]
    assert log.seen == [("late", "future"), ("good", "future"), ("a", "ready"), ("late", "ready"),
                        ("late", "usurped"), ("good", "ready")]  # fmt: skip


def test_an_unbanned_one_is_taken_at_once() -> None:
    pool = TransactionPool()
    pool.remove_invalid(tx("a").hash, NOW)
    pool.unban(tx("a").hash)
    assert pool.import_transaction(tx("a"), NOW).name == "ready"


def test_revalidation_moves_a_transaction_back_to_future() -> None:
    log = Log()
    pool = TransactionPool(listener=log)
    pool.import_transaction(tx("a", 0), NOW)
    pool.import_transaction(tx("b", 1), NOW)
    gap = ValidTransaction(1, (ALICE + b"\xff",), (ALICE + b"\x00",), 64, True)
    pool.update(tx("a").hash, gap, 5)
    assert names(pool) == []
    assert pool.future_count == 2
    assert log.seen == [("a", "ready"), ("b", "ready"), ("a", "future"), ("b", "future")]
    pool.update(tx("a").hash, ValidTransaction(1, (), (ALICE + b"\x00",), 64, True), 6)
    assert names(pool) == ["a", "b"]
