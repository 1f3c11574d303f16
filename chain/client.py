"""`ChainClient`: what daemons need of a chain, over substrate-interface and WebSocket, from asyncio.

substrate-interface blocks and is not thread-safe, so one worker thread owns it; every method here is a coroutine that
may be called from any task. A broken connection is made again; an extrinsic that waits for its block survives that: it
is found by its hash in the blocks, and handed in again when a node that lost its pool comes back.

    ChainClientError
    ├── BadNodeUrl             the text is no ws:// address
    ├── NotConnected           the node does not answer
    ├── RequestRefused         the node answered with a JSON-RPC error (code, message, data)
    │   └── ExtrinsicRefused   … to a submission: bad signature, nonce, fee (code 1010), banned, duplicate …
    ├── ExtrinsicFailed        included, but its dispatch failed: pallet, name and text of the error
    └── ExtrinsicLost          not included before its mortality ended, or in no block and no longer in the node's pool
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from pallets_abi.metadata import BOUNDED_VECTORS
from scalecodec import ScaleBytes
from scalecodec.types import GenericCall
from substrateinterface import Keypair, SubstrateInterface
from substrateinterface.exceptions import SubstrateRequestException
from websocket import WebSocketException

from chain.primitives import blake2_256

log = logging.getLogger(__name__)

T = TypeVar("T")

ERA_PERIOD = 256
"""Blocks an extrinsic stays valid (a power of two, as mortal eras want it)."""

PHASE_PERIOD = 8
"""Blocks that a call stays valid that belongs to a phase (= 2^3): fewer than the other phases of an epoch or duty have,
so that one that comes late is void and not taken for the next phase's. A beacon's commitment that lands in the next
epoch cannot be revealed, and costs its honest sender."""

MAX_BIRTH_DEPTH = 32
"""Blocks below the best one at which an extrinsic's era begins at the earliest, however far finality lags; a quarter of
the period where that is less."""

POLL_SECONDS = 0.25
"""Time between two looks at the head while something is waited for."""

REQUEST_TIMEOUT = 60.0
"""Seconds a single request may take before the connection counts as broken."""

NONCE_RETRIES = 3

MAX_PAGE = 1_000
KEPT_BLOCK_EVENTS = 8
"""Blocks whose decoded events are kept, for the receipts of many extrinsics in one block."""

Wait = Literal["none", "in_block", "finalized"]


class ChainClientError(Exception):
    """Base of this module's errors."""


class NotConnected(ChainClientError):
    """The node at `url` does not answer."""

    def __init__(self, url: str, reason: str) -> None:
        self.url, self.reason = url, reason
        super().__init__(f"node {url} does not answer ({reason}); is it running, and is --node right?")


class BadNodeUrl(ChainClientError):
    """The text is no address of a node."""

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(f"{url!r} is no node address; write --node ws://HOST:PORT, like ws://127.0.0.1:9944")


class RequestRefused(ChainClientError):
    """The node answered with an error."""

    def __init__(self, code: int, message: str, data: Any) -> None:
        self.code, self.message, self.data = code, message, data
        super().__init__(f"{message} ({code}){f': {data}' if data else ''}")


class ExtrinsicRefused(RequestRefused):
    """The node's pool does not take the extrinsic; `data` tells why."""


class ExtrinsicFailed(ChainClientError):
    """The extrinsic stands in a block and paid its fee, but its call failed with `pallet.name`."""

    def __init__(self, receipt: Receipt, pallet: str, name: str, docs: str) -> None:
        self.receipt, self.pallet, self.name, self.docs = receipt, pallet, name, docs
        super().__init__(f"{pallet}.{name}: {docs}" if docs else f"{pallet}.{name}")


class ExtrinsicLost(ChainClientError):
    """The extrinsic did not get into a block while it was valid, or the node's pool does not hold it any more."""

    def __init__(self, extrinsic_hash: str) -> None:
        self.extrinsic_hash = extrinsic_hash
        super().__init__(f"extrinsic {extrinsic_hash} was not included in time; sign and submit it again")


