"""Pruning by mark and sweep: nodes that no kept state reaches are deleted, a little with each finalised block.

Nodes are shared between states, so deletion needs to know all that live. A sweep marks what the states to be kept
reach, then goes over all stored nodes; each step of either is bounded, so that a state of millions of nodes never holds
up a block. Blocks that come meanwhile put new nodes, which live, beside nodes of their parents' states, which are
marked. A large state is swept only when as many nodes were written as lived after the last sweep, so that the work for
each written node is bounded, and garbage takes at most about the room of what lives.

States are declared gone before the first of their nodes is deleted; a sweep that a crash cut off begins anew.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import islice
from typing import Protocol

from chain.primitives.block import Header
from chain.state.database import Batch
from chain.state.view import CHILD_ROOT_PREFIX
from chain.trie import Trie

SWEEP_EVERY = 128  # finalised blocks between two sweeps, at least
SMALL_STATE = 20_000  # nodes: up to so many that live, the number of blocks alone decides
STEP_NODES = 2_000  # nodes marked or gone over with a finalised block, at least, in a small state
LARGE_STEP_NODES = 500  # and in a large one, whose nodes lie on disk: some 20 ms
STEP_SHARE = 3  # and so many for each node that was written since the last step, so that a sweep outruns the writing


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

    def trie_counts(self) -> tuple[int, int]:
        """Nodes that lived after the last sweep, and nodes written since."""
        ...

    def put_trie_counts(self, batch: Batch, live: int, written: int) -> None:
        """Moves these numbers."""
        ...

    def put_trie_deletions(self, batch: Batch, keys: Iterable[bytes]) -> None:
        """Removes trie nodes."""
        ...

    def trie_keys(self, after: bytes = b"") -> Iterable[bytes]:
        """All stored nodes' hashes, in order, greater than `after`."""
        ...

    def write(self, batch: Batch) -> None:
        """Writes atomically."""
        ...


class Sweep:
    """One mark and sweep in the making. `roots`: states, and child tries' roots, to be kept."""

    def __init__(self, store: PruningStore, trie: Trie, roots: Iterable[bytes]) -> None:
        self._store, self._trie = store, trie
        self._waiting = list(roots)
        self._nodes: set[bytes] = set()
        self._values: set[bytes] = set()
        self._fresh: set[bytes] = set()  # beside the others: below these may be what is still to be marked
        self._after: bytes | None = b""  # where the going over all nodes has come to; None: it is done

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return self._after is None

    @property
    def live(self) -> int:
        """Nodes and values found to live."""
        return len(self._nodes) + len(self._values)

    def keep(self, written: Iterable[bytes]) -> None:
        """Nodes that were written meanwhile live."""
        self._fresh.update(written)

    def step(self, nodes: int) -> None:
        """Marks, or goes over, about so many nodes. Raises TrieCorrupt."""
        nodes -= self._trie.mark(self._waiting, self._nodes, self._values, nodes)
        if self._waiting or nodes <= 0 or self._after is None:
            return
        seen = list(islice(self._store.trie_keys(self._after), nodes))
        batch = Batch()
        kept = (self._nodes, self._values, self._fresh)
        self._store.put_trie_deletions(batch, [key for key in seen if not any(key in group for group in kept)])
        self._store.write(batch)
        self._after = seen[-1] if len(seen) == nodes else None


class StatePruning:
    """Keeps the states of the last `kept` finalised blocks, of all above and of all forks of that height; None keeps
    everything. A fork's blocks go together with their states."""

    def __init__(self, store: PruningStore, trie: Trie, kept: int | None) -> None:
        self._store, self._trie, self._kept = store, trie, kept
        self._below = store.pruned_below()
        self._live, self._written = store.trie_counts()
        self._fresh = 0  # written since the last step
        self._sweep: Sweep | None = None

    def is_pruned(self, number: int) -> bool:
        """Whether the state of a block of this number is gone; that of block 0 stays."""
        return 0 < number < self._below

    def on_written(self, batch: Batch, nodes: Collection[bytes]) -> None:
        """Counts the nodes that a block puts with `batch`; they live."""
        if self._kept is None:
            return
        self._written += len(nodes)
        self._fresh += len(nodes)
        self._store.put_trie_counts(batch, self._live, self._written)
        if self._sweep is not None:
            self._sweep.keep(nodes)

    def on_finalized(self, finalized: int, kept: Iterable[Header]) -> None:
        """Goes on with a sweep, or begins one when enough blocks became final and enough nodes were written.

        `kept`: the finalised block, all above it, and those pinned.
        """
        if self._kept is None:
            return
        if self._sweep is None and self._is_due(finalized - self._kept):
            self._begin(finalized, list(kept))
        if self._sweep is None:
            return
        least = LARGE_STEP_NODES if self._live > SMALL_STATE else STEP_NODES
        self._sweep.step(max(least, STEP_SHARE * self._fresh))
        self._fresh = 0
        if self._sweep.is_done:
            self._live, self._written, self._sweep = self._sweep.live, 0, None
            batch = Batch()
            self._store.put_trie_counts(batch, self._live, self._written)
            self._store.write(batch)

    def _is_due(self, below: int) -> bool:
        is_large = self._live > SMALL_STATE
        return below >= self._below + SWEEP_EVERY and not (is_large and self._written < self._live)

    def _begin(self, finalized: int, kept: list[Header]) -> None:
        """Declares states gone and begins to mark the others."""
        self._fresh = 0
        below = finalized - (self._kept or 0)
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
        self._sweep = Sweep(self._store, self._trie, roots | {child for child in children if child is not None})
        batch = Batch()
        self._store.delete_dropped(batch, gone)
        self._store.put_pruned_below(batch, below)
        self._store.write(batch)
        self._below = below
