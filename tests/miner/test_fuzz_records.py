"""Fuzz of what the miner keeps on disk and of what it is told: journals, places, found decoys, wallets, endpoints."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from consensus.commit.hashing import AccountId, Hash32
from miner.roles.finder import _decode as decode_found
from miner.roles.verifier import decode_commitment
from miner.store.blobs import BlobStore
from miner.store.client import verify_endpoint
from miner.store.errors import EndpointError, StoreError
from miner.wallet import InvalidKeystore, Wallet, _parse_keystore, save_keystore
from miner.work.cheat import parse_cheat
from miner.work.errors import JournalError
from miner.work.journal import NO_PROGRESS, Journal, find_checkpoint, load_journal
from tests.fuzz import Target, make_tests


class Record:
    """A store whose every record holds these bytes."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def get_record(self, _name: str) -> bytes | None:
        return self.raw


def reading(read: Callable[[BlobStore], Any]) -> Callable[[bytes], Any]:
    return lambda data: read(cast(BlobStore, Record(data)))


def parse_wallet(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "wallet.json"
        path.write_bytes(data)
        _parse_keystore(path)


def make_wallet() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "wallet.json"
        save_keystore(Wallet.from_uri("//Alice"), path, "password")
        return path.read_bytes()


ROOT = Hash32(b"\x01" * 32)
JOURNAL = Journal("unit", ROOT, ROOT, AccountId(b"\x02" * 32), ROOT, parse_cheat("none"), 1.5, NO_PROGRESS)
FOUND = {"task": 1, "unit": 2, "attempt": 0, "segment": 3, "witness": "11" * 32, "salt": "22" * 32}
COMMITMENT = {"outcome": "EXECUTED", "segments": [["11" * 32, "22" * 32]], "salt": "33" * 32}
DEEP = b"[" * 100_000
TARGETS = [
    Target("journal", reading(lambda store: load_journal(store, "unit")), (JournalError,), (JOURNAL.encode(),),
           lambda journal: journal.encode(), is_exact=False, bombs=(DEEP,)),
    Target("checkpoint place", reading(lambda store: find_checkpoint(store, ROOT)), (JournalError,), (b"3 unit",)),
    Target("found decoy", lambda data: decode_found("name", data), (StoreError,), (json.dumps(FOUND).encode(),),
           bombs=(DEEP,)),
    Target("commitment", lambda data: decode_commitment("name", data), (StoreError,),
           (json.dumps(COMMITMENT).encode(),), bombs=(DEEP,)),
    Target("wallet file", parse_wallet, (InvalidKeystore,), (make_wallet(),), bombs=(DEEP,)),
    Target("endpoint", lambda data: verify_endpoint(data.decode("latin-1")), (EndpointError,),
           (b"http://127.0.0.1:9000/a", b"https://[::1]:1")),
]  # fmt: skip
test_fuzz, test_fuzz_long, test_bombs, test_corpus = make_tests(TARGETS)
