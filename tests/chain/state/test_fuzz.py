"""Fuzz of what lies on the disk: LevelDB's own files, and entries of the block store."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from chain.blockchain import Blockchain
from chain.blockstore import BlockStore
from chain.errors import DatabaseCorrupt
from chain.primitives import Block, Header, aura_pre_runtime, encode_bytes
from chain.state.database import Batch, Column, Database
from tests.chain.devchain import DevChain, genesis
from tests.fuzz import LONG_EXAMPLES, QUICK_EXAMPLES, Target, fuzz, make_tests, mutate

HEADER = Header(b"\x01" * 32, 7, b"\x02" * 32, b"\x03" * 32, (aura_pre_runtime(7),))
BLOCK = Block(HEADER, (encode_bytes(b"one"),))


class Memory:
    """A database of one value, whatever is asked for."""

    path = "memory"

    def __init__(self, value: bytes) -> None:
        self.value = value

    def get(self, _column: Column, _key: bytes) -> bytes | None:
        return self.value


def reading(read: Callable[[BlockStore], Any]) -> Callable[[bytes], Any]:
    return lambda data: read(BlockStore(Memory(data)))  # type: ignore[arg-type]


ENTRY = (DatabaseCorrupt,)
HASHES = b"\x01" * 32 + b"\x02" * 32
TARGETS = [
    Target("stored header", reading(lambda store: store.header(HEADER.hash)), ENTRY, (HEADER.encode(),), Header.encode),
    Target("stored body", reading(lambda store: store.body(HEADER.hash)), ENTRY, (BLOCK.encode()[-5:],)),
    Target("stored best", reading(BlockStore.best_hash), ENTRY, (HASHES[:32],), bytes),
    Target("stored finalized", reading(BlockStore.finalized_hash), ENTRY, (HASHES[:32],), bytes),
    Target("stored leaves", reading(BlockStore.leaves), ENTRY, (HASHES,), b"".join),
    Target("stored number", reading(lambda store: store.hash_of(1)), ENTRY, (HASHES[:32],), bytes),
    Target("stored pruning", reading(BlockStore.pruned_below), ENTRY, (b"\x01\x02\x03\x04",),
           lambda number: number.to_bytes(4, "little")),
]  # fmt: skip
test_fuzz, test_fuzz_long, test_bombs, test_corpus = make_tests(TARGETS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database folder with a log and a table."""
    path = tmp_path_factory.mktemp("fuzz") / "db"
    for start in (0, 100):
        database = Database(path)
        batch = Batch()
        for number in range(start, start + 100):
            batch.put(Column.CANONICAL, number.to_bytes(4, "big"), bytes([number]) * 32)
        database.write(batch)
        database.close()
    return path


def check_damaged(folder: Path, place: int, changes: list[tuple[str, int, int, bytes]]) -> None:
    """A damaged folder is refused, or gives the values that were put in: no others."""
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(folder, copy, dirs_exist_ok=True)
        files = sorted(path for path in Path(copy).iterdir() if path.is_file())
        damaged = files[place % len(files)]
        damaged.write_bytes(mutate(damaged.read_bytes(), changes))
        try:
            database = Database(copy)
        except DatabaseCorrupt:
            return
        try:
            for key in database.keys(Column.CANONICAL):
                assert database.get(Column.CANONICAL, key) in (None, key[3:] * 32)
            batch = Batch()
            batch.put(Column.CANONICAL, b"\xff" * 4, bytes(32))
            database.write(batch)
        except DatabaseCorrupt:
            pass
        finally:
            database.close()


DAMAGE = st.tuples(
    st.integers(0, 20),
    st.lists(
        st.tuples(
            st.sampled_from(("flip", "insert", "delete", "cut", "set")),
            st.integers(0, 1 << 16),
            st.integers(0, 255),
            st.binary(min_size=1, max_size=8),
        ),
        min_size=1,
        max_size=3,
    ),
)


def test_damaged_folders(folder: Path) -> None:
    fuzz(lambda case: check_damaged(folder, *case), DAMAGE, QUICK_EXAMPLES)


@pytest.mark.slow
def test_damaged_folders_long(folder: Path) -> None:
    fuzz(lambda case: check_damaged(folder, *case), DAMAGE, LONG_EXAMPLES)


@pytest.fixture(scope="module")
def chain_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a chain of three blocks."""
    dev = DevChain(tmp_path_factory.mktemp("chain") / "db")
    for _ in range(3):
        dev.author()
    dev.chain.finalize(dev.chain.hash_of(1) or b"")
    dev.chain.close()
    return dev.path


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"mbest", None),
        (b"mbest", b"\x11" * 32),
        (b"mbest", b"\x11" * 64),
        (b"mfinalized", None),
        (b"mfinalized", b"\x11" * 32),
        (b"mleaves", b"\x11" * 32),
        (b"mleaves", b"\x11" * 33),
        (b"n" + bytes(4), None),
        (b"n" + bytes(4), b"\x11"),
        (b"mpruned below", b"\xff" * 40),
    ],
)
def test_an_entry_that_lies_is_damage_not_another_error(
    chain_folder: Path, tmp_path: Path, key: bytes, value: bytes | None
) -> None:
    folder = tmp_path / "db"
    shutil.copytree(chain_folder, folder)
    database = Database(folder)
    batch = Batch()
    batch.changes[key] = value
    database.write(batch)
    database.close()
    with pytest.raises(DatabaseCorrupt, match="is damaged"):
        Blockchain.open(folder, genesis())
