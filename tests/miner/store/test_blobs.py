"""The store: addresses, eviction that never drops a pin, restarts, damaged folders; refusals change nothing."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from consensus.commit.hashing import Hash32, blake2_256
from consensus.commit.records import SegmentRecord, compute_transcript_root
from consensus.commit.state import State, compute_state_root
from miner.store import blobs
from miner.store.address import Address, Kind
from miner.store.blobs import CHUNK_BYTES, BlobStore
from miner.store.errors import (
    BlobCorruptError,
    BlobMismatchError,
    BlobNotFoundError,
    BlobTooLargeError,
    CorruptStoreError,
    StoreFullError,
    StoreLockedError,
)

STATE: State = {"w": np.arange(5000, dtype=np.float32), "step": np.array(1, np.int64)}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[BlobStore]:
    with BlobStore(tmp_path / "blobs", limit_bytes=1000) as opened:
        yield opened


def blob(data: bytes) -> Address:
    return Address(Kind.BLOB, blake2_256(data))


def snapshot(store: BlobStore) -> list[tuple[bytes, bytes]]:
    return list(store._db.iterator())


def test_blob_state_and_transcript_round_trip(tmp_path: Path) -> None:
    records = [SegmentRecord(i, *(Hash32(bytes([i + k]) * 32) for k in range(6))) for i in range(3)]
    with BlobStore(tmp_path / "blobs") as store:
        assert store.get_blob(store.put_blob(b"hello")) == b"hello"
        assert store.get_blob(store.put_blob(b"")) == b""
        root = store.put_state(STATE)
        assert root == compute_state_root(STATE) == compute_state_root(store.get_state(root))
        root = store.put_transcript(records)
        assert root == compute_transcript_root(records) and store.get_transcript(root) == records


def test_ranges_across_chunks(tmp_path: Path) -> None:
    data = np.random.default_rng(1).bytes(2 * CHUNK_BYTES + 17)
    with BlobStore(tmp_path / "blobs") as store:
        address = Address(Kind.BLOB, store.put_blob(data))
        assert store.get(address) == data
        for start, length in ((0, 1), (CHUNK_BYTES - 1, 2), (CHUNK_BYTES, CHUNK_BYTES), (5, 3 * CHUNK_BYTES)):
            assert store.read(address, start, length) == data[start : start + length]
        assert store.read(address, len(data), 10) == b""


def test_invalid_bytes_change_nothing(store: BlobStore) -> None:
    before = snapshot(store)
    for address, data in (
        (blob(b"other"), b"data"),
        (Address(Kind.STATE, blake2_256(b"data")), b"data"),
        (Address(Kind.STATE, blake2_256(b"")), b"\x02" + bytes(7) + b"{}"),
        (Address(Kind.TRANSCRIPT, blake2_256(b"data")), b"data"),
    ):
        with pytest.raises(BlobMismatchError):
            store.put_verified(address, data)
    assert snapshot(store) == before and store.total_bytes == 0


def test_missing_and_too_large(store: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for call in (store.get, store.size, store.delete):
        with pytest.raises(BlobNotFoundError):
            call(blob(b"x"))
    with pytest.raises(BlobNotFoundError):
        store.pin(blob(b"x"), "unit 1")
    monkeypatch.setattr(blobs, "MAX_BLOB_BYTES", 4)
    store.put_blob(b"four")
    with pytest.raises(BlobTooLargeError):
        store.put_blob(b"fives")


def test_eviction_drops_least_recently_used(store: BlobStore) -> None:
    first, second = (Address(Kind.BLOB, store.put_blob(bytes([i]) * 400)) for i in range(2))
    store.get(first)
    third = Address(Kind.BLOB, store.put_blob(b"\x09" * 400))
    assert store.is_stored(first) and store.is_stored(third) and not store.is_stored(second)
    assert store.total_bytes == 800


def test_eviction_never_drops_a_pin(store: BlobStore) -> None:
    pinned = Address(Kind.BLOB, store.put_blob(b"p" * 600, pin="unit 1"))
    store.pin(pinned, "unit 2")
    loose = Address(Kind.BLOB, store.put_blob(b"l" * 400))
    before = snapshot(store)
    with pytest.raises(StoreFullError):
        store.put_blob(b"x" * 401)
    assert snapshot(store) == before and store.is_stored(loose)
    store.put_blob(b"x" * 400)
    assert store.is_stored(pinned) and not store.is_stored(loose)
    assert store.unpin("unit 1") == 1
    with pytest.raises(StoreFullError):
        store.put_blob(b"y" * 1000)
    assert store.unpin("unit 2") == 1 and store.unpin("unit 2") == 0
    store.put_blob(b"y" * 1000)
    assert not store.is_stored(pinned)


def test_restart_keeps_blobs_pins_and_records(tmp_path: Path) -> None:
    with BlobStore(tmp_path / "blobs", 1000) as store:
        pinned = Address(Kind.BLOB, store.put_blob(b"p" * 600, pin="unit 1"))
        store.put_record("journal/1", b"one")
        store.put_record("journal/2", b"two")
        store.put_record("other", b"three")
        store.delete_record("journal/2")
    with BlobStore(tmp_path / "blobs", 1000) as store:
        assert store.total_bytes == 600 and store.get(pinned) == b"p" * 600
        assert list(store.iterate_records("journal/")) == [("journal/1", b"one")]
        assert store.get_record("journal/2") is None
        with pytest.raises(StoreFullError):
            store.put_blob(b"x" * 500)
        store.delete(pinned)
        assert store.total_bytes == 0 and [k for k, _ in snapshot(store) if k[:1] != b"r"] == []


def _write_for_ever(path: Path) -> None:
    store = BlobStore(path)
    for i in range(10**6):
        store.put_state({"w": np.full(300_000, i, np.float32)})


def test_kill_in_the_middle_of_a_write_leaves_whole_blobs(tmp_path: Path) -> None:
    path = tmp_path / "blobs"
    process = multiprocessing.get_context("spawn").Process(target=_write_for_ever, args=(path,))
    process.start()
    while not path.exists() or sum(f.stat().st_size for f in path.iterdir()) < 5 * 10**6:
        assert process.is_alive()
        process.join(0.05)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with BlobStore(path) as store:
        assert len(store._index) >= 2
        for address in store._index:
            assert compute_state_root(store.get_state(address.root)) == address.root


def test_locked_folder(store: BlobStore) -> None:
    with pytest.raises(StoreLockedError, match="another process"):
        BlobStore(store.path)


def test_corrupt_folder(tmp_path: Path) -> None:
    path = tmp_path / "blobs"
    with BlobStore(path) as store:
        store.put_blob(b"x" * 1000)
    (path / "CURRENT").write_text("nonsense")
    with pytest.raises(CorruptStoreError, match="move the folder away"):
        BlobStore(path)
    file = tmp_path / "file"
    file.write_text("not a folder")
    with pytest.raises(CorruptStoreError):
        BlobStore(file)


def test_corrupt_meta_and_chunk(tmp_path: Path) -> None:
    path = tmp_path / "blobs"
    with BlobStore(path) as store:
        address = Address(Kind.BLOB, store.put_blob(b"x" * 1000))
        store._db.put(b"cb" + address.root + bytes(4), b"short")
        with pytest.raises(BlobCorruptError):
            store.get(address)
        store._db.put(b"mb" + address.root, b"short")
    with pytest.raises(CorruptStoreError):
        BlobStore(path)
