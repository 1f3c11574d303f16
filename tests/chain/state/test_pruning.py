"""Pruning in small steps, while blocks come, against what the kept states need."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from chain.blockstore import BlockStore
from chain.primitives import Block, Header
from chain.state import Overlay, StateView, pruning
from chain.state.database import Batch, Column, Database
from chain.state.pruning import StatePruning
from chain.trie import EMPTY_ROOT, StateVersion, Trie

KEPT = 3


class Chain:
    """Blocks of states made by hand on a real database; each is final at once."""

    def __init__(self, path: Path) -> None:
        self.path, self.headers = path, list[Header]()
        self.open()

    def open(self) -> None:
        self.database = Database(self.path)
        self.store, self.trie = BlockStore(self.database), Trie(self.database.trie)
        self.pruning = StatePruning(self.store, self.trie, KEPT)

    def author(self, changes: dict[bytes, bytes | None], child: dict[bytes, bytes | None] | None = None) -> None:
        parent = self.headers[-1] if self.headers else Header(bytes(32), 0, EMPTY_ROOT, bytes(32))
        overlay = Overlay(StateView(self.trie, parent.state_root))
        for key, value in changes.items():
            overlay.set(key, value)
        for key, value in (child or {}).items():
            overlay.child(b"c").set(key, value)
        update, batch = overlay.root(StateVersion.V1), Batch()
        for digest, node in update.nodes.items():
            batch.put(Column.TRIE, digest, node)
        self.pruning.on_written(batch, update.nodes)
        header = Header(parent.hash, len(self.headers), update.root, bytes(32))
        self.store.put_block(batch, Block(header))
        self.store.put_canonical(batch, header.number, header.hash)
        self.store.write(batch)
        self.headers.append(header)
        self.pruning.on_finalized(header.number, [header])

    def check(self) -> set[bytes]:
        """Every state that is not declared gone is whole; the nodes that these need."""
        fresh, needed = Trie(self.database.trie), set[bytes]()
        for header in self.headers:
            if not self.pruning.is_pruned(header.number):
                view = StateView(fresh, header.state_root)
                roots = [header.state_root, *([child.root] if (child := view.child(b"c")) else [])]
                needed |= fresh.collect(roots)
                assert all(fresh.get(root, key) is not None for root in roots for key in fresh.iterate(root))
        return needed


def draw_changes(draw: random.Random) -> dict[bytes, bytes | None]:
    """Few keys and values, so that nodes come again that were there before."""
    keys = [bytes([i // 4, i % 4]) for i in range(40)]
    return {key: draw.choice([None, b"", b"x" * 40, b"y" * 40, b"z"]) for key in draw.sample(keys, 4)}


@pytest.mark.parametrize("step", [1, 7, 1_000])
def test_kept_states_stay_whole_in_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    monkeypatch.setattr(pruning, "SWEEP_EVERY", 4)
    monkeypatch.setattr(pruning, "STEP_NODES", step)
    monkeypatch.setattr(pruning, "STEP_SHARE", 1)
    draw, chain = random.Random(step), Chain(tmp_path / "db")
    for number in range(150):
        chain.author(draw_changes(draw), draw_changes(draw) if number % 3 == 0 else None)
        chain.check()
        if number % 40 == 39:  # in the midst of a sweep as well
            chain.database.close()
            chain.open()
    assert chain.pruning.is_pruned(100)
    monkeypatch.setattr(pruning, "STEP_NODES", 10**6)  # the sweep that goes on ends, and another at one go
    chain.author({})
    below = chain.store.pruned_below()
    while chain.store.pruned_below() == below:
        chain.author(draw_changes(draw))
    assert set(chain.store.trie_keys()) == chain.check(), "what cut off sweeps left is gone too"
    chain.database.close()


def test_a_large_state_waits_for_as_much_garbage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "SWEEP_EVERY", 1)
    monkeypatch.setattr(pruning, "SMALL_STATE", 50)
    monkeypatch.setattr(pruning, "LARGE_STEP_NODES", 10**6)
    chain = Chain(tmp_path / "db")
    chain.author({bytes([i, j]): bytes([i, j]) * 20 for i in range(20) for j in range(20)})
    swept, live = [], 0
    for number in range(1, 400):
        below = chain.store.pruned_below()
        chain.author({b"counter": b"%d" % number * 20})
        if chain.store.pruned_below() != below:
            swept.append(number)
            live = chain.store.trie_counts()[0]
            assert set(chain.store.trie_keys()) == chain.check()
    assert live > 400
    assert len(swept) >= 2
    per_block = len(Trie(chain.database.trie).update(chain.headers[-1].state_root, {b"counter": b"w" * 40}).nodes)
    assert all(later - earlier >= live // (per_block + 1) for earlier, later in zip(swept[:-1], swept[1:], strict=True))
    chain.database.close()


def test_a_value_with_the_bytes_of_a_node_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user may store what a node of the trie is made of; what that node leads to must live on."""
    monkeypatch.setattr(pruning, "SWEEP_EVERY", 1)
    chain = Chain(tmp_path / "db")
    keys = [bytes([16 * i, i]) for i in range(8)]
    chain.author({key: key * 20 for key in keys})
    root = chain.headers[0].state_root
    chain.author({b"\xff": chain.store._db.get(Column.TRIE, root), **dict.fromkeys(keys)})  # noqa: SLF001
    later = chain.headers[1].state_root
    assert chain.trie.collect([root, later]) == chain.trie.collect([later, root]) >= chain.trie.collect([root])
    for number in range(10):
        chain.author({b"\xfe": b"%d" % number})
        chain.check()  # also that block 0 is whole, to which alone those nodes belong
    assert chain.pruning.is_pruned(3)
    chain.database.close()
