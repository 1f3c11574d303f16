"""`childstate_*` and `state_getChildReadProof`: reads of default child tries.

A child trie is named by its whole key, `:child_storage:default:` in front of its name, as in a stock node.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any, TypeVar

from chain.primitives import blake2_256
from chain.rpc.context import RpcContext
from chain.rpc.errors import InvalidParams
from chain.rpc.params import MAX_KEYS, Params, to_hex
from chain.rpc.registry import Registry
from chain.rpc.state_api import MAX_KEY_BYTES, MAX_PAGE
from chain.state.view import CHILD_ROOT_PREFIX, StateView

T = TypeVar("T")


async def get_storage(context: RpcContext, params: Params) -> Any:
    """A value in hex, or null."""
    value = await _value(context, params)
    return None if value is None else to_hex(value)


async def get_storage_hash(context: RpcContext, params: Params) -> Any:
    """BLAKE2b-256 of a value, or null."""
    value = await _value(context, params)
    return None if value is None else to_hex(blake2_256(value))


async def get_storage_size(context: RpcContext, params: Params) -> Any:
    """Size of a value in bytes, or null."""
    value = await _value(context, params)
    return None if value is None else len(value)


async def get_storage_entries(context: RpcContext, params: Params) -> Any:
    """Values of several keys, each in hex or null."""
    name, keys, at = _read_name(params), params.keys("keys"), context.at(params.optional_hash())
    params.finish()
    values = await _read(context, at, name, lambda view: [view.get(key) for key in keys])
    return [None if value is None else to_hex(value) for value in values or [None] * len(keys)]


async def get_keys(context: RpcContext, params: Params) -> Any:
    """All keys with a prefix, of which there may be at most 4,096."""
    name, prefix = _read_name(params), params.bytes_("prefix", MAX_KEY_BYTES)
    at = context.at(params.optional_hash())
    params.finish()
    found = await _read(context, at, name, lambda view: list(islice(view.keys(prefix), MAX_KEYS + 1)))
    if found and len(found) > MAX_KEYS:
        raise InvalidParams("prefix", f"more than {MAX_KEYS} keys begin with it; use childstate_getKeysPaged")
    return [to_hex(key) for key in found or []]


async def get_keys_paged(context: RpcContext, params: Params) -> Any:
    """Up to `count` keys with a prefix, after `startKey`."""
    name, prefix = _read_name(params), params.optional_bytes("prefix", MAX_KEY_BYTES) or b""
    count, start = params.integer("count", 0, MAX_PAGE), params.optional_bytes("startKey", MAX_KEY_BYTES)
    at = context.at(params.optional_hash())
    params.finish()
    found = await _read(context, at, name, lambda view: list(islice(view.keys(prefix, start), count)))
    return [to_hex(key) for key in found or []]


async def get_child_read_proof(context: RpcContext, params: Params) -> Any:
    """Trie nodes that prove the values of a child trie's keys, from the state root on."""
    name, keys, at = _read_name(params), params.keys("keys"), context.at(params.optional_hash())
    params.finish()
    nodes = await context.run(context.chain.child_read_proof, at, name, keys)
    return {"at": to_hex(at), "proof": [to_hex(node) for node in nodes]}


def _read_name(params: Params) -> bytes:
    key = params.bytes_("childStorageKey", MAX_KEY_BYTES)
    if not key.startswith(CHILD_ROOT_PREFIX):
        raise InvalidParams("childStorageKey", f"expected a key that begins with {CHILD_ROOT_PREFIX.decode()}")
    return key.removeprefix(CHILD_ROOT_PREFIX)


async def _value(context: RpcContext, params: Params) -> bytes | None:
    name, key, at = _read_name(params), params.bytes_("key", MAX_KEY_BYTES), context.at(params.optional_hash())
    params.finish()
    return await _read(context, at, name, lambda view: view.get(key))


async def _read(context: RpcContext, at: bytes, name: bytes, read: Callable[[StateView], T]) -> T | None:
    """What `read` finds in a child trie, None if there is no such trie."""

    def on_chain_thread() -> T | None:
        view = context.chain.state_at(at).child(name)
        return None if view is None else read(view)

    return await context.run(on_chain_thread)


def register(registry: Registry) -> None:
    """Adds these methods."""
    registry.method("childstate_getStorage")(get_storage)
    registry.method("childstate_getStorageHash")(get_storage_hash)
    registry.method("childstate_getStorageSize")(get_storage_size)
    registry.method("childstate_getStorageEntries")(get_storage_entries)
    registry.method("childstate_getKeys")(get_keys)
    registry.method("childstate_getKeysPaged", "childstate_getKeysPagedAt")(get_keys_paged)
    registry.method("state_getChildReadProof")(get_child_read_proof)
