"""A block moved onto a parent on whose state it was not built: refused, nothing changes, the chain goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chain.errors import BodyInvalid, UnknownParent, WrongNumber, WrongStateRoot
from chain.primitives import Block, Header, aura_seal
from tests.chain.devchain import ALICE, SLOT_MS, DevChain, transfer


def moved(block: Block, parent: bytes) -> Block:
    """The block under another parent, properly sealed by the slot's author."""
    unsealed: Header = replace(block.header.without_seal(), parent_hash=parent)
    return Block(unsealed.with_seal(aura_seal(ALICE.sign(unsealed.hash))), block.extrinsics)


def test_a_block_of_another_parent_is_refused(tmp_path: Path) -> None:
    dev = DevChain(tmp_path / "db")
    first = dev.chain.best.hash
    parent = dev.author([transfer(dev.chain, 0)]).hash
    sibling = dev.author([], parent=first).hash  # has not seen the transfer
    dev.now_ms += SLOT_MS
    block = dev.build([transfer(dev.chain, 1)], parent=parent)
    before, best = dev.snapshot(), dev.chain.best
    for wrong, error in (
        (sibling, BodyInvalid),  # nonce 1 comes too early there
        (first, WrongNumber),
        (b"\x07" * 32, UnknownParent),
    ):
        with pytest.raises(error):
            dev.chain.import_block(moved(block, wrong))
        assert dev.chain.best == best
        assert dev.snapshot() == before
    assert dev.chain.import_block(block).is_best
    dev.chain.close()


def test_an_empty_block_of_another_parent_has_another_state_root(tmp_path: Path) -> None:
    """Nothing in the body betrays it; re-execution does."""
    dev = DevChain(tmp_path / "db")
    first = dev.chain.best.hash
    parent = dev.author([transfer(dev.chain, 0)]).hash
    sibling = dev.author([], parent=first).hash
    dev.now_ms += SLOT_MS
    block = dev.build([], parent=parent)
    before = dev.snapshot()
    with pytest.raises(WrongStateRoot):
        dev.chain.import_block(moved(block, sibling))
    assert dev.snapshot() == before
    assert dev.chain.import_block(block).is_best
    dev.chain.close()
