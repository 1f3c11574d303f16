"""`aipow_evidence`: equivocations that this node has seen, for whoever reports them on chain."""

from __future__ import annotations

from typing import Any

from chain.rpc.context import RpcContext
from chain.rpc.params import Params, to_hex
from chain.rpc.registry import Registry


async def evidence(context: RpcContext, params: Params) -> Any:
    """What is kept, oldest first: `call` of pallet Evidence, its `arguments` in SCALE, the `key` that signed twice."""
    params.finish()
    return [
        {"call": one.CALL, "arguments": to_hex(one.encode()), "key": to_hex(one.key), "text": one.text}
        for one in context.evidence.list()
    ]


def register(registry: Registry) -> None:
    """Adds these methods."""
    registry.method("aipow_evidence")(evidence)
