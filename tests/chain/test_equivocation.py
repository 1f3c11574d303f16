"""What a node notices: a second block of a slot on its way into the chain or merely announced, and what it ignores."""

from __future__ import annotations

from pathlib import Path

import pytest

from chain.equivocation import KEPT_BLOCKS, MAX_EVIDENCE, BlockWitness, DoubleBlock, EvidenceBox
from chain.errors import ConflictsWithFinalized, WrongExtrinsicsRoot, WrongSeal
from chain.primitives import Block, DigestItem, DigestKind, Header, Reader
from chain.primitives.digest import aura_pre_runtime, aura_seal
from tests.chain.devchain import ALICE, BOB, SLOT_MS, DevChain, transfer

ORDER = 2**252 + 27742317777372353535851937790883648493
"""Of the group in which sr25519 signatures are made."""


def sealed(slot: int, salt: int = 0, number: int = 1) -> Header:
    """A header of Alice's."""
    header = Header(bytes(32), number, bytes([salt]) * 32, bytes(32), (aura_pre_runtime(slot),))
    return header.with_seal(aura_seal(ALICE.sign(header.hash)))


def watch() -> tuple[BlockWitness, list[DoubleBlock]]:
    """A witness and what it finds."""
    witness, found = BlockWitness(), list[DoubleBlock]()
    witness.on_found = found.append
    return witness, found


@pytest.fixture
def dev(tmp_path: Path) -> DevChain:
    return DevChain(tmp_path / "db")


def test_two_imported_blocks_of_a_slot_are_evidence(dev: DevChain) -> None:
    box = EvidenceBox()
    dev.chain.witness.on_found = box.add
    dev.author()
    parent = dev.chain.best.hash
    dev.now_ms += SLOT_MS
    first, second = dev.build(parent=parent), dev.build([transfer(dev.chain, 0)], parent=parent)
    dev.chain.import_block(first)
    dev.chain.import_block(first)
    assert box.list() == []
    dev.chain.import_block(second)
    (found,) = box.list()
    assert isinstance(found, DoubleBlock)
    assert (found.author, found.slot) == (ALICE.public, dev.slot)
    assert (found.first, found.second) == (first.header, second.header)
    reader = Reader(found.encode())
    assert reader.take(32) == ALICE.public
    assert [Header.decode(reader.bytes_(1 << 16)) for _ in range(2)] == [first.header, second.header]
    reader.finish()


def test_a_second_block_with_a_bad_body_is_evidence_all_the_same(dev: DevChain) -> None:
    witness, found = watch()
    dev.chain.witness = witness
    dev.now_ms += SLOT_MS
    first, second = dev.build(), dev.build([transfer(dev.chain, 0)])
    dev.chain.import_block(first)
    with pytest.raises(WrongExtrinsicsRoot):
        dev.chain.import_block(Block(second.header, first.extrinsics))
    assert [one.second for one in found] == [second.header]


def test_a_second_block_behind_finality_counts_by_its_header(dev: DevChain) -> None:
    witness, found = watch()
    dev.chain.witness = witness
    dev.now_ms += SLOT_MS
    first, second = dev.build(), dev.build([transfer(dev.chain, 0)])
    dev.chain.import_block(first)
    dev.author()
    dev.chain.finalize(first.hash)
    with pytest.raises(ConflictsWithFinalized):
        dev.chain.import_block(second)
    assert found == []
    dev.chain.witness.on_header(second.header)
    assert [one.second for one in found] == [second.header]


def test_blocks_of_different_slots_or_keys_are_no_evidence(dev: DevChain) -> None:
    witness, found = watch()
    dev.chain.witness = witness
    for _ in range(3):
        dev.author()
    dev.now_ms += SLOT_MS
    forged = dev.build().header.without_seal()
    with pytest.raises(WrongSeal):
        dev.chain.import_block(Block(forged.with_seal(aura_seal(bytes(64)))))
    witness.on_header(forged.with_seal(aura_seal(bytes(64))))
    witness.on_header(forged.with_seal(aura_seal(BOB.sign(forged.hash))))
    assert found == []


def test_headers_that_nobody_verified_need_a_rival_and_the_same_key() -> None:
    witness, found = watch()
    good = sealed(5)
    witness.on_header(good)
    witness.on_header(sealed(5, 1))
    assert found == [], "no block of that slot was verified"
    witness.on_verified(good, 5, ALICE.public)
    witness.on_header(good)
    for digest in ((), (DigestItem(DigestKind.OTHER, payload=b"x"),), good.digest[:1], good.digest[1:]):
        witness.on_header(Header(bytes(32), 1, bytes(32), bytes(32), digest))
    witness.on_header(sealed(6, 1))
    assert found == []
    witness.on_header(sealed(5, 1, number=9))
    assert [one.first for one in found] == [good]


def test_nobody_else_can_make_a_second_seal_of_a_header() -> None:
    """The same content sealed twice is two blocks, so a seal that others could vary would be their evidence."""
    witness, found = watch()
    good = sealed(5)
    witness.on_verified(good, 5, ALICE.public)
    seal = good.digest[-1].payload
    scalar = int.from_bytes(seal[32:], "little") & (1 << 255) - 1
    marked = (scalar + ORDER | 1 << 255).to_bytes(32, "little")
    for varied in (seal[:32] + marked, seal[:63] + bytes([seal[63] & 127])):
        witness.on_header(good.without_seal().with_seal(aura_seal(varied)))
    assert found == []
    witness.on_header(sealed(5))
    assert len(found) == 1, "the author itself can"


def test_what_is_remembered_is_bounded() -> None:
    witness, found = watch()
    for slot in range(KEPT_BLOCKS + 2):
        witness.on_verified(sealed(slot), slot, ALICE.public)
    witness.on_header(sealed(1, 1))
    assert found == []
    witness.on_header(sealed(2, 1))
    assert len(found) == 1
    box = EvidenceBox()
    for slot in range(MAX_EVIDENCE + 1):
        for _ in range(2):
            box.add(DoubleBlock(ALICE.public, slot, sealed(slot), sealed(slot, 1)))
    assert box.count == MAX_EVIDENCE + 1
    assert [one.offence[-1] for one in box.list()] == list(range(1, MAX_EVIDENCE + 1))  # type: ignore[index]


def test_headers_longer_than_the_chain_takes_are_not_kept() -> None:
    witness, found = watch()
    long = DigestItem(DigestKind.OTHER, payload=bytes(1 << 16))
    for salt in (0, 1):
        header = Header(bytes(32), 1, bytes([salt]) * 32, bytes(32), (aura_pre_runtime(5), long))
        witness.on_verified(header.with_seal(aura_seal(ALICE.sign(header.hash))), 5, ALICE.public)
    assert found == []