@dataclass(frozen=True)
class Head:
    """A block: its number and hash (0x-hex)."""

    number: int
    hash: str


@dataclass(frozen=True)
class EventRecord:
    """An event of a block. `attributes` are plain values; `extrinsic_index` None outside of extrinsics."""

    pallet: str
    name: str
    attributes: Any
    extrinsic_index: int | None


@dataclass(frozen=True)
class Receipt:
    """Where an extrinsic ended up, with its events. `block` is None when nothing was waited for."""

    extrinsic_hash: str
    block: Head | None
    extrinsic_index: int | None
    events: tuple[EventRecord, ...]


def check_node_url(url: str) -> None:
    """Raises `BadNodeUrl` unless it is ws(s):// or http(s):// with a host and, if any, a port that exists."""
    try:
        parts = urlsplit(url)
        if parts.scheme in {"ws", "wss", "http", "https"} and parts.hostname and parts.port != 0:
            return
    except ValueError:
        pass
    raise BadNodeUrl(url)


class ChainClient:
    """A connection to a node. `async with ChainClient("ws://127.0.0.1:9944") as chain: …`"""

    def __init__(self, url: str) -> None:
        """Raises `BadNodeUrl`; connects to nothing yet."""
        check_node_url(url)
        self.url = url
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="chain-client")
        self._substrate: SubstrateInterface | None = None
        self._submitting = asyncio.Lock()
        self._tracker = _Tracker(self)
        self._events: dict[str, tuple[EventRecord, ...]] = {}  # by block hash, for the worker thread only

    async def __aenter__(self) -> ChainClient:
        await self.connect()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def connect(self) -> None:
        """Connects and reads the runtime's metadata. Raises `NotConnected`."""
        await self._run(lambda substrate: substrate.init_runtime())

    async def close(self) -> None:
        """Closes the connection; what waits is cancelled."""
        await self._tracker.close()

        def shut() -> None:
            if self._substrate is not None:
                self._substrate.close()
            self._substrate = None

        await asyncio.get_running_loop().run_in_executor(self._executor, shut)
        self._executor.shutdown(wait=False)

    # ---- reading

    async def head(self) -> Head:
        """The best block."""
        header = await self.rpc("chain_getHeader", [])
        return await self._head_of(header)

    async def finalized_head(self) -> Head:
        """The last final block."""
        block_hash = await self.rpc("chain_getFinalizedHead", [])
        header = await self.rpc("chain_getHeader", [block_hash])
        return Head(int(header["number"], 16), block_hash)

    async def block_hash(self, number: int) -> str | None:
        """Hash of a block of the best chain by number."""
        found: str | None = await self.rpc("chain_getBlockHash", [number])
        return found

    async def header(self, block_hash: str | None = None) -> dict[str, Any] | None:
        """A header as the RPC gives it (`parentHash`, `number` in hex, `stateRoot`, `digest`)."""
        found: dict[str, Any] | None = await self.rpc("chain_getHeader", [block_hash] if block_hash else [])
        return found

    async def rpc(self, method: str, params: Sequence[Any] = ()) -> Any:
        """A raw request; its `result`. Raises `RequestRefused`, `NotConnected`."""
        return await self._run(lambda substrate: substrate.rpc_request(method, list(params))["result"])

    async def query(self, pallet: str, item: str, params: Sequence[Any] = (), at: str | None = None) -> Any:
        """A storage value as plain Python (None if absent and optional), at the best block or at the one given."""

        def read(substrate: SubstrateInterface) -> Any:
            return substrate.query(pallet, item, list(params), block_hash=at).value

        return await self._run(read)

    async def query_raw(self, pallet: str, items: Sequence[str], params: Sequence[Any] = ()) -> list[bytes | None]:
        """The own bytes of several storage items under the same keys, all of the best block; None if absent."""

        def read(substrate: SubstrateInterface) -> list[bytes | None]:
            keys = [substrate.create_storage_key(pallet, item, list(params)).to_hex() for item in items]
            (changes,) = substrate.rpc_request("state_queryStorageAt", [keys])["result"]
            found = dict(changes["changes"])
            return [None if found.get(key) is None else bytes.fromhex(found[key][2:]) for key in keys]

        return await self._run(read)

    async def query_map(
        self, pallet: str, item: str, params: Sequence[Any] = (), at: str | None = None
    ) -> list[tuple[Any, Any]]:
        """All entries of a map (below the leading keys `params`), as plain (key, value); several keys as a tuple."""

        def read(substrate: SubstrateInterface) -> list[tuple[Any, Any]]:
            block = at or substrate.get_chain_head()  # all pages of one block
            found = substrate.query_map(pallet, item, list(params), block_hash=block, page_size=MAX_PAGE)
            return [(_plain(key), _plain(value)) for key, value in found]

        return await self._run(read)

    async def constant(self, pallet: str, name: str) -> Any:
        """A constant of the runtime."""
        return await self._run(lambda substrate: substrate.get_constant(pallet, name).value)

    async def runtime_call(self, function: str, arguments: bytes = b"", at: str | None = None) -> bytes:
        """A call of a runtime API function (`Api_method`), SCALE in and out, at the best block or at the one given."""
        result = await self.rpc("state_call", [function, "0x" + arguments.hex(), *([at] if at else [])])
        return bytes.fromhex(result[2:])

    async def events(self, block_hash: str) -> list[EventRecord]:
        """The events of a block, in order."""
        return list(await self._run(lambda substrate: self._block_events(substrate, block_hash)))

    async def next_nonce(self, address: str) -> int:
        """The nonce of the account's next extrinsic, those waiting in the node's pool counted."""
        return int(await self.rpc("system_accountNextIndex", [address]))

    async def heads(self, start: int | None = None) -> AsyncIterator[Head]:
        """Best blocks one by one from number `start` (default: the next) on, none left out; ends never."""
        number = (await self.head()).number + 1 if start is None else start
        while True:
            head = await self._patiently(self.head)
            while number <= head.number:
                found = await self._patiently(lambda wanted=number: self.block_hash(wanted))  # type: ignore[misc]
                if found is None:
                    break
                yield Head(number, found)
                number += 1
            await asyncio.sleep(POLL_SECONDS)

    # ---- writing

    async def fee(self, pallet: str, function: str, params: Mapping[str, Any], key: Keypair) -> int:
        """What the call would cost, in plancks."""

        def estimate(substrate: SubstrateInterface) -> int:
            call = substrate.compose_call(pallet, function, dict(params))
            return int(substrate.get_payment_info(call, key)["partialFee"])

        return await self._run(estimate)

    async def submit(
        self, pallet: str, function: str, params: Mapping[str, Any] | bytes, key: Keypair, wait: Wait = "in_block",
        period: int = ERA_PERIOD, patience: float = math.inf,
    ) -> Receipt:  # fmt: skip
        """Signs and submits a call, and waits for its block (or its finality). `params`: arguments by name, or their
        SCALE encoding one after another; `period`: blocks that it stays valid; `patience`: seconds without a block
        after which the node's pool is asked whether it still holds the extrinsic.

        Raises `ExtrinsicRefused` (the pool does not take it), `ExtrinsicFailed` (its dispatch failed; only when waited
        for), `ExtrinsicLost`, `NotConnected`. Many calls of one key may be under way at once: nonces follow each other.
        """
        sent = await self._send(pallet, function, params, key, period)
        if wait == "none":
            return Receipt(sent.hash, None, None, ())
        block, index = await self._tracker.wait(sent, wait == "finalized", patience)
        return await self._run(lambda substrate: self._make_receipt(substrate, sent.hash, block, index))

    async def _send(
        self, pallet: str, function: str, params: Mapping[str, Any] | bytes, key: Keypair, period: int
    ) -> _Sent:
        async with self._submitting:
            for attempt in range(NONCE_RETRIES):
                try:
                    return await self._run(
                        lambda substrate: _sign_and_send(substrate, pallet, function, params, key, period)
                    )
                except ExtrinsicRefused as error:
                    if attempt + 1 == NONCE_RETRIES or not _is_nonce_race(error):
                        raise
                    await asyncio.sleep(POLL_SECONDS)
        raise AssertionError("unreachable")

    # ---- the worker thread

    async def _run(self, function: Callable[[SubstrateInterface], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._guarded, function)

    def _guarded(self, function: Callable[[SubstrateInterface], T]) -> T:
        for is_last in (False, True):
            try:
                if self._substrate is None:
                    self._substrate = SubstrateInterface(
                        url=self.url,
                        auto_reconnect=False,
                        ws_options={"timeout": REQUEST_TIMEOUT},
                        type_registry=BOUNDED_VECTORS,
                    )
                return function(self._substrate)
            except SubstrateRequestException as error:
                raise _refusal(error) from error
            except (OSError, WebSocketException, EOFError) as error:
                self._drop_connection()
                if is_last:
                    raise NotConnected(self.url, str(error) or type(error).__name__) from error
        raise AssertionError("unreachable")

    def _block_events(self, substrate: SubstrateInterface, block_hash: str) -> tuple[EventRecord, ...]:
        """Decoding is slow and a block's receipts share it: the last blocks' events are kept."""
        if block_hash not in self._events:
            while len(self._events) >= KEPT_BLOCK_EVENTS:
                del self._events[next(iter(self._events))]
            self._events[block_hash] = _read_events(substrate, block_hash)
        return self._events[block_hash]

    def _make_receipt(self, substrate: SubstrateInterface, extrinsic_hash: str, block: Head, index: int) -> Receipt:
        every = self._block_events(substrate, block.hash)
        events = tuple(event for event in every if event.extrinsic_index == index)
        receipt = Receipt(extrinsic_hash, block, index, events)
        for event in events:
            if event.pallet == "System" and event.name == "ExtrinsicFailed":
                pallet, name, docs = describe_dispatch_error(substrate, event.attributes["dispatch_error"])
                raise ExtrinsicFailed(receipt, pallet, name, docs)
        return receipt

    def _drop_connection(self) -> None:
        substrate, self._substrate = self._substrate, None
        if substrate is not None:
            try:
                substrate.close()
            except (OSError, WebSocketException):
                log.debug("closing a broken connection failed")

    async def _patiently(self, function: Callable[[], Any]) -> Any:
        """The result of a read, over a node's restart: waits while it does not answer."""
        while True:
            try:
                return await function()
            except NotConnected as error:
                log.info("%s; trying again", error)
                await asyncio.sleep(4 * POLL_SECONDS)

    async def _head_of(self, header: dict[str, Any]) -> Head:
        number = int(header["number"], 16)
        found = await self.rpc("chain_getBlockHash", [number])
        return Head(number, found)


@dataclass(frozen=True)
class _Sent:
    """An extrinsic that was submitted: its bytes and hash (0x-hex), the block at which its era begins, its period."""

    data: str
    hash: str
    number: int
    period: int


@dataclass
class _Waiting:
    sent: _Sent
    is_finality_wanted: bool
    patience: float
    done: asyncio.Future[tuple[Head, int]]
    found: tuple[Head, int] | None = None
    asked_at: float = field(default_factory=time.monotonic)
    """When it was handed in, or last seen in the node's pool."""
    is_missed: bool = False
    """The pool did not hold it when it was last asked."""


class _Tracker:
    """Looks for submitted extrinsics in the blocks, for all who wait, with one task."""

    def __init__(self, client: ChainClient) -> None:
        self._client = client
        self._waiting: dict[str, _Waiting] = {}
        self._task: asyncio.Task[None] | None = None
        self._seen: dict[int, str] = {}  # number -> hash of blocks already searched

    async def wait(self, sent: _Sent, is_finality_wanted: bool, patience: float) -> tuple[Head, int]:
        """The block and the index in it. Raises `ExtrinsicLost`."""
        done: asyncio.Future[tuple[Head, int]] = asyncio.get_running_loop().create_future()
        self._waiting[sent.hash] = _Waiting(sent, is_finality_wanted, patience, done)
        self._seen = {number: found for number, found in self._seen.items() if number <= sent.number}
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._follow())
        try:
            return await done
        finally:
            self._waiting.pop(sent.hash, None)

    async def close(self) -> None:
        """Ends the task; waiters are cancelled."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for waiting in list(self._waiting.values()):
            waiting.done.cancel()

    async def _follow(self) -> None:
        was_lost = False
        while self._waiting:
            try:
                if was_lost:
                    await self._send_again()
                    was_lost = False
                await self._look()
            except NotConnected:
                was_lost = True
            except ChainClientError as error:
                log.warning("looking for extrinsics failed: %s", error)
            await asyncio.sleep(POLL_SECONDS)

    async def _look(self) -> None:
        head = await self._client.head()
        first = min((waiting.sent.number for waiting in self._waiting.values()), default=head.number + 1)
        for number in range(first, head.number + 1):
            block_hash = head.hash if number == head.number else await self._hash_at(number, head.number)
            if block_hash is not None and self._seen.get(number) != block_hash:
                await self._search(Head(number, block_hash))
                self._seen[number] = block_hash
        is_final_due = any(waiting.is_finality_wanted and waiting.found for waiting in self._waiting.values())
        final = (await self._client.finalized_head()).number if is_final_due else 0
        for waiting in list(self._waiting.values()):
            await self._settle(waiting, head.number, final)
        await self._ask_pool()

    async def _ask_pool(self) -> None:
        """Gives up what is overdue and missing twice: between two looks it cannot have gone into a block unseen."""
        now = time.monotonic()
        unfound = [each for each in self._waiting.values() if not each.done.done() and each.found is None]
        overdue = [each for each in unfound if now > each.asked_at + each.patience]
        pending = set(await self._client.rpc("author_pendingExtrinsics")) if overdue else set()
        for waiting in overdue:
            if waiting.sent.data in pending:
                waiting.asked_at, waiting.is_missed = now, False
            elif waiting.is_missed:
                waiting.done.set_exception(ExtrinsicLost(waiting.sent.hash))
            else:
                waiting.is_missed = True

    async def _hash_at(self, number: int, head: int) -> str | None:
        """Deep blocks are not asked for twice; the last few are, for they may be replaced."""
        known = self._seen.get(number)
        return known if known is not None and number + 8 < head else await self._client.block_hash(number)

    async def _search(self, block: Head) -> None:
        found = await self._client.rpc("chain_getBlock", [block.hash])
        if found is None:
            return
        for index, data in enumerate(found["block"]["extrinsics"]):
            waiting = self._waiting.get("0x" + blake2_256(bytes.fromhex(data[2:])).hex())
            if waiting is not None:
                waiting.found = (block, index)

    async def _settle(self, waiting: _Waiting, best: int, final: int) -> None:
        if waiting.done.done():
            return
        if waiting.found is not None:
            block = waiting.found[0]
            if not waiting.is_finality_wanted:
                waiting.done.set_result(waiting.found)
            elif block.number <= final:
                if await self._client.block_hash(block.number) == block.hash:
                    waiting.done.set_result(waiting.found)
                else:
                    waiting.found = None
        elif best > waiting.sent.number + waiting.sent.period:
            waiting.done.set_exception(ExtrinsicLost(waiting.sent.hash))

    async def _send_again(self) -> None:
        for waiting in list(self._waiting.values()):
            if waiting.found is None:
                try:
                    await self._client.rpc("author_submitExtrinsic", [waiting.sent.data])
                except RequestRefused as error:
                    log.debug("not taken again: %s", error)  # in the pool or in a block already


def _sign_and_send(
    substrate: SubstrateInterface, pallet: str, function: str, params: Mapping[str, Any] | bytes, key: Keypair,
    period: int,
) -> _Sent:  # fmt: skip
    if isinstance(params, bytes):
        call = _decode_call(substrate, pallet, function, params)
    else:
        call = substrate.compose_call(pallet, function, dict(params))
    nonce = substrate.rpc_request("system_accountNextIndex", [key.ss58_address])["result"]
    number = _birth_number(substrate, period)
    era = {"period": period, "current": number}
    extrinsic = substrate.create_signed_extrinsic(call, key, era=era, nonce=nonce)
    data = str(extrinsic.data)
    try:
        found = substrate.rpc_request("author_submitExtrinsic", [data])["result"]
    except SubstrateRequestException as error:
        refusal = _refusal(error)
        raise ExtrinsicRefused(refusal.code, refusal.message, refusal.data) from error
    return _Sent(data, str(found), number, period)


def _birth_number(substrate: SubstrateInterface, period: int) -> int:
    """The block that a new extrinsic's era begins at: the finalised one, for the era is signed with its hash.

    Born at a best block that loses against a fork, the extrinsic would be void for good, and with it all later nonces.
    Where finality lags, a block that no fork is expected to reach.
    """
    best = int(substrate.rpc_request("chain_getHeader", [])["result"]["number"], 16)
    final_hash = substrate.rpc_request("chain_getFinalizedHead", [])["result"]
    final = int(substrate.rpc_request("chain_getHeader", [final_hash])["result"]["number"], 16)
    return max(final, best - min(MAX_BIRTH_DEPTH, period // 4))


def _decode_call(substrate: SubstrateInterface, pallet: str, function: str, arguments: bytes) -> GenericCall:
    """A call of its arguments' SCALE encoding, every byte of which must be of the types in the metadata."""
    module = next(module for module in substrate.metadata.pallets if module.name == pallet)
    index = next(call.value["index"] for call in module.calls if call.name == function)
    data = ScaleBytes(bytes([module.value["index"], index]) + arguments)
    call = substrate.runtime_config.create_scale_object("Call", data, metadata=substrate.metadata)
    call.decode(check_remaining=True)
    return call


