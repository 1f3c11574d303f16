"""Narrowing against plain Merkle trees: whatever the number of leaves, a walk ends at the leaf that was meant."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from consensus.commit.hashing import Hash32
from consensus.commit.merkle import compute_leaf_hash, compute_root_of_hashes
from consensus.dispute.narrowing import LEVELS, Cursor, compute_children, compute_node, count_narrowings


def make_leaves(count: int) -> list[Hash32]:
    """Hashes of numbers."""
    return [compute_leaf_hash(number.to_bytes(4, "little")) for number in range(count)]


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1))))
def test_a_walk_to_any_leaf(case: tuple[int, int]) -> None:
    """Children fit at each level, promotions included, and the last cursor is the leaf."""
    count, leaf = case
    leaves = make_leaves(count)
    cursor, steps = Cursor.root(count, compute_root_of_hashes(leaves)), 0
    while cursor.height:
        children = [child for child in compute_children(leaves, cursor) if child is not None]
        assert cursor.fits(children) and len(children) <= 2**LEVELS
        child = (leaf >> cursor.child_height) - cursor.children[0]
        cursor, steps = cursor.descend(children, child), steps + 1
    assert (cursor.index, cursor.hash) == (leaf, leaves[leaf])
    assert steps == count_narrowings(count)


@given(st.integers(2, 600), st.data())
def test_children_that_do_not_fit(count: int, data: st.DataObject) -> None:
    """One changed, one missing, one too many, two swapped."""
    leaves = make_leaves(count)
    cursor = Cursor.root(count, compute_root_of_hashes(leaves))
    children = [child for child in compute_children(leaves, cursor) if child is not None]
    at = data.draw(st.integers(0, len(children) - 1))
    assert not cursor.fits([*children[:at], compute_leaf_hash(b"other"), *children[at + 1 :]])
    assert not cursor.fits(children[:at] + children[at + 1 :])
    assert not cursor.fits([*children, children[-1]])
    assert not cursor.fits([*children[1:], children[0]])


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))))
def test_nodes_of_a_tree_that_is_known_in_part(case: tuple[int, int]) -> None:
    """Where a unit ends, a party has fewer leaves: it knows a node if it knows all leaves below it."""
    count, known = case
    leaves = make_leaves(count)
    for height in range((count - 1).bit_length() + 1):
        for index in range(-(-count >> height)):
            whole = compute_node(leaves, count, height, index)
            part = compute_node(leaves[:known], count, height, index)
            assert part == (whole if min((index + 1) << height, count) <= known else None)


def test_a_tree_of_one_leaf_needs_no_narrowing() -> None:
    assert Cursor.root(1, make_leaves(1)[0]).height == 0 and count_narrowings(1) == 0


def test_how_many_narrowings() -> None:
    """Four levels each: 16 leaves take one, 17 take two."""
    assert [count_narrowings(count) for count in (2, 16, 17, 256, 257, 4096, 4097)] == [1, 1, 2, 2, 3, 3, 4]
