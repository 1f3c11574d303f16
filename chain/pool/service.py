"""The pool as a service: asks the runtime, follows the chain, tells watchers. Runs on the node's asyncio loop.

What a new best block means for the pool is worked in at once, by tags alone. What only the runtime can tell waits for
`work`, so that no block waits for it: transactions of retracted blocks come back, doubtful ones are validated anew, and
those that peers sent are taken. A transaction is doubtful

- when a block was retracted, brought a runtime, or changed its sender's nonce in a way that the pool did not foresee;
- when it is its sender's next after one in a block, which may have taken what it was to pay with;
- when the best block moved while it was validated, or an author found its nonce wrong;
- when its validation is `REVALIDATE_AFTER` blocks old (as in stock nodes; not after each block).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from chain.errors import ChainError, DecodeError, RuntimeTrapped
from chain.pool.errors import AlreadyImported, BadFormat, PoolError, Refused, Undecided
from chain.pool.inbox import Inbox, Received
from chain.pool.pool import PoolLimits, Status, Transaction, TransactionPool, make_transaction
from chain.pool.validity import InvalidTransaction, TransactionSource, UnknownValidity, Validity, ValidTransaction
from chain.pool.watch import Watch, Watchers
from chain.primitives import Reader, blake2_256

log = logging.getLogger(__name__)

REVALIDATE_AFTER = 20
"""Blocks after which a transaction that still waits is validated anew, as in stock nodes."""

REVALIDATE_PER_BLOCK = 20
"""At most so many of those per block, the longest not validated first."""

BATCH = 8
"""Validations that are asked for at once: a block waits for no more than these."""

MAX_RECENT = 8_192
"""Transactions of the last blocks that are known as included, so that peers' copies cost nothing."""

MAX_REFUSED = 128
"""Invalid transactions that a peer may send between two blocks; for each further one it is reported."""

MAX_WATCHERS = 8_192
SIGNED_V4 = 0x84
MULTI_ADDRESS_ID = 0x00

Validate = Callable[[TransactionSource, bytes, bytes], Awaitable[Validity]]
"""(source, extrinsic with its length, block hash) -> what the runtime says on the state after that block."""


@dataclass(frozen=True)
class BlockView:
    """A block that joined or left the best chain. `has_new_runtime`: its children run another runtime."""

    hash: bytes
    number: int
    extrinsics: tuple[bytes, ...]
    has_new_runtime: bool = False


