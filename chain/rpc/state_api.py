"""`state_*`: storage, runtime calls, metadata, proofs and their subscriptions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from chain.events import BestChanged
from chain.primitives import Reader, blake2_256
from chain.rpc.context import RpcContext
from chain.rpc.errors import InvalidParams
from chain.rpc.forms import runtime_version_json
from chain.rpc.params import MAX_KEYS, Params, to_hex
from chain.rpc.registry import Registry

MAX_PAGE = 1_000
"""Keys in one page, as in a stock node."""

MAX_KEY_BYTES = 4_096
MAX_METADATA_BYTES = 16 * 1024 * 1024
MAX_QUERY_BLOCKS = 256
CODE_KEY = b":code"


async def get_storage(context: RpcContext, params: Params) -> Any:
    """A value in hex, or null. What is asked again and again costs no visit to the chain thread."""
    key, at = params.bytes_("key", MAX_KEY_BYTES), context.at(params.optional_hash())
    params.finish()
    is_known, value = context.chain.recall_storage(at, key)
    if not is_known:
        value = await context.run(context.chain.storage, at, key)
    return None if value is None else to_hex(value)


async def get_storage_hash(context: RpcContext, params: Params) -> Any:
    """BLAKE2b-256 of a value, or null."""
    key, at = params.bytes_("key", MAX_KEY_BYTES), context.at(params.optional_hash())
    params.finish()
    value = await context.run(context.chain.storage, at, key)
    return None if value is None else to_hex(blake2_256(value))


async def get_storage_size(context: RpcContext, params: Params) -> Any:
    """Size of a value in bytes, or null."""
    key, at = params.bytes_("key", MAX_KEY_BYTES), context.at(params.optional_hash())
    params.finish()
    value = await context.run(context.chain.storage, at, key)
    return None if value is None else len(value)


async def get_keys_paged(context: RpcContext, params: Params) -> Any:
    """Up to `count` keys with a prefix, after `startKey`."""
    prefix = params.optional_bytes("prefix", MAX_KEY_BYTES) or b""
    count = params.integer("count", 0, MAX_PAGE)
    start = params.optional_bytes("startKey", MAX_KEY_BYTES)
    at = context.at(params.optional_hash())
    params.finish()
    keys = await context.run(context.chain.storage_keys_paged, at, prefix, count, start)
    return [to_hex(key) for key in keys]


async def query_storage_at(context: RpcContext, params: Params) -> Any:
    """Values of several keys at one block, as one change set."""
    keys, at = params.keys("keys"), context.at(params.optional_hash("at"))
    params.finish()
    return [await _changes(context, at, keys)]


async def query_storage(context: RpcContext, params: Params) -> Any:
    """Change sets of several keys over a range of blocks of the best chain; the first holds all values."""
    keys, first, last = params.keys("keys"), params.hash("fromBlock"), params.optional_hash("toBlock")
    params.finish()
    low = (await context.header_at(first)).number
    high = (await context.header_at(last)).number
    if not low <= high < low + MAX_QUERY_BLOCKS:
        raise InvalidParams("toBlock", f"expected a range of 1 to {MAX_QUERY_BLOCKS} blocks")
    sets: list[Any] = []
    known: dict[str, str | None] = {}
    for number in range(low, high + 1):
        at = await context.run(context.chain.hash_of, number)
        change = await _changes(context, at or context.at(last), keys)
        fresh = [pair for pair in change["changes"] if not sets or known.get(pair[0]) != pair[1]]
        known.update(dict(fresh))
        if fresh:
            sets.append({"block": change["block"], "changes": fresh})
    return sets


async def get_metadata(context: RpcContext, params: Params) -> Any:
    """The runtime's metadata (V14) in hex."""
    at = context.at(params.optional_hash("at"))
    params.finish()
    data = await context.run(context.chain.call, at, "Metadata_metadata", b"")
    return to_hex(Reader(data).bytes_(MAX_METADATA_BYTES, "metadata"))


