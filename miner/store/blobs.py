"""The blob store: LevelDB, bounded in bytes, evicting what nobody pinned.

Keys: "m" ‖ kind ‖ root -> size u64 ‖ order u64; "c" ‖ kind ‖ root ‖ number u32 -> a chunk of the bytes;
"p" ‖ kind ‖ root ‖ label -> nothing (a pin); "r" ‖ name -> a small record of a daemon (journals). A blob and its meta
are written in one atomic batch: after kill -9 it is there as a whole or not at all. The bytes of a blob above
`FILE_BYTES` are a file beside (files.py), complete before its meta is written; LevelDB sums the others, a file is
compared with its address when it is first read after the store was opened.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import plyvel
from consensus.commit.hashing import Hash32
from consensus.commit.records import SegmentRecord
from consensus.commit.state import State
from consensus.commit.tensor import Array

from miner.store.address import Address, Kind, compute_address, decode_transcript, encode_transcript, verify_bytes
from miner.store.errors import (
    BlobCorruptError,
    BlobMismatchError,
    BlobNotFoundError,
    BlobTooLargeError,
    CorruptStoreError,
    StoreFullError,
    StoreLockedError,
)
from miner.store.files import FILE_BYTES, BlobFiles, sync
from miner.store.tensor_file import decode_tensors, encode_tensors

CHUNK_BYTES = 2**20  # (= 1,048,576): what a range request reads at least
DEFAULT_LIMIT_BYTES = 8 * 2**30  # (= 8,589,934,592)
MAX_BLOB_BYTES = 2**31  # (= 2,147,483,648)
_KIND_CODES = {Kind.BLOB: b"b", Kind.STATE: b"s", Kind.TRANSCRIPT: b"t"}
_KINDS = {code: kind for kind, code in _KIND_CODES.items()}
_META = struct.Struct("<QQ")


@dataclass
class _Entry:
    """What the index remembers of a blob: bytes, last use (a counter), labels of its pins; whether it is a file that
    is still to be compared with its address."""

    size: int
    order: int
    pins: set[str]
    is_file: bool = False
    is_checked: bool = True


class BlobStore:
    """Blobs and small records in one LevelDB folder; safe to use from several threads of one process.

    Evicts the least recently used blobs without a pin when `limit_bytes` would be passed. Use as a context manager.
    """

    def __init__(
        self, path: Path, limit_bytes: int = DEFAULT_LIMIT_BYTES, file_bytes: int = FILE_BYTES
    ) -> None:
        """Opens or creates the folder; raises `StoreLockedError`, `CorruptStoreError`.

        Blobs above `file_bytes` are files; one folder is always opened with the same.
        """
        self.path = path
        self.limit_bytes = limit_bytes
        self._file_bytes = file_bytes
        self._lock, self._checking = threading.RLock(), threading.Lock()
        self._index: dict[Address, _Entry] = {}
        self._order = 0
        self.total_bytes = 0
        self._db = _open(path)
        try:
            self._files = BlobFiles(path)
            self._load_index()
        except (plyvel.CorruptionError, plyvel.IOError, struct.error, ValueError, KeyError, OSError) as error:
            self._db.close()
            raise CorruptStoreError(path, str(error)) from error

    def __enter__(self) -> BlobStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes LevelDB; harmless when repeated."""
        with self._lock:
            self._db.close()

    def put_blob(self, data: bytes, pin: str | None = None) -> Hash32:
        """Stores opaque bytes; returns their BLAKE2b-256. Raises `BlobTooLargeError`, `StoreFullError`."""
        return self._put(compute_address(Kind.BLOB, data), data, pin)

    def put_state(self, state: State, pin: str | None = None) -> Hash32:
        """Stores a state as safetensors; returns its state root. Raises like `put_blob`."""
        data = encode_tensors(state)
        return self._put(compute_address(Kind.STATE, data), data, pin)

    def put_transcript(self, records: list[SegmentRecord], pin: str | None = None) -> Hash32:
        """Stores a unit's segment records; returns the transcript root. Raises like `put_blob`."""
        data = encode_transcript(records)
        return self._put(compute_address(Kind.TRANSCRIPT, data), data, pin)

    def put_verified(self, address: Address, data: bytes, pin: str | None = None) -> None:
        """Stores bytes from elsewhere; raises `BlobMismatchError` unless they are those of the address."""
        verify_bytes(address, data)
        self._put(address, data, pin)

    def adopt(self, address: Address, path: Path, pin: str | None = None) -> None:
        """Takes over a file of the `spool` folder that one of our own workers wrote; the file is gone afterwards.

        A large one is renamed and compared with its address when it is first read; a small one at once. Raises
        `BlobMismatchError`, `BlobTooLargeError`, `StoreFullError`.
        """
        try:
            size = path.stat().st_size
            if size <= self._file_bytes:
                self.put_verified(address, path.read_bytes(), pin)
            else:
                self._put_file(address, path, size, pin, is_checked=False)
        finally:
            path.unlink(missing_ok=True)

    @property
    def spool(self) -> Path:
        """Folder in which workers write the files that `adopt` takes."""
        return self._files.spool

    def get_path(self, address: Address) -> Path | None:
        """The file of a large blob, as long as it is here; None for one in LevelDB. Raises `BlobNotFoundError`."""
        with self._lock:
            return self._files.get_path(address) if self._entry(address).is_file else None

    def get(self, address: Address) -> bytes:
        """All bytes; raises `BlobNotFoundError`, `BlobCorruptError`."""
        return self.read(address, 0, self.size(address))

    def get_blob(self, root: bytes) -> bytes:
        """Bytes of an opaque blob; raises as `get`."""
        return self.get(Address(Kind.BLOB, Hash32(root)))

    def get_state(self, root: bytes) -> dict[str, Array]:
        """Tensors of a state, read-only NumPy arrays by name; raises as `get`."""
        return decode_tensors(self.get(Address(Kind.STATE, Hash32(root))))

    def get_transcript(self, root: bytes) -> list[SegmentRecord]:
        """Segment records of a transcript; raises as `get`."""
        return decode_transcript(self.get(Address(Kind.TRANSCRIPT, Hash32(root))))

    def read(self, address: Address, start: int, length: int) -> bytes:
        """Up to `length` bytes from `start`; raises `BlobNotFoundError`, `BlobCorruptError`."""
        with self._lock:
            entry = self._entry(address)
            self._order += 1
            entry.order = self._order
        end = min(start + length, entry.size)
        if end <= start:
            return b""
        if entry.is_file:
            return self._read_file(address, entry, start, end)
        first, last = start // CHUNK_BYTES, (end - 1) // CHUNK_BYTES
        data = b"".join(self._chunk(address, number, entry.size) for number in range(first, last + 1))
        return data[start - first * CHUNK_BYTES : end - first * CHUNK_BYTES]

    def size(self, address: Address) -> int:
        """Bytes of a blob; raises `BlobNotFoundError`."""
        with self._lock:
            return self._entry(address).size

    def is_stored(self, address: Address) -> bool:
        """Whether the blob is here now."""
        with self._lock:
            return address in self._index

    def pin(self, address: Address, label: str) -> None:
        """Keeps a blob from eviction until every label is taken off again; raises `BlobNotFoundError`."""
        with self._lock:
            self._entry(address).pins.add(label)
            self._db.put(_pin_key(address, label), b"", sync=True)

    def list_pins(self, prefix: str) -> set[str]:
        """Labels in use that begin with `prefix`."""
        with self._lock:
            return {label for entry in self._index.values() for label in entry.pins if label.startswith(prefix)}

    def unpin(self, label: str) -> int:
        """Takes a label off all blobs (its window closed); returns how many had it."""
        with self._lock:
            found = [address for address, entry in self._index.items() if label in entry.pins]
            with self._db.write_batch(sync=True) as batch:
                for address in found:
                    batch.delete(_pin_key(address, label))
            for address in found:
                self._index[address].pins.discard(label)
            return len(found)

    def release(self, address: Address, label: str) -> None:
        """Takes a label off one blob and removes the blob when that was its last; harmless when it is not here."""
        with self._lock:
            entry = self._index.get(address)
            if entry is None:
                return
            entry.pins.discard(label)
            self._db.delete(_pin_key(address, label))
            if not entry.pins:
                self._remove(address, entry)

    def delete(self, address: Address) -> None:
        """Removes a blob, pinned or not; raises `BlobNotFoundError`."""
        with self._lock:
            self._remove(address, self._entry(address))

    def put_record(self, name: str, value: bytes) -> None:
        """Stores a small record durably under `name` (a daemon's journal); not counted against the limit."""
        self._db.put(b"r" + name.encode(), value, sync=True)

    def get_record(self, name: str) -> bytes | None:
        """A record's bytes, or None."""
        value: bytes | None = self._db.get(b"r" + name.encode())
        return value

    def delete_record(self, name: str) -> None:
        """Removes a record; harmless when there is none."""
        self._db.delete(b"r" + name.encode(), sync=True)

    def iterate_records(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        """Records whose names begin with `prefix`, in order of their names."""
        for key, value in self._db.iterator(prefix=b"r" + prefix.encode()):
            yield key[1:].decode(), value

    def _put(self, address: Address, data: bytes, pin: str | None) -> Hash32:
        _verify_size(address, len(data))
        if len(data) > self._file_bytes and not self.is_stored(address):
            path = self._files.write(data)
            try:
                self._put_file(address, path, len(data), pin, is_checked=True)
            finally:
                path.unlink(missing_ok=True)
            return address.root
        with self._lock:
            if address not in self._index:
                self._make_room(address, len(data))
                with self._db.write_batch(sync=True, transaction=True) as batch:
                    for number, start in enumerate(range(0, len(data), CHUNK_BYTES)):
                        batch.put(_chunk_key(address, number), data[start : start + CHUNK_BYTES])
                    self._write_meta(batch, address, len(data), pin)
                self._add(address, _Entry(len(data), self._order, set() if pin is None else {pin}))
            elif pin is not None:
                self.pin(address, pin)
        return address.root

    def _put_file(self, address: Address, path: Path, size: int, pin: str | None, is_checked: bool) -> None:
        """Makes a complete spool file a blob: synced, renamed, then named in LevelDB."""
        _verify_size(address, size)
        sync(path)
        with self._lock:
            if address not in self._index:
                self._make_room(address, size)
                self._files.adopt(path, address)
                with self._db.write_batch(sync=True, transaction=True) as batch:
                    self._write_meta(batch, address, size, pin)
                pins = set() if pin is None else {pin}
                self._add(address, _Entry(size, self._order, pins, is_file=True, is_checked=is_checked))
            elif pin is not None:
                self.pin(address, pin)

    def _write_meta(self, batch: Any, address: Address, size: int, pin: str | None) -> None:
        self._order += 1
        batch.put(_meta_key(address), _META.pack(size, self._order))
        if pin is not None:
            batch.put(_pin_key(address, pin), b"")

    def _add(self, address: Address, entry: _Entry) -> None:
        self._index[address] = entry
        self.total_bytes += entry.size

    def _read_file(self, address: Address, entry: _Entry, start: int, end: int) -> bytes:
        """A part of a file; the first read since the store was opened compares the whole with the address."""
        with self._checking:  # one at a time: many readers of a new file wait for the first one's answer
            if not entry.is_checked:
                try:
                    verify_bytes(address, self._files.read(address, 0, entry.size))
                except BlobMismatchError as error:
                    raise BlobCorruptError(address, f"they belong to {error.found}") from error
                entry.is_checked = True
        return self._files.read(address, start, end - start)

    def _make_room(self, address: Address, needed: int) -> None:
        """Evicts least recently used blobs without pins; raises `StoreFullError` before it evicts anything in vain."""
        free = [(entry.order, key) for key, entry in self._index.items() if not entry.pins]
        freeable = sum(self._index[key].size for _, key in free)
        if self.total_bytes - freeable + needed > self.limit_bytes:
            raise StoreFullError(address, needed, self.limit_bytes)
        for _, key in sorted(free, key=lambda pair: pair[0]):
            if self.total_bytes + needed <= self.limit_bytes:
                return
            self._remove(key, self._index[key])

    def _remove(self, address: Address, entry: _Entry) -> None:
        with self._db.write_batch(sync=True, transaction=True) as batch:
            for number in range(0 if entry.is_file else -(-entry.size // CHUNK_BYTES)):
                batch.delete(_chunk_key(address, number))
            for label in entry.pins:
                batch.delete(_pin_key(address, label))
            batch.delete(_meta_key(address))
        if entry.is_file:
            self._files.remove(address)
        del self._index[address]
        self.total_bytes -= entry.size

    def _entry(self, address: Address) -> _Entry:
        entry = self._index.get(address)
        if entry is None:
            raise BlobNotFoundError(address)
        return entry

    def _chunk(self, address: Address, number: int, size: int) -> bytes:
        try:
            chunk: bytes | None = self._db.get(_chunk_key(address, number), verify_checksums=True)
        except (plyvel.CorruptionError, plyvel.IOError) as error:
            raise BlobCorruptError(address, str(error)) from error
        if chunk is None or len(chunk) != min(CHUNK_BYTES, size - number * CHUNK_BYTES):
            raise BlobCorruptError(address, f"chunk {number} is missing or short")
        return chunk

    def _load_index(self) -> None:
        for key, value in self._db.iterator(prefix=b"m"):
            size, order = _META.unpack(value)
            self._index[_parse_address(key[1:])] = _Entry(size, order, set())
            self._order = max(self._order, order)
        for key in self._db.iterator(prefix=b"p", include_value=False):
            entry = self._index.get(_parse_address(key[1:34]))
            if entry is not None:
                entry.pins.add(key[34:].decode())
        self.total_bytes = sum(entry.size for entry in self._index.values())
        self._find_files()

    def _find_files(self) -> None:
        """Marks the blobs that are files; forgets those whose file is gone or short, and files without a blob."""
        for address, entry in list(self._index.items()):
            if entry.size <= self._file_bytes:
                continue
            size = self._files.get_size(address)
            if size is not None or self._db.get(_chunk_key(address, 0)) is None:
                entry.is_file, entry.is_checked = True, False
            if entry.is_file and size != entry.size:
                self._remove(address, entry)
        self._files.tidy([address for address, entry in self._index.items() if entry.is_file])


def _open(path: Path) -> plyvel.DB:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return plyvel.DB(str(path), create_if_missing=True, paranoid_checks=True, write_buffer_size=8 * CHUNK_BYTES)
    except plyvel.IOError as error:
        if "already held" in str(error) or "temporarily unavailable" in str(error):
            raise StoreLockedError(path) from error
        raise CorruptStoreError(path, str(error)) from error
    except plyvel.Error as error:
        raise CorruptStoreError(path, str(error)) from error


def _verify_size(address: Address, size: int) -> None:
    if size > MAX_BLOB_BYTES:
        raise BlobTooLargeError(address, size, MAX_BLOB_BYTES)


def _parse_address(raw: bytes) -> Address:
    return Address(_KINDS[raw[:1]], Hash32(raw[1:]))


def _meta_key(address: Address) -> bytes:
    return b"m" + _KIND_CODES[address.kind] + address.root


def _pin_key(address: Address, label: str) -> bytes:
    return b"p" + _KIND_CODES[address.kind] + address.root + label.encode()


def _chunk_key(address: Address, number: int) -> bytes:
    return b"c" + _KIND_CODES[address.kind] + address.root + number.to_bytes(4, "big")
