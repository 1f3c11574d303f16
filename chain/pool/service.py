"""The pool as a service: asks the runtime, follows the chain, tells watchers. Runs on the node's asyncio loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass

from chain.errors import ChainError, DecodeError
from chain.pool.errors import BadFormat, PoolError, Refused, Undecided
from chain.pool.pool import PoolLimits, Status, Transaction, TransactionPool, make_transaction
from chain.pool.validity import InvalidTransaction, TransactionSource, UnknownValidity, Validity, ValidTransaction
from chain.primitives import Reader, blake2_256

log = logging.getLogger(__name__)

REVALIDATE_PER_BLOCK = 20
"""Oldest transactions that are validated anew after each block, besides those of the block's senders."""

FINALITY_TIMEOUT_BLOCKS = 512
"""A watcher is told `finalityTimeout` when its block is not final after this many blocks."""

MAX_WATCHERS = 8_192
SIGNED_V4 = 0x84
MULTI_ADDRESS_ID = 0x00

Validate = Callable[[TransactionSource, bytes, bytes], Awaitable[Validity]]
"""(source, extrinsic with its length, block hash) -> what the runtime says on the state after that block."""


@dataclass(frozen=True)
class BlockView:
    """A block that joined or left the best chain."""

    hash: bytes
    number: int
    extrinsics: tuple[bytes, ...]


