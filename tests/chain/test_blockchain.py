"""Authoring, import and its rejections, reorganisation, finality, pruning, restart."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from chain.blockchain import Blockchain
from chain.errors import (
    BodyTooLarge,
    ChainError,
    ConflictsWithFinalized,
    DatabaseCorrupt,
    DatabaseLocked,
    ExecutionRejected,
    FutureSlot,
    MissingExport,
    MissingSeal,
    NotOurSlot,
    SlotNotIncreasing,
    StatePruned,
    UnknownBlock,
    UnknownParent,
    WrongAuthor,
    WrongDigest,
    WrongExtrinsicsRoot,
    WrongGenesis,
    WrongNumber,
    WrongSeal,
    WrongStateRoot,
)
from chain.primitives import Block, Header, aura_pre_runtime, aura_seal
from chain.state import pruning
from chain.state.database import Column
from chain.state.pruning import SWEEP_EVERY
from chain.trie import verify_proof
from tests.chain.devchain import ALICE, BOB, SLOT_MS, UNIT, DevChain, genesis, transfer


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[DevChain]:
    """A chain of three blocks with the clock at the fourth slot."""
    dev = DevChain(tmp_path / "db")
    for _ in range(3):
        dev.author()
    dev.now_ms += SLOT_MS
    yield dev
    dev.chain.close()


def reseal(header: Header, key: object = ALICE) -> Header:
    """The header with a fresh seal of Alice's (or another's) in place of its own."""
    unsealed = header.without_seal()
    return unsealed.with_seal(aura_seal(key.sign(unsealed.hash)))  # type: ignore[attr-defined]


def test_an_authored_block_becomes_the_best(dev: DevChain) -> None:
    block = dev.build()
    result = dev.chain.import_block(block)
    assert (result.is_new, result.is_best, result.number) == (True, True, 4)
    assert result.route.enacted == (block.hash,)
    assert dev.chain.best == block.header
    assert dev.chain.hash_of(4) == block.hash
    assert dev.chain.block(block.hash) == block
    assert not dev.chain.import_block(block).is_new


def test_a_transfer_moves_money_and_reads_see_it(dev: DevChain) -> None:
    before = dev.chain.nonce(dev.chain.best.hash, ALICE.public)
    parent = dev.chain.best.hash
    block = dev.build([transfer(dev.chain, before, 5 * UNIT)])
    dev.chain.import_block(block)
    assert len(block.extrinsics) == 2  # the timestamp and ours
    assert dev.chain.nonce(block.hash, ALICE.public) == before + 1
    assert dev.chain.nonce(parent, ALICE.public) == before
    changed = [
        key
        for key in dev.chain.storage_keys_paged(block.hash, b"", 1_000)
        if dev.chain.storage(block.hash, key) != dev.chain.storage(parent, key)
    ]
    assert any(BOB.public in key for key in changed)


@pytest.mark.parametrize("damage", ["signature", "nonce", "garbage"])
def test_a_refused_extrinsic_leaves_no_trace_in_the_block(dev: DevChain, damage: str) -> None:
    good = transfer(dev.chain, 0)
    bad = {
        "signature": good[:60] + bytes([good[60] ^ 1]) + good[61:],
        "nonce": transfer(dev.chain, 7),
        "garbage": transfer(dev.chain, 0, amount=10**30),
    }[damage]
    rejected: list[bytes] = []
    arguments = (dev.chain.best.hash, dev.slot, dev.slot * SLOT_MS)
    if damage == "garbage":  # valid to include, fails in dispatch: it is in the block
        assert len(dev.chain.build_block(*arguments, [bad], ALICE).extrinsics) == 2
        return
    with_bad = dev.chain.build_block(*arguments, [bad, good], ALICE, lambda _, error: rejected.append(error))
    without = dev.chain.build_block(*arguments, [good], ALICE)
    assert len(rejected) == 1
    assert with_bad.header.without_seal() == without.header.without_seal()
    assert with_bad.extrinsics == without.extrinsics


def _rejections(dev: DevChain) -> dict[str, tuple[Block, type[ChainError]]]:
    good = dev.build([transfer(dev.chain, 0)])
    header, body = good.header, good.extrinsics
    slot, seal = header.digest[0], header.digest[-1]
    early = replace(header, digest=(aura_pre_runtime(dev.slot - 1), *header.digest[1:]))
    future = replace(header, digest=(aura_pre_runtime(dev.slot + 2), *header.digest[1:]))
    return {
        "wrong seal": (Block(header.without_seal().with_seal(aura_seal(bytes(64))), body), WrongSeal),
        "seal of another key": (Block(reseal(header, BOB), body), WrongSeal),
        "no seal": (Block(header.without_seal(), body), MissingSeal),
        "two seals": (Block(header.with_seal(seal), body), MissingSeal),
        "no slot": (Block(reseal(replace(header, digest=header.digest[1:])), body), WrongDigest),
        "two slots": (Block(reseal(replace(header, digest=(slot, *header.digest))), body), WrongDigest),
        "unknown parent": (Block(reseal(replace(header, parent_hash=b"\x07" * 32)), body), UnknownParent),
        "wrong number": (Block(reseal(replace(header, number=9)), body), WrongNumber),
        "slot not after the parent's": (Block(reseal(early), body), SlotNotIncreasing),
        "future slot": (Block(reseal(future), body), FutureSlot),
        "wrong state root": (Block(reseal(replace(header, state_root=b"\x09" * 32)), body), WrongStateRoot),
        "wrong extrinsics root": (Block(reseal(replace(header, extrinsics_root=bytes(32))), body), WrongExtrinsicsRoot),
        "missing extrinsic": (Block(header, body[:1]), WrongExtrinsicsRoot),
        "huge body": (Block(header, (*body, bytes(9 << 20))), BodyTooLarge),
    }


def test_rejected_blocks_change_nothing(dev: DevChain) -> None:
    before, best = dev.snapshot(), dev.chain.best
    for name, (block, error) in _rejections(dev).items():
        with pytest.raises(error):
            dev.chain.import_block(block)
            pytest.fail(f"{name} was imported")
        assert dev.chain.best == best, name
    assert dev.snapshot() == before
    assert dev.chain.import_block(dev.build()).is_best


def test_a_block_with_a_forged_extrinsic_is_refused_by_execution(dev: DevChain) -> None:
    from chain.trie import StateVersion, ordered_trie_root

    good = dev.build([transfer(dev.chain, 0)])
    bad = good.extrinsics[1]
    body = (good.extrinsics[0], bad[:60] + bytes([bad[60] ^ 1]) + bad[61:])
    header = reseal(replace(good.header, extrinsics_root=ordered_trie_root(body, StateVersion.V0)))
    before = dev.snapshot()
    with pytest.raises(ExecutionRejected):
        dev.chain.import_block(Block(header, body))
    assert dev.snapshot() == before


def test_a_timestamp_of_another_slot_is_refused(dev: DevChain) -> None:
    with pytest.raises(ChainError, match=r"[Ss]lot"):
        dev.chain.build_block(dev.chain.best.hash, dev.slot, (dev.slot + 1) * SLOT_MS, [], ALICE)


def test_the_clock_bound_is_one_slot(dev: DevChain) -> None:
    dev.now_ms += SLOT_MS
    block = dev.build()
    dev.now_ms -= SLOT_MS  # the block is one slot ahead of us now
    assert dev.chain.import_block(block).is_new
    dev.now_ms += 3 * SLOT_MS
    block = dev.build()
    dev.now_ms -= 2 * SLOT_MS
    with pytest.raises(FutureSlot):
        dev.chain.import_block(block)


def test_nobody_authors_in_anothers_slot(dev: DevChain) -> None:
    with pytest.raises(NotOurSlot):
        dev.build(key=BOB)


def test_wrong_author_is_named_when_an_authority_seals_anothers_slot() -> None:
    from chain.verify import HeaderInput, verify_header

    parent = Header(bytes(32), 0, bytes(32), bytes(32))
    header = reseal(Header(parent.hash, 1, bytes(32), bytes(32), (aura_pre_runtime(10),)), BOB)
    given = HeaderInput(header, parent, (ALICE.public, BOB.public), SLOT_MS, 10 * SLOT_MS)
    with pytest.raises(WrongAuthor, match=BOB.public.hex()):
        verify_header(given)
    assert verify_header(replace(given, authorities=(BOB.public, ALICE.public))).author == BOB.public
    with pytest.raises(WrongAuthor, match="no Aura authorities"):
        verify_header(replace(given, authorities=()))


def test_the_longest_chain_wins_and_the_first_seen_stays(dev: DevChain) -> None:
    fork_point = dev.chain.best.hash
    first = dev.chain.import_block(dev.build())
    second = dev.author(parent=fork_point)
    assert not second.is_best
    assert dev.chain.best.hash == first.hash
    third = dev.author(parent=second.hash)
    assert third.is_best
    assert third.route.retracted == (first.hash,)
    assert third.route.enacted == (second.hash, third.hash)
    assert [dev.chain.hash_of(n) for n in (4, 5, 6)] == [second.hash, third.hash, None]
    assert set(dev.chain.leaves()) == {first.hash, third.hash}
    dev.chain.close()
    dev.reopen()
    assert dev.chain.best.hash == third.hash
    assert set(dev.chain.leaves()) == {first.hash, third.hash}


def test_finality_drops_forks_and_may_shorten_the_best_chain(dev: DevChain) -> None:
    fork_point = dev.chain.best.hash
    short = dev.chain.import_block(dev.build())
    long = [dev.author(parent=fork_point)]
    long.append(dev.author(parent=long[0].hash))
    with pytest.raises(UnknownBlock):
        dev.chain.finalize(b"\x01" * 32)
    finality = dev.chain.finalize(short.hash, b"justification")
    assert dev.chain.finalized.hash == dev.chain.best.hash == short.hash
    assert set(finality.dropped) == {block.hash for block in long}
    assert finality.path[-1] == short.hash
    assert len(finality.path) == 4
    assert dev.chain.hash_of(5) is None
    assert dev.chain.justification(short.hash) == b"justification"
    with pytest.raises(ConflictsWithFinalized):
        dev.author(parent=fork_point)
    with pytest.raises(ConflictsWithFinalized):
        dev.chain.finalize(long[0].hash)
    assert dev.chain.finalize(fork_point).path == ()
    dev.chain.close()
    dev.reopen()
    assert dev.chain.finalized.hash == dev.chain.best.hash == short.hash


def test_old_states_are_pruned_and_young_ones_stay_whole(tmp_path: Path) -> None:
    dev = DevChain(tmp_path / "db", kept_states=4)
    for i in range(SWEEP_EVERY + 10):
        result = dev.author([transfer(dev.chain, i)] if i % 3 == 0 else [])
        dev.chain.finalize(result.hash)
    with pytest.raises(StatePruned):
        dev.chain.storage(dev.chain.hash_of(1) or b"", b":code")
    swept_at = SWEEP_EVERY + 4
    for number in range(swept_at - 4, dev.chain.best.number + 1):
        view = dev.chain.state_at(dev.chain.hash_of(number) or b"")
        assert all(view.trie.get(view.root, key) is not None for key in view.keys(b""))
    dev.chain.close()
    dev.reopen()
    assert dev.author([]).is_best
    assert dev.chain.storage(dev.chain.genesis_hash, b":code") is not None
    dev.chain.close()


def test_a_fork_that_lost_stays_readable_as_long_as_the_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that was told of a head a moment ago reads its state and body and calls the runtime at it."""
    monkeypatch.setattr(pruning, "SWEEP_EVERY", 1)
    dev = DevChain(tmp_path / "db", kept_states=4)
    root = dev.author()
    lost = dev.author([transfer(dev.chain, 0)], parent=root.hash)
    above = dev.author(parent=lost.hash)
    won = dev.author(parent=root.hash)
    finality = dev.chain.finalize(won.hash)
    assert set(finality.dropped) == {lost.hash, above.hash}
    assert dev.chain.heads == (dev.chain.header(won.hash), dev.chain.header(won.hash))
    finalized = won.number
    while finalized <= lost.number + 4:
        if finalized == lost.number + 2:
            dev.chain.close()
            dev.reopen()
        assert dev.chain.nonce(lost.hash, ALICE.public) == dev.chain.nonce(above.hash, ALICE.public) == 1
        assert dev.chain.block(lost.hash) is not None
        for block in (lost, above):
            view = dev.chain.state_at(block.hash)
            assert all(view.trie.get(view.root, key) is not None for key in view.keys(b""))
        with pytest.raises(ConflictsWithFinalized):
            dev.author(parent=above.hash)
        finalized = dev.chain.finalize(dev.author().hash).path and dev.chain.finalized.number
    assert dev.chain.header(lost.hash) is None, "its blocks go with its state"
    assert dev.chain.nonce(above.hash, ALICE.public) == 1, "it lies one block higher"
    nodes = set(dev.chain.database.keys(Column.TRIE))
    dev.chain.finalize(dev.author().hash)
    assert dev.chain.header(above.hash) is None
    assert nodes - set(dev.chain.database.keys(Column.TRIE)), "what only the lost fork needed is swept"
    assert not dev.chain.database.get(Column.META, b"dropped")
    dev.chain.close()


