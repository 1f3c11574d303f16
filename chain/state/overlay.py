"""The changes a block or a runtime call makes on a state, with nested transactions.

Each transaction remembers the previous entry of every key it changes; a rollback puts them back.
"""

from __future__ import annotations

from chain.errors import DecodeError, TransactionFault
from chain.primitives.scale import Reader, encode_compact
from chain.state.view import StateView
from chain.trie import StateVersion, TrieUpdate

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
        """All changed keys: their new values, None where removed."""
        return {k: e.join() if isinstance(e, Appending) else e for k, e in self._entries.items()}

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

    def commit(self) -> None:
        """Keeps what the innermost transaction changed; raises TransactionFault if none is open."""
        if not self._journal:
            raise TransactionFault("a storage transaction was committed that was never started")
        inner = self._journal.pop()
        if self._journal:
            outer = self._journal[-1]
            for key, previous in inner.items():
                outer.setdefault(key, previous)

    def rollback(self) -> None:
        """Undoes what the innermost transaction changed; raises TransactionFault if none is open."""
        if not self._journal:
            raise TransactionFault("a storage transaction was rolled back that was never started")
        self._root = None
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

    def _note(self, key: bytes) -> None:
        self._root = None
        if self._journal and key not in self._journal[-1]:
            entry: object = self._entries.get(key, _ABSENT)
            if isinstance(entry, Appending):
                # the collected items only grow: their number is all that a rollback needs
                entry = (entry.parts, len(entry.parts), entry.count)
            self._journal[-1][key] = entry

    # ---- root

    def root(self, version: StateVersion) -> TrieUpdate:
        """Root and new trie nodes of base and changes together; computed once until the next write."""
        if self._root is None:
            self._root = self.base.update(self.changes(), version)
        return self._root
