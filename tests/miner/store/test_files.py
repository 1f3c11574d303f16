"""Large blobs are files: whole or absent after any kill, never wrong bytes, evicted and counted like the others."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consensus.commit.hashing import Hash32, blake2_256
from consensus.commit.state import State, compute_state_root
from miner.store import blobs
from miner.store.address import Address, Kind
from miner.store.blobs import BlobStore
from miner.store.errors import (
    BlobCorruptError,
    BlobMismatchError,
    BlobNotFoundError,
    BlobTooLargeError,
    StoreFullError,
)
from miner.store.files import FILE_BYTES
from miner.store.tensor_file import encode_tensors, write_tensors

STATE: State = {
    "w": np.arange(1_100_000, dtype=np.float32).reshape(1100, 1000), "n": np.array(3), "flag": np.array([True]),
    "odd": np.arange(12, dtype=np.float32).reshape(3, 4).T, "none": np.zeros((0, 4), np.float32),
}  # fmt: skip
ADDRESS = Address(Kind.STATE, compute_state_root(STATE))


def spool(store: BlobStore, state: State = STATE) -> Path:
    path = store.spool / "1-worker"
    with path.open("xb") as file:
        written = write_tensors(file, state)
    assert written == path.stat().st_size
    return path


def files(store: BlobStore) -> list[str]:
    return sorted(path.name for folder in ("files", "spool") for path in (store.path / folder).iterdir())


def test_writer_gives_the_encoders_bytes() -> None:
    buffer = io.BytesIO()
    assert write_tensors(buffer, STATE) == len(buffer.getvalue())
    assert buffer.getvalue() == encode_tensors(STATE) and len(buffer.getvalue()) > FILE_BYTES


def test_adopted_file_is_the_blob(tmp_path: Path) -> None:
    with BlobStore(tmp_path / "blobs") as store:
        store.adopt(ADDRESS, spool(store), "unit")
        assert files(store) == [f"state-{ADDRESS.root.hex()}"]
        assert store.get(ADDRESS) == encode_tensors(STATE)
        assert store.read(ADDRESS, 1000, 5) == encode_tensors(STATE)[1000:1005]
        assert store.total_bytes == len(encode_tensors(STATE)) == store.size(ADDRESS)
        assert store.get_path(ADDRESS) == store.path / "files" / f"state-{ADDRESS.root.hex()}"
        store.adopt(ADDRESS, spool(store), "again")
        assert store.unpin("unit") == store.unpin("again") == 1
    with BlobStore(tmp_path / "blobs") as store:
        assert compute_state_root(store.get_state(ADDRESS.root)) == ADDRESS.root
        store.delete(ADDRESS)
        assert files(store) == [] and store.total_bytes == 0


def test_small_file_is_checked_and_goes_to_leveldb(tmp_path: Path) -> None:
    small: State = {"w": np.ones(3, np.float32)}
    address = Address(Kind.STATE, compute_state_root(small))
    with BlobStore(tmp_path / "blobs") as store:
        with pytest.raises(BlobMismatchError):
            store.adopt(ADDRESS, spool(store, small))
        assert files(store) == [] and store.total_bytes == 0
        store.adopt(address, spool(store, small))
        assert files(store) == [] and store.get_path(address) is None and store.get(address) == encode_tensors(small)


def test_large_bytes_from_elsewhere_are_files_too(tmp_path: Path) -> None:
    data = np.random.default_rng(1).bytes(FILE_BYTES + 1)
    with BlobStore(tmp_path / "blobs") as store:
        address = Address(Kind.BLOB, store.put_blob(data, "pin"))
        assert files(store) == [f"blob-{address.root.hex()}"] and store.get(address) == data
        with pytest.raises(BlobMismatchError):
            store.put_verified(Address(Kind.BLOB, blake2_256(b"x")), data)
        assert len(files(store)) == 1
        edge = Address(Kind.BLOB, store.put_blob(data[:-1]))
        assert store.get_path(edge) is None and store.get(edge) == data[:-1]


@pytest.mark.parametrize("place", [0, 9, 300, 2_000_000, -1])
def test_damaged_file_never_gives_wrong_bytes(tmp_path: Path, place: int) -> None:
    """An adopted file is compared with its root when it is first read, and again after every start."""
    for is_restarted in (False, True):
        path = tmp_path / str(is_restarted)
        with BlobStore(path) as store:
            store.adopt(ADDRESS, spool(store))
            file = store.get_path(ADDRESS)
            assert file is not None
            if is_restarted:
                store.get(ADDRESS)
        data = bytearray(file.read_bytes())
        data[place] ^= 1
        if not is_restarted:
            with BlobStore(path) as store:
                file.write_bytes(data)
                with pytest.raises(BlobCorruptError, match="damaged"):
                    store.read(ADDRESS, 5, 5)
            continue
        file.write_bytes(data)
        with BlobStore(path) as store:
            with pytest.raises(BlobCorruptError, match="damaged"):
                store.get(ADDRESS)
            store.delete(ADDRESS)
            store.put_state(STATE)
            assert store.get(ADDRESS) == encode_tensors(STATE)


@pytest.mark.parametrize("how", ["cut", "gone", "longer"])
def test_file_of_another_length_counts_as_absent(tmp_path: Path, how: str) -> None:
    with BlobStore(tmp_path / "blobs") as store:
        store.put_blob(b"other", "unit")
        store.adopt(ADDRESS, spool(store), "unit")
        file = store.get_path(ADDRESS)
    assert file is not None
    if how == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-1] if how == "cut" else file.read_bytes() + b"x")
    for _ in range(2):
        with BlobStore(tmp_path / "blobs") as store:
            assert not store.is_stored(ADDRESS) and store.total_bytes == 5 and files(store) == []
            with pytest.raises(BlobNotFoundError):
                store.get(ADDRESS)


def test_what_a_killed_process_left_is_removed_at_the_start(tmp_path: Path) -> None:
    with BlobStore(tmp_path / "blobs") as store:
        store.adopt(ADDRESS, spool(store))
        (store.spool / "17-half").write_bytes(b"half")
        (store.path / "files" / f"state-{'00' * 32}").write_bytes(b"renamed, not named in LevelDB")
    with BlobStore(tmp_path / "blobs") as store:
        assert files(store) == [f"state-{ADDRESS.root.hex()}"]


def test_refused_files_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with BlobStore(tmp_path / "blobs", limit_bytes=FILE_BYTES) as store:
        store.put_blob(b"kept")
        before = list(store._db.iterator())
        with pytest.raises(StoreFullError):
            store.adopt(ADDRESS, spool(store))
        with pytest.raises(StoreFullError):
            store.put_state(STATE)
        monkeypatch.setattr(blobs, "MAX_BLOB_BYTES", FILE_BYTES)
        with pytest.raises(BlobTooLargeError):
            store.adopt(ADDRESS, spool(store))
        with pytest.raises(FileNotFoundError):
            store.adopt(ADDRESS, store.spool / "never written")
        assert list(store._db.iterator()) == before and files(store) == [] and store.total_bytes == 4


def test_eviction_and_release_remove_files(tmp_path: Path) -> None:
    data = [np.random.default_rng(seed).bytes(FILE_BYTES + 1) for seed in range(3)]
    with BlobStore(tmp_path / "blobs", limit_bytes=2 * FILE_BYTES + 10) as store:
        first, second, third = (Address(Kind.BLOB, store.put_blob(one)) for one in data)
        assert not store.is_stored(first) and len(files(store)) == 2
        store.pin(second, "a")
        store.pin(second, "b")
        store.release(second, "a")
        assert store.is_stored(second)
        store.release(second, "b")
        assert not store.is_stored(second) and files(store) == [f"blob-{third.root.hex()}"]
        store.release(second, "b")
    with BlobStore(tmp_path / "blobs") as store:
        assert not store.is_stored(second) and store.is_stored(third)


def _adopt_for_ever(path: Path, ready: Any) -> None:
    with BlobStore(path, file_bytes=1000) as store:
        for number in range(100_000):
            state = {"w": np.full(100_000, number, np.float32)}
            with (store.spool / f"{number}").open("xb") as file:
                write_tensors(file, state)
            store.adopt(Address(Kind.STATE, compute_state_root(state)), store.spool / f"{number}")
            if number == 3:
                ready.set()


@pytest.mark.parametrize("delay", [0.003, 0.037])
def test_kill_9_leaves_whole_files_or_none(tmp_path: Path, delay: float) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_adopt_for_ever, args=(tmp_path / "blobs", ready))
    process.start()
    assert ready.wait(60) and process.pid is not None
    process.join(delay)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with BlobStore(tmp_path / "blobs", file_bytes=1000) as store:
        stored = [Hash32(bytes.fromhex(name.removeprefix("state-"))) for name in files(store)]
        assert len(stored) >= 4 and store.total_bytes == sum(store.size(Address(Kind.STATE, r)) for r in stored)
        assert all(compute_state_root(store.get_state(root)) == root for root in stored)
