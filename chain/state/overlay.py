"""The changes a block or a runtime call makes on a state, with nested transactions.

Each transaction remembers the previous entry of every key it changes; a rollback puts them back.
"""

from __future__ import annotations

from chain.errors import DecodeError, TransactionFault
from chain.primitives.scale import Reader, encode_compact
from chain.state.view import CHILD_ROOT_PREFIX, StateView
from chain.trie import EMPTY_ROOT, StateVersion, TrieUpdate

CHILD_STORAGE_PREFIX = b":child_storage:"

_ABSENT = object()  # the key had no entry in the overlay


class Appending:
    """A `Vec` under `ext_storage_append`: items are collected and joined at the first read (linear, not quadratic)."""

    __slots__ = ("count", "parts")

    def __init__(self, count: int, parts: list[bytes]) -> None:
        self.count = count
        self.parts = parts

    def join(self) -> bytes:
        """The encoded vector."""
        return encode_compact(self.count) + b"".join(self.parts)


class Overlay:
    """Reads fall through to `base`; writes stay here until somebody takes `changes`."""

    def __init__(self, base: StateView) -> None:
        self.base = base
        self._entries: dict[bytes, bytes | Appending | None] = {}
        self._journal: list[dict[bytes, object]] = []
        self._root: TrieUpdate | None = None
        self._version = StateVersion.V1  # the one that `_root` was computed with
        self._children: dict[bytes, Overlay] = {}
        self._child_roots: dict[bytes, bytes | None] = {}  # what the last `root` put into the main trie

    # ---- reading

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`, or None."""
        try:
            entry = self._entries[key]
        except KeyError:
            return self.base.get(key)
        return entry.join() if isinstance(entry, Appending) else entry

    def next_key(self, key: bytes) -> bytes | None:
        """The smallest present key greater than `key`."""
        below = self.base.next_key(key)
        while below is not None and self._entries.get(below, below) is None:
            below = self.base.next_key(below)
        above = min((k for k, entry in self._entries.items() if k > key and entry is not None), default=None)
        if below is None or above is None:
            return above if below is None else below
        return min(below, above)

    def changes(self) -> dict[bytes, bytes | None]:
        """All changed keys: their new values, None where removed; after `root` also the child tries' roots."""
        own = {k: e.join() if isinstance(e, Appending) else e for k, e in self._entries.items()}
        return own | self._child_roots

    # ---- child tries

    @property
    def has_children(self) -> bool:
        """Whether any child trie was written to."""
        return any(child._entries for child in self._children.values())

    def child(self, name: bytes) -> Overlay:
        """The overlay of the default child trie `name`; it shares this one's transactions. Raises TrieCorrupt."""
        found = self._children.get(name)
        if found is None:
            found = self._children[name] = Overlay(self.base.child_at(self.base.get(CHILD_ROOT_PREFIX + name)))
            for _ in self._journal:
                found.start()
        return found

    def child_root(self, name: bytes, version: StateVersion) -> bytes:
        """The root of a child trie; one that was written to is also put into the main trie, as stock hosts do."""
        child = self.child(name)
        if not child._entries:
            return child.base.root
        root = child.root(version).root
        self.set(CHILD_ROOT_PREFIX + name, None if root == EMPTY_ROOT else root)
        return root

    # ---- writing

    def set(self, key: bytes, value: bytes | None) -> None:
        """Sets a key, or removes it for None."""
        self._note(key)
        self._entries[key] = value

    def append(self, key: bytes, item: bytes) -> None:
        """Appends an encoded item to the encoded vector at `key`; a value that is no vector is replaced by `[item]`."""
        entry = self._entries.get(key, _ABSENT)
        if isinstance(entry, Appending):
            self._note(key)
            entry.parts.append(item)
            entry.count += 1
            return
        value = self.base.get(key) if entry is _ABSENT else entry
        count, rest = 0, b""
        if isinstance(value, bytes):
            reader = Reader(value)
            try:
                count = reader.compact()
                rest = value[reader.offset :]
            except DecodeError:
                count = 0
        self._note(key)
        self._entries[key] = Appending(count + 1, [rest, item])

    def clear_prefix(self, prefix: bytes, limit: int | None = None) -> tuple[int, bool]:
        """Removes keys with `prefix`: all those written here and up to `limit` of the base state.

        Returns how many keys of the base state were removed and whether none are left.
        """
        for key in [k for k, entry in self._entries.items() if entry is not None and k.startswith(prefix)]:
            self.set(key, None)
        removed = 0
        for key in self.base.keys(prefix):
            if limit is not None and removed >= limit:
                return removed, False
            self.set(key, None)
            removed += 1
        return removed, True

    # ---- transactions

    @property
    def depth(self) -> int:
        """How many transactions are open."""
        return len(self._journal)

    def start(self) -> None:
        """Opens a nested transaction."""
        self._journal.append({})
        for child in self._children.values():
            child.start()

    def commit(self) -> None:
        """Keeps what the innermost transaction changed; raises TransactionFault if none is open."""
        if not self._journal:
            raise TransactionFault("a storage transaction was committed that was never started")
        inner = self._journal.pop()
        if self._journal:
            outer = self._journal[-1]
            for key, previous in inner.items():
                outer.setdefault(key, previous)
        for child in self._children.values():
            child.commit()

    def rollback(self) -> None:
        """Undoes what the innermost transaction changed; raises TransactionFault if none is open."""
        if not self._journal:
            raise TransactionFault("a storage transaction was rolled back that was never started")
        self._forget_root()
        for child in self._children.values():
            child.rollback()
        for key, previous in self._journal.pop().items():
            if previous is _ABSENT:
                del self._entries[key]
            elif isinstance(previous, tuple):
                parts, length, count = previous
                del parts[length:]
                self._entries[key] = Appending(count, parts)
            else:
                self._entries[key] = previous  # type: ignore[assignment]

    def rollback_to(self, depth: int) -> None:
        """Rolls back until only `depth` transactions are open (after a call that trapped inside some)."""
        while len(self._journal) > depth:
            self.rollback()

    def _forget_root(self) -> None:
        self._root = None
        self._child_roots = {}

    def _note(self, key: bytes) -> None:
        self._forget_root()
        if self._journal and key not in self._journal[-1]:
            entry: object = self._entries.get(key, _ABSENT)
            if isinstance(entry, Appending):
                # the collected items only grow: their number is all that a rollback needs
                entry = (entry.parts, len(entry.parts), entry.count)
            self._journal[-1][key] = entry

    # ---- root

    def root(self, version: StateVersion) -> TrieUpdate:
        """Root and new nodes of base, changes and child tries together; computed once until the next write."""
        changed = {name: child for name, child in self._children.items() if child._entries}
        if self._root is not None and all(o._root and o._version == version for o in (self, *changed.values())):
            return self._root
        nodes: dict[bytes, bytes] = {}
        self._child_roots = {}
        for name, child in changed.items():
            update = child.root(version)
            nodes |= update.nodes
            self._child_roots[CHILD_ROOT_PREFIX + name] = None if update.root == EMPTY_ROOT else update.root
        update = self.base.update(self.changes(), version)
        self._root, self._version = TrieUpdate(update.root, nodes | update.nodes), version
        return self._root