def _refusal(error: SubstrateRequestException) -> RequestRefused:
    body = error.args[0] if error.args else None
    if isinstance(body, dict):
        return RequestRefused(int(body.get("code", 0)), str(body.get("message", "")), body.get("data"))
    return RequestRefused(0, str(body), None)


def _is_nonce_race(error: ExtrinsicRefused) -> bool:
    """Whether another submission or a new block took the nonce between reading and using it."""
    return error.code in {1013, 1014} or (error.code == 1010 and "outdated" in str(error.data))


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    return getattr(value, "value", value)


def _read_events(substrate: SubstrateInterface, block_hash: str) -> tuple[EventRecord, ...]:
    records = []
    for item in substrate.get_events(block_hash):
        value = item.value
        records.append(
            EventRecord(value["module_id"], value["event_id"], value["attributes"], value.get("extrinsic_idx"))
        )
    return tuple(records)


def describe_dispatch_error(substrate: SubstrateInterface, error: Any) -> tuple[str, str, str]:
    """(pallet, name, documentation) of a `DispatchError`; errors outside of pallets belong to `System`."""
    if not isinstance(error, dict):
        return "System", str(error), ""
    if "Module" not in error:
        kind, detail = next(iter(error.items()))
        return "System", kind if detail is None else f"{kind}.{detail}", ""
    module = error["Module"]
    index, code = (module["index"], module["error"]) if isinstance(module, dict) else module
    if isinstance(code, str):
        code = int(code[2:4], 16)
    found = substrate.metadata.get_module_error(module_index=index, error_index=code)
    pallets = {pallet.value["index"]: pallet.name for pallet in substrate.metadata.pallets}
    docs = found.docs if isinstance(found.docs, list) else [str(found.docs)]
    return pallets.get(index, str(index)), found.name, " ".join(docs).strip()
