"""The transaction pool: which transactions wait, and in which order a block takes them. Pure: no clock, no runtime.

After `sc-transaction-pool`'s base pool: a transaction *requires* and *provides* tags. It is **ready** when every tag it
requires is provided by a ready transaction (tags that the chain has fulfilled are no longer required by what the
runtime answers), otherwise it is **future**. A block takes ready transactions by priority, a dependant never before
what it depends on. Two transactions that provide the same tag exclude each other: the higher priority stays.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

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

MAX_U64 = 2**64 - 1


@dataclass(frozen=True)
class PoolLimits:
    """Bounds of the pool; sizes in bytes of encoded extrinsics, times in seconds."""

    ready_count: int = 8_192
    ready_bytes: int = 20 * 1024 * 1024
    future_count: int = 512
    future_bytes: int = 2 * 1024 * 1024
    per_account: int = 512
    extrinsic_bytes: int = 4 * 1024 * 1024
    ban_seconds: float = 1_800.0
    ban_count: int = 4_096


@dataclass(frozen=True)
class Transaction:
    """A validated transaction. `valid_till` is the last block number at which its validation holds."""

    hash: bytes
    data: bytes
    sender: bytes | None
    priority: int
    requires: frozenset[bytes]
    provides: frozenset[bytes]
    valid_till: int
    propagate: bool
    order: int = 0


@dataclass(frozen=True)
class Status:
    """A change in a transaction's life. `name` as the RPC spells it; `payload` a block or transaction hash or None."""

    name: str
    payload: bytes | None = None

    @property
    def is_last(self) -> bool:
        """Whether no further status follows."""
        return self.name in {"finalized", "finalityTimeout", "usurped", "dropped", "invalid"}


Listener = Callable[[bytes, Status], None]
"""Called with (transaction hash, status) for every change."""


def make_transaction(
    data: bytes, tx_hash: bytes, sender: bytes | None, valid: ValidTransaction, at: int
) -> Transaction:
    """The pool's form of an extrinsic that was validated at block number `at`."""
    return Transaction(
        hash=tx_hash,
        data=data,
        sender=sender,
        priority=valid.priority,
        requires=frozenset(valid.requires),
        provides=frozenset(valid.provides),
        valid_till=min(at + valid.longevity, MAX_U64),
        propagate=valid.propagate,
    )


@dataclass
class _Queue:
    """Transactions by hash, with their total size."""

    by_hash: dict[bytes, Transaction] = field(default_factory=dict)
    size: int = 0

    def add(self, tx: Transaction) -> None:
        self.by_hash[tx.hash] = tx
        self.size += len(tx.data)

    def pop(self, tx_hash: bytes) -> Transaction | None:
        tx = self.by_hash.pop(tx_hash, None)
        if tx is not None:
            self.size -= len(tx.data)
        return tx