def test_a_proof_of_the_state_verifies(dev: DevChain) -> None:
    keys = [*dev.chain.storage_keys_paged(dev.chain.best.hash, b"", 5), b"absent"]
    proof = dev.chain.read_proof(dev.chain.best.hash, keys)
    values = verify_proof(dev.chain.best.state_root, proof, keys)
    assert values == {key: dev.chain.storage(dev.chain.best.hash, key) for key in keys}


def test_keys_are_paged_in_order(dev: DevChain) -> None:
    everything = dev.chain.storage_keys_paged(dev.chain.best.hash, b"", 1_000)
    assert everything == sorted(everything)
    pages, start = [], None
    while page := dev.chain.storage_keys_paged(dev.chain.best.hash, b"", 7, start):
        pages += page
        start = page[-1]
    assert pages == everything


def test_unknown_blocks_and_calls_are_told(dev: DevChain) -> None:
    with pytest.raises(UnknownBlock):
        dev.chain.storage(b"\x01" * 32, b"key")
    with pytest.raises(MissingExport):
        dev.chain.call(dev.chain.best.hash, "No_such_call")
    assert dev.chain.header(b"\x01" * 32) is None


def test_a_restart_goes_on_from_the_last_block(dev: DevChain) -> None:
    best = dev.chain.best
    dev.chain.close()
    dev.reopen()
    assert dev.chain.best == best
    assert dev.chain.import_block(dev.build()).number == 4


