"""The incremental trie against the naive one, against known encodings, and its reads against a sorted dictionary."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.errors import TrieCorrupt
from chain.trie import EMPTY_ROOT, StateVersion, Trie, compute_trie_root, ordered_trie_root
from chain.trie.node import decode_node, encode_node
from tests.chain.trie.naive import blake, compact, naive_root

# few distinct bytes and short keys, so that keys share prefixes and one is often a prefix of another
KEYS = st.one_of(st.binary(max_size=4), st.lists(st.sampled_from(b"\x00\x01\x10\x1f"), max_size=5).map(bytes))
VALUES = st.one_of(st.binary(max_size=3), st.integers(30, 35).map(lambda n: b"v" * n), st.just(b""))


def test_the_empty_trie_has_the_known_root() -> None:
    assert EMPTY_ROOT.hex() == "03170a2e7597b7b7e3d84c05391d139a62b157e78786d8c082f29dcf4c111314"


def test_two_leaves_encode_as_in_substrates_own_test() -> None:
    expected = bytes([0x80, 0x12, 0x00, 5 << 2, 0x43, 0x03, 0x14, 1 << 2, 0xFF, 5 << 2, 0x43, 0x08, 0x19, 1 << 2, 0xFE])
    assert compute_trie_root({b"\x48\x19": b"\xfe", b"\x13\x14": b"\xff"}, StateVersion.V0) == blake(expected)


@pytest.mark.parametrize(
    ("length", "leaf"), [(32, b"\x42\xaa" + compact(32) + b"v" * 32), (33, b"\x22\xaa" + blake(b"v" * 33))]
)
def test_values_above_32_bytes_are_hashed_in_version_1(length: int, leaf: bytes) -> None:
    assert compute_trie_root({b"\xaa": b"v" * length}, StateVersion.V1) == blake(leaf)


@pytest.mark.parametrize("length", [30, 31, 32, 62, 63, 64, 63 + 254, 63 + 255, 63 + 256, 700])
def test_long_partial_keys_match_the_naive_trie(length: int) -> None:
    pairs = {bytes(length // 2): b"short", bytes(length): b"x" * 40, b"\x01" * length: b"y" * 40}
    for version in StateVersion:
        assert compute_trie_root(pairs, version) == naive_root(pairs, version == 1)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.dictionaries(KEYS, st.one_of(VALUES, st.none()), max_size=12), max_size=6),
    st.sampled_from(StateVersion),
)
def test_updates_give_the_root_and_reads_of_the_naive_trie(
    batches: list[dict[bytes, bytes | None]], version: StateVersion
) -> None:
    store: dict[bytes, bytes] = {}
    trie = Trie(store)
    root, state = EMPTY_ROOT, dict[bytes, bytes]()
    for batch in batches:
        update = trie.update(root, batch, version)
        store.update(update.nodes)
        root = update.root
        for key, value in batch.items():
            if value is None:
                state.pop(key, None)
            else:
                state[key] = value
        assert root == naive_root(state, version == 1)
    fresh = Trie(store)
    assert list(fresh.iterate(root)) == sorted(state)
    for key in [*state, b"", b"\x00", b"\x01\x10", b"\xff"]:
        assert fresh.get(root, key) == state.get(key)
        assert fresh.next_key(root, key) == min((k for k in state if k > key), default=None)
        assert list(fresh.iterate(root, key)) == sorted(k for k in state if k.startswith(key))
        assert fresh.value_hash(root, key) == (blake(state[key]) if key in state else None)


@settings(deadline=None)
@given(st.dictionaries(KEYS, VALUES, min_size=1))
def test_collect_reaches_exactly_what_reads_need(state: dict[bytes, bytes]) -> None:
    store: dict[bytes, bytes] = {}
    trie = Trie(store)
    update = trie.update(EMPTY_ROOT, state)
    store.update(update.nodes)
    assert Trie(store).collect([update.root]) == set(store)


def test_an_update_stores_only_the_changed_path() -> None:
    store: dict[bytes, bytes] = {}
    trie = Trie(store)
    first = trie.update(EMPTY_ROOT, {bytes([i, j]): bytes([i, j]) * 20 for i in range(16) for j in range(16)})
    store.update(first.nodes)
    second = trie.update(first.root, {b"\x03\x04": b"new"})
    assert len(first.nodes) > 250
    assert len(second.nodes) <= 4


def test_removing_what_is_absent_changes_nothing() -> None:
    store: dict[bytes, bytes] = {}
    trie = Trie(store)
    update = trie.update(EMPTY_ROOT, {b"ab": b"1", b"ac": b"2"})
    store.update(update.nodes)
    for key in (b"", b"a", b"ad", b"abc"):
        assert trie.update(update.root, {key: None}).root == update.root


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 200])
def test_ordered_root_maps_compact_indices(count: int) -> None:
    values = [bytes([i % 256]) * i for i in range(count)]
    for version in StateVersion:
        expected = naive_root({compact(i): v for i, v in enumerate(values)}, version == 1)
        assert ordered_trie_root(values, version) == expected


@pytest.mark.parametrize(
    "data", [b"", b"\x01", b"\x42", b"\x42\xaa\x08v", b"\x42\xaa\x04vx", b"\x43\x13\x14\x04v", b"\x80\x01\x00", b"\x7f"]
)
def test_malformed_nodes_are_told_as_corruption(data: bytes) -> None:
    with pytest.raises(TrieCorrupt):
        decode_node(data)


def test_a_missing_node_is_told_as_corruption() -> None:
    with pytest.raises(TrieCorrupt, match="missing"):
        Trie({}).get(b"\x11" * 32, b"key")


@given(st.dictionaries(KEYS, VALUES, min_size=1))
def test_nodes_reencode_exactly(state: dict[bytes, bytes]) -> None:
    for data in Trie({}).update(EMPTY_ROOT, state, StateVersion.V0).nodes.values():
        node = decode_node(data)
        assert node is not None
        assert encode_node(node) == data


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=20), KEYS)
@settings(max_examples=200, deadline=None)
def test_closest_merkle_value_is_that_of_the_first_node_at_or_below(pairs: dict[bytes, bytes], key: bytes) -> None:
    nodes: dict[bytes, bytes] = {}
    trie = Trie(nodes)
    update = trie.update(EMPTY_ROOT, pairs)
    nodes.update(update.nodes)
    found = trie.closest_merkle_value(update.root, key)
    below = {other[len(key) :]: value for other, value in pairs.items() if other.startswith(key)}
    assert (found is None) == (not below)
    assert trie.closest_merkle_value(update.root, b"") == update.root
    if found is None:
        return
    changed = trie.update(update.root, dict.fromkeys((key + rest for rest in below), b"another value"))
    nodes.update(changed.nodes)
    assert trie.closest_merkle_value(changed.root, key) != found or set(below.values()) == {b"another value"}