class TransactionPool:
    """Ready and future queues with their rules. A refused import changes nothing."""

    def __init__(self, limits: PoolLimits | None = None, listener: Listener | None = None) -> None:
        self.limits = limits or PoolLimits()
        self._listener: Listener = listener or (lambda _hash, _status: None)
        self._ready = _Queue()
        self._future = _Queue()
        self._provider: dict[bytes, bytes] = {}  # tag -> hash of the ready transaction that provides it
        self._dependants: dict[bytes, set[bytes]] = {}  # tag -> ready transactions that require it
        self._per_account: Counter[bytes] = Counter()
        self._banned: dict[bytes, float] = {}
        self._next_order = 1

    # ---- reading

    def __contains__(self, tx_hash: object) -> bool:
        return tx_hash in self._ready.by_hash or tx_hash in self._future.by_hash

    def __len__(self) -> int:
        return len(self._ready.by_hash) + len(self._future.by_hash)

    @property
    def ready_count(self) -> int:
        """Number of ready transactions."""
        return len(self._ready.by_hash)

    @property
    def future_count(self) -> int:
        """Number of transactions that wait for others."""
        return len(self._future.by_hash)

    def get(self, tx_hash: bytes) -> Transaction | None:
        """The waiting transaction of this hash."""
        return self._ready.by_hash.get(tx_hash) or self._future.by_hash.get(tx_hash)

    def transactions(self) -> list[Transaction]:
        """All waiting transactions, oldest first."""
        every = [*self._ready.by_hash.values(), *self._future.by_hash.values()]
        return sorted(every, key=lambda tx: tx.order)

    def of_sender(self, sender: bytes) -> list[Transaction]:
        """The waiting transactions of one account, oldest first."""
        return [tx for tx in self.transactions() if tx.sender == sender]

    def ready(self) -> Iterator[Transaction]:
        """Ready transactions in the order a block takes them; works on a snapshot."""
        waiting: dict[bytes, int] = {}
        unlocks: dict[bytes, list[Transaction]] = {}
        heap: list[tuple[int, int, int, bytes]] = []
        snapshot = dict(self._ready.by_hash)
        for tx in snapshot.values():
            needed = [self._provider[tag] for tag in tx.requires if tag in self._provider]
            waiting[tx.hash] = len(needed)
            for provider in needed:
                unlocks.setdefault(provider, []).append(tx)
            if not needed:
                heapq.heappush(heap, _rank(tx))
        while heap:
            tx = snapshot[heapq.heappop(heap)[3]]
            yield tx
            for dependant in unlocks.get(tx.hash, []):
                waiting[dependant.hash] -= 1
                if waiting[dependant.hash] == 0:
                    heapq.heappush(heap, _rank(dependant))

    def is_banned(self, tx_hash: bytes, now: float) -> bool:
        """Whether the hash was banned less than the ban time before `now` (seconds of any steady clock)."""
        until = self._banned.get(tx_hash)
        return until is not None and now < until

    # ---- importing

    def check_new(self, data: bytes, tx_hash: bytes, sender: bytes | None, now: float) -> None:
        """The cheap checks, before the runtime is asked. Raises a `PoolError`; changes nothing."""
        if not data or len(data) > self.limits.extrinsic_bytes:
            raise BadFormat(f"an extrinsic has 1 to {self.limits.extrinsic_bytes} bytes, not {len(data)}")
        if tx_hash in self:
            raise AlreadyImported(tx_hash)
        if self.is_banned(tx_hash, now):
            raise TemporarilyBanned
        if sender is not None and self._per_account[sender] >= self.limits.per_account:
            raise TooManyOfAccount(self.limits.per_account)

    def import_transaction(self, tx: Transaction, now: float) -> Status:
        """Takes a validated transaction; returns `ready` or `future`. Raises a `PoolError`; then nothing changed."""
        self.check_new(tx.data, tx.hash, tx.sender, now)
        if not tx.provides:
            raise Unactionable
        if tx.provides & tx.requires:
            raise CycleDetected
        self._check_room(tx)
        tx = replace(tx, order=self._next_order)
        if any(tag not in self._provider for tag in tx.requires):
            self._next_order += 1
            self._count(tx)
            self._future.add(tx)
            self._emit(tx, Status("future"))
            return Status("future")
        replaced = self._check_replacement(tx)
        self._next_order += 1
        self._count(tx)
        self._usurp(replaced, tx)
        self._add_ready(tx)
        self._settle()
        self._shrink_ready()
        return Status("ready")

    def _check_replacement(self, tx: Transaction) -> list[Transaction]:
        hashes = {self._provider[tag] for tag in tx.provides if tag in self._provider}
        replaced = [self._ready.by_hash[tx_hash] for tx_hash in hashes]
        old = sum(other.priority for other in replaced)
        if replaced and old >= tx.priority:
            raise TooLowPriority(old, tx.priority)
        return replaced

    def _check_room(self, tx: Transaction) -> None:
        is_future = any(tag not in self._provider for tag in tx.requires)
        if is_future:
            size = self._future.size + len(tx.data)
            if len(self._future.by_hash) >= self.limits.future_count or size > self.limits.future_bytes:
                raise ImmediatelyDropped
        elif self._is_full(1, len(tx.data)) and tx.priority <= self._worst().priority:
            raise ImmediatelyDropped

    def _usurp(self, replaced: list[Transaction], by: Transaction) -> None:
        for old in replaced:
            self._drop_ready(old.hash)
            self._uncount(old)
            self._emit(old, Status("usurped", by.hash))

    def _settle(self) -> None:
        """Ready ones that lost a provider become future, future ones that lack nothing become ready, until all fit."""
        while self._demote() or self._promote():
            pass

    def _demote(self) -> bool:
        lost = [tx for tx in self._ready.by_hash.values() if any(tag not in self._provider for tag in tx.requires)]
        for tx in lost:
            self._drop_ready(tx.hash)
            self._future.add(tx)
        return bool(lost)

    def _promote(self) -> bool:
        """Moves the first future transaction whose tags are all provided; whether there was one."""
        for tx in sorted(self._future.by_hash.values(), key=lambda one: one.order):
            if any(tag not in self._provider for tag in tx.requires):
                continue
            self._future.pop(tx.hash)
            try:
                replaced = self._check_replacement(tx)
            except TooLowPriority:
                self._uncount(tx)
                rival = next(self._provider[tag] for tag in tx.provides if tag in self._provider)
                self._emit(tx, Status("usurped", rival))
            else:
                self._usurp(replaced, tx)
                self._add_ready(tx)
            return True
        return False

    def _add_ready(self, tx: Transaction) -> None:
        self._ready.add(tx)
        for tag in tx.provides:
            self._provider[tag] = tx.hash
        for tag in tx.requires:
            self._dependants.setdefault(tag, set()).add(tx.hash)
        self._emit(tx, Status("ready"))

    def _is_full(self, more: int = 0, more_bytes: int = 0) -> bool:
        return (
            len(self._ready.by_hash) + more > self.limits.ready_count
            or self._ready.size + more_bytes > self.limits.ready_bytes
        )

    def _worst(self) -> Transaction:
        return max(self._ready.by_hash.values(), key=_rank)

    def _shrink_ready(self) -> None:
        while self._is_full():
            self._remove_with_dependants(self._worst().hash, Status("dropped"))

    # ---- removing

    def on_block(self, number: int, included: Iterable[bytes], block_hash: bytes, now: float) -> None:
        """A block of `number` became the best: `included` transaction hashes leave, expired ones are banned.

        What the included ones provided counts as fulfilled by the chain from here on; a waiting transaction that
        provides the same tag (the same nonce) has become invalid.
        """
        fulfilled: set[bytes] = set()
        for tx_hash in included:
            tx = self._ready.by_hash.get(tx_hash) or self._future.by_hash.get(tx_hash)
            if tx is None:
                continue
            fulfilled |= tx.provides
            self._drop_ready(tx_hash)
            self._future.pop(tx_hash)
            self._uncount(tx)
            self._listener(tx_hash, Status("inBlock", block_hash))
        self._fulfil(fulfilled)
        for tx in self.transactions():
            if tx.valid_till < number:
                self.remove_invalid(tx.hash, now)

    def _fulfil(self, tags: set[bytes]) -> None:
        if not tags:
            return
        for tx in self.transactions():
            if tx.provides & tags:
                self._remove_with_dependants(tx.hash, Status("usurped", b""))
        for queue in (self._ready, self._future):
            for tx in list(queue.by_hash.values()):
                if tx.requires & tags:
                    queue.by_hash[tx.hash] = replace(tx, requires=tx.requires - tags)
        for tag in tags:
            self._dependants.pop(tag, None)
        self._settle()

    def remove_invalid(self, tx_hash: bytes, now: float) -> None:
        """The runtime refuses it now: it leaves with all that depends on it, and is banned for a while."""
        if tx_hash in self:
            self._remove_with_dependants(tx_hash, Status("invalid"))
        self._ban(tx_hash, now)

    def update(self, tx_hash: bytes, valid: ValidTransaction, at: int) -> None:
        """A revalidation at block `at` found it valid still: its requirements and its longevity are those of now."""
        old = self.get(tx_hash)
        if old is None:
            return
        new = make_transaction(old.data, old.hash, old.sender, valid, at)
        if new.requires == old.requires and new.provides == old.provides:
            queue = self._ready if tx_hash in self._ready.by_hash else self._future
            queue.by_hash[tx_hash] = replace(old, valid_till=new.valid_till, priority=new.priority)
            return
        self._drop_ready(tx_hash)
        self._future.pop(tx_hash)
        self._future.add(replace(new, order=old.order))
        self._settle()

    def _remove_with_dependants(self, tx_hash: bytes, status: Status) -> None:
        pending = [tx_hash]
        while pending:
            current = pending.pop()
            tx = self._ready.by_hash.get(current)
            if tx is not None:
                for tag in tx.provides:
                    pending.extend(self._dependants.get(tag, ()))
                self._drop_ready(current)
            else:
                tx = self._future.pop(current)
            if tx is not None:
                self._uncount(tx)
                if status.name == "usurped" and not status.payload:
                    status = Status("invalid")
                self._emit(tx, status)

    def _drop_ready(self, tx_hash: bytes) -> None:
        tx = self._ready.pop(tx_hash)
        if tx is None:
            return
        for tag in tx.provides:
            if self._provider.get(tag) == tx_hash:
                del self._provider[tag]
        for tag in tx.requires:
            holders = self._dependants.get(tag)
            if holders is not None:
                holders.discard(tx_hash)
                if not holders:
                    del self._dependants[tag]

    def _ban(self, tx_hash: bytes, now: float) -> None:
        self._banned.pop(tx_hash, None)
        self._banned[tx_hash] = now + self.limits.ban_seconds
        while len(self._banned) > self.limits.ban_count:
            del self._banned[next(iter(self._banned))]

    def _count(self, tx: Transaction) -> None:
        if tx.sender is not None:
            self._per_account[tx.sender] += 1

    def _uncount(self, tx: Transaction) -> None:
        if tx.sender is not None:
            self._per_account[tx.sender] -= 1
            if self._per_account[tx.sender] <= 0:
                del self._per_account[tx.sender]

    def _emit(self, tx: Transaction, status: Status) -> None:
        self._listener(tx.hash, status)


def _rank(tx: Transaction) -> tuple[int, int, int, bytes]:
    """Smaller is taken earlier: higher priority, then what expires sooner, then what came first."""
    return (-tx.priority, tx.valid_till, tx.order, tx.hash)
