"""`grandpa_*`: finality proofs, as they are made and of old blocks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from chain.events import BlockFinalized
from chain.grandpa.finality_proof import find_finality_proof
from chain.rpc.context import RpcContext
from chain.rpc.errors import RpcError
from chain.rpc.params import Params, parse_block_number, to_hex
from chain.rpc.registry import Registry

PROVE_FINALITY = 4
"""Code of a finality proof that cannot be made (`sc-consensus-grandpa-rpc` ErrorCode::ProveFinality)."""


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


async def prove_finality(context: RpcContext, params: Params) -> str | None:
    """The SCALE finality proof in hex of a block by number; null if no justification at or above it is stored.

    Raises RpcError 4, as a stock node, for a block that is not final.
    """
    number = parse_block_number(params.raw("block"), "block")
    params.finish()
    finalized = context.chain.finalized.number
    if number > finalized:
        raise RpcError(PROVE_FINALITY, f"Block not yet finalized: #{number}, the last final one is #{finalized}")
    proof = await context.run(find_finality_proof, context.chain, number)
    return None if proof is None else to_hex(proof.encode())


def register(registry: Registry) -> None:
    """Adds these methods."""
    registry.method("grandpa_proveFinality")(prove_finality)
    registry.subscription(
        "grandpa_justifications", ("grandpa_subscribeJustifications",), ("grandpa_unsubscribeJustifications",)
    )(subscribe_justifications)
