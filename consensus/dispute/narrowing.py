"""Narrowing by 16: down a binary Merkle tree (`consensus.commit.merkle`), four levels at a time.

A cursor is a node of the tree whose hash the defender has committed to; the root is one. The defender posts the nodes
four levels below it (or the leaves, where fewer are left), which must combine to the cursor's hash; the challenger
picks one, which is the next cursor. The number of leaves is known, and so is the form of the tree: where it ends, fewer
nodes are posted and odd ones are promoted, as everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from consensus.commit.hashing import Hash32
from consensus.commit.merkle import compute_root_of_hashes

LEVELS = 4
"""Levels of one narrowing: at most 2^4 (= 16) children."""


@dataclass(frozen=True)
class Cursor:
    """A node of a tree."""

    count: int
    """Leaves of the whole tree, at least 1."""
    height: int
    """Levels above the leaves; the root has ⌈log2 count⌉."""
    index: int
    """Place among the nodes of its level."""
    hash: Hash32
    """What the defender says that it is."""

    @classmethod
    def root(cls, count: int, hash_: Hash32) -> Cursor:
        """The root of a tree."""
        return cls(count, (count - 1).bit_length(), 0, hash_)

    @property
    def child_height(self) -> int:
        """The level of the children."""
        return max(self.height - LEVELS, 0)

    @property
    def children(self) -> range:
        """The indices of the children in their level."""
        wide = self.height - self.child_height
        existing = -(-self.count >> self.child_height)
        return range(self.index << wide, min((self.index + 1) << wide, existing))

    def fits(self, children: Sequence[Hash32]) -> bool:
        """Whether these can be the children: as many as there are, and they combine to the hash."""
        return len(children) == len(self.children) and compute_root_of_hashes(children) == self.hash

    def descend(self, children: Sequence[Hash32], child: int) -> Cursor:
        """The picked child."""
        return Cursor(self.count, self.child_height, self.children[child], children[child])


def compute_node(leaves: Sequence[Hash32], count: int, height: int, index: int) -> Hash32 | None:
    """A node of a tree of ``count`` leaves, of which the first are known; None if one below it is not."""
    first, last = index << height, min((index + 1) << height, count)
    return compute_root_of_hashes(leaves[first:last]) if last <= len(leaves) else None


def compute_children(leaves: Sequence[Hash32], cursor: Cursor) -> list[Hash32 | None]:
    """A party's own nodes at the place of the cursor's children."""
    return [compute_node(leaves, cursor.count, cursor.child_height, index) for index in cursor.children]


def count_narrowings(count: int) -> int:
    """Narrowings from the root of a tree of ``count`` leaves to a leaf."""
    return -(-(count - 1).bit_length() // LEVELS)