async def get_runtime_version(context: RpcContext, params: Params) -> Any:
    """The runtime's version and APIs."""
    at = context.at(params.optional_hash("at"))
    params.finish()
    return runtime_version_json(await context.run(context.chain.call, at, "Core_version", b""))


async def call(context: RpcContext, params: Params) -> Any:
    """A runtime API call; the SCALE result in hex."""
    method, arguments = params.text("method"), params.bytes_("data")
    at = context.at(params.optional_hash("at"))
    params.finish()
    return to_hex(await context.run(context.chain.call, at, method, arguments))


async def get_read_proof(context: RpcContext, params: Params) -> Any:
    """Trie nodes that prove the values of keys."""
    keys, at = params.keys("keys"), context.at(params.optional_hash("at"))
    params.finish()
    nodes = await context.run(context.chain.read_proof, at, keys)
    return {"at": to_hex(at), "proof": [to_hex(node) for node in nodes]}


async def subscribe_storage(context: RpcContext, params: Params) -> AsyncIterator[Any]:
    """All values of the keys now, then those that a new best block changes."""
    keys = params.keys("keys")
    params.finish()
    if not keys:
        raise InvalidParams("keys", f"expected 1 to {MAX_KEYS} keys")
    events = context.events.stream()
    first = await _changes(context, context.chain.best.hash, keys)

    async def stream() -> AsyncIterator[Any]:
        known = dict(first["changes"])
        yield first
        async for event in events:
            if not isinstance(event, BestChanged):
                continue
            change = await _changes(context, event.header.hash, keys)
            fresh = [pair for pair in change["changes"] if known[pair[0]] != pair[1]]
            known.update(dict(fresh))
            if fresh:
                yield {"block": change["block"], "changes": fresh}

    return stream()


async def subscribe_runtime_version(context: RpcContext, params: Params) -> AsyncIterator[Any]:
    """The runtime's version now, and whenever a best block changes it."""
    params.finish()
    events = context.events.stream()

    async def version(at: bytes) -> Any:
        return runtime_version_json(await context.run(context.chain.call, at, "Core_version", b""))

    first = await version(context.chain.best.hash)

    async def stream() -> AsyncIterator[Any]:
        known = first
        yield known
        async for event in events:
            if isinstance(event, BestChanged):
                found = await version(event.header.hash)
                if found != known:
                    known = found
                    yield known

    return stream()


async def _changes(context: RpcContext, at: bytes, keys: list[bytes]) -> dict[str, Any]:
    def read() -> list[list[str | None]]:
        values = ((key, context.chain.storage(at, key)) for key in keys)
        return [[to_hex(key), None if value is None else to_hex(value)] for key, value in values]

    return {"block": to_hex(at), "changes": await context.run(read)}


def register(registry: Registry) -> None:
    """Adds these methods."""
    registry.method("state_getStorage", "state_getStorageAt")(get_storage)
    registry.method("state_getStorageHash", "state_getStorageHashAt")(get_storage_hash)
    registry.method("state_getStorageSize", "state_getStorageSizeAt")(get_storage_size)
    registry.method("state_getKeysPaged", "state_getKeysPagedAt")(get_keys_paged)
    registry.method("state_queryStorageAt")(query_storage_at)
    registry.method("state_queryStorage", unsafe=True)(query_storage)
    registry.method("state_getMetadata")(get_metadata)
    registry.method("state_getRuntimeVersion", "chain_getRuntimeVersion")(get_runtime_version)
    registry.method("state_call", "state_callAt")(call)
    registry.method("state_getReadProof")(get_read_proof)
    registry.subscription("state_storage", ("state_subscribeStorage",), ("state_unsubscribeStorage",))(
        subscribe_storage
    )
    registry.subscription(
        "state_runtimeVersion",
        ("state_subscribeRuntimeVersion", "chain_subscribeRuntimeVersion"),
        ("state_unsubscribeRuntimeVersion", "chain_unsubscribeRuntimeVersion"),
    )(subscribe_runtime_version)
