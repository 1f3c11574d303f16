"""The transaction pool: which transactions wait, and in which order a block takes them. Pure: no clock, no runtime.

After `sc-transaction-pool`'s base pool: a transaction *requires* and *provides* tags. It is **ready** when every tag it
requires is provided by a ready transaction (tags that the chain has fulfilled are no longer required by what the
runtime answers), otherwise it is **future**. A block takes ready transactions by priority, a dependant never before
what it depends on. Two transactions that provide the same tag exclude each other: the higher priority stays.
"""

from __future__ import annotations

import heapq
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
    per_account_bytes: int = 8 * 1024 * 1024
    extrinsic_bytes: int = 4 * 1024 * 1024
    ban_seconds: float = 1_800.0
    ban_count: int = 4_096


@dataclass(frozen=True)
class Transaction:
    """A validated transaction: after block `validated_at`; `valid_till` is the last block at which that holds."""

    hash: bytes
    data: bytes
    sender: bytes | None
    priority: int
    requires: frozenset[bytes]
    provides: frozenset[bytes]
    valid_till: int
    propagate: bool
    order: int = 0
    validated_at: int = 0


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
        validated_at=at,
    )


@dataclass
class _Queue:
    """Transactions by hash, with their total size and an index: required tag -> hashes of those that require it."""

    by_hash: dict[bytes, Transaction] = field(default_factory=dict)
    requiring: dict[bytes, set[bytes]] = field(default_factory=dict)
    size: int = 0

    def add(self, tx: Transaction) -> None:
        self.by_hash[tx.hash] = tx
        self.size += len(tx.data)
        for tag in tx.requires:
            self.requiring.setdefault(tag, set()).add(tx.hash)

    def pop(self, tx_hash: bytes) -> Transaction | None:
        tx = self.by_hash.pop(tx_hash, None)
        if tx is None:
            return None
        self.size -= len(tx.data)
        for tag in tx.requires:
            holders = self.requiring[tag]
            holders.discard(tx_hash)
            if not holders:
                del self.requiring[tag]
        return tx

    def that_require(self, tag: bytes) -> list[Transaction]:
        return [self.by_hash[tx_hash] for tx_hash in self.requiring.get(tag, ())]

    def has_room(self, size: int, max_count: int, max_bytes: int) -> bool:
        return len(self.by_hash) < max_count and self.size + size <= max_bytes


