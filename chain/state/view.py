"""Read-only views of committed states: what runtime calls read through, with memoised reads.

A new block's view starts with its parent's memo and the block's changes, so that hot keys (accounts, authorities,
block number) are a dictionary look-up and never a walk through the trie.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping

from chain.errors import TrieCorrupt
from chain.trie import EMPTY_ROOT, StateVersion, Trie, TrieUpdate
from chain.trie.node import HASH_LENGTH

MEMO_LIMIT = 20_000  # remembered keys per view
MEMO_VALUE_LIMIT = 4_096  # longer values are read from the trie each time
KEPT_VIEWS = 8
CHILD_ROOT_PREFIX = b":child_storage:default:"
"""Where the main trie holds the roots of child tries."""


_UNKNOWN = b"unknown"  # compared by identity


class StateView:
    """The state under `root`."""

    def __init__(self, trie: Trie, root: bytes, memo: dict[bytes, bytes | None] | None = None) -> None:
        self.trie = trie
        self.root = root
        self._memo: dict[bytes, bytes | None] = {} if memo is None else memo

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`, or None."""
        try:
            return self._memo[key]
        except KeyError:
            pass
        value = self.trie.get(self.root, key)
        if value is None or len(value) <= MEMO_VALUE_LIMIT:
            if len(self._memo) >= MEMO_LIMIT:
                self._memo.clear()
            self._memo[key] = value
        return value

    def recall(self, key: bytes) -> tuple[bool, bytes | None]:
        """(True, the value) if it is remembered, else (False, None). From any thread."""
        value = self._memo.get(key, _UNKNOWN)
        return (False, None) if value is _UNKNOWN else (True, value)

    def value_hash(self, key: bytes) -> bytes | None:
        """BLAKE2b-256 of the value at `key`, or None."""
        return self.trie.value_hash(self.root, key)

    def merkle_value(self, key: bytes) -> bytes | None:
        """Merkle value of the first trie node at or below `key`, or None."""
        return self.trie.closest_merkle_value(self.root, key)

    def child(self, name: bytes) -> StateView | None:
        """The child trie `name` of the default namespace, or None. Raises TrieCorrupt."""
        root = self.get(CHILD_ROOT_PREFIX + name)
        return None if root is None else self.child_at(root)

    def child_at(self, root: bytes | None) -> StateView:
        """The child trie under `root` as a view of its own; None: an empty one. Raises TrieCorrupt."""
        if root is not None and len(root) != HASH_LENGTH:
            raise TrieCorrupt(f"a child trie's root has {len(root)} bytes instead of {HASH_LENGTH}")
        return StateView(self.trie, EMPTY_ROOT if root is None else root)

    def next_key(self, key: bytes) -> bytes | None:
        """The smallest key greater than `key`."""
        return self.trie.next_key(self.root, key)

    def keys(self, prefix: bytes = b"", after: bytes | None = None) -> Iterator[bytes]:
        """Keys with `prefix`, in order, greater than `after` if given."""
        return self.trie.iterate(self.root, prefix, after)

    def update(self, changes: Mapping[bytes, bytes | None], version: StateVersion) -> TrieUpdate:
        """Root and new nodes of this state with `changes` applied."""
        return self.trie.update(self.root, changes, version)

    def successor(self, root: bytes, changes: Mapping[bytes, bytes | None]) -> StateView:
        """The view of the state that `changes` led to."""
        memo = self._memo.copy()
        for key, value in changes.items():
            if value is None or len(value) <= MEMO_VALUE_LIMIT:
                memo[key] = value
            else:
                memo.pop(key, None)
        return StateView(self.trie, root, memo)


class StateViews:
    """The last used views by root."""

    def __init__(self, trie: Trie) -> None:
        self._trie = trie
        self._views: OrderedDict[bytes, StateView] = OrderedDict()

    def get(self, root: bytes) -> StateView:
        """The view of the state under `root` (which must be stored)."""
        view = self._views.get(root)
        if view is None:
            view = StateView(self._trie, root)
            self.put(view)
        else:
            self._views.move_to_end(root)
        return view

    def peek(self, root: bytes) -> StateView | None:
        """The view of a root if it is among the last used. From any thread."""
        return self._views.get(root)

    def put(self, view: StateView) -> None:
        """Remembers a view; the one not used for longest goes."""
        self._views[view.root] = view
        self._views.move_to_end(view.root)
        while len(self._views) > KEPT_VIEWS:
            self._views.popitem(last=False)
