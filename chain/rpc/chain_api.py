"""`chain_*`: blocks, headers and their subscriptions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import lru_cache
from typing import Any

from chain.events import BestChanged, BlockFinalized, BlockImported
from chain.primitives import Header
from chain.rpc.context import RpcContext
from chain.rpc.errors import InvalidParams
from chain.rpc.forms import block_json, header_json
from chain.rpc.params import Params, parse_block_number, to_hex
from chain.rpc.registry import Registry
from chain.rpc.session import Dumped, dump

MAX_NUMBERS = 1_024


async def get_header(context: RpcContext, params: Params) -> Any:
    """Header of a block (the best by default); null if unknown."""
    wanted = params.optional_hash()
    params.finish()
    header = await context.run(context.chain.header, context.at(wanted))
    return None if header is None else header_json(header)


async def get_block(context: RpcContext, params: Params) -> Any:
    """A block with its justification; null if unknown."""
    wanted = context.at(params.optional_hash())
    params.finish()

    def read() -> Any:
        header, body = context.chain.header(wanted), context.chain.body(wanted)
        if header is None or body is None:
            return None
        return block_json(header, body, context.chain.justification(wanted))

    return await context.run(read)


async def get_block_hash(context: RpcContext, params: Params) -> Any:
    """Hash by number on the best chain: one number, a list of them, or the best block's without any."""
    wanted = params.raw("hash")
    params.finish()
    if wanted is None:
        return to_hex(context.chain.best.hash)
    if isinstance(wanted, list):
        if len(wanted) > MAX_NUMBERS:
            raise InvalidParams("hash", f"at most {MAX_NUMBERS} numbers")
        return [await _hash_of(context, item) for item in wanted]
    return await _hash_of(context, wanted)


async def _hash_of(context: RpcContext, value: Any) -> str | None:
    block_hash = await context.run(context.chain.hash_of, parse_block_number(value, "hash"))
    return None if block_hash is None else to_hex(block_hash)


async def get_finalized_head(context: RpcContext, params: Params) -> Any:
    """Hash of the last finalised block."""
    params.finish()
    return to_hex(context.chain.finalized.hash)


@lru_cache(maxsize=64)
def _header_text(header: Header) -> Dumped:
    """A header for subscribers, written out once for all of them."""
    return Dumped(dump(header_json(header)))


async def subscribe_new_heads(context: RpcContext, params: Params) -> AsyncIterator[Any]:
    """The best header now, then each new best one."""
    params.finish()
    events = context.events.stream(BestChanged)
    first = _header_text(context.chain.best)

    async def stream() -> AsyncIterator[Any]:
        yield first
        async for event in events:
            if isinstance(event, BestChanged):
                yield _header_text(event.header)

    return stream()


async def subscribe_all_heads(context: RpcContext, params: Params) -> AsyncIterator[Any]:
    """The best header now, then that of every imported block."""
    params.finish()
    events = context.events.stream(BlockImported)
    first = _header_text(context.chain.best)

    async def stream() -> AsyncIterator[Any]:
        yield first
        async for event in events:
            if isinstance(event, BlockImported):
                yield _header_text(event.header)

    return stream()


async def subscribe_finalized_heads(context: RpcContext, params: Params) -> AsyncIterator[Any]:
    """The last finalised header now, then every further one without gaps."""
    params.finish()
    events = context.events.stream(BlockFinalized)
    first = _header_text(context.chain.finalized)

    async def stream() -> AsyncIterator[Any]:
        yield first
        async for event in events:
            if isinstance(event, BlockFinalized):
                for block_hash in event.hashes:
                    header = context.chain.header(block_hash)
                    if header is not None:
                        yield _header_text(header)

    return stream()


def register(registry: Registry) -> None:
    """Adds these methods."""
    registry.method("chain_getHeader")(get_header)
    registry.method("chain_getBlock")(get_block)
    registry.method("chain_getBlockHash", "chain_getHead")(get_block_hash)
    registry.method("chain_getFinalizedHead", "chain_getFinalisedHead")(get_finalized_head)
    registry.subscription(
        "chain_newHead",
        ("chain_subscribeNewHeads", "chain_subscribeNewHead", "subscribe_newHead"),
        ("chain_unsubscribeNewHeads", "chain_unsubscribeNewHead", "unsubscribe_newHead"),
    )(subscribe_new_heads)
    registry.subscription("chain_allHead", ("chain_subscribeAllHeads",), ("chain_unsubscribeAllHeads",))(
        subscribe_all_heads
    )
    registry.subscription(
        "chain_finalizedHead",
        ("chain_subscribeFinalizedHeads", "chain_subscribeFinalisedHeads"),
        ("chain_unsubscribeFinalizedHeads", "chain_unsubscribeFinalisedHeads"),
    )(subscribe_finalized_heads)