def test_kill_minus_9_loses_no_reported_block(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.chain.devchain import DevChain\n"
        "dev = DevChain(Path(sys.argv[1]))\n"
        "while True: print(dev.author().hash.hex(), flush=True)\n"
    )
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "db")], stdout=subprocess.PIPE, text=True, cwd=root
    )
    assert process.stdout is not None
    seen = [process.stdout.readline().strip() for _ in range(30)]
    os.kill(process.pid, signal.SIGKILL)
    seen += process.stdout.read().split()
    process.wait()
    dev = DevChain(tmp_path / "db")
    assert dev.chain.best.number >= 30
    assert [(dev.chain.hash_of(i + 1) or b"").hex() for i in range(29)] == seen[:29]
    dev.now_ms += dev.chain.best.number * SLOT_MS
    assert dev.author().is_best
    dev.chain.close()


def test_a_folder_in_use_is_told(dev: DevChain) -> None:
    with pytest.raises(DatabaseLocked):
        Blockchain.open(dev.path, genesis())


def test_another_genesis_is_refused(dev: DevChain) -> None:
    dev.chain.close()
    with pytest.raises(WrongGenesis):
        Blockchain.open(dev.path, {**genesis(), b"more": b"state"})
    dev.reopen()


@pytest.mark.parametrize("damage", ["manifest", "table", "not a folder"])
def test_a_corrupt_folder_is_told(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "db"
    if damage == "not a folder":
        path.write_bytes(b"a file")
    else:
        dev = DevChain(path)
        dev.author()
        dev.chain.close()
        dev.reopen()  # moves the log into a table
        dev.chain.close()
        for file in path.glob("MANIFEST-*" if damage == "manifest" else "*.ldb"):
            data = bytearray(file.read_bytes())
            data[len(data) // 3 : len(data) // 3 + 64] = b"\xff" * 64
            data[:16] = b"\xff" * 16
            file.write_bytes(data)
    started = time.monotonic()
    with pytest.raises(DatabaseCorrupt):
        DevChain(path).author()
    assert time.monotonic() - started < 30
