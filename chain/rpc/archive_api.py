"""`archive_v1_*`: blocks and states by hash or height. States that this node has pruned are errors that say so.

Source: json-rpc-interface-spec, `archive_v1_*`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from chain.errors import ChainError, UnknownBlock
from chain.rpc.context import RpcContext
from chain.rpc.errors import InvalidParams
from chain.rpc.params import MAX_U32, Params, parse_hex, to_hex
from chain.rpc.registry import Registry
from chain.rpc.storage_items import (
    MAX_KEY_BYTES,
    PAGE_ITEMS,
    Cursor,
    Page,
    open_trie,
    parse_child_trie,
    parse_items,
    read_page,
)
from chain.state.view import StateView

MAX_ITEMS = 1_024
MAX_DIFF_ITEMS = 64


async def finalized_height(context: RpcContext, params: Params) -> Any:
    """Number of the last finalised block."""
    params.finish()
    return context.chain.finalized.number


async def genesis_hash(context: RpcContext, params: Params) -> Any:
    """Hash of block 0."""
    params.finish()
    found = await context.run(context.chain.hash_of, 0)
    return None if found is None else to_hex(found)


async def hash_by_height(context: RpcContext, params: Params) -> Any:
    """Hashes of the blocks of a height: one if it is final, else those of all forks."""
    height = params.integer("height", 0, MAX_U32)
    params.finish()

    def read() -> list[str]:
        if height > context.chain.finalized.number:
            return [to_hex(header.hash) for header in context.chain.fork_blocks() if header.number == height]
        found = context.chain.hash_of(height)
        return [] if found is None else [to_hex(found)]

    return await context.run(read)


async def header(context: RpcContext, params: Params) -> Any:
    """SCALE header in hex, or null."""
    block_hash = params.hash("hash")
    params.finish()
    found = await context.run(context.chain.header, block_hash)
    return None if found is None else to_hex(found.encode())


async def body(context: RpcContext, params: Params) -> Any:
    """Extrinsics in hex, or null."""
    block_hash = params.hash("hash")
    params.finish()
    found = await context.run(context.chain.body, block_hash)
    return None if found is None else [to_hex(extrinsic) for extrinsic in found]


async def call(context: RpcContext, params: Params) -> Any:
    """A runtime call on the state after a block: its result, or why it failed; null for an unknown block."""
    block_hash, function, arguments = params.hash("hash"), params.text("function"), params.bytes_("callParameters")
    params.finish()
    try:
        output = await context.run(context.chain.call, block_hash, function, arguments)
    except UnknownBlock:
        return None
    except ChainError as error:
        return {"success": False, "error": str(error)}
    return {"success": True, "value": to_hex(output)}


async def storage(context: RpcContext, params: Params) -> AsyncIterator[Any]:
    """Storage items of the state after a block, one event each."""
    block_hash = params.hash("hash")
    items = parse_items(params.raw("items"), MAX_ITEMS, has_start=True)
    child = parse_child_trie(params.raw("childTrie"))
    params.finish()

    def read(cursor: Cursor) -> Page:
        return read_page(open_trie(context.chain, block_hash, child), items, cursor)

    extra = {} if child is None else {"childTrieKey": to_hex(child)}

    async def stream() -> AsyncIterator[Any]:
        cursor: Cursor | None = Cursor()
        try:
            while cursor is not None:
                page = await context.run(read, cursor)
                for found in page.found:
                    yield {"event": "storage", **found, **extra}
                cursor = page.rest
        except ChainError as error:
            yield {"event": "storageError", "error": str(error)}
        else:
            yield {"event": "storageDone"}

    return stream()


@dataclass(frozen=True)
class _DiffItem:
    """Keys with `prefix` in a trie (None: the main one); `kind` is `value` or `hash`."""

    prefix: bytes
    kind: str
    child: bytes | None


async def storage_diff(context: RpcContext, params: Params) -> AsyncIterator[Any]:
    """What a block changed in the storage, against its parent or an older ancestor, one event a key."""
    block_hash = params.hash("hash")
    items = _parse_diff_items(params.raw("items"))
    previous = params.optional_hash("previousHash")
    params.finish()

    async def stream() -> AsyncIterator[Any]:
        try:
            before = await _previous(context, block_hash, previous)
            for item in items:
                last: bytes | None = b""
                after: bytes | None = None
                while last is not None:
                    changes, last = await context.run(_read_diff, context, before, block_hash, item, after)
                    after = last
                    for change in changes:
                        yield change
        except ChainError as error:
            yield {"event": "storageDiffError", "error": str(error)}
        else:
            yield {"event": "storageDiffDone"}

    return stream()


def _parse_diff_items(value: Any) -> list[_DiffItem]:
    if value is None:
        return [_DiffItem(b"", "value", None)]
    if not isinstance(value, list) or len(value) > MAX_DIFF_ITEMS:
        raise InvalidParams("items", f"expected a list of at most {MAX_DIFF_ITEMS} objects with returnType")
    items = []
    for item in value:
        if not isinstance(item, dict) or item.get("returnType") not in ("value", "hash"):
            raise InvalidParams("items", "expected objects with returnType value or hash")
        key, child = item.get("key"), item.get("childTrieKey")
        prefix = b"" if key is None else parse_hex(key, "key", MAX_KEY_BYTES)
        items.append(_DiffItem(prefix, item["returnType"], parse_child_trie(child)))
    return items


async def _previous(context: RpcContext, block_hash: bytes, previous: bytes | None) -> bytes:
    parent = (await context.header_at(block_hash)).parent_hash
    if previous is None:
        return parent
    number = (await context.header_at(previous)).number
    while parent != previous:
        above = await context.header_at(parent)
        if above.number <= number:
            raise UnknownBlock(previous)  # no ancestor
        parent = above.parent_hash
    return previous


def _read_diff(
    context: RpcContext, before: bytes, after: bytes, item: _DiffItem, start: bytes | None
) -> tuple[list[dict[str, str]], bytes | None]:
    """Changes among the next `PAGE_ITEMS` keys after `start`, and the last key looked at (None: no more). On the chain
    thread."""
    views = [open_trie(context.chain, block_hash, item.child) for block_hash in (before, after)]
    changes = []
    last = None
    for key in islice(_merged_keys(views, item.prefix, start), PAGE_ITEMS):
        last = key
        old, new = (None if view is None else view.value_hash(key) for view in views)
        if old == new:
            continue
        change = {"event": "storageDiff", "key": to_hex(key)}
        if new is not None and views[1] is not None:
            change[item.kind] = to_hex(new if item.kind == "hash" else views[1].get(key) or b"")
        change["type"] = "added" if old is None else "deleted" if new is None else "modified"
        if item.child is not None:
            change["childTrieKey"] = to_hex(item.child)
        changes.append(change)
    return changes, last


def _merged_keys(views: list[StateView | None], prefix: bytes, start: bytes | None) -> Iterator[bytes]:
    """Keys of either view, in order, once each."""
    iterators = [view.keys(prefix, start) for view in views if view is not None]
    heads = [next(iterator, None) for iterator in iterators]
    while any(head is not None for head in heads):
        key = min(head for head in heads if head is not None)
        yield key
        heads = [next(one, None) if head == key else head for one, head in zip(iterators, heads, strict=True)]


def register(registry: Registry) -> None:
    """Adds these methods."""
    registry.method("archive_v1_finalizedHeight")(finalized_height)
    registry.method("archive_v1_genesisHash")(genesis_hash)
    registry.method("archive_v1_hashByHeight")(hash_by_height)
    registry.method("archive_v1_header")(header)
    registry.method("archive_v1_body")(body)
    registry.method("archive_v1_call")(call)
    registry.subscription("archive_v1_storageEvent", ("archive_v1_storage",), ("archive_v1_stopStorage",), quiet=True)(
        storage
    )
    registry.subscription(
        "archive_v1_storageDiffEvent", ("archive_v1_storageDiff",), ("archive_v1_stopStorageDiff",), quiet=True
    )(storage_diff)
