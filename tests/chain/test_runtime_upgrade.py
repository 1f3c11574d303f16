"""Runtime upgrades: when the new code takes effect, and which code is refused.

The new runtime is ours with another version in its custom section, and with other words in a panic, by which a test
sees whose code executed a block.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from chain.chain_spec import runtime_blob
from chain.errors import BlobMalformed, BodyInvalid
from chain.primitives import Block, DigestItem, DigestKind, aura_seal, encode_bytes, encode_compact
from chain.runtime import RuntimeVersion
from chain.runtime.executor import COMPRESSED_PREFIX, decompress_blob, read_version
from chain.runtime.wasm import find_custom_section
from chain.state import Overlay, StateView
from chain.trie import EMPTY_ROOT, Trie
from tests.chain.devchain import ALICE, SLOT_MS, DevChain, executor, signed, transfer

SUDO = bytes([7, 0])
SET_CODE, SET_CODE_WITHOUT_CHECKS, SET_STORAGE, KILL_STORAGE = (bytes([0, call]) for call in (2, 3, 4, 5))
UPDATED = DigestItem(DigestKind.RUNTIME_ENVIRONMENT_UPDATED)
OLD_WORDS, NEW_WORDS = b"Storage root must match", b"STORAGE ROOT MUST MATCH"


@functools.cache
def next_blob(spec_version: int = 2, spec_name: bytes = b"aipow") -> bytes:
    """Our runtime with another version and other words, compressed."""
    wasm = decompress_blob(runtime_blob())
    section = find_custom_section(wasm, "runtime_version") or b""
    name = encode_bytes(b"aipow")
    head = len(2 * name) + 4  # both names, then the authoring version
    changed = encode_bytes(spec_name) + name + section[len(2 * name) : head] + spec_version.to_bytes(4, "little")
    changed += section[head + 4 :]
    assert wasm.count(section) == 1
    assert wasm.count(OLD_WORDS) == 1
    wasm = wasm.replace(section, changed).replace(OLD_WORDS, NEW_WORDS)
    return COMPRESSED_PREFIX + zstandard.compress(wasm)


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[DevChain]:
    """A chain of two blocks with the clock at the third slot."""
    dev = DevChain(tmp_path / "db")
    for _ in range(2):
        dev.author()
    dev.now_ms += SLOT_MS
    yield dev
    dev.chain.close()


def sudo(dev: DevChain, nonce: int, call: bytes) -> bytes:
    """A signed `Sudo.sudo` of Alice's."""
    return signed(dev.chain, nonce, SUDO + call)


def code_after(dev: DevChain) -> bytes:
    """The runtime in the best state."""
    return dev.chain.storage(dev.chain.best.hash, b":code") or b""


def panic_words(dev: DevChain) -> str:
    """What the code that executes the next block says of a wrong state root."""
    dev.now_ms += SLOT_MS
    header = replace(dev.build().header.without_seal(), state_root=bytes(32))
    body = dev.build().extrinsics
    with pytest.raises(BodyInvalid) as caught:
        dev.chain.import_block(Block(header.with_seal(aura_seal(ALICE.sign(header.hash))), body))
    return str(caught.value)


def version_after(dev: DevChain, is_for_block: bool = False) -> int:
    return dev.chain.runtime_version(dev.chain.best.hash, is_for_block).spec_version


def test_a_blob_tells_its_embedded_version() -> None:
    said = RuntimeVersion.decode(executor().call("Core_version", b"", Overlay(StateView(Trie({}), EMPTY_ROOT))))
    embedded = RuntimeVersion.decode(executor().call_version() or b"")
    assert sorted(embedded.apis) == sorted(said.apis)  # the linker has its own order
    assert replace(embedded, apis=said.apis) == said
    assert RuntimeVersion.decode(read_version(next_blob()) or b"") == replace(embedded, spec_version=2)
    assert read_version(b"no Wasm") is None


