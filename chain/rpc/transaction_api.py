"""`transaction_v1_*` and `transactionWatch_v1_*`: transactions in, without and with their fate.

Source: json-rpc-interface-spec. An invalid transaction is no error here: a watcher gets the event `invalid`, a
broadcaster hears nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from chain.errors import ChainError
from chain.events import BestChanged
from chain.pool.errors import BadFormat, PoolError, Refused, Undecided
from chain.pool.pool import Status
from chain.primitives import blake2_256
from chain.rpc.author_api import MAX_EXTRINSIC_BYTES
from chain.rpc.context import RpcContext
from chain.rpc.errors import InvalidParams
from chain.rpc.params import Params, to_hex
from chain.rpc.registry import Registry
from chain.rpc.session import Session, make_id


async def broadcast(context: RpcContext, params: Params, session: Session) -> Any:
    """Keeps offering a transaction to the pool, which gossips it, until `transaction_v1_stop`; null if too many are."""
    data = params.bytes_("transaction", MAX_EXTRINSIC_BYTES)
    params.finish()
    if len(session.broadcasts) >= session.limits.broadcasts:
        return None
    operation_id = make_id()
    task = session.broadcasts[operation_id] = session.spawn(lambda: _keep_offering(context, data))
    task.add_done_callback(lambda _task: session.broadcasts.pop(operation_id, None))
    return operation_id


async def _keep_offering(context: RpcContext, data: bytes) -> None:
    """Submits it, and again at each new best block after the pool gave it up, until it is final."""
    events = context.events.stream()
    while True:
        try:
            watch = await context.pool.submit_and_watch(data)
        except (PoolError, ChainError):
            pass  # as the specification has it: silently
        else:
            try:
                async for status in watch:
                    if status.name == "finalized":
                        return
            finally:
                watch.close()
        async for event in events:
            if isinstance(event, BestChanged):
                break
        else:
            return  # the node stops


async def stop(_context: RpcContext, params: Params, session: Session) -> Any:
    """Stops to offer a transaction; it stays where it already is."""
    operation_id = params.text("operationId")
    params.finish()
    task = session.broadcasts.pop(operation_id, None)
    if task is None:
        raise InvalidParams("operationId", "no such broadcast on this connection")
    task.cancel()


async def submit_and_watch(context: RpcContext, params: Params) -> AsyncIterator[Any]:
    """Takes a transaction into the pool and tells what becomes of it."""
    data = params.bytes_("transaction", MAX_EXTRINSIC_BYTES)
    params.finish()
    return _watch(context, data)


async def _watch(context: RpcContext, data: bytes) -> AsyncIterator[Any]:
    try:
        watch = await context.pool.submit_and_watch(data)
    except (BadFormat, Refused, Undecided) as error:
        yield {"event": "invalid", "error": str(error)}
        return
    except PoolError as error:
        yield {"event": "dropped", "error": str(error)}
        return
    except ChainError as error:
        yield {"event": "error", "error": str(error)}
        return
    try:
        async for status in watch:
            event = await _event(context, data, status)
            if event is not None:
                yield event
    finally:
        watch.close()


async def _event(context: RpcContext, data: bytes, status: Status) -> dict[str, Any] | None:
    block_hash = status.payload or b""
    if status.name == "ready":
        return {"event": "validated"}
    if status.name == "inBlock":
        return {"event": "bestChainBlockIncluded", "block": await _block(context, data, block_hash)}
    if status.name == "retracted":
        return {"event": "bestChainBlockIncluded", "block": None}
    if status.name == "finalized":
        return {"event": "finalized", "block": await _block(context, data, block_hash)}
    if status.name in _ENDS:
        return {"event": _ENDS[status.name][0], "error": _ENDS[status.name][1]}
    return None  # future and broadcast have no event


_ENDS = {
    "usurped": ("invalid", "another transaction took its place"),
    "invalid": ("invalid", "the runtime refuses it now"),
    "dropped": ("dropped", "the pool is full"),
    "finalityTimeout": ("dropped", "its block was not final in time"),
}


async def _block(context: RpcContext, data: bytes, block_hash: bytes) -> dict[str, Any]:
    """Where it stands: block and index."""
    wanted = blake2_256(data)
    body = await context.run(context.chain.body, block_hash) or ()
    index = next((index for index, one in enumerate(body) if blake2_256(one) == wanted), 0)
    return {"hash": to_hex(block_hash), "index": index}


async def unwatch(_context: RpcContext, params: Params, session: Session) -> Any:
    """Stops to tell of a transaction; it stays in the pool."""
    subscription = params.text("subscription")
    params.finish()
    if not session.stop(subscription):
        raise InvalidParams("subscription", "no such subscription on this connection")


def register(registry: Registry) -> None:
    """Adds these methods."""
    registry.session_method("transaction_v1_broadcast")(broadcast)
    registry.session_method("transaction_v1_stop")(stop)
    registry.subscription("transactionWatch_v1_watchEvent", ("transactionWatch_v1_submitAndWatch",), ())(
        submit_and_watch
    )
    registry.session_method("transactionWatch_v1_unwatch")(unwatch)