class Watch:
    """The statuses of one transaction, as an async iterator that ends after the last one."""

    def __init__(self, service: PoolService, tx_hash: bytes) -> None:
        self._service, self.hash = service, tx_hash
        self._queue: asyncio.Queue[Status] = asyncio.Queue()

    def put(self, status: Status) -> None:
        """Adds a status (called by the service)."""
        self._queue.put_nowait(status)

    def close(self) -> None:
        """Stops following the transaction."""
        self._service.unwatch(self)

    async def __aiter__(self) -> AsyncIterator[Status]:
        try:
            while True:
                status = await self._queue.get()
                yield status
                if status.is_last:
                    return
        finally:
            self.close()


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
        self._validate = validate
        self._best = best
        self._clock = clock
        self._watches: dict[bytes, set[Watch]] = {}
        self._included: dict[bytes, tuple[int, list[bytes]]] = {}  # block -> number, watched transactions in it
        self._lock = asyncio.Lock()
        self.on_ready: Callable[[Transaction], None] = lambda _tx: None
        """Called for every transaction that becomes ready and may be propagated (the network gossips it)."""

    # ---- transactions in

    async def submit(self, data: bytes, source: TransactionSource = TransactionSource.EXTERNAL) -> bytes:
        """Validates and takes an extrinsic (with its length in front); its hash. Raises a `PoolError`."""
        sender = read_sender(data)
        tx_hash = blake2_256(data)
        self.pool.check_new(data, tx_hash, sender, self._clock())
        best_hash, number = self._best
        validity = await self._validate(source, data, best_hash)
        if isinstance(validity, InvalidTransaction):
            raise Refused(validity)
        if isinstance(validity, UnknownValidity):
            raise Undecided(validity)
        async with self._lock:  # not while a block's effects are being worked in
            tx = make_transaction(data, tx_hash, sender, validity, number)
            self.pool.import_transaction(tx, self._clock())
        if self._best[0] != best_hash:
            await self._revalidate([tx])
        return tx_hash

    async def submit_and_watch(self, data: bytes, source: TransactionSource = TransactionSource.EXTERNAL) -> Watch:
        """Like `submit`, with every status from the first on. Raises a `PoolError`."""
        if len(self._watches) >= MAX_WATCHERS:
            raise BadFormat(f"{MAX_WATCHERS} transactions are being watched; submit without watching")
        watch = Watch(self, blake2_256(data))
        self._watches.setdefault(watch.hash, set()).add(watch)
        try:
            await self.submit(data, source)
        except BaseException:
            watch.close()
            raise
        return watch

    def unwatch(self, watch: Watch) -> None:
        """Forgets a watcher."""
        watchers = self._watches.get(watch.hash)
        if watchers is not None:
            watchers.discard(watch)
            if not watchers:
                del self._watches[watch.hash]

    def ready(self) -> list[Transaction]:
        """Ready transactions in the order a block takes them."""
        return list(self.pool.ready())

    def reject(self, tx_hash: bytes) -> None:
        """Block building found it invalid: it leaves and is banned."""
        self.pool.remove_invalid(tx_hash, self._clock())

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
            self._on_status(tx_hash, Status("broadcast", "\n".join(peers).encode()))

    # ---- the chain moves

    async def on_best_changed(self, enacted: list[BlockView], retracted: list[BlockView]) -> None:
        """The best chain lost `retracted` and gained `enacted` (both oldest first)."""
        async with self._lock:
            if enacted:
                self._best = (enacted[-1].hash, enacted[-1].number)
            senders = {sender for block in retracted for sender in _senders(block.extrinsics)}
            kept = {blake2_256(data) for block in enacted for data in block.extrinsics}
            again = self._retract(retracted, kept)
            for block in enacted:
                hashes = [blake2_256(data) for data in block.extrinsics]
                unknown = [
                    data for data, tx_hash in zip(block.extrinsics, hashes, strict=True) if tx_hash not in self.pool
                ]
                senders |= _senders(unknown)  # of the others the tags tell what became of their successors
                self._remember(block, hashes)
                self.pool.on_block(block.number, hashes, block.hash, self._clock())
        stale = [tx for tx in self.pool.transactions() if tx.sender in senders]
        oldest = [tx for tx in self.pool.transactions() if tx.sender not in senders][:REVALIDATE_PER_BLOCK]
        await self._revalidate([*stale, *oldest])
        for data in again:
            await self._submit_again(data)

    def on_finalized(self, hashes: Iterable[bytes]) -> None:
        """These blocks became final; watchers of transactions in them get their last status."""
        for block_hash in hashes:
            _, transactions = self._included.pop(block_hash, (0, []))
            for tx_hash in transactions:
                self._on_status(tx_hash, Status("finalized", block_hash))

    def _remember(self, block: BlockView, hashes: list[bytes]) -> None:
        watched = [tx_hash for tx_hash in hashes if tx_hash in self._watches]
        for tx_hash in watched:
            if tx_hash not in self.pool:
                self._on_status(tx_hash, Status("inBlock", block.hash))
        if watched:
            self._included[block.hash] = (block.number, watched)
        for old, (number, transactions) in list(self._included.items()):
            if number + FINALITY_TIMEOUT_BLOCKS < block.number:
                del self._included[old]
                for tx_hash in transactions:
                    self._on_status(tx_hash, Status("finalityTimeout", old))

    def _retract(self, blocks: list[BlockView], kept: set[bytes]) -> list[bytes]:
        again: list[bytes] = []
        for block in blocks:
            for tx_hash in self._included.pop(block.hash, (0, []))[1]:
                self._on_status(tx_hash, Status("retracted", block.hash))
            again.extend(data for data in block.extrinsics if blake2_256(data) not in kept and read_sender(data))
        return again

    async def _submit_again(self, data: bytes) -> None:
        try:
            await self.submit(data, TransactionSource.IN_BLOCK)
        except (PoolError, DecodeError) as error:
            log.debug("a retracted transaction is not taken again: %s", error)

    async def _revalidate(self, transactions: list[Transaction]) -> None:
        best_hash, number = self._best
        for tx in transactions:
            if tx.hash not in self.pool:
                continue
            try:
                validity = await self._validate(TransactionSource.EXTERNAL, tx.data, best_hash)
            except ChainError as error:
                log.warning("revalidation of 0x%s failed: %s", tx.hash.hex(), error)
                return
            if self._best[0] != best_hash:
                return  # a newer block's revalidation has begun
            if isinstance(validity, ValidTransaction):
                self.pool.update(tx.hash, validity, number)
            else:
                self.pool.remove_invalid(tx.hash, self._clock())

    def _on_status(self, tx_hash: bytes, status: Status) -> None:
        for watch in list(self._watches.get(tx_hash, ())):
            watch.put(status)
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
