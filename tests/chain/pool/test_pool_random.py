"""Random life of a pool: whatever happens, its books agree with its contents."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from chain.pool import PoolError, PoolLimits, Transaction, TransactionPool
from chain.pool.pool import _rank
from chain.pool.validity import ValidTransaction

LIMITS = PoolLimits(
    ready_count=12, ready_bytes=300, future_count=6, future_bytes=100, per_account=6, per_account_bytes=120,
    ban_seconds=5,
)  # fmt: skip
SENDERS = [bytes([letter]) * 32 for letter in b"ABCDE"]


def make(rng: random.Random) -> Transaction:
    sender = rng.choice(SENDERS)
    nonce, on_chain = rng.randrange(6), rng.randrange(3)
    return Transaction(
        hash=rng.randbytes(32),
        data=rng.randbytes(rng.randrange(1, 40)),
        sender=sender,
        priority=rng.randrange(4),
        requires=frozenset({sender + bytes([nonce - 1])} if nonce > on_chain else ()),
        provides=frozenset({sender + bytes([nonce])}),
        valid_till=rng.randrange(5, 60),
        propagate=True,
    )


def check(pool: TransactionPool) -> None:
    every = pool.transactions()
    ready = list(pool.ready())
    assert len({tx.hash for tx in every}) == len(every) == len(pool)
    assert len(ready) == pool.ready_count <= LIMITS.ready_count
    assert pool.ready_count + pool.future_count == len(every)
    assert sum(len(tx.data) for tx in ready) == pool._ready.size <= LIMITS.ready_bytes
    assert sum(len(tx.data) for tx in every) == pool._ready.size + pool._future.size
    assert {sender: len(own.by_hash) for sender, own in pool._accounts.items()} == Counter(tx.sender for tx in every)
    assert all(len(own.by_hash) <= LIMITS.per_account for own in pool._accounts.values())
    assert all(own.size <= LIMITS.per_account_bytes for own in pool._accounts.values())
    assert all(pool.of_sender(sender) == [tx for tx in every if tx.sender == sender] for sender in SENDERS)
    assert not ready or pool._worst() == max(ready, key=_rank)
    assert len(pool._by_worth) <= 2 * len(ready) + 65 + LIMITS.ready_count
    provided: set[bytes] = set()
    for tx in ready:
        assert tx.requires <= provided, "a dependant came before its provider"
        assert not tx.provides & provided, "two ready transactions provide the same"
        provided |= tx.provides
    assert set(pool._provider) == provided
    hashes = {tx.hash for tx in ready}
    assert all(set(pool._provider[tag] for tag in tx.provides) == {tx.hash} for tx in ready)
    for tx in every:
        if tx.hash not in hashes:
            assert not tx.requires <= provided, "it could be ready"
    for queue in (pool._ready, pool._future):
        index: dict[bytes, set[bytes]] = {}
        for tx in queue.by_hash.values():
            for tag in tx.requires:
                index.setdefault(tag, set()).add(tx.hash)
        assert queue.requiring == index


@pytest.mark.parametrize("seed", range(20))
def test_books_agree(seed: int) -> None:
    rng = random.Random(seed)
    pool = TransactionPool(LIMITS)
    for step in range(300):
        now = float(step)
        before = pool.transactions()
        known = [tx.hash for tx in before]
        action = rng.random()
        if action < 0.6:
            try:
                pool.import_transaction(make(rng), now)
            except PoolError:
                assert pool.transactions() == before
        elif action < 0.75:
            included = rng.sample([tx.hash for tx in pool.ready()], min(pool.ready_count, 2))
            pool.on_block(step // 10, [*included, rng.randbytes(32)], rng.randbytes(32), now)
            assert not any(tx_hash in pool for tx_hash in included)
        elif action < 0.9 and known:
            gone = rng.choice(known)
            if rng.random() < 0.5:
                pool.remove_invalid(gone, now)
            else:
                stay = {tx.hash for tx in before} - {gone}
                required = set(pool.remove_stale(gone, now))
                assert required <= {tx.hash for tx in pool.transactions()} <= stay
            assert gone not in pool
            assert pool.is_banned(gone, now)
        elif known:
            tx = pool.get(rng.choice(known))
            assert tx is not None
            requires = tuple(tx.requires) if rng.random() < 0.5 else (b"elsewhere",)
            pool.update(tx.hash, ValidTransaction(rng.randrange(4), requires, tuple(tx.provides), 64, True), step // 10)
        check(pool)