class TransactionPool:
    """Ready and future queues with their rules. A refused import changes nothing."""

    def __init__(self, limits: PoolLimits | None = None, listener: Listener | None = None) -> None:
        self.limits = limits or PoolLimits()
        self._listener: Listener = listener or (lambda _hash, _status: None)
        self._ready = _Queue()
        self._future = _Queue()
        self._provider: dict[bytes, bytes] = {}  # tag -> hash of the ready transaction that provides it
        self._accounts: dict[bytes, _Queue] = {}  # sender -> its transactions of both queues
        self._by_worth: list[tuple[int, int, int, bytes]] = []  # heap, worst first; may hold what is ready no more
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
        own = self._accounts.get(sender)
        found = [self.get(tx_hash) for tx_hash in own.by_hash] if own is not None else []
        return sorted((tx for tx in found if tx is not None), key=lambda tx: tx.order)

    def oldest_validations(self, until: int, count: int) -> list[bytes]:
        """Up to `count` transactions that were not validated after block `until`, the longest not validated first."""
        every = (*self._ready.by_hash.values(), *self._future.by_hash.values())
        old = [(tx.validated_at, tx.order, tx.hash) for tx in every if tx.validated_at <= until]
        return [tx_hash for _, _, tx_hash in heapq.nsmallest(count, old)]

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
        own = None if sender is None else self._accounts.get(sender)
        if own is not None and not own.has_room(len(data), self.limits.per_account, self.limits.per_account_bytes):
            raise TooManyOfAccount(self.limits.per_account, self.limits.per_account_bytes)

    def import_transaction(self, tx: Transaction, now: float) -> Status:
        """Takes a validated transaction; returns `ready` or `future`. Raises a `PoolError`; then nothing changed."""
        self.check_new(tx.data, tx.hash, tx.sender, now)
        if not tx.provides:
            raise Unactionable
        if tx.provides & tx.requires:
            raise CycleDetected
        self._check_room(tx)
        tx = replace(tx, order=self._next_order)
        if self._lacks(tx):
            self._next_order += 1
            self._count(tx)
            self._future.add(tx)
            self._emit(tx, Status("future"))
            return Status("future")
        replaced = self._check_replacement(tx)
        self._next_order += 1
        self._count(tx)
        self._settle(self._make_ready(tx, replaced))
        while not self._ready.has_room(0, self.limits.ready_count + 1, self.limits.ready_bytes):
            self._remove_with_dependants(self._worst().hash, Status("dropped"))
        return Status("ready")

    def _lacks(self, tx: Transaction) -> bool:
        return any(tag not in self._provider for tag in tx.requires)

    def _check_replacement(self, tx: Transaction) -> list[Transaction]:
        hashes = {self._provider[tag] for tag in tx.provides if tag in self._provider}
        replaced = [self._ready.by_hash[tx_hash] for tx_hash in hashes]
        old = sum(other.priority for other in replaced)
        if replaced and old >= tx.priority:
            raise TooLowPriority(old, tx.priority)
        return replaced

    def _check_room(self, tx: Transaction) -> None:
        limits = self.limits
        if self._lacks(tx):
            if not self._future.has_room(len(tx.data), limits.future_count, limits.future_bytes):
                raise ImmediatelyDropped
            return
        is_full = not self._ready.has_room(len(tx.data), limits.ready_count, limits.ready_bytes)
        if is_full and (not self._ready.by_hash or tx.priority <= self._worst().priority):
            raise ImmediatelyDropped

    def _settle(self, changed: set[bytes], candidates: Iterable[Transaction] = ()) -> None:
        """Ready ones that lost a provider become future, future ones that lack nothing become ready, until all fit.

        `changed`: tags whose provider came or went; `candidates`: future transactions that may lack nothing now.
        """
        heap = [(tx.order, tx.hash) for tx in candidates]
        heapq.heapify(heap)
        while changed or heap:
            while changed:
                tag = changed.pop()
                if tag in self._provider:
                    for tx in self._future.that_require(tag):
                        heapq.heappush(heap, (tx.order, tx.hash))
                else:
                    for tx in self._ready.that_require(tag):
                        changed |= self._demote(tx)
            if heap:
                found = self._future.by_hash.get(heapq.heappop(heap)[1])
                if found is not None and not self._lacks(found):
                    changed |= self._promote(found)

    def _demote(self, tx: Transaction) -> set[bytes]:
        """From ready to future; the tags that are provided no more."""
        self._drop_ready(tx.hash)
        self._future.add(tx)
        self._emit(tx, Status("future"))
        return set(tx.provides)

    def _promote(self, tx: Transaction) -> set[bytes]:
        """From future to ready, or out if a ready one with the same tags is better; the tags that changed hands."""
        self._future.pop(tx.hash)
        try:
            replaced = self._check_replacement(tx)
        except TooLowPriority:
            self._uncount(tx)
            rival = next(self._provider[tag] for tag in tx.provides if tag in self._provider)
            self._emit(tx, Status("usurped", rival))
            return set()
        return self._make_ready(tx, replaced)

    def _make_ready(self, tx: Transaction, replaced: list[Transaction]) -> set[bytes]:
        """Puts it into the ready queue in place of others; the tags that changed hands."""
        for old in replaced:
            self._drop_ready(old.hash)
            self._uncount(old)
            self._emit(old, Status("usurped", tx.hash))
        self._add_ready(tx)
        for tag in tx.provides:
            self._provider[tag] = tx.hash
        self._emit(tx, Status("ready"))
        return set(tx.provides).union(*(old.provides for old in replaced))

    def _add_ready(self, tx: Transaction) -> None:
        self._ready.add(tx)
        if len(self._by_worth) > 2 * len(self._ready.by_hash) + 64:  # mostly what is gone
            self._by_worth = [_worth(one) for one in self._ready.by_hash.values()]
            heapq.heapify(self._by_worth)
        else:
            heapq.heappush(self._by_worth, _worth(tx))

    def _worst(self) -> Transaction:
        while True:
            tx = self._ready.by_hash.get(self._by_worth[0][3])
            if tx is not None and _worth(tx) == self._by_worth[0]:
                return tx
            heapq.heappop(self._by_worth)

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
            self._emit(tx, Status("inBlock", block_hash))
        self._fulfil(fulfilled)
        for tx in [*self._ready.by_hash.values(), *self._future.by_hash.values()]:
            if tx.valid_till < number:
                self.remove_invalid(tx.hash, now)

    def _fulfil(self, tags: set[bytes]) -> None:
        rivals = {self._provider[tag] for tag in tags if tag in self._provider}
        rivals |= {tx.hash for tx in self._future.by_hash.values() if tx.provides & tags}
        for tx_hash in rivals:
            self._remove_with_dependants(tx_hash, Status("invalid"))
        candidates = []
        for queue in (self._ready, self._future):
            for tx_hash in {tx.hash for tag in tags for tx in queue.that_require(tag)}:
                tx = queue.by_hash[tx_hash]
                candidates.append(self._change(queue, tx_hash, replace(tx, requires=tx.requires - tags)))
        self._settle(set(), candidates)

    def _change(self, queue: _Queue, tx_hash: bytes, tx: Transaction) -> Transaction:
        queue.pop(tx_hash)
        if queue is self._ready:
            self._add_ready(tx)
        else:
            queue.add(tx)
        return tx

    def remove_invalid(self, tx_hash: bytes, now: float) -> None:
        """The runtime refuses it now: it leaves with all that depends on it, and is banned for a while."""
        if tx_hash in self:
            self._remove_with_dependants(tx_hash, Status("invalid"))
        self._ban(tx_hash, now)

    def remove_stale(self, tx_hash: bytes, now: float) -> list[bytes]:
        """The chain has another one with its tags: it leaves and is banned. Those that required it are returned.

        They stay, as future ones, and are to be validated anew: for the chain, what they required is fulfilled.
        """
        tx = self._drop_ready(tx_hash) or self._future.pop(tx_hash)
        if tx is None:
            return []
        self._uncount(tx)
        self._emit(tx, Status("invalid"))
        self._ban(tx_hash, now)
        self._settle(set(tx.provides))
        return [other.hash for tag in tx.provides for other in self._future.that_require(tag)]

    def update(self, tx_hash: bytes, valid: ValidTransaction, at: int) -> None:
        """A revalidation at block `at` found it valid still: its requirements and its longevity are those of now."""
        old = self.get(tx_hash)
        if old is None:
            return
        new = make_transaction(old.data, old.hash, old.sender, valid, at)
        is_ready = tx_hash in self._ready.by_hash
        if new.provides == old.provides and self._lacks(new) != is_ready:
            queue = self._ready if is_ready else self._future
            self._change(queue, tx_hash, replace(new, order=old.order))
            return
        self._drop_ready(tx_hash)
        self._future.pop(tx_hash)
        new = replace(new, order=old.order)
        self._future.add(new)
        if is_ready and self._lacks(new):
            self._emit(new, Status("future"))
        self._settle(set(old.provides), [new])

    def unban(self, tx_hash: bytes) -> None:
        """It may be imported again: the chain itself brings it back."""
        self._banned.pop(tx_hash, None)

    def _remove_with_dependants(self, tx_hash: bytes, status: Status) -> None:
        pending = [tx_hash]
        while pending:
            current = pending.pop()
            tx = self._drop_ready(current)
            if tx is not None:
                pending.extend(other.hash for tag in tx.provides for other in self._ready.that_require(tag))
            else:
                tx = self._future.pop(current)
            if tx is not None:
                self._uncount(tx)
                self._emit(tx, status)

    def _drop_ready(self, tx_hash: bytes) -> Transaction | None:
        tx = self._ready.pop(tx_hash)
        if tx is not None:
            for tag in tx.provides:
                if self._provider.get(tag) == tx_hash:
                    del self._provider[tag]
        return tx

    def _ban(self, tx_hash: bytes, now: float) -> None:
        self._banned.pop(tx_hash, None)
        self._banned[tx_hash] = now + self.limits.ban_seconds
        while len(self._banned) > self.limits.ban_count:
            del self._banned[next(iter(self._banned))]

    def _count(self, tx: Transaction) -> None:
        if tx.sender is not None:
            self._accounts.setdefault(tx.sender, _Queue()).add(tx)

    def _uncount(self, tx: Transaction) -> None:
        if tx.sender is not None:
            own = self._accounts[tx.sender]
            own.pop(tx.hash)
            if not own.by_hash:
                del self._accounts[tx.sender]

    def _emit(self, tx: Transaction, status: Status) -> None:
        self._listener(tx.hash, status)


def _rank(tx: Transaction) -> tuple[int, int, int, bytes]:
    """Smaller is taken earlier: higher priority, then what expires sooner, then what came first."""
    return (-tx.priority, tx.valid_till, tx.order, tx.hash)


def _worth(tx: Transaction) -> tuple[int, int, int, bytes]:
    """`_rank` the other way round: smaller leaves a full pool earlier."""
    return (tx.priority, -tx.valid_till, -tx.order, tx.hash)
