"""`grandpa_*`: finality proofs as they are made."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from chain.events import BlockFinalized
from chain.rpc.context import RpcContext
from chain.rpc.params import Params, to_hex
from chain.rpc.registry import Registry


async def subscribe_justifications(context: RpcContext, params: Params) -> AsyncIterator[Any]:
    """The SCALE justification in hex of each block that becomes final with one, from now on."""
    params.finish()
    events = context.events.stream()

    async def stream() -> AsyncIterator[Any]:
        async for event in events:
            if isinstance(event, BlockFinalized):
                found = await context.run(context.chain.justification, event.header.hash)
                if found is not None:
                    yield to_hex(found)

    return stream()


def register(registry: Registry) -> None:
    """Adds these methods."""
    registry.subscription(
        "grandpa_justifications", ("grandpa_subscribeJustifications",), ("grandpa_unsubscribeJustifications",)
    )(subscribe_justifications)
