"""Child tries of a chain: in block 0, in proofs, over restarts, and through pruning."""

from __future__ import annotations

from pathlib import Path

import pytest

from chain.blockchain import Blockchain
from chain.blockstore import BlockStore
from chain.errors import WrongGenesis
from chain.primitives import Block, Header
from chain.state import Overlay, StateView
from chain.state.database import Batch, Column, Database
from chain.state.pruning import SWEEP_EVERY, StatePruning
from chain.state.view import CHILD_ROOT_PREFIX
from chain.trie import EMPTY_ROOT, StateVersion, Trie
from tests.chain.devchain import DevChain, genesis
from tests.chain.trie.naive import naive_root
from tests.chain.trie.naive_proof import read_child_proof

CHILDREN = {b"crowd": {b"alice": b"1", b"bob": b"2" * 40, b"": b"empty key"}, b"other": {b"k": b""}, b"empty": {}}


def test_block_0_holds_the_child_tries_of_the_spec(tmp_path: Path) -> None:
    dev = DevChain(tmp_path / "db", children=CHILDREN)
    roots = {CHILD_ROOT_PREFIX + name: naive_root(pairs, hashed=True) for name, pairs in CHILDREN.items() if pairs}
    root = naive_root({**genesis(), **roots}, hashed=True)
    header = dev.chain.header(dev.chain.genesis_hash)
    assert header is not None
    assert header.state_root == root
    view = dev.chain.state_at(dev.chain.genesis_hash)
    assert list(view.keys(CHILD_ROOT_PREFIX)) == sorted(roots)
    for name, pairs in CHILDREN.items():
        child = view.child(name)
        assert ({} if child is None else {key: child.get(key) for key in child.keys()}) == pairs  # noqa: SIM118
    dev.chain.close()
    with pytest.raises(WrongGenesis):
        Blockchain.open(dev.path, genesis())
    dev.reopen()
    dev.chain.close()


def test_child_tries_are_proven_from_the_state_root_on(tmp_path: Path) -> None:
    dev = DevChain(tmp_path / "db", children=CHILDREN)
    best = dev.author()
    root = dev.chain.best.state_root
    for key in (b"alice", b"bob", b"", b"carol"):
        proof = dev.chain.child_read_proof(best.hash, b"crowd", [key])
        assert read_child_proof(root, proof, b"crowd", key) == CHILDREN[b"crowd"].get(key)
    assert read_child_proof(root, dev.chain.child_read_proof(best.hash, b"none", [b"k"]), b"none", b"k") is None
    dev.chain.close()


def test_a_sweep_keeps_the_child_tries_of_kept_states(tmp_path: Path) -> None:
    dev = DevChain(tmp_path / "db", kept_states=4, children=CHILDREN)
    for _ in range(SWEEP_EVERY + 6):
        dev.chain.finalize(dev.author().hash)
    assert dev.chain._pruning.is_pruned(2)  # noqa: SLF001 - a sweep went over the database
    dev.chain.close()
    dev.reopen()  # nothing of it lies in a cache
    for block_hash in (dev.chain.genesis_hash, dev.chain.best.hash):
        child = dev.chain.state_at(block_hash).child(b"crowd")
        assert child is not None
        assert child.get(b"bob") == b"2" * 40
    dev.chain.close()


def test_a_sweep_deletes_what_child_tries_were(tmp_path: Path) -> None:
    """States made by hand on a real database: in each block the child trie gets another value."""
    database = Database(tmp_path / "db")
    store, trie, parent = BlockStore(database), Trie(database.trie), Header(bytes(32), 0, EMPTY_ROOT, bytes(32))
    pruning = StatePruning(store, trie, 4)
    headers = []
    for number in range(SWEEP_EVERY + 5):
        overlay = Overlay(StateView(trie, parent.state_root))
        overlay.child(b"c").set(b"long", b"%d" % number * 40)
        overlay.child(b"c").set(b"%d" % number, b"short")
        update, batch = overlay.root(StateVersion.V1), Batch()
        for key, node in update.nodes.items():
            batch.put(Column.TRIE, key, node)
        header = Header(parent.hash, number, update.root, bytes(32))
        store.put_block(batch, Block(header))
        store.put_canonical(batch, number, header.hash)
        database.write(batch)
        headers.append(header)
        parent = header
        on_finalized(pruning, header)
    assert pruning.is_pruned(headers[SWEEP_EVERY - 1].number)
    fresh = Trie(database.trie)
    views = [StateView(fresh, header.state_root) for header in (headers[0], *headers[SWEEP_EVERY:])]
    live = set()
    for view in views:
        child = view.child(b"c")
        assert child is not None
        number = max(int(key) for key in child.keys() if key != b"long")  # noqa: SIM118
        assert child.get(b"long") == b"%d" % number * 40
        live |= fresh.collect([view.root, child.root])
    assert set(store.trie_keys()) == live
    database.close()


def on_finalized(pruning: StatePruning, header: Header) -> None:
    pruning.on_finalized(header.number, [header])
