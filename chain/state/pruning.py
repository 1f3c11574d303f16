"""Pruning by mark and sweep: nodes that no kept state reaches are deleted, every so many finalised blocks.

Nodes are shared between states, so deletion needs to know all that live. The walk costs time in proportion to the
state, not to the history, and is spread over `SWEEP_EVERY` blocks by being rare.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from chain.primitives.block import Header
from chain.state.database import Batch
from chain.state.view import CHILD_ROOT_PREFIX
from chain.trie import Trie

SWEEP_EVERY = 128  # finalised blocks between two sweeps


class PruningStore(Protocol):
    """What pruning needs of the block store."""

    def header(self, block_hash: bytes) -> Header | None:
        """A stored header."""
        ...

    def hash_of(self, number: int) -> bytes | None:
        """The best chain's block of this number."""
        ...

    def pruned_below(self) -> int:
        """States of blocks below this number are gone."""
        ...

    def put_pruned_below(self, batch: Batch, number: int) -> None:
        """Moves that number."""
        ...

    def dropped(self) -> list[bytes]:
        """Stored blocks that lost against the finalised one."""
        ...

    def delete_dropped(self, batch: Batch, gone: Iterable[bytes]) -> None:
        """Deletes such blocks."""
        ...

    def put_trie_deletions(self, batch: Batch, keys: Iterable[bytes]) -> None:
        """Removes trie nodes."""
        ...

    def trie_keys(self) -> Iterable[bytes]:
        """All stored nodes' hashes."""
        ...

    def write(self, batch: Batch) -> None:
        """Writes atomically."""
        ...


class StatePruning:
    """Keeps the states of the last `kept` finalised blocks, of all above and of all forks of that height; None keeps
    everything. A fork's blocks go together with their states."""

    def __init__(self, store: PruningStore, trie: Trie, kept: int | None) -> None:
        self._store, self._trie, self._kept = store, trie, kept
        self._below = store.pruned_below()

    def is_pruned(self, number: int) -> bool:
        """Whether the state of a block of this number is gone; that of block 0 stays."""
        return 0 < number < self._below

    def on_finalized(self, finalized: int, kept: Iterable[Header]) -> None:
        """Sweeps when enough blocks became final. `kept`: the finalised block, all above it, and those pinned."""
        if self._kept is None or finalized - self._kept < self._below + SWEEP_EVERY:
            return
        below = finalized - self._kept
        kept = list(kept)
        held = {header.hash for header in kept}
        lost = [header for block_hash in self._store.dropped() if (header := self._store.header(block_hash))]
        gone = [header.hash for header in lost if header.number < below and header.hash not in held]
        roots = {header.state_root for header in kept}
        roots |= {header.state_root for header in lost if header.number >= below}
        for number in (0, *range(below, finalized)):
            block_hash = self._store.hash_of(number)
            header = None if block_hash is None else self._store.header(block_hash)
            if header is not None:
                roots.add(header.state_root)
        children = {self._trie.get(root, key) for root in roots for key in self._trie.iterate(root, CHILD_ROOT_PREFIX)}
        live = self._trie.collect(roots | {child for child in children if child is not None})
        batch = Batch()
        self._store.put_trie_deletions(batch, [key for key in self._store.trie_keys() if key not in live])
        self._store.delete_dropped(batch, gone)
        self._store.put_pruned_below(batch, below)
        self._store.write(batch)
        self._below = below