def test_set_code_takes_effect_in_the_next_block(dev: DevChain) -> None:
    parent = dev.chain.best.hash
    upgrade = dev.chain.import_block(dev.build([sudo(dev, 0, SET_CODE + encode_bytes(next_blob()))]))
    header = dev.chain.header(upgrade.hash)
    assert header is not None
    assert UPDATED in header.digest
    assert code_after(dev) == next_blob()
    assert dev.chain.storage(parent, b":code") == runtime_blob()
    assert version_after(dev) == 2
    assert dev.chain.runtime_version(parent).spec_version == 1
    assert NEW_WORDS.decode() in panic_words(dev)
    assert dev.author([transfer(dev.chain, 1)]).is_best
    assert dev.chain.nonce(dev.chain.best.hash, ALICE.public) == 2
    dev.chain.close()
    dev.reopen()  # the chain goes on with the runtime of its state, not with that of the chain spec
    assert version_after(dev) == 2
    assert NEW_WORDS.decode() in panic_words(dev)


def test_the_block_that_upgrades_is_executed_by_the_old_code(dev: DevChain) -> None:
    assert OLD_WORDS.decode() in panic_words(dev)
    block = dev.build([sudo(dev, 0, SET_CODE + encode_bytes(next_blob()))])
    header = replace(block.header.without_seal(), state_root=bytes(32))
    with pytest.raises(BodyInvalid, match=OLD_WORDS.decode()):
        dev.chain.import_block(Block(header.with_seal(aura_seal(ALICE.sign(header.hash))), block.extrinsics))


def test_each_fork_runs_its_own_code(dev: DevChain) -> None:
    fork_point = dev.chain.best.hash
    new = dev.author([sudo(dev, 0, SET_CODE + encode_bytes(next_blob()))], parent=fork_point)
    old = dev.author(parent=fork_point)
    for _ in range(2):
        new, old = dev.author(parent=new.hash), dev.author([], parent=old.hash)
        assert dev.chain.runtime_version(new.hash).spec_version == 2
        assert dev.chain.runtime_version(old.hash).spec_version == 1


@pytest.mark.parametrize(
    "code",
    [b"no Wasm", runtime_blob(), next_blob(1), next_blob(0), next_blob(2, b"other")],
    ids=["no Wasm", "the same", "the same version", "an older version", "another chain's"],
)
def test_set_code_refuses(dev: DevChain, code: bytes) -> None:
    block = dev.author([sudo(dev, 0, SET_CODE + encode_bytes(code))])
    assert len(dev.chain.body(block.hash) or ()) == 2  # it is in the block, with a dispatch error
    assert code_after(dev) == runtime_blob()
    assert UPDATED not in dev.chain.best.digest
    assert dev.author([transfer(dev.chain, 1)]).is_best


def test_code_set_without_checks_is_told_and_the_chain_stops_there(dev: DevChain) -> None:
    stopped = dev.author([sudo(dev, 0, SET_CODE_WITHOUT_CHECKS + encode_bytes(b"no Wasm"))])
    with pytest.raises(BlobMalformed):
        dev.author()
    assert dev.chain.best.hash == stopped.hash
    assert dev.author(parent=dev.chain.best.parent_hash).is_new  # on the parent others may go on


def put(key: bytes, value: bytes) -> bytes:
    return SET_STORAGE + encode_compact(1) + encode_bytes(key) + encode_bytes(value)


def test_pending_code_makes_the_next_block_while_the_old_one_answers_calls(dev: DevChain) -> None:
    """RFC-123, as a runtime of system version 3 does it: here by `set_storage`, ours being of version 1."""
    dev.author([sudo(dev, 0, put(b":pending_code", next_blob()))])
    assert (version_after(dev), version_after(dev, is_for_block=True)) == (1, 2)
    assert code_after(dev) == runtime_blob()
    assert NEW_WORDS.decode() in panic_words(dev)
    applied = put(b":code", next_blob())
    gone = KILL_STORAGE + encode_compact(1) + encode_bytes(b":pending_code")
    dev.author([sudo(dev, 1, applied), sudo(dev, 2, gone)])
    assert (version_after(dev), version_after(dev, is_for_block=True)) == (2, 2)
    assert NEW_WORDS.decode() in panic_words(dev)
