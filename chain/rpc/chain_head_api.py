"""`chainHead_v1_*`: the head of the chain with its blocks pinned. `follow.py` has the subscription itself.

Source: json-rpc-interface-spec, `chainHead_v1_*`. A subscription that is unknown or has stopped is no error:
answers are null or `limitReached`, as there.
"""

from __future__ import annotations

from typing import Any

from chain.rpc.context import RpcContext
from chain.rpc.errors import RuntimeNotFollowed, TooManyFollows
from chain.rpc.follow import MAX_PINNED, Follow, Operation, Work
from chain.rpc.params import Params, to_hex
from chain.rpc.registry import Registry
from chain.rpc.session import Session
from chain.rpc.storage_items import Cursor, Page, StorageItem, open_trie, parse_child_trie, parse_items, read_page

MAX_ITEMS = 1_024
"""Items in one `chainHead_v1_storage`; those that find no free operation are discarded."""

LIMIT_REACHED = {"result": "limitReached"}


async def follow(context: RpcContext, params: Params, session: Session) -> Any:
    """Starts to tell of new, best and finalised blocks; the subscription's id."""
    with_runtime = params.flag("withRuntime")
    params.finish()
    session.check_room()
    if len(session.follows) >= session.limits.follows:
        raise TooManyFollows(session.limits.follows)
    one = Follow(context, session, with_runtime)
    session.follows[one.id] = one
    one.task = session.spawn(one.run)
    return one.id


async def unfollow(_context: RpcContext, params: Params, session: Session) -> Any:
    """Ends a subscription and unpins its blocks."""
    one = session.follows.get(params.text("followSubscription"))
    params.finish()
    if one is not None:
        one.end()


async def header(context: RpcContext, params: Params, session: Session) -> Any:
    """SCALE header of a pinned block in hex."""
    one, block_hash = session.follows.get(params.text("followSubscription")), params.hash("hash")
    params.finish()
    if one is None:
        return None
    one.check_pinned(block_hash)
    found = await context.run(context.chain.header, block_hash)
    return None if found is None else to_hex(found.encode())


async def body(context: RpcContext, params: Params, session: Session) -> Any:
    """Starts an operation that gives a pinned block's extrinsics."""
    one, block_hash = session.follows.get(params.text("followSubscription")), params.hash("hash")
    params.finish()

    async def work(_operation: Operation) -> dict[str, Any]:
        found = await context.run(context.chain.body, block_hash)
        if found is None:
            return {"event": "operationInaccessible"}
        return {"event": "operationBodyDone", "value": [to_hex(extrinsic) for extrinsic in found]}

    return _start(one, block_hash, work)


async def call(context: RpcContext, params: Params, session: Session) -> Any:
    """Starts an operation that calls the runtime on a pinned block's state."""
    one, block_hash = session.follows.get(params.text("followSubscription")), params.hash("hash")
    function, arguments = params.text("function"), params.bytes_("callParameters")
    params.finish()
    if one is not None and not one.with_runtime:
        raise RuntimeNotFollowed

    async def work(_operation: Operation) -> dict[str, Any]:
        output = await context.run(context.chain.call, block_hash, function, arguments)
        return {"event": "operationCallDone", "output": to_hex(output)}

    return _start(one, block_hash, work)


def _start(one: Follow | None, block_hash: bytes, work: Work) -> dict[str, Any]:
    if one is None:
        return LIMIT_REACHED
    one.check_pinned(block_hash)
    if one.free_slots() < 1:
        return LIMIT_REACHED
    return {"result": "started", "operationId": one.start(1, block_hash, work)}


async def storage(context: RpcContext, params: Params, session: Session) -> Any:
    """Starts an operation that reads storage items of a pinned block's state."""
    one, block_hash = session.follows.get(params.text("followSubscription")), params.hash("hash")
    items = parse_items(params.raw("items"), MAX_ITEMS)
    child = parse_child_trie(params.raw("childTrie"))
    params.finish()
    if one is None:
        return LIMIT_REACHED
    one.check_pinned(block_hash)
    taken = items[: one.free_slots()]
    if items and not taken:
        return LIMIT_REACHED
    work = _storage_work(context, one, block_hash, taken, child)
    operation_id = one.start(len(taken), block_hash, work)
    return {"result": "started", "operationId": operation_id, "discardedItems": len(items) - len(taken)}


def _storage_work(
    context: RpcContext, one: Follow, block_hash: bytes, items: list[StorageItem], child: bytes | None
) -> Work:
    waits = any(item.is_descendants for item in items)

    async def work(operation: Operation) -> dict[str, Any]:
        cursor: Cursor | None = Cursor()
        while cursor is not None:
            page = await context.run(_read, context, block_hash, child, items, cursor)
            if page.found:
                await one.tell(operation, {"event": "operationStorageItems", "items": page.found})
            cursor = page.rest
            if cursor is not None and waits and page.found:
                await one.wait_for_continue(operation)
        return {"event": "operationStorageDone"}

    return work


def _read(
    context: RpcContext, block_hash: bytes, child: bytes | None, items: list[StorageItem], cursor: Cursor
) -> Page:
    return read_page(open_trie(context.chain, block_hash, child), items, cursor)


async def continue_(_context: RpcContext, params: Params, session: Session) -> Any:
    """Lets an operation go on that waits for it."""
    one, operation_id = session.follows.get(params.text("followSubscription")), params.text("operationId")
    params.finish()
    if one is not None:
        one.resume(operation_id)


async def stop_operation(_context: RpcContext, params: Params, session: Session) -> Any:
    """Ends an operation."""
    one, operation_id = session.follows.get(params.text("followSubscription")), params.text("operationId")
    params.finish()
    if one is not None:
        one.stop_operation(operation_id)


async def unpin(_context: RpcContext, params: Params, session: Session) -> Any:
    """Lets one or several blocks go: all of them, or none with an error."""
    one = session.follows.get(params.text("followSubscription"))
    hashes = params.hashes("hashOrHashes", 4 * MAX_PINNED)
    params.finish()
    if one is not None:
        one.unpin(hashes)


def register(registry: Registry) -> None:
    """Adds these methods."""
    registry.session_method("chainHead_v1_follow")(follow)
    registry.session_method("chainHead_v1_unfollow")(unfollow)
    registry.session_method("chainHead_v1_header")(header)
    registry.session_method("chainHead_v1_body")(body)
    registry.session_method("chainHead_v1_call")(call)
    registry.session_method("chainHead_v1_storage")(storage)
    registry.session_method("chainHead_v1_continue")(continue_)
    registry.session_method("chainHead_v1_stopOperation")(stop_operation)
    registry.session_method("chainHead_v1_unpin")(unpin)
