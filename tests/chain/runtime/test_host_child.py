"""Child storage through the host functions: each call on real memory, roots against tries computed apart."""

from __future__ import annotations

import pytest

from chain.errors import DecodeError, HostFault, TransactionFault
from chain.runtime.host import OutOfBounds
from chain.state import Overlay, StateView
from chain.state.view import CHILD_ROOT_PREFIX
from chain.trie import EMPTY_ROOT, StateVersion, Trie, compute_trie_root
from tests.chain.runtime.guest import Guest

LONG = b"v" * 40  # longer than what state version 1 keeps inline
NO_LIMIT = b"\x00"


class Ledger:
    """A database of nodes and the state it has come to."""

    def __init__(self) -> None:
        self.nodes: dict[bytes, bytes] = {}
        self.trie = Trie(self.nodes)
        self.root = EMPTY_ROOT

    def open(self) -> Guest:
        return Guest(Overlay(StateView(self.trie, self.root)))

    def close(self, guest: Guest, version: StateVersion = StateVersion.V1) -> None:
        update = guest.host.overlay.root(version)
        self.nodes.update(update.nodes)
        self.root = update.root


def child(name: str) -> str:
    return f"default_child_storage_{name}"


@pytest.mark.parametrize("version", list(StateVersion))
def test_roots_are_those_of_tries_computed_apart(version: StateVersion) -> None:
    ledger, pairs = Ledger(), {b"a": b"1", b"ab": LONG}
    guest = ledger.open()
    for key, value in pairs.items():
        guest(child("set_version_1"), b"crowd", key, value)
    guest("storage_set_version_1", b"main", b"x")
    expected = compute_trie_root(pairs, version)
    whole = compute_trie_root({b"main": b"x", CHILD_ROOT_PREFIX + b"crowd": expected}, version)
    assert guest("storage_root_version_2", int(version)) == whole  # also before anybody asked for the child's root
    assert guest(child("root_version_2"), b"crowd", int(version)) == expected
    assert guest("storage_root_version_2", int(version)) == whole
    ledger.close(guest, version)
    again = ledger.open()
    assert again(child("get_version_1"), b"crowd", b"ab") == b"\x01\xa0" + LONG
    assert again(child("root_version_1"), b"crowd") == expected  # unchanged: the stored root
    assert again(child("get_version_1"), b"other", b"ab") == b"\x00"


def test_root_version_1_is_that_of_state_version_0() -> None:
    guest = Ledger().open()
    assert guest(child("root_version_1"), b"c") == EMPTY_ROOT
    guest(child("set_version_1"), b"c", b"k", LONG)
    assert guest(child("root_version_1"), b"c") == compute_trie_root({b"k": LONG}, StateVersion.V0)
    assert guest(child("root_version_2"), b"c", 1) == compute_trie_root({b"k": LONG}, StateVersion.V1)


def test_read_exists_next_key_and_clear() -> None:
    guest = Ledger().open()
    for key in (b"a", b"b", b"c"):
        guest(child("set_version_1"), b"c", key, b"value")
    out = guest.host.put(bytes(8))
    assert guest(child("read_version_1"), b"c", b"a", out | 3 << 32, 1) == b"\x01\x04\0\0\0"
    assert guest.memory.read(out, 8) == b"alu\0\0\0\0\0"
    assert guest(child("read_version_1"), b"c", b"z", out | 3 << 32, 0) == b"\x00"
    guest(child("clear_version_1"), b"c", b"b")
    assert [guest(child("exists_version_1"), b"c", key) for key in (b"a", b"b")] == [1, 0]
    assert guest(child("next_key_version_1"), b"c", b"a") == b"\x01\x04c"
    assert guest(child("next_key_version_1"), b"c", b"c") == b"\x00"
    assert guest("storage_next_key_version_1", b"") == b"\x00"  # the main trie has none of them


def stored() -> Ledger:
    ledger = Ledger()
    guest = ledger.open()
    for key in (b"a1", b"a2", b"a3", b"b1"):
        guest(child("set_version_1"), b"c", key, b"v")
    ledger.close(guest)
    return ledger


def test_limited_removal_tells_what_remains() -> None:
    guest = stored().open()
    two = b"\x01\x02\0\0\0"
    assert guest(child("clear_prefix_version_2"), b"c", b"a", two) == b"\x01\x02\0\0\0"
    assert guest(child("clear_prefix_version_2"), b"c", b"a", NO_LIMIT) == b"\x00\x03\0\0\0"
    assert guest(child("storage_kill_version_2"), b"c", two) == 0
    assert guest(child("storage_kill_version_3"), b"c", NO_LIMIT) == b"\x00\x04\0\0\0"
    assert guest(child("storage_kill_version_2"), b"c", NO_LIMIT) == 1


@pytest.mark.parametrize("way", ["storage_kill_version_1", "clear_prefix_version_1"])
def test_an_emptied_child_leaves_the_main_trie(way: str) -> None:
    ledger = stored()
    guest = ledger.open()
    guest(child(way), *((b"c",) if "kill" in way else (b"c", b"")))
    assert guest("storage_root_version_2", 1) == EMPTY_ROOT
    assert guest(child("root_version_2"), b"c", 1) == EMPTY_ROOT
    ledger.close(guest)
    assert list(ledger.trie.iterate(ledger.root)) == []


def test_nested_transactions_hold_child_tries_too() -> None:
    ledger = stored()
    guest = ledger.open()
    before = guest("storage_root_version_2", 1)
    guest("storage_start_transaction_version_1")
    guest("storage_start_transaction_version_1")
    guest(child("set_version_1"), b"c", b"a1", b"new")
    guest(child("set_version_1"), b"fresh", b"k", b"new")
    guest("storage_commit_transaction_version_1")
    assert guest(child("get_version_1"), b"c", b"a1") == b"\x01\x0cnew"
    assert guest("storage_root_version_2", 1) != before
    guest("storage_rollback_transaction_version_1")
    assert guest(child("get_version_1"), b"c", b"a1") == b"\x01\x04v"
    assert guest(child("exists_version_1"), b"fresh", b"k") == 0
    assert guest("storage_root_version_2", 1) == before
    with pytest.raises(TransactionFault):
        guest("storage_rollback_transaction_version_1")


def test_the_main_family_cannot_touch_child_roots() -> None:
    guest = stored().open()
    before = guest("storage_root_version_2", 1)
    guest("storage_set_version_1", CHILD_ROOT_PREFIX + b"c", bytes(32))
    guest("storage_clear_version_1", CHILD_ROOT_PREFIX + b"c")
    guest("storage_clear_prefix_version_1", b":child")
    assert guest("storage_clear_prefix_version_2", b"", NO_LIMIT) == b"\x00\0\0\0\0"
    assert guest("storage_root_version_2", 1) == before


def test_bad_input_is_a_typed_fault() -> None:
    guest = stored().open()
    with pytest.raises(HostFault, match="state version 2"):
        guest(child("root_version_2"), b"c", 2)
    with pytest.raises(OutOfBounds):
        guest(child("get_version_1"), b"c", 1 << 31 | 8 << 32)
    with pytest.raises(DecodeError):
        guest(child("storage_kill_version_3"), b"c", b"\x01\x02")
