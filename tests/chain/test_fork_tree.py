"""The fork tree: longest chain, routes, finality."""

from __future__ import annotations

import pytest

from chain.errors import UnknownBlock
from chain.fork_tree import ForkTree, Route


def block(name: str) -> bytes:
    return name.encode()


def tree() -> ForkTree:
    """r - a1 - a2 - a3, a1 - b2 - b3, r - c1."""
    made = ForkTree(block("r"), 10)
    for pair in ["a1 r", "a2 a1", "a3 a2", "b2 a1", "b3 b2", "c1 r"]:
        child, parent = pair.split()
        made.insert(block(child), block(parent))
    return made


def test_the_first_of_two_equally_long_chains_stays_best() -> None:
    forks = tree()
    assert forks.best == block("a3")
    assert forks.insert(block("b4"), block("b3"))
    assert forks.best == block("b4")
    assert not forks.insert(block("b4"), block("b3"))


def test_leaves_and_numbers() -> None:
    forks = tree()
    assert sorted(forks.leaves()) == [block("a3"), block("b3"), block("c1")]
    assert forks.number(block("b3")) == 13
    with pytest.raises(UnknownBlock):
        forks.number(block("zz"))
    with pytest.raises(UnknownBlock):
        forks.insert(block("x"), block("zz"))


def test_a_route_goes_down_to_the_common_ancestor_and_up_again() -> None:
    forks = tree()
    assert forks.route(block("a3"), block("b3")) == Route((block("a3"), block("a2")), (block("b2"), block("b3")))
    assert forks.route(block("a3"), block("a3")) == Route((), ())
    assert forks.route(block("c1"), block("a1")) == Route((block("c1"),), (block("a1"),))
    assert forks.path(block("a1"), block("a3")) == [block("a2"), block("a3")]
    assert forks.path(block("c1"), block("a3")) is None


def test_finality_drops_what_does_not_descend() -> None:
    forks = tree()
    result = forks.finalize(block("b2"))
    assert result.path == (block("a1"), block("b2"))
    assert set(result.dropped) == {block("a2"), block("a3"), block("c1")}
    assert forks.best == block("b3")
    assert forks.root == block("b2")
    assert block("a1") not in forks
    with pytest.raises(UnknownBlock):
        forks.finalize(block("a3"))


def test_finalising_the_root_again_changes_nothing() -> None:
    forks = tree()
    assert forks.finalize(block("r")).dropped == ()
    assert forks.best == block("a3")


def test_a_snapshot_is_left_alone() -> None:
    forks = tree()
    before = forks.snapshot()
    forks.finalize(block("c1"))
    assert before.best == block("a3")
    assert before.route(block("a3"), block("c1")).enacted == (block("c1"),)
    assert forks.best == block("c1")
