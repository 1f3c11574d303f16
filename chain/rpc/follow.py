"""One `chainHead_v1_follow`: the blocks it told of, those it keeps pinned, and the operations on them.

Source: json-rpc-interface-spec, `chainHead_v1_follow`. A block is told after its parent; pinned are all told blocks
until the client unpins them, even pruned ones. The subscription ends with `stop` when its reader is too slow or keeps
too much pinned; nothing is ever left out before that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chain.errors import ChainError, Misuse, StatePruned, UnknownBlock
from chain.events import BestChanged, BlockFinalized, BlockImported, ChainEvent
from chain.primitives import Header
from chain.rpc.errors import DuplicateHashes, NoContinuation, UnpinnedBlock
from chain.rpc.params import to_hex
from chain.rpc.session import Session, make_id

if TYPE_CHECKING:
    from chain.rpc.context import RpcContext

log = logging.getLogger(__name__)

FOLLOW_EVENT = "chainHead_v1_followEvent"
FIRST_FINALIZED = 16
"""Finalised blocks told at the start, the newest last."""

MAX_OPERATIONS = 16
"""Operations at a time, each storage item counting as one: what the specification asks for at least."""

MAX_PINNED = 512
"""Finalised and pruned blocks that may stay pinned; unfinalised ones do not count, as the specification advises."""

MAX_PIN_AGE = 1_024
"""Blocks below the finalised one that a pinned block may lie."""


class FollowBroken(Misuse):
    """The subscription cannot go on without a gap, or keeps too much pinned; the client must follow anew."""


@dataclass
class Operation:
    """A running operation. `slots` count against `MAX_OPERATIONS`; `resume` is there while it waits for `continue`."""

    id: str
    slots: int
    task: asyncio.Task[None] | None = None
    resume: asyncio.Event | None = None


Work = Callable[[Operation], Awaitable[dict[str, Any]]]
"""Does an operation and gives its last event, without `operationId`."""


@dataclass(frozen=True)
class _Start:
    """The chain as a new subscription finds it: finalised hashes (oldest first), the blocks above, the best one."""

    finalized: list[Header]
    above: list[Header]
    best: bytes


@dataclass
class Follow:
    """The state of one subscription. All methods belong to the loop's thread."""

    context: RpcContext
    session: Session
    with_runtime: bool
    id: str = field(default_factory=make_id)
    pinned: dict[bytes, int] = field(default_factory=dict)  # hash -> number
    operations: dict[str, Operation] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None
    is_closed: bool = False
    _above: dict[bytes, bytes] = field(default_factory=dict)  # told and not final: hash -> parent, parents first
    _finalized: bytes = b""
    _finalized_number: int = 0
    _best: bytes = b""

    # ---- life

    async def run(self) -> None:
        """Sends events until the client unfollows, or `stop` when that cannot be done without a gap."""
        try:
            async for event in self._events():
                await self._send(event)
        except ChainError as error:
            log.info("chainHead_v1_follow stops: %s", error)
        if not self.is_closed:
            self.close()
            await self._send({"event": "stop"})

    def close(self) -> None:
        """Unpins everything and ends all operations; may be called twice."""
        self.is_closed = True
        self.session.follows.pop(self.id, None)
        for operation in list(self.operations.values()):
            self.stop_operation(operation.id)
        for block_hash in self.pinned:
            self.context.chain.unpin(block_hash)
        self.pinned.clear()

    def end(self) -> None:
        """The client unfollows: no further event."""
        self.close()
        if self.task is not None:
            self.task.cancel()

    async def _send(self, event: dict[str, Any]) -> None:
        await self.session.notify(FOLLOW_EVENT, self.id, event)

    # ---- blocks

    async def _events(self) -> AsyncIterator[dict[str, Any]]:
        stream = self.context.events.stream()  # opened before the chain is read: nothing is missed in between
        start = await self.context.run(self._read_start)
        if self.is_closed:
            return
        for header in (*start.finalized, *start.above):
            self._pin(header)
        last = start.finalized[-1]
        self._finalized, self._finalized_number, self._best = last.hash, last.number, start.best
        initialized: dict[str, Any] = {
            "event": "initialized",
            "finalizedBlockHashes": [to_hex(header.hash) for header in start.finalized],
        }
        if self.with_runtime:
            initialized["finalizedBlockRuntime"] = await self.context.runtimes.describe(last.hash)
        yield initialized
        for header in start.above:
            yield await self._new_block(header)
        yield {"event": "bestBlockChanged", "bestBlockHash": to_hex(start.best)}
        async for event in stream:
            for told in await self._on_event(event):
                yield told

    def _read_start(self) -> _Start:
        """On the chain thread."""
        chain = self.context.chain
        last = chain.finalized
        numbers = range(max(0, last.number - FIRST_FINALIZED + 1), last.number)
        hashes = [chain.hash_of(number) for number in numbers]
        headers = [chain.header(block_hash) for block_hash in hashes if block_hash is not None]
        return _Start([*(h for h in headers if h is not None), last], chain.fork_blocks(), chain.best.hash)

    def _pin(self, header: Header) -> None:
        self.context.chain.pin(header.hash)
        self.pinned[header.hash] = header.number

    async def _on_event(self, event: ChainEvent) -> list[dict[str, Any]]:
        header = event.header
        if isinstance(event, BlockImported):
            if header.hash in self._above or header.number <= self._finalized_number:
                return []  # told with the start
            if header.parent_hash != self._finalized and header.parent_hash not in self._above:
                return []  # on a fork that finality left behind
            self._pin(header)
            return [await self._new_block(header)]
        if isinstance(event, BestChanged):
            if header.hash == self._best or (header.hash not in self._above and header.hash != self._finalized):
                return []
            self._best = header.hash
            return [{"event": "bestBlockChanged", "bestBlockHash": to_hex(header.hash)}]
        return self._on_finalized(event)

    async def _new_block(self, header: Header) -> dict[str, Any]:
        self._above[header.hash] = header.parent_hash
        event: dict[str, Any] = {
            "event": "newBlock",
            "blockHash": to_hex(header.hash),
            "parentBlockHash": to_hex(header.parent_hash),
        }
        if self.with_runtime:
            runtimes = self.context.runtimes
            before, after = await runtimes.code_hash(header.parent_hash), await runtimes.code_hash(header.hash)
            event["newRuntime"] = None if before == after else await runtimes.describe(header.hash)
        return event

    def _on_finalized(self, event: BlockFinalized) -> list[dict[str, Any]]:
        count = event.header.number - self._finalized_number
        if count <= 0:
            return []  # told with the start
        fresh = event.hashes[-count:]
        if any(block_hash not in self._above for block_hash in fresh):
            raise FollowBroken("a block became final that was not told")
        pruned = self._pruned_by(event.header.hash, fresh)
        for block_hash in (*fresh, *pruned):
            del self._above[block_hash]
        self._finalized, self._finalized_number = event.header.hash, event.header.number
        self._check_pins()
        return [
            {
                "event": "finalized",
                "finalizedBlockHashes": [to_hex(block_hash) for block_hash in fresh],
                "prunedBlockHashes": [to_hex(block_hash) for block_hash in pruned],
            }
        ]

    def _pruned_by(self, finalized: bytes, fresh: tuple[bytes, ...]) -> list[bytes]:
        kept, pruned = {finalized}, []
        for block_hash, parent in self._above.items():
            if parent in kept:
                kept.add(block_hash)
            elif block_hash not in fresh:
                pruned.append(block_hash)
        return pruned

    def _check_pins(self) -> None:
        settled = [number for block_hash, number in self.pinned.items() if block_hash not in self._above]
        if len(settled) > MAX_PINNED:
            raise FollowBroken(f"more than {MAX_PINNED} finalised or pruned blocks are pinned")
        if settled and min(settled) + MAX_PIN_AGE < self._finalized_number:
            raise FollowBroken(f"a block is pinned more than {MAX_PIN_AGE} blocks below the finalised one")

    def check_pinned(self, block_hash: bytes) -> None:
        """Raises `UnpinnedBlock` unless the block was told and is pinned still."""
        if block_hash not in self.pinned:
            raise UnpinnedBlock(block_hash)

    def unpin(self, hashes: list[bytes]) -> None:
        """Unpins all of them, or none. Raises `UnpinnedBlock`, `DuplicateHashes`."""
        if len(set(hashes)) != len(hashes):
            raise DuplicateHashes
        for block_hash in hashes:
            self.check_pinned(block_hash)
        for block_hash in hashes:
            del self.pinned[block_hash]
            self.context.chain.unpin(block_hash)

    # ---- operations

    def free_slots(self) -> int:
        """How many operations may be started now."""
        return MAX_OPERATIONS - sum(operation.slots for operation in self.operations.values())

    def start(self, slots: int, block_hash: bytes, work: Work) -> str:
        """Starts an operation on a pinned block, which stays pinned for it until it ends; its id."""
        operation = Operation(make_id(), slots)
        self.operations[operation.id] = operation
        self.context.chain.pin(block_hash)
        operation.task = self.session.spawn(lambda: self._operate(operation, work))
        operation.task.add_done_callback(lambda _task: self.context.chain.unpin(block_hash))
        return operation.id

    async def _operate(self, operation: Operation, work: Work) -> None:
        try:
            last = await work(operation)
        except (UnknownBlock, StatePruned):
            last = {"event": "operationInaccessible"}
        except ChainError as error:
            last = {"event": "operationError", "error": str(error)}
        except Exception:
            log.exception("an operation of chainHead_v1_follow failed")
            last = {"event": "operationError", "error": "internal error"}
        self.operations.pop(operation.id, None)  # free before the client hears of it
        await self.tell(operation, last)

    async def tell(self, operation: Operation, event: dict[str, Any]) -> None:
        """Sends an event of an operation."""
        await self._send({"event": event["event"], "operationId": operation.id, **event})

    async def wait_for_continue(self, operation: Operation) -> None:
        """Tells the client that it must ask for more, and waits for that."""
        operation.resume = asyncio.Event()
        await self.tell(operation, {"event": "operationWaitingForContinue"})
        await operation.resume.wait()
        operation.resume = None

    def resume(self, operation_id: str) -> None:
        """Lets a waiting operation go on; an unknown one is passed over. Raises `NoContinuation`."""
        operation = self.operations.get(operation_id)
        if operation is None:
            return
        if operation.resume is None:
            raise NoContinuation
        operation.resume.set()

    def stop_operation(self, operation_id: str) -> None:
        """Ends an operation; an unknown one is passed over."""
        operation = self.operations.pop(operation_id, None)
        if operation is not None and operation.task is not None:
            operation.task.cancel()
