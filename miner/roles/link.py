"""The roles' link to a chain: `ChainClient` with the typed calls and storage of `pallets_abi` and one account's key."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, TypeVar

from chain.client import (
    ERA_PERIOD,
    PHASE_PERIOD,
    ChainClient,
    ChainClientError,
    ExtrinsicLost,
    Head,
    NotConnected,
    Receipt,
)
from pallets_abi import block_rights, system
from pallets_abi.base import Call, Constant, RuntimeCall, StorageItem, from_plain, to_plain
from pallets_abi.metadata import RuntimeApiCodec

from miner.wallet import Wallet

log = logging.getLogger(__name__)

PHASED = {
    ("Beacon", "commit"), ("Beacon", "reveal"), ("Verification", "commit"), ("Verification", "reveal"),
    ("Verification", "reveal_solver"),
}  # fmt: skip
"""Calls that belong to a phase (besides all of Disputes and Availability): void soon, so that a late one is not taken
for the next."""

CONNECT_PAUSE_SECONDS = 0.5
"""Pause between attempts to reach a node that is just starting."""

PATIENCE_SLOTS = 4
"""Slots after which a call without a block is looked for in the node's pool (a fork or a nonce race may have made it
void). One that is still there is waited for: on a busy chain a second one would only make the queue longer."""

KEPT_DELAYS = 32
"""Calls whose way into a block is remembered."""

METADATA_VERSION = (15).to_bytes(4, "little")
"""Of the metadata that says what runtime APIs take and give."""

T = TypeVar("T")


@dataclass(frozen=True)
class EncodedCall:
    """A call with its arguments in SCALE: a move of a dispute, as `consensus.dispute` encodes it."""

    pallet: str
    function: str
    arguments: bytes


def compute_period(call: Call | EncodedCall) -> int:
    """Blocks that a call stays valid."""
    is_phased = call.pallet in {"Disputes", "Availability"} or (call.pallet, call.function) in PHASED
    return PHASE_PERIOD if is_phased else ERA_PERIOD


class CallUnanswered(ExtrinsicLost):
    """A call is in no block and no longer in the pool, or its era ended. Sending it again is safe."""

    def __init__(self, call: Call | EncodedCall, extrinsic_hash: str) -> None:
        super().__init__(extrinsic_hash)
        self.call = call
        self.args = (f"{call.pallet}.{call.function} got into no block; sending it again is safe",)


__all__ = ["CallUnanswered", "ChainClientError", "ChainLink", "EncodedCall", "Head", "Receipt"]


class ChainLink:
    """One account's link to one node; make it, `await connect()`, `await close()`."""

    def __init__(self, url: str, wallet: Wallet) -> None:
        self.wallet = wallet
        self.client = ChainClient(url)
        self._slot_seconds = 0.0
        self._apis: RuntimeApiCodec | None = None
        self._under_way: list[float] = []
        self._delays: deque[tuple[float, float]] = deque(maxlen=KEPT_DELAYS)

    async def connect(self, seconds: float = 60.0) -> None:
        """Waits for the node and reads the runtime's metadata. Raises NotConnected after `seconds`."""
        deadline = asyncio.get_running_loop().time() + seconds
        is_told = False
        while True:
            try:
                await self.client.connect()
                return
            except NotConnected as error:
                if asyncio.get_running_loop().time() > deadline:
                    raise
                if not is_told:
                    log.info("%s Trying again for %.0f s", error, seconds)
                    is_told = True
                await asyncio.sleep(CONNECT_PAUSE_SECONDS)

    async def close(self) -> None:
        """Closes the connection; what waits for a receipt is cancelled."""
        await self.client.close()

    async def query(self, item: StorageItem[T], *keys: Any) -> T:
        """Value of a storage item in the best block. Raises ChainClientError, AbiMismatch."""
        return item.decode(await self.client.query(item.pallet, item.name, list(keys)))

    async def query_map(self, item: StorageItem[T | None], *prefix: Any) -> list[tuple[tuple[Any, ...], T]]:
        """All entries of a map below its first keys, each with its remaining keys. Raises as `query`."""
        kinds = item.keys[len(prefix) :]
        entries = []
        for key, value in await self.client.query_map(item.pallet, item.name, list(prefix)):
            parts = key if isinstance(key, tuple | list) and len(kinds) > 1 else (key,)
            typed = item.decode(value)
            if typed is not None:
                entries.append((tuple(from_plain(kind, part) for kind, part in zip(kinds, parts, strict=True)), typed))
        return entries

    async def constant(self, item: Constant[T]) -> T:
        """A constant of the runtime. Raises ChainClientError, AbiMismatch."""
        return item.decode(await self.client.constant(item.pallet, item.name))

    async def call(self, item: RuntimeCall[T], *arguments: Any) -> T:
        """Result of a runtime API's method at the best block. Raises ChainClientError, AbiMismatch, and MetadataError
        for arguments of other types or a runtime without the method."""
        if self._apis is None:
            answer = await self.client.runtime_call("Metadata_metadata_at_version", METADATA_VERSION)
            self._apis = await asyncio.to_thread(RuntimeApiCodec.from_option, answer)
        data = self._apis.encode(item.function, [to_plain(argument) for argument in arguments])
        return item.decode(self._apis.decode(item.function, await self.client.runtime_call(item.function, data)))

    async def free_balance(self) -> int:
        """Free balance of the account, plancks."""
        account = await self.query(system.ACCOUNT, self.wallet.address)
        return int(account["data"]["free"])

    async def slot_seconds(self) -> float:
        """Seconds of a slot. Raises as `query`."""
        if not self._slot_seconds:
            self._slot_seconds = (await self.query(block_rights.PARAMS)).slot_duration / 1000
        return self._slot_seconds

    async def submit(self, call: Call | EncodedCall) -> Receipt:
        """Signs, sends and waits for the block.

        Raises ExtrinsicFailed, ExtrinsicRefused, NotConnected, and CallUnanswered when it is in no block and its era
        has ended or the node's pool has lost it: roles look at the chain again and send what is still due.
        """
        slot_seconds = await self.slot_seconds()
        params = call.arguments if isinstance(call, EncodedCall) else call.params()
        began = time.monotonic()
        self._under_way.append(began)
        try:
            receipt = await self.client.submit(
                call.pallet, call.function, params, self.wallet.account,
                period=compute_period(call), patience=PATIENCE_SLOTS * slot_seconds,
            )  # fmt: skip
        except ExtrinsicLost as error:
            raise CallUnanswered(call, error.extrinsic_hash) from error
        finally:
            self._under_way.remove(began)
        now = time.monotonic()
        self._delays.append((now, now - began))
        return receipt

    def worst_delay(self, seconds: float) -> float:
        """The longest way of a call into a block, in seconds: of those that came into one within the last `seconds`,
        and of those that still wait. 0.0 when there are none."""
        now = time.monotonic()
        recent = [delay for arrived, delay in self._delays if arrived > now - seconds]
        return max([*recent, *(now - began for began in self._under_way)], default=0.0)

    async def send(self, call: Call | EncodedCall) -> None:
        """Signs and sends, and does not wait: whoever looks at the chain sees whether it was taken. Raises as `submit`,
        but for what only a block shows."""
        params = call.arguments if isinstance(call, EncodedCall) else call.params()
        period = compute_period(call)
        await self.client.submit(call.pallet, call.function, params, self.wallet.account, "none", period)

    async def heads(self) -> AsyncIterator[Head]:
        """The newest best block, whenever it is another one; skips what came while the caller was busy; never ends."""
        last = ""
        while True:
            try:
                head = await self.client.head()
            except ChainClientError:
                await asyncio.sleep(CONNECT_PAUSE_SECONDS * 2)
                continue
            if head.hash != last:
                last = head.hash
                yield head
            await asyncio.sleep(CONNECT_PAUSE_SECONDS / 2)
