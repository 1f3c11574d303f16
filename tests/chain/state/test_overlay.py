"""The overlay against a plain dictionary with copied snapshots for transactions."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.errors import TransactionFault
from chain.primitives import Reader, encode_compact
from chain.state import Overlay, StateView
from chain.trie import EMPTY_ROOT, StateVersion, Trie, compute_trie_root

KEYS = st.sampled_from([b"", b"a", b"ab", b"abc", b"b", b"ba", b"c"])
BASE = {b"a": b"\x04\x01", b"abc": b"base", b"b": b"", b"ba": b"x" * 40}
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), KEYS, st.sampled_from([None, b"", b"v", b"\x08\x01\x02", b"w" * 40])),
        st.tuples(st.just("append"), KEYS, st.binary(min_size=1, max_size=2)),
        st.tuples(st.just("clear"), KEYS, st.one_of(st.none(), st.integers(0, 3))),
        st.tuples(st.sampled_from(["start", "commit", "rollback", "root"]), st.none(), st.none()),
    ),
    max_size=40,
)


def view() -> StateView:
    store: dict[bytes, bytes] = {}
    trie = Trie(store)
    update = trie.update(EMPTY_ROOT, BASE)
    store.update(update.nodes)
    return StateView(trie, update.root)


def naive_append(value: bytes | None, item: bytes) -> bytes:
    reader = Reader(value or b"\x00")
    try:
        count = reader.compact()
    except Exception:  # noqa: BLE001 - whatever is no vector is replaced
        return encode_compact(1) + item
    return encode_compact(count + 1) + (value or b"\x00")[reader.offset :] + item


@settings(deadline=None, max_examples=300)
@given(STEPS)
def test_it_behaves_like_a_dictionary_with_snapshots(steps: list[tuple[str, bytes, object]]) -> None:
    overlay = Overlay(view())
    state = dict(BASE)
    written: set[bytes] = set()
    saved: list[tuple[dict[bytes, bytes], set[bytes]]] = []
    for action, key, argument in steps:
        if action == "set":
            assert argument is None or isinstance(argument, bytes)
            overlay.set(key, argument)
            written.add(key)
            state.pop(key, None)
            if argument is not None:
                state[key] = argument
        elif action == "append":
            assert isinstance(argument, bytes)
            overlay.append(key, argument)
            written.add(key)
            state[key] = naive_append(state.get(key), argument)
        elif action == "clear":
            assert argument is None or isinstance(argument, int)
            below = sorted(k for k in BASE if k.startswith(key))
            doomed = below[:argument] if argument is not None else below
            removed, done = overlay.clear_prefix(key, argument)
            assert (removed, done) == (len(doomed), len(doomed) == len(below))
            for other in [k for k in state if k.startswith(key) and (k in written or k in doomed)]:
                del state[other]
                written.add(other)
        elif action == "start":
            overlay.start()
            saved.append((dict(state), set(written)))
        elif action == "root":
            assert overlay.root(StateVersion.V1).root == compute_trie_root(state, StateVersion.V1)
        elif saved:
            before = saved.pop()
            if action == "commit":
                overlay.commit()
            else:
                overlay.rollback()
                state, written = before
    for key in [b"", b"a", b"ab", b"abc", b"b", b"ba", b"c"]:
        assert overlay.get(key) == state.get(key)
        assert overlay.next_key(key) == min((k for k in state if k > key), default=None)
    assert overlay.root(StateVersion.V1).root == compute_trie_root(state, StateVersion.V1)


@pytest.mark.parametrize("action", ["commit", "rollback"])
def test_a_transaction_that_was_never_opened_cannot_be_closed(action: str) -> None:
    overlay = Overlay(view())
    with pytest.raises(TransactionFault):
        getattr(overlay, action)()


def test_a_view_remembers_reads_and_its_successor_sees_changes() -> None:
    parent = view()
    assert parent.get(b"a") == BASE[b"a"]
    overlay = Overlay(parent)
    overlay.set(b"a", None)
    overlay.set(b"new", b"value")
    child = parent.successor(overlay.root(StateVersion.V1).root, overlay.changes())
    assert (child.get(b"a"), child.get(b"new"), child.get(b"ba")) == (None, b"value", BASE[b"ba"])
    assert (parent.get(b"a"), parent.get(b"new")) == (BASE[b"a"], None)
