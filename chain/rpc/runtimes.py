"""Which runtime a block's state holds, for `chainHead_v1_follow`: asked once per block, however many follow."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from chain.errors import ChainError
from chain.rpc.params import to_hex

if TYPE_CHECKING:
    from chain.rpc.context import ChainView, Runner
    from chain.runtime.api import RuntimeVersion

KEPT_BLOCKS = 1_024
CODE_KEY = b":code"


class Runtimes:
    """Hash of the runtime's code by block. All methods belong to the loop's thread."""

    def __init__(self, chain: ChainView, run: Runner) -> None:
        self._chain, self._run = chain, run
        self._codes: OrderedDict[bytes, asyncio.Task[bytes | None]] = OrderedDict()

    async def code_hash(self, block_hash: bytes) -> bytes | None:
        """BLAKE2b-256 of the runtime after a block. Raises `UnknownBlock`, `StatePruned`."""
        task = self._codes.get(block_hash)
        if task is None or (task.done() and task.exception() is not None):
            task = asyncio.ensure_future(self._read(block_hash))
            self._codes[block_hash] = task
            while len(self._codes) > KEPT_BLOCKS:
                self._codes.popitem(last=False)
        return await asyncio.shield(task)

    async def _read(self, block_hash: bytes) -> bytes | None:
        return await self._run(lambda: self._chain.state_at(block_hash).value_hash(CODE_KEY))

    async def describe(self, block_hash: bytes) -> dict[str, Any]:
        """The runtime after a block as the specification writes it: `valid` with its `spec`, or `invalid`."""
        try:
            version = await self._run(self._chain.runtime_version, block_hash)
        except ChainError as error:
            return {"type": "invalid", "error": str(error)}
        return {"type": "valid", "spec": spec_json(version)}


def spec_json(version: RuntimeVersion) -> dict[str, Any]:
    """A runtime's version in the new specification's form; `apis` is an object here."""
    return {
        "specName": version.spec_name,
        "implName": version.impl_name,
        "specVersion": version.spec_version,
        "implVersion": version.impl_version,
        "transactionVersion": version.transaction_version,
        "apis": {to_hex(api): number for api, number in version.apis},
    }
