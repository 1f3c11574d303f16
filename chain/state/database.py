"""LevelDB with columns. One batch per block: after kill -9 a block is stored whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import plyvel

from chain.errors import DatabaseCorrupt, DatabaseLocked, DatabaseUnwritable

WRITE_BUFFER_BYTES = 8 << 20  # 8 MiB (= 8,388,608)
BLOCK_CACHE_BYTES = 32 << 20  # 32 MiB (= 33,554,432)


class Column(Enum):
    """Key prefixes; one byte each."""

    HEADER = b"h"  # block hash -> encoded header
    BODY = b"b"  # block hash -> encoded body
    JUSTIFICATION = b"j"  # block hash -> encoded justification
    CANONICAL = b"n"  # number (u32 big-endian) -> hash on the best chain
    TRIE = b"t"  # BLAKE2b-256 -> trie node or hashed value
    META = b"m"  # name -> value


class Batch:
    """Changes that are written all together by `Database.write`."""

    def __init__(self) -> None:
        self.changes: dict[bytes, bytes | None] = {}

    def put(self, column: Column, key: bytes, value: bytes) -> None:
        """Sets a key."""
        self.changes[column.value + key] = value

    def delete(self, column: Column, key: bytes) -> None:
        """Removes a key."""
        self.changes[column.value + key] = None


class TrieColumn:
    """The trie column as a node source."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def get(self, key: bytes, /) -> bytes | None:
        """A node or hashed value by its hash."""
        return self._db.get(Column.TRIE, key)


class Database:
    """An open database folder.

    Raises DatabaseLocked if another process has it open, DatabaseCorrupt if it cannot be read or is no database,
    DatabaseUnwritable if the disk is full.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        try:
            Path(self.path).mkdir(parents=True, exist_ok=True)
            self._db = plyvel.DB(
                self.path,
                create_if_missing=True,
                paranoid_checks=True,
                write_buffer_size=WRITE_BUFFER_BYTES,
                lru_cache_size=BLOCK_CACHE_BYTES,
                bloom_filter_bits=10,
            )
        except plyvel.IOError as error:
            if "lock" in str(error).lower():
                raise DatabaseLocked(self.path) from error
            if os.strerror(errno.ENOSPC) in str(error):
                raise DatabaseUnwritable(self.path, str(error)) from error
            raise DatabaseCorrupt(self.path, str(error)) from error
        except (plyvel.Error, OSError) as error:
            raise DatabaseCorrupt(self.path, str(error)) from error
        self.trie = TrieColumn(self)

    def get(self, column: Column, key: bytes) -> bytes | None:
        """The value at `key`, or None; raises DatabaseCorrupt when LevelDB finds a bad checksum."""
        try:
            value: bytes | None = self._db.get(column.value + key, verify_checksums=True)
        except plyvel.Error as error:
            raise DatabaseCorrupt(self.path, str(error)) from error
        return value

    def write(self, batch: Batch, sync: bool = False) -> None:
        """Writes a batch atomically. `sync` also survives a power cut; kill -9 is survived without.

        Raises DatabaseUnwritable when LevelDB cannot write; it takes no further writes then until it is opened anew.
        """
        writer = self._db.write_batch(sync=sync)
        for key, value in batch.changes.items():
            if value is None:
                writer.delete(key)
            else:
                writer.put(key, value)
        try:
            writer.write()
        except plyvel.Error as error:
            raise DatabaseUnwritable(self.path, str(error)) from error

    def keys(self, column: Column, after: bytes = b"") -> Iterator[bytes]:
        """All keys of a column, in order; only those greater than `after` if it is given."""
        start, stop = column.value + after, bytes([column.value[0] + 1])
        options = {"include_start": False, "include_value": False}
        try:
            # unverified, a damaged block would get into the cache, and `get` take it from there
            for key in self._db.iterator(start=start, stop=stop, verify_checksums=True, **options):
                yield key[1:]
        except plyvel.Error as error:
            raise DatabaseCorrupt(self.path, str(error)) from error

    def close(self) -> None:
        """Closes the folder and gives its lock back."""
        self._db.close()
