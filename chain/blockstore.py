"""Blocks in the database: headers, bodies, justifications, the best chain by number, the heads."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from chain.errors import DatabaseCorrupt, DecodeError
from chain.primitives.block import Block, Header, decode_body, encode_body
from chain.state.database import Batch, Column, Database

_BEST, _FINALIZED, _LEAVES, _PRUNED, _DROPPED = b"best", b"finalized", b"leaves", b"pruned below", b"dropped"
_COUNTS = b"trie counts"
CACHED_HEADERS = 1_024
HASH_BYTES = 32


class BlockStore:
    """Reads decode and raise DatabaseCorrupt on damage; writes go into a batch of the caller's."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._headers: OrderedDict[bytes, Header] = OrderedDict()

    # ---- reading

    def header(self, block_hash: bytes) -> Header | None:
        """A stored header."""
        header = self._headers.get(block_hash)
        if header is not None:
            return header
        data = self._db.get(Column.HEADER, block_hash)
        if data is None:
            return None
        try:
            header = Header.decode(data)
        except DecodeError as error:
            raise DatabaseCorrupt(self._db.path, str(error)) from error
        if header.hash != block_hash:
            raise DatabaseCorrupt(self._db.path, f"what is stored as header 0x{block_hash.hex()} is another one")
        self._headers[block_hash] = header
        while len(self._headers) > CACHED_HEADERS:
            self._headers.popitem(last=False)
        return header

    def body(self, block_hash: bytes) -> tuple[bytes, ...] | None:
        """A stored body."""
        data = self._db.get(Column.BODY, block_hash)
        try:
            return None if data is None else decode_body(data)
        except DecodeError as error:
            raise DatabaseCorrupt(self._db.path, str(error)) from error

    def justification(self, block_hash: bytes) -> bytes | None:
        """A stored finality proof."""
        return self._db.get(Column.JUSTIFICATION, block_hash)

    def hash_of(self, number: int) -> bytes | None:
        """The best chain's block of this number."""
        found = self._db.get(Column.CANONICAL, number.to_bytes(4, "big")) if 0 <= number < 1 << 32 else None
        if found is not None and len(found) != HASH_BYTES:
            raise DatabaseCorrupt(self._db.path, f"its entry for block #{number} is no hash")
        return found

    def is_used(self) -> bool:
        """Whether anything was ever stored."""
        return self._db.get(Column.META, _BEST) is not None

    def best_hash(self) -> bytes:
        """The best block's hash."""
        return self._hash(_BEST)

    def finalized_hash(self) -> bytes:
        """The finalised block's hash."""
        return self._hash(_FINALIZED)

    def leaves(self) -> list[bytes]:
        """Tips of all forks."""
        return _split_hashes(self._meta(_LEAVES))

    def dropped(self) -> list[bytes]:
        """Blocks that conflict with the finalised one and are still stored, in the order in which they lost."""
        return _split_hashes(self._db.get(Column.META, _DROPPED) or b"")

    def pruned_below(self) -> int:
        """States of blocks below this number are gone."""
        found = self._db.get(Column.META, _PRUNED)
        if found is not None and len(found) != 4:
            raise DatabaseCorrupt(self._db.path, f"its entry {_PRUNED.decode()!r} is malformed")
        return int.from_bytes(found or b"", "little")

    def _hash(self, name: bytes) -> bytes:
        value = self._meta(name)
        if len(value) != HASH_BYTES:
            raise DatabaseCorrupt(self._db.path, f"its entry {name.decode()!r} is no hash")
        return value

    def _meta(self, name: bytes) -> bytes:
        value = self._db.get(Column.META, name)
        if not value or len(value) % HASH_BYTES:
            raise DatabaseCorrupt(self._db.path, f"its entry {name.decode()!r} is missing or malformed")
        return value

    # ---- writing

    def put_block(self, batch: Batch, block: Block) -> None:
        """Header and body."""
        batch.put(Column.HEADER, block.hash, block.header.encode())
        batch.put(Column.BODY, block.hash, encode_body(block.extrinsics))

    def put_canonical(self, batch: Batch, number: int, block_hash: bytes) -> None:
        """Puts a block on the best chain."""
        batch.put(Column.CANONICAL, number.to_bytes(4, "big"), block_hash)

    def delete_canonical(self, batch: Batch, number: int) -> None:
        """The best chain became shorter."""
        batch.delete(Column.CANONICAL, number.to_bytes(4, "big"))

    def put_heads(
        self, batch: Batch, *, best: bytes | None = None, finalized: bytes | None = None, leaves: Iterable[bytes]
    ) -> None:
        """Best, finalised (if they changed) and the tips."""
        if best is not None:
            batch.put(Column.META, _BEST, best)
        if finalized is not None:
            batch.put(Column.META, _FINALIZED, finalized)
        batch.put(Column.META, _LEAVES, b"".join(leaves))

    def put_justification(self, batch: Batch, block_hash: bytes, justification: bytes) -> None:
        """A finality proof of exactly this block."""
        batch.put(Column.JUSTIFICATION, block_hash, justification)

    def put_pruned_below(self, batch: Batch, number: int) -> None:
        """States below `number` go with this batch."""
        batch.put(Column.META, _PRUNED, number.to_bytes(4, "little"))

    def put_dropped(self, batch: Batch, dropped: Iterable[bytes]) -> None:
        """Blocks lost against the finalised one: they stay, for who was told of them, until `delete_dropped`."""
        fresh = b"".join(dropped)
        if fresh:
            batch.put(Column.META, _DROPPED, b"".join(self.dropped()) + fresh)

    def delete_dropped(self, batch: Batch, gone: Iterable[bytes]) -> None:
        """Deletes blocks that had lost."""
        found = set(gone)
        for block_hash in found:
            batch.delete(Column.HEADER, block_hash)
            batch.delete(Column.BODY, block_hash)
            self._headers.pop(block_hash, None)
        if found:
            rest = [block_hash for block_hash in self.dropped() if block_hash not in found]
            batch.put(Column.META, _DROPPED, b"".join(rest))

    def trie_counts(self) -> tuple[int, int]:
        """Trie nodes that lived after the last sweep, and nodes written since."""
        data = self._db.get(Column.META, _COUNTS) or bytes(16)
        return int.from_bytes(data[:8], "little"), int.from_bytes(data[8:], "little")

    def put_trie_counts(self, batch: Batch, live: int, written: int) -> None:
        """Moves these numbers."""
        batch.put(Column.META, _COUNTS, live.to_bytes(8, "little") + written.to_bytes(8, "little"))

    def put_trie_deletions(self, batch: Batch, keys: Iterable[bytes]) -> None:
        """Removes trie nodes."""
        for key in keys:
            batch.delete(Column.TRIE, key)

    def trie_keys(self, after: bytes = b"") -> Iterable[bytes]:
        """Stored trie nodes' hashes, in order, greater than `after`."""
        return self._db.keys(Column.TRIE, after)

    def write(self, batch: Batch) -> None:
        """Writes atomically."""
        self._db.write(batch)


def _split_hashes(data: bytes) -> list[bytes]:
    return [data[i : i + HASH_BYTES] for i in range(0, len(data), HASH_BYTES)]
