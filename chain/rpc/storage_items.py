"""Storage items of `chainHead_v1_storage` and `archive_v1_storage`: their parameters, and pages of results.

Results come in pages of bounded size, each read in one visit to the chain thread.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from chain.rpc.errors import InvalidParams
from chain.rpc.params import parse_hex, to_hex
from chain.state.view import StateView

if TYPE_CHECKING:
    from chain.rpc.context import ChainView

MAX_KEY_BYTES = 4_096
PAGE_ITEMS = 512
PAGE_BYTES = 1024 * 1024
"""A page ends after the item with which it reaches either."""

DESCENDANTS = {"descendantsValues": "value", "descendantsHashes": "hash"}
KINDS = ("value", "hash", "closestDescendantMerkleValue", *DESCENDANTS)


@dataclass(frozen=True)
class StorageItem:
    """What a client wants: `kind` is the specification's `type`; `start` a key after which descendants are listed."""

    key: bytes
    kind: str
    start: bytes | None = None

    @property
    def is_descendants(self) -> bool:
        """Whether it stands for all keys that begin with `key`."""
        return self.kind in DESCENDANTS


@dataclass(frozen=True)
class Cursor:
    """Where the next page begins: the item of this index, after the key `after` if given."""

    index: int = 0
    after: bytes | None = None


@dataclass(frozen=True)
class Page:
    """Results, and where to go on (None: nothing is left)."""

    found: list[dict[str, str]]
    rest: Cursor | None


def parse_items(value: Any, limit: int, has_start: bool = False) -> list[StorageItem]:
    """The parameter `items`. Raises `InvalidParams`."""
    if not isinstance(value, list):
        raise InvalidParams("items", "expected a list of objects with key and type")
    if len(value) > limit:
        raise InvalidParams("items", f"at most {limit}")
    return [_parse_item(item, has_start) for item in value]


def _parse_item(value: Any, has_start: bool) -> StorageItem:
    if not isinstance(value, dict) or value.get("type") not in KINDS:
        raise InvalidParams("items", f"expected objects with key and type; types are {', '.join(KINDS)}")
    start = value.get("paginationStartKey") if has_start else None
    item = StorageItem(
        parse_hex(value.get("key"), "key", MAX_KEY_BYTES),
        value["type"],
        None if start is None else parse_hex(start, "paginationStartKey", MAX_KEY_BYTES),
    )
    if item.start is not None and not item.is_descendants:
        raise InvalidParams("paginationStartKey", "is for descendantsValues and descendantsHashes")
    return item


def parse_child_trie(value: Any) -> bytes | None:
    """The parameter `childTrie`: null for the main trie. Raises `InvalidParams`."""
    return None if value is None else parse_hex(value, "childTrie", MAX_KEY_BYTES)


def open_trie(chain: ChainView, block_hash: bytes, child: bytes | None) -> StateView | None:
    """The main or a child trie (None if there is none) of the state after a block, on the chain thread.

    Raises `UnknownBlock`, `StatePruned`.
    """
    view = chain.state_at(block_hash)
    return view if child is None else view.child(child)


def read_page(view: StateView | None, items: list[StorageItem], cursor: Cursor) -> Page:
    """The next results of `items`; a trie that is not there (None) holds nothing."""
    found: list[dict[str, str]] = []
    size = 0
    if view is None:
        return Page(found, None)
    for index in range(cursor.index, len(items)):
        after = cursor.after if index == cursor.index else None
        for key in _keys(view, items[index], after):
            entry = _entry(view, key, items[index].kind)
            if entry is not None:
                found.append(entry)
                size += sum(map(len, entry.values())) // 2
            if len(found) >= PAGE_ITEMS or size >= PAGE_BYTES:
                is_open = items[index].is_descendants
                rest = Cursor(index, key) if is_open else Cursor(index + 1)
                return Page(found, rest if rest.index < len(items) else None)
    return Page(found, None)


def _keys(view: StateView, item: StorageItem, after: bytes | None) -> Iterable[bytes]:
    if not item.is_descendants:
        return (item.key,)
    return islice(view.keys(item.key, after if after is not None else item.start), PAGE_ITEMS)


def _entry(view: StateView, key: bytes, kind: str) -> dict[str, str] | None:
    name = DESCENDANTS.get(kind, kind)
    read = {"value": view.get, "hash": view.value_hash, "closestDescendantMerkleValue": view.merkle_value}[name]
    value = read(key)
    return None if value is None else {"key": to_hex(key), name: to_hex(value)}
