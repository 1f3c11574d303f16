"""`author_*` and `payment_*`: extrinsics in, their fate out, fees, session keys."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from chain.pool.watch import Watch
from chain.rpc.context import RpcContext
from chain.rpc.errors import InvalidParams
from chain.rpc.forms import dispatch_info_json, fee_details_json, status_json
from chain.rpc.params import Params, to_hex
from chain.rpc.registry import Registry

MAX_EXTRINSIC_BYTES = 5 * 1024 * 1024
SESSION_KEYS_BYTES = 64  # = 2 * 32: aura, then GRANDPA


async def submit_extrinsic(context: RpcContext, params: Params) -> Any:
    """Takes an extrinsic into the pool; its hash."""
    data = params.bytes_("extrinsic", MAX_EXTRINSIC_BYTES)
    params.finish()
    return to_hex(await context.pool.submit(data))


async def submit_and_watch(context: RpcContext, params: Params) -> AsyncIterator[Any]:
    """Takes an extrinsic into the pool and tells every status until the last."""
    data = params.bytes_("extrinsic", MAX_EXTRINSIC_BYTES)
    params.finish()
    return _statuses(await context.pool.submit_and_watch(data))


async def _statuses(watch: Watch) -> AsyncIterator[Any]:
    try:
        async for status in watch:
            yield status_json(status)
    finally:
        watch.close()


async def pending_extrinsics(context: RpcContext, params: Params) -> Any:
    """Ready extrinsics in the order a block would take them."""
    params.finish()
    return [to_hex(tx.data) for tx in context.pool.ready()]


async def remove_extrinsic(context: RpcContext, params: Params) -> Any:
    """Bans extrinsics, given as a list of {"hash": …} or {"extrinsic": …}; the hashes removed."""
    wanted = params.raw("bytes_or_hash")
    if not isinstance(wanted, list) or len(wanted) > 1_024:
        raise InvalidParams("bytes_or_hash", "expected a list of at most 1024 hashes")
    removed = []
    for item in wanted:
        tx_hash = Params([item.get("hash") if isinstance(item, dict) else None]).hash("hash")
        if tx_hash in context.pool.pool:
            removed.append(to_hex(tx_hash))
        context.pool.reject(tx_hash)
    return removed


async def insert_key(context: RpcContext, params: Params) -> Any:
    """Stores a session key: key type `aura` or `gran`, secret URI, public key."""
    key_type, uri, public = params.text("keyType"), params.text("suri"), params.bytes_("publicKey", 32)
    params.finish()
    context.keystore.insert(key_type.encode(), uri, public)
    return None


async def rotate_keys(context: RpcContext, params: Params) -> Any:
    """Makes new session keys; both public keys in one."""
    params.finish()
    return to_hex(context.keystore.generate())


async def has_key(context: RpcContext, params: Params) -> Any:
    """Whether the secret of a public key is here."""
    public, key_type = params.bytes_("publicKey", 32), params.text("keyType")
    params.finish()
    return context.keystore.has(key_type.encode(), public)


async def has_session_keys(context: RpcContext, params: Params) -> Any:
    """Whether both secrets of session keys are here."""
    keys = params.bytes_("sessionKeys", SESSION_KEYS_BYTES)
    params.finish()
    if len(keys) != SESSION_KEYS_BYTES:
        raise InvalidParams("sessionKeys", f"expected {SESSION_KEYS_BYTES} bytes")
    return context.keystore.has(b"aura", keys[:32]) and context.keystore.has(b"gran", keys[32:])


async def query_info(context: RpcContext, params: Params) -> Any:
    """Weight, class and fee of an extrinsic (its signature is not checked)."""
    return dispatch_info_json(await _payment(context, params, "TransactionPaymentApi_query_info"))


async def query_fee_details(context: RpcContext, params: Params) -> Any:
    """The parts of an extrinsic's fee."""
    return fee_details_json(await _payment(context, params, "TransactionPaymentApi_query_fee_details"))


async def _payment(context: RpcContext, params: Params, method: str) -> bytes:
    data, at = params.bytes_("extrinsic", MAX_EXTRINSIC_BYTES), context.at(params.optional_hash("at"))
    params.finish()
    return await context.run(context.chain.call, at, method, data + len(data).to_bytes(4, "little"))


def register(registry: Registry) -> None:
    """Adds these methods."""
    registry.method("author_submitExtrinsic")(submit_extrinsic)
    registry.method("author_pendingExtrinsics")(pending_extrinsics)
    registry.method("author_removeExtrinsic", unsafe=True)(remove_extrinsic)
    registry.method("author_insertKey", unsafe=True)(insert_key)
    registry.method("author_rotateKeys", unsafe=True)(rotate_keys)
    registry.method("author_hasKey", unsafe=True)(has_key)
    registry.method("author_hasSessionKeys", unsafe=True)(has_session_keys)
    registry.method("payment_queryInfo")(query_info)
    registry.method("payment_queryFeeDetails")(query_fee_details)
    registry.subscription("author_extrinsicUpdate", ("author_submitAndWatchExtrinsic",), ("author_unwatchExtrinsic",))(
        submit_and_watch
    )