class PoolService:
    """The node's transaction pool. All methods belong to the loop's thread."""

    def __init__(
        self,
        validate: Validate,
        best: tuple[bytes, int],
        limits: PoolLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pool = TransactionPool(limits, self._on_status)
        self.validations = 0
        """Validations that the runtime was asked for (for metrics)."""
        self._validate = validate
        self._best = best
        self._clock = clock
        self._watchers = Watchers()
        self._recent: OrderedDict[bytes, bytes] = OrderedDict()  # transaction of a best block -> that block
        self._returning: dict[bytes, bytes] = {}  # hash -> extrinsic of a retracted block, in its order
        self._doubtful: dict[bytes, None] = {}
        self._inbox = Inbox()
        self._junk: set[bytes] = set()  # refused from peers since the last block
        self._refused: Counter[str] = Counter()
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self.on_ready: Callable[[Transaction], None] = lambda _tx: None
        """Called for every transaction that becomes ready and may be propagated (the network gossips it)."""
        self.on_fault: Callable[[str], None] = lambda _peer: None
        """Called with a peer that sent what is no transaction, or too many invalid ones."""

    # ---- transactions in

    async def submit(self, data: bytes, source: TransactionSource = TransactionSource.EXTERNAL) -> bytes:
        """Validates and takes an extrinsic (with its length in front); its hash. Raises a `PoolError`."""
        sender = read_sender(data)
        tx_hash = blake2_256(data)
        self.pool.check_new(data, tx_hash, sender, self._clock())
        at = self._best
        self.validations += 1
        self._take(data, tx_hash, sender, await self._validate(source, data, at[0]), at)
        return tx_hash

    async def submit_and_watch(self, data: bytes, source: TransactionSource = TransactionSource.EXTERNAL) -> Watch:
        """Like `submit`, with every status from the first on. Raises a `PoolError`."""
        if len(self._watchers) >= MAX_WATCHERS:
            raise BadFormat(f"{MAX_WATCHERS} transactions are being watched; submit without watching")
        watch = self._watchers.add(blake2_256(data))
        try:
            await self.submit(data, source)
        except BaseException:
            watch.close()
            raise
        return watch

    def offer(self, peer: str, extrinsics: Iterable[bytes]) -> None:
        """A peer's transactions: those not known are validated in their turn. Never raises and never waits."""
        now = self._clock()
        for data in extrinsics:
            tx_hash = blake2_256(data)
            if tx_hash in self._recent or tx_hash in self._junk or tx_hash in self._inbox:
                continue
            try:
                sender = read_sender(data)
                self.pool.check_new(data, tx_hash, sender, now)
            except BadFormat:
                self.on_fault(peer)
            except PoolError:
                continue
            else:
                self._inbox.put(Received(peer, tx_hash, data, sender))
        self._wake.set()

    def _take(
        self, data: bytes, tx_hash: bytes, sender: bytes | None, validity: Validity, at: tuple[bytes, int]
    ) -> None:
        """Into the pool, as it was validated after block `at` (hash, number)."""
        if isinstance(validity, InvalidTransaction):
            raise Refused(validity)
        if isinstance(validity, UnknownValidity):
            raise Undecided(validity)
        if at != self._best and tx_hash in self._recent:
            return  # a block that came meanwhile holds it, and its watchers know
        self.pool.import_transaction(make_transaction(data, tx_hash, sender, validity, at[1]), self._clock())
        if at != self._best:
            self.doubt([tx_hash])

    # ---- reading, and what others do with transactions

    @property
    def best(self) -> bytes:
        """Hash of the block that the pool's contents follow."""
        return self._best[0]

    def ready(self) -> list[Transaction]:
        """Ready transactions in the order a block takes them."""
        return list(self.pool.ready())

    async def wait_until_settled(self, seconds: float) -> None:
        """Until nothing is doubtful and nothing retracted waits to come back, or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._settled.wait()

    def reject(self, tx_hash: bytes) -> None:
        """Block building found it invalid: it leaves and is banned."""
        self.pool.remove_invalid(tx_hash, self._clock())

    def doubt(self, hashes: Iterable[bytes]) -> None:
        """These are validated anew before anything else."""
        self._doubtful.update((tx_hash, None) for tx_hash in hashes if tx_hash in self.pool)
        self._note_work()

    def next_nonce(self, account: bytes, on_chain: int) -> int:
        """The nonce after those of the account's waiting transactions that follow `on_chain` without a gap."""
        provided = {tag for tx in self.pool.of_sender(account) for tag in tx.provides}
        nonce = on_chain
        while account + nonce.to_bytes(4, "little") in provided:
            nonce += 1
        return nonce

    def broadcast(self, tx_hash: bytes, peers: list[str]) -> None:
        """The network sent it to these peers; watchers are told."""
        if peers:
            self._watchers.tell(tx_hash, Status("broadcast", "\n".join(peers).encode()))

    # ---- the chain moves

    def on_best_changed(self, enacted: list[BlockView], retracted: list[BlockView]) -> None:
        """The best chain lost `retracted` and gained `enacted` (both oldest first)."""
        if enacted:
            self._best = (enacted[-1].hash, enacted[-1].number)
        self._junk.clear()
        self._refused.clear()
        for block in retracted:
            self._retract(block)
        active = {sender for block in (*enacted, *retracted) for sender in _senders(block.extrinsics)}
        touched = {sender for block in retracted for sender in _senders(block.extrinsics)}
        for block in enacted:
            touched |= self._enact(block)
        if any(block.has_new_runtime for block in (*enacted, *retracted)):
            self.doubt(tx.hash for tx in self.pool.transactions())
        self.doubt(tx.hash for sender in touched for tx in self.pool.of_sender(sender))
        self.doubt(self._successors(active - touched))
        self.doubt(self.pool.oldest_validations(self._best[1] - REVALIDATE_AFTER, REVALIDATE_PER_BLOCK))

    def _successors(self, senders: Iterable[bytes]) -> list[bytes]:
        """Each sender's next transaction: it may not be able to pay any more, and its successors go with it."""
        return [tx.hash for sender in senders for tx in self.pool.of_sender(sender) if not tx.requires]

    def on_finalized(self, hashes: Iterable[bytes]) -> None:
        """These blocks became final; watchers of transactions in them get their last status."""
        for block_hash in hashes:
            self._watchers.on_finalized(block_hash)

    def _retract(self, block: BlockView) -> None:
        self._watchers.on_retracted(block.hash)
        for data in block.extrinsics:
            tx_hash = blake2_256(data)
            if self._recent.get(tx_hash) == block.hash:
                del self._recent[tx_hash]
            if read_sender(data) is not None:
                self._returning[tx_hash] = data

    def _enact(self, block: BlockView) -> set[bytes]:
        """Works a block in; the senders of whom it holds what the pool did not know."""
        hashes = [blake2_256(data) for data in block.extrinsics]
        known = {tx_hash for tx_hash in hashes if tx_hash in self.pool}
        for tx_hash in hashes:
            self._returning.pop(tx_hash, None)
            self._recent[tx_hash] = block.hash
        while len(self._recent) > MAX_RECENT:
            self._recent.popitem(last=False)
        self.pool.on_block(block.number, hashes, block.hash, self._clock())
        self._watchers.on_included(block.hash, block.number, hashes, known)
        # of what it knew, the tags tell what became of the successors
        return _senders(data for data, tx_hash in zip(block.extrinsics, hashes, strict=True) if tx_hash not in known)

    # ---- work for the runtime

    async def run(self) -> None:
        """Works whenever there is something to do, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self.work()
            except ChainError as error:  # the next block, or the next transaction, is another try
                log.warning("transactions could not be validated: %s", error)

    async def work(self) -> None:
        """All that waits now. Raises a `ChainError` when the runtime cannot be asked; what is of ours waits on then."""
        while True:
            if self._returning:
                await self._bring_back(list(self._returning.items())[:BATCH])
            elif self._doubtful:
                await self._revalidate(list(self._doubtful)[:BATCH])
            elif len(self._inbox):
                await self._take_offered(self._inbox.take(BATCH))
            else:
                break
            self._note_work()

    def _note_work(self) -> None:
        if self._returning or self._doubtful:
            self._settled.clear()
            self._wake.set()
        else:
            self._settled.set()

    async def _ask(self, extrinsics: Sequence[bytes], at: bytes) -> list[Validity]:
        """What the runtime says of each; one that it traps on is invalid. Raises a `ChainError`."""
        self.validations += len(extrinsics)
        asked = (self._validate(TransactionSource.EXTERNAL, data, at) for data in extrinsics)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        found: list[Validity] = []
        for answer in answers:
            if isinstance(answer, RuntimeTrapped):
                found.append(InvalidTransaction("Call"))
            elif isinstance(answer, BaseException):
                raise answer
            else:
                found.append(answer)
        return found

    async def _bring_back(self, batch: list[tuple[bytes, bytes]]) -> None:
        """Transactions of retracted blocks, oldest first; whoever watches one that cannot come back is told why."""
        at = self._best
        answers = await self._ask([data for _, data in batch], at[0])
        if at != self._best:
            return  # those that the new block does not hold are asked for again
        for (tx_hash, data), validity in zip(batch, answers, strict=True):
            del self._returning[tx_hash]
            self.pool.unban(tx_hash)
            try:
                self._take(data, tx_hash, read_sender(data), validity, at)
            except AlreadyImported:
                continue
            except PoolError as error:
                log.debug("a retracted transaction is not taken again: %s", error)
                is_refused = isinstance(error, (Refused, Undecided))
                self._watchers.tell(tx_hash, Status("invalid" if is_refused else "dropped"))

    async def _revalidate(self, batch: list[bytes]) -> None:
        at = self._best
        waiting = [tx for tx_hash in batch if (tx := self.pool.get(tx_hash)) is not None]
        answers = await self._ask([tx.data for tx in waiting], at[0])
        if at != self._best:
            return  # they stay doubtful
        for tx_hash in batch:
            self._doubtful.pop(tx_hash, None)
        answered = list(zip(waiting, answers, strict=True))
        for tx, validity in answered:  # first what requires less now, lest it leaves with what it required before
            if isinstance(validity, ValidTransaction):
                self.pool.update(tx.hash, validity, at[1])
        for tx, validity in answered:
            if isinstance(validity, ValidTransaction) or tx.hash not in self.pool:
                continue
            if isinstance(validity, InvalidTransaction) and validity.is_stale:
                self.doubt(self.pool.remove_stale(tx.hash, self._clock()))
            else:
                self.pool.remove_invalid(tx.hash, self._clock())

    async def _take_offered(self, batch: list[Received]) -> None:
        at = self._best
        answers = await self._ask([one.data for one in batch], at[0])
        for one, validity in zip(batch, answers, strict=True):
            try:
                self._take(one.data, one.hash, one.sender, validity, at)
            except Refused as error:
                log.debug("transaction of peer %s: %s", one.peer, error)
                self._on_refused(one)
            except PoolError as error:
                log.debug("transaction of peer %s: %s", one.peer, error)

    def _on_refused(self, one: Received) -> None:
        if len(self._junk) < MAX_RECENT:
            self._junk.add(one.hash)
        self._refused[one.peer] += 1
        if self._refused[one.peer] > MAX_REFUSED:
            self.on_fault(one.peer)

    def _on_status(self, tx_hash: bytes, status: Status) -> None:
        self._watchers.tell(tx_hash, status)
        if status.name == "ready":
            tx = self.pool.get(tx_hash)
            if tx is not None and tx.propagate:
                self.on_ready(tx)


def read_sender(data: bytes) -> bytes | None:
    """Account of a signed v4 extrinsic (with its length in front), None for others. Raises `BadFormat`."""
    reader = Reader(data)
    try:
        length = reader.compact()
        if length != reader.remaining or length < 2:
            raise BadFormat("the length in front does not fit the extrinsic")
        if reader.u8() != SIGNED_V4:
            return None
        if reader.u8() != MULTI_ADDRESS_ID:
            return None
        return reader.take(32)
    except DecodeError as error:
        raise BadFormat(str(error)) from error


def _senders(extrinsics: Iterable[bytes]) -> set[bytes]:
    found = (read_sender(data) for data in extrinsics)
    return {sender for sender in found if sender is not None}
