"""A chain of preset dev on a folder, with a clock that the test moves: real runtime and LevelDB, no node around."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chain.blockchain import KEPT_STATES, Blockchain, ImportResult
from chain.chain_spec import runtime_blob
from chain.identity import Sr25519Key, sr25519_from_uri
from chain.primitives import Block, blake2_256, encode_bytes, encode_compact
from chain.runtime import Executor, genesis_state_from_patch
from chain.runtime.executor import default_cache_folder

ALICE = sr25519_from_uri("//Alice")
BOB = sr25519_from_uri("//Bob")
START_MS = 1_800_000_000_000
SLOT_MS = 1_000
TRANSFER_KEEP_ALIVE = bytes([4, 3])  # pallet Balances, call index
UNIT = 10**12


@functools.cache
def executor() -> Executor:
    """The committed blob, compiled once per test run."""
    return Executor(runtime_blob(), default_cache_folder())


@functools.cache
def genesis() -> Mapping[bytes, bytes]:
    """The storage of block 0 of preset dev."""
    return genesis_state_from_patch(runtime_blob(), "dev", executor())


@dataclass
class DevChain:
    """An open chain whose clock stands at `now_ms` until `author` moves it by a slot."""

    path: Path
    kept_states: int | None = KEPT_STATES
    children: Mapping[bytes, Mapping[bytes, bytes]] = field(default_factory=dict)
    now_ms: int = START_MS
    chain: Blockchain = field(init=False)

    def __post_init__(self) -> None:
        self.reopen()

    def reopen(self) -> None:
        """Opens the folder (again)."""
        self.chain = Blockchain.open(
            self.path,
            genesis(),
            clock_ms=lambda: self.now_ms,
            kept_states=self.kept_states,
            genesis_children=self.children,
        )

    @property
    def slot(self) -> int:
        """The clock's slot."""
        return self.now_ms // SLOT_MS

    def build(self, extrinsics: Iterable[bytes] = (), parent: bytes | None = None, key: Sr25519Key = ALICE) -> Block:
        """A sealed block of the clock's slot."""
        return self.chain.build_block(parent or self.chain.best.hash, self.slot, self.slot * SLOT_MS, extrinsics, key)

    def author(self, extrinsics: Iterable[bytes] = (), parent: bytes | None = None) -> ImportResult:
        """Moves the clock by one slot, builds a block and imports it."""
        self.now_ms += SLOT_MS
        return self.chain.import_block(self.build(extrinsics, parent))

    def snapshot(self) -> dict[bytes, bytes]:
        """Everything in the database."""
        return dict(self.chain.database._db.iterator())  # noqa: SLF001 - the whole folder is what must not change


def signed(
    chain: Blockchain,
    nonce: int,
    call: bytes,
    key: Sr25519Key = ALICE,
    era: bytes = b"\x00",
    birth: bytes | None = None,
) -> bytes:
    """A signed extrinsic with its length in front, put together by hand (no client library).

    `era`: its encoding, immortal by default; `birth`: hash of the block at which the era begins, genesis by default.
    """
    version = chain.runtime_version(chain.genesis_hash)
    extra = era + encode_compact(nonce) + encode_compact(0) + b"\x00"  # no tip, no metadata hash
    implicit = version.spec_version.to_bytes(4, "little") + version.transaction_version.to_bytes(4, "little")
    payload = call + extra + implicit + chain.genesis_hash + (birth or chain.genesis_hash) + b"\x00"
    signature = key.sign(payload if len(payload) <= 256 else blake2_256(payload))
    return encode_bytes(b"\x84\x00" + key.public + b"\x01" + signature + extra + call)


def transfer(
    chain: Blockchain, nonce: int, amount: int = UNIT, key: Sr25519Key = ALICE, to: bytes = BOB.public
) -> bytes:
    """A signed `transfer_keep_alive`, from Alice to Bob unless told otherwise."""
    return signed(chain, nonce, TRANSFER_KEEP_ALIVE + b"\x00" + to + encode_compact(amount), key)
