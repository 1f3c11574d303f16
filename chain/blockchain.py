"""The blockchain: authoring, import, finality and reads over one database folder. Synchronous; the clock is passed in.

Every block, our own ones included, passes `Core_execute_block`. A block and all its consequences (state, best chain)
are one LevelDB batch: after kill -9 it is there whole or not at all.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from weakref import WeakKeyDictionary

from chain.aura import compute_slot
from chain.authored import BlockBuilder, SigningKey
from chain.blockstore import BlockStore
from chain.equivocation import BlockWitness
from chain.errors import (
    ConflictsWithFinalized,
    DatabaseCorrupt,
    ExecutionRejected,
    MissingExport,
    NotOurSlot,
    RuntimeTrapped,
    StatePruned,
    UnknownBlock,
    UnknownParent,
    WrongGenesis,
    WrongStateRoot,
)
from chain.fork_tree import Finality, ForkTree, Route
from chain.primitives.block import Block, Header, blake2_256
from chain.primitives.digest import aura_seal
from chain.runtime.api import RuntimeVersion, decode_authorities, decode_grandpa_authorities
from chain.runtime.executor import Executor, Executors, default_cache_folder
from chain.runtime.genesis import CODE_KEY, PENDING_CODE_KEY, Children, compute_genesis_state, genesis_block
from chain.runtime.host import RuntimeKeystore
from chain.state.database import Batch, Column, Database
from chain.state.overlay import Overlay
from chain.state.pruning import StatePruning
from chain.state.view import CHILD_ROOT_PREFIX, StateView, StateViews
from chain.trie import StateVersion, Trie, TrieUpdate, create_child_proof, create_proof
from chain.verify.body import BodyInput, verify_body
from chain.verify.header import HeaderInput, verify_header

KEPT_STATES = 256  # states this many blocks below the finalised one are kept, those of forks that lost included
MAX_PAGE = 1_000  # keys per page of storage_keys_paged


class GenesisSpec(Protocol):
    """Where block 0 comes from: all its storage, `:code` included."""

    def __call__(self) -> Mapping[bytes, bytes]:
        """The storage of block 0."""
        ...


@dataclass(frozen=True, slots=True)
class ImportResult:
    """A block that was stored (or was known already: then nothing changed).

    `is_best`: it became the best block; `route`: how the best chain moved to it.
    """

    hash: bytes
    number: int
    is_new: bool
    is_best: bool
    route: Route


class Blockchain:
    """An open chain. Reads of headers and bodies may come from any thread, everything else from one thread."""

    def __init__(
        self,
        database: Database,
        genesis: GenesisSpec | Mapping[bytes, bytes],
        *,
        cache: Path | None = None,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        kept_states: int | None = KEPT_STATES,
        genesis_children: Children | None = None,
    ) -> None:
        self.database = database
        self._store = BlockStore(database)
        self._clock_ms = clock_ms
        self._executors = Executors(cache)
        self._trie = Trie(database.trie)
        self._views = StateViews(self._trie)
        self._pruning = StatePruning(self._store, self._trie, kept_states)
        self._versions: WeakKeyDictionary[Executor, RuntimeVersion] = WeakKeyDictionary()
        self.witness = BlockWitness()
        self._pins: Counter[bytes] = Counter()
        self._pins_lock = threading.Lock()
        self._open(genesis, genesis_children or {})

    @staticmethod
    def open(
        db_path: str | os.PathLike[str],
        genesis: GenesisSpec | Mapping[bytes, bytes],
        *,
        cache: Path | None = None,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        kept_states: int | None = KEPT_STATES,
        genesis_children: Children | None = None,
    ) -> Blockchain:
        """Opens or makes the chain in a folder. `genesis`: the storage of block 0, or a function that makes it.

        `cache`: folder of compiled runtimes (default: the user's cache folder); `kept_states`: how many finalised
        states are kept (None: all); `genesis_children`: default child tries of block 0 by name.
        Raises DatabaseLocked, DatabaseCorrupt, WrongGenesis, RuntimeUnusable.
        """
        database = Database(db_path)
        try:
            return Blockchain(
                database,
                genesis,
                cache=default_cache_folder() if cache is None else cache,
                clock_ms=clock_ms,
                kept_states=kept_states,
                genesis_children=genesis_children,
            )
        except BaseException:
            database.close()
            raise

    def close(self) -> None:
        """Closes the folder."""
        self.database.close()

    # ---- opening

    def _open(self, genesis: GenesisSpec | Mapping[bytes, bytes], children: Children) -> None:
        state = genesis() if callable(genesis) else genesis
        version = self._genesis_state_version(state)
        header = genesis_block(state, version, children)
        stored = self._store.hash_of(0)
        if stored is None:
            if self._store.is_used():
                raise DatabaseCorrupt(self.database.path, "it has no block 0")
            self._write_genesis(header, compute_genesis_state(state, children, version))
        elif stored != header.hash:
            raise WrongGenesis(self.database.path, stored, header.hash)
        self.genesis_hash = header.hash
        try:
            self._load_tree()
        except UnknownBlock as error:
            raise DatabaseCorrupt(self.database.path, f"it lacks block 0x{error.block_hash.hex()}") from error

    def _load_tree(self) -> None:
        finalized = self._store.finalized_hash()
        root = self._header(finalized)
        self._tree = ForkTree(finalized, root.number)
        for leaf in self._store.leaves():
            self._insert_branch(leaf)
        self._tree.best = self._store.best_hash()
        if self._tree.best not in self._tree:
            raise DatabaseCorrupt(self.database.path, "its best block is not above its finalised one")
        self._heads = (self._header(self._tree.best), root)

    def _genesis_state_version(self, state: Mapping[bytes, bytes]) -> StateVersion:
        code = state[CODE_KEY]
        executor = self._executors.get(blake2_256(code), lambda: code)
        version = executor.call_version()
        return RuntimeVersion.decode(version).state_version if version is not None else StateVersion.V1

    def _write_genesis(self, header: Header, update: TrieUpdate) -> None:
        batch = Batch()
        for key, node in update.nodes.items():
            batch.put(Column.TRIE, key, node)
        self._store.put_block(batch, Block(header))
        self._store.put_canonical(batch, 0, header.hash)
        self._store.put_heads(batch, best=header.hash, finalized=header.hash, leaves=[header.hash])
        self.database.write(batch, sync=True)

    def _insert_branch(self, leaf: bytes) -> None:
        branch = []
        at = leaf
        while at not in self._tree:
            header = self._header(at)
            if header.number <= self._tree.number(self._tree.root):
                return  # a fork that finality left behind
            branch.append(header)
            at = header.parent_hash
        for header in reversed(branch):
            self._tree.insert(header.hash, header.parent_hash)

    # ---- reading

    @property
    def best(self) -> Header:
        """The header of the best block."""
        return self._heads[0]

    @property
    def finalized(self) -> Header:
        """The header of the finalised block."""
        return self._heads[1]

    @property
    def heads(self) -> tuple[Header, Header]:
        """Best and finalised block of one instant: the best is the finalised one or lies above it. From any thread."""
        return self._heads

    def header(self, block_hash: bytes) -> Header | None:
        """A known block's header."""
        return self._store.header(block_hash)

    def body(self, block_hash: bytes) -> tuple[bytes, ...] | None:
        """A known block's extrinsics, each with its length in front."""
        return self._store.body(block_hash)

    def block(self, block_hash: bytes) -> Block | None:
        """A known block."""
        header, body = self.header(block_hash), self.body(block_hash)
        return None if header is None or body is None else Block(header, body)

    def justification(self, block_hash: bytes) -> bytes | None:
        """The stored finality proof of exactly this block."""
        return self._store.justification(block_hash)

    def hash_of(self, number: int) -> bytes | None:
        """The hash of block `number` on the best chain, None above it."""
        return self._store.hash_of(number)

    def fork_blocks(self) -> list[Header]:
        """Headers of all blocks above the finalised one, on every fork, parents before children."""
        return [self._header(block) for block in self._tree.blocks() if block != self._tree.root]

    def is_descendant(self, ancestor: bytes, block: bytes) -> bool:
        """Whether `block` is `ancestor` or lies above it (both not below the finalised block)."""
        return self._tree.path(ancestor, block) is not None

    def leaves(self) -> list[bytes]:
        """Tips of all forks above the finalised block."""
        return self._tree.leaves()

    def state_at(self, block_hash: bytes) -> StateView:
        """The state after a block, on whichever fork; raises UnknownBlock, StatePruned.

        A fork that lost keeps its states as long as the best chain does: who was told of a head may still read it.
        """
        header = self._header(block_hash)
        if self._pruning.is_pruned(header.number) and block_hash not in self._pins:
            raise StatePruned(block_hash, header.number)
        return self._views.get(header.state_root)

    def pin(self, block_hash: bytes) -> None:
        """Keeps a block whose state is still there, and that state, until it is unpinned as often. From any thread."""
        with self._pins_lock:
            self._pins[block_hash] += 1

    def unpin(self, block_hash: bytes) -> None:
        """Takes a `pin` back; the next finalisation may delete what only that kept. From any thread."""
        with self._pins_lock:
            self._pins[block_hash] -= 1
            if self._pins[block_hash] <= 0:
                del self._pins[block_hash]

    def storage(self, block_hash: bytes, key: bytes) -> bytes | None:
        """A value of the state after a block; raises UnknownBlock, StatePruned."""
        return self.state_at(block_hash).get(key)

    def recall_storage(self, block_hash: bytes, key: bytes) -> tuple[bool, bytes | None]:
        """(True, the value) where `storage` needs no look into the database, else (False, None). From any thread."""
        if block_hash not in self._tree:
            return False, None
        view = self._views.peek(self._header(block_hash).state_root)
        return (False, None) if view is None else view.recall(key)

    def storage_hash(self, block_hash: bytes, key: bytes) -> bytes | None:
        """BLAKE2b-256 of a value of the state after a block."""
        return self.state_at(block_hash).value_hash(key)

    def storage_keys_paged(
        self, block_hash: bytes, prefix: bytes, count: int, start: bytes | None = None
    ) -> list[bytes]:
        """Up to `count` (at most 1,000) keys with `prefix`, greater than `start`, in order."""
        found: list[bytes] = []
        for key in self.state_at(block_hash).keys(prefix, start):
            if len(found) >= min(count, MAX_PAGE):
                break
            found.append(key)
        return found

    def read_proof(self, block_hash: bytes, keys: Iterable[bytes]) -> list[bytes]:
        """Trie nodes that prove the values (or absence) of `keys` after a block."""
        return create_proof(self.database.trie, self.state_at(block_hash).root, keys)

    def child_read_proof(self, block_hash: bytes, name: bytes, keys: Iterable[bytes]) -> list[bytes]:
        """Trie nodes that prove the values (or absence) of `keys` in a default child trie after a block."""
        root = self.state_at(block_hash).root
        return create_child_proof(self.database.trie, root, CHILD_ROOT_PREFIX + name, keys)

    def call(
        self, block_hash: bytes, method: str, arguments: bytes = b"", keystore: RuntimeKeystore | None = None
    ) -> bytes:
        """A runtime call on the state after a block; its writes are thrown away.

        Raises UnknownBlock, StatePruned, MissingExport, RuntimeTrapped.
        """
        view = self.state_at(block_hash)
        return self.executor_at(view).call(method, arguments, Overlay(view), keystore)

    def executor_at(self, view: StateView, is_for_block: bool = False) -> Executor:
        """The executor of the runtime in a state. `is_for_block`: that of its child blocks, which a pending upgrade
        (RFC-123: under `:pending_code`) makes while the old runtime still answers calls. Raises RuntimeUnusable."""
        key, code_hash = CODE_KEY, view.value_hash(CODE_KEY)
        pending = view.value_hash(PENDING_CODE_KEY) if is_for_block else None
        if pending is not None:
            key, code_hash = PENDING_CODE_KEY, pending
        if code_hash is None:
            raise DatabaseCorrupt(self.database.path, "a state has no runtime code")
        return self._executors.get(code_hash, lambda: view.get(key) or b"")

    def runtime_version(self, block_hash: bytes, is_for_block: bool = False) -> RuntimeVersion:
        """The version of the runtime in the state after a block, or (`is_for_block`) of the one for its children."""
        executor = self.executor_at(self.state_at(block_hash), is_for_block)
        if executor not in self._versions:
            version = executor.call_version()
            if version is None:
                raise MissingExport("Core_version")
            self._versions[executor] = RuntimeVersion.decode(version)
        return self._versions[executor]

    def slot_duration(self, block_hash: bytes) -> int:
        """Milliseconds per slot, as of the state after a block."""
        return int.from_bytes(self.call(block_hash, "AuraApi_slot_duration")[:8], "little")

    def authorities(self, block_hash: bytes) -> tuple[bytes, ...]:
        """Aura's schedule for children of a block."""
        return decode_authorities(self.call(block_hash, "AuraApi_authorities"))

    def grandpa_authorities(self, block_hash: bytes) -> tuple[tuple[bytes, int], ...]:
        """GRANDPA voters and weights as of the state after a block."""
        return decode_grandpa_authorities(self.call(block_hash, "GrandpaApi_grandpa_authorities"))

    def nonce(self, block_hash: bytes, account: bytes) -> int:
        """An account's next nonce after a block."""
        return int.from_bytes(self.call(block_hash, "AccountNonceApi_account_nonce", account)[:4], "little")

    def validate_transaction(self, block_hash: bytes, source: int, extrinsic: bytes) -> bytes:
        """The runtime's encoded `TransactionValidity`; `extrinsic` with its length in front."""
        arguments = bytes((source,)) + extrinsic + block_hash
        return self.call(block_hash, "TaggedTransactionQueue_validate_transaction", arguments)

    # ---- authoring and import

    def build_block(
        self,
        parent: bytes,
        slot: int,
        timestamp_ms: int,
        extrinsics: Iterable[bytes],
        key: SigningKey,
        on_rejected: Callable[[bytes, bytes], None] | None = None,
    ) -> Block:
        """A sealed block on `parent` (a hash); it is not imported. `extrinsics` may be lazy: stop iterating to stop.

        `on_rejected(extrinsic, encoded TransactionValidityError)` hears of those that did not get in.
        Raises UnknownBlock, StatePruned, NotOurSlot, RuntimeTrapped.
        """
        authorities = self.authorities(parent)
        if not authorities or authorities[slot % len(authorities)] != key.public:
            raise NotOurSlot(slot)
        view = self.state_at(parent)
        builder = BlockBuilder(self.executor_at(view, is_for_block=True), view, self._header(parent), slot)
        builder.add_inherents(timestamp_ms)
        for extrinsic in extrinsics:
            error = builder.add(extrinsic)
            if error is not None and on_rejected is not None:
                on_rejected(extrinsic, error)
        block = builder.finish()
        return Block(block.header.with_seal(aura_seal(key.sign(block.header.hash))), block.extrinsics)

    def import_block(self, block: Block) -> ImportResult:
        """Verifies, executes and stores a block; a known one changes nothing.

        Raises UnknownParent, StatePruned, ConflictsWithFinalized or a HeaderInvalid or BodyInvalid; then nothing has
        changed.
        """
        header = block.header
        if self._store.header(header.hash) is not None:
            return ImportResult(header.hash, header.number, False, header.hash == self.best.hash, Route((), ()))
        parent = self._store.header(header.parent_hash)
        if parent is None:
            raise UnknownParent(header.parent_hash)
        if header.parent_hash not in self._tree:
            # below the finalised block, or on a fork that finality left behind
            raise ConflictsWithFinalized(header.number, self.finalized.number)
        verified = verify_header(
            HeaderInput(
                header,
                parent,
                self.authorities(header.parent_hash),
                self.slot_duration(header.parent_hash),
                self._clock_ms(),
            )
        )
        self.witness.on_verified(header, verified.slot, verified.author)  # guilt does not depend on the body
        version = self.runtime_version(header.parent_hash, is_for_block=True)
        verify_body(BodyInput(header, block.extrinsics, version.extrinsics_root_version))
        overlay = self._execute(Block(verified.unsealed, block.extrinsics))
        update = overlay.root(version.state_version)
        if update.root != header.state_root:
            raise WrongStateRoot(header.number, f"execution gives 0x{update.root.hex()}; drop it")
        return self._commit(block, overlay, update.nodes)

    def _execute(self, block: Block) -> Overlay:
        view = self.state_at(block.header.parent_hash)
        overlay = Overlay(view)
        try:
            self.executor_at(view, is_for_block=True).call("Core_execute_block", block.encode(), overlay)
        except RuntimeTrapped as error:
            if "Storage root must match" in error.detail:
                raise WrongStateRoot(block.header.number, f"{error.detail}; drop it") from error
            raise ExecutionRejected(block.header.number, f"the runtime refuses it: {error.detail}; drop it") from error
        return overlay

    def _commit(self, block: Block, overlay: Overlay, nodes: dict[bytes, bytes]) -> ImportResult:
        header = block.header
        batch = Batch()
        for key, node in nodes.items():
            batch.put(Column.TRIE, key, node)
        self._pruning.on_written(batch, nodes)
        self._store.put_block(batch, block)
        is_best = self._tree.number(header.parent_hash) + 1 > self.best.number
        leaves = [leaf for leaf in self._tree.leaves() if leaf != header.parent_hash]
        route = Route((), ())
        if is_best:
            up = self._tree.route(self.best.hash, header.parent_hash)
            route = Route(up.retracted, (*up.enacted, header.hash))
            self._put_route(batch, route, header.number)
        self._store.put_heads(batch, best=header.hash if is_best else None, leaves=[*leaves, header.hash])
        self.database.write(batch)
        self._tree.insert(header.hash, header.parent_hash)
        self._views.put(overlay.base.successor(header.state_root, overlay.changes()))
        if is_best:
            self._heads = (header, self.finalized)
        return ImportResult(header.hash, header.number, True, is_best, route)

    def _put_route(self, batch: Batch, route: Route, top: int) -> None:
        for number in range(top + 1, self.best.number + 1):
            self._store.delete_canonical(batch, number)
        for distance, block_hash in enumerate(reversed(route.enacted)):
            self._store.put_canonical(batch, top - distance, block_hash)

    # ---- finality

    def finalize(self, block_hash: bytes, justification: bytes | None = None) -> Finality:
        """Makes a block and its ancestors final, drops conflicting forks, prunes old states.

        The justification is stored as it is: verify it before. Raises UnknownBlock, ConflictsWithFinalized; a block
        that is final already changes nothing.
        """
        header = self._header(block_hash)
        if block_hash == self.finalized.hash or (
            header.number < self.finalized.number and self.hash_of(header.number) == block_hash
        ):
            return Finality((), ())
        if block_hash not in self._tree:
            raise ConflictsWithFinalized(header.number, self.finalized.number)
        after = self._tree.snapshot()
        result = after.finalize(block_hash)
        self._write_finality(after, justification, result)
        self._tree, self._heads = after, (self._header(after.best), header)
        kept = (self._store.header(block) for block in (*after.blocks(), *self._pinned()))
        self._pruning.on_finalized(header.number, [block for block in kept if block is not None])
        return result

    def _pinned(self) -> list[bytes]:
        with self._pins_lock:
            return list(self._pins)

    def _write_finality(self, after: ForkTree, justification: bytes | None, result: Finality) -> None:
        batch = Batch()
        if after.best != self._tree.best:
            self._put_route(batch, self._tree.route(self._tree.best, after.best), after.number(after.best))
        if justification is not None:
            self._store.put_justification(batch, after.root, justification)
        self._store.put_heads(batch, best=after.best, finalized=after.root, leaves=after.leaves())
        self._store.put_dropped(batch, result.dropped)
        self.database.write(batch)

    def current_slot(self) -> int:
        """The slot of our clock, with the best state's slot duration."""
        return compute_slot(self._clock_ms(), self.slot_duration(self.best.hash))

    def _header(self, block_hash: bytes) -> Header:
        header = self._store.header(block_hash)
        if header is None:
            raise UnknownBlock(block_hash)
        return header
