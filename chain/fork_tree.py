"""The tree of blocks above the finalised one: longest chain, routes between forks. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from chain.errors import ConflictsWithFinalized, UnknownBlock


@dataclass(frozen=True, slots=True)
class Route:
    """From one block to another: `retracted` (newest first) are undone, then `enacted` (oldest first) are applied."""

    retracted: tuple[bytes, ...]
    enacted: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Finality:
    """What finalising does: `path` (oldest first) becomes final, `dropped` are all blocks that conflict with it."""

    path: tuple[bytes, ...]
    dropped: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class _Node:
    parent: bytes
    number: int


class ForkTree:
    """Blocks by hash; the root is the finalised block. Of two equally long chains the first seen stays best."""

    def __init__(self, root: bytes, number: int) -> None:
        self.root = root
        self.best = root
        self._nodes: dict[bytes, _Node] = {root: _Node(b"", number)}

    def __contains__(self, block: object) -> bool:
        return block in self._nodes

    def number(self, block: bytes) -> int:
        """A block's number; raises UnknownBlock."""
        if block not in self._nodes:
            raise UnknownBlock(block)
        return self._nodes[block].number

    def insert(self, block: bytes, parent: bytes) -> bool:
        """Adds a block below a known parent; whether it is the best one now. Raises UnknownBlock."""
        if block in self._nodes:
            return False
        number = self.number(parent) + 1
        self._nodes[block] = _Node(parent, number)
        if number > self._nodes[self.best].number:
            self.best = block
            return True
        return False

    def blocks(self) -> list[bytes]:
        """The root and all blocks above it."""
        return list(self._nodes)

    def snapshot(self) -> ForkTree:
        """A copy that later changes leave alone."""
        copy = ForkTree(self.root, self._nodes[self.root].number)
        copy._nodes = dict(self._nodes)
        copy.best = self.best
        return copy

    def leaves(self) -> list[bytes]:
        """Blocks without children."""
        parents = {node.parent for node in self._nodes.values()}
        return [block for block in self._nodes if block not in parents]

    def path(self, ancestor: bytes, block: bytes) -> list[bytes] | None:
        """Blocks after `ancestor` up to `block`, oldest first; None if it is no ancestor."""
        path = []
        at = block
        while at != ancestor:
            if at == self.root or at not in self._nodes:
                return None
            path.append(at)
            at = self._nodes[at].parent
        return path[::-1]

    def route(self, old: bytes, new: bytes) -> Route:
        """The way from `old` to `new`; raises UnknownBlock."""
        retracted, enacted = [], []
        while old != new:
            if self.number(new) >= self.number(old):
                enacted.append(new)
                new = self._nodes[new].parent
            else:
                retracted.append(old)
                old = self._nodes[old].parent
        return Route(tuple(retracted), tuple(enacted[::-1]))

    def finalize(self, block: bytes) -> Finality:
        """Makes `block` the root and forgets all that does not descend from it; raises UnknownBlock, and
        ConflictsWithFinalized for a block that is not above the root."""
        number = self.number(block)
        path = self.path(self.root, block)
        if path is None:
            raise ConflictsWithFinalized(number, self.number(self.root))
        kept: set[bytes] = {block}
        dropped = []
        final = {self.root, *path}
        # parents were inserted before their children, and dictionaries keep that order
        for other, node in self._nodes.items():
            if other in final:
                continue
            if node.parent in kept:
                kept.add(other)
            else:
                dropped.append(other)
        self._nodes = {other: node for other, node in self._nodes.items() if other in kept}
        self.root = block
        if self.best not in kept:
            # the first of the longest, as insertion would have picked it
            self.best = max(self._nodes, key=lambda b: self._nodes[b].number)
        return Finality(tuple(path), tuple(dropped))
