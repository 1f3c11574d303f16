"""The blocks that a voter knows around the last finalised one, with the authority state after each. Pure."""

from __future__ import annotations

from chain.grandpa.authorities import AuthorityState
from chain.primitives import Header

KEEP_BELOW = 64  # blocks kept under the finalised one, for ancestries of late votes


class BlockTree:
    """Headers by hash from a base block on; every block's parent is in the tree, but for the base's."""

    def __init__(self, base: Header, state: AuthorityState) -> None:
        self._headers: dict[bytes, Header] = {base.hash: base}
        self._states: dict[bytes, AuthorityState] = {base.hash: state}

    def __contains__(self, block_hash: bytes) -> bool:
        return block_hash in self._headers

    def add(self, header: Header) -> bool:
        """Adds a block; False if its parent is unknown here (or the block is known already)."""
        if header.hash in self._headers or header.parent_hash not in self._headers:
            return False
        self._headers[header.hash] = header
        self._states[header.hash] = self._states[header.parent_hash].after(header)
        return True

    def header(self, block_hash: bytes) -> Header:
        """The header of a block in the tree (KeyError otherwise)."""
        return self._headers[block_hash]

    def state_after(self, block_hash: bytes) -> AuthorityState:
        """Authority state after a block in the tree (KeyError otherwise)."""
        return self._states[block_hash]

    def restate(self, block_hash: bytes, state: AuthorityState) -> None:
        """Gives a block another state, and all blocks above it those that follow from it."""
        self._states[block_hash] = state
        floor = self._headers[block_hash].number
        changed = {block_hash}
        for other, header in sorted(self._headers.items(), key=lambda item: item[1].number):
            if header.number > floor and header.parent_hash in changed:
                self._states[other] = self._states[header.parent_hash].after(header)
                changed.add(other)

    def set_id_for(self, block_hash: bytes) -> int | None:
        """Id of the set that finalises this block; None if its parent is not in the tree."""
        parent = self._states.get(self._headers[block_hash].parent_hash)
        return None if parent is None else parent.current.set_id

    def path_up(self, block_hash: bytes, stop: bytes) -> list[bytes] | None:
        """Hashes from a block down to, not with, its ancestor `stop`, newest first; None if it is no ancestor."""
        path: list[bytes] = []
        stop_header = self._headers.get(stop)
        while block_hash != stop:
            header = self._headers.get(block_hash)
            if header is None or (stop_header is not None and header.number <= stop_header.number):
                return None
            path.append(block_hash)
            block_hash = header.parent_hash
        return path

    def is_descendant(self, block_hash: bytes, ancestor: bytes) -> bool:
        """Whether `ancestor` is the block or above it."""
        return self.path_up(block_hash, ancestor) is not None

    def prune(self, finalized: Header) -> None:
        """Forgets blocks far below `finalized` and those that can never become final."""
        floor = finalized.number - KEEP_BELOW
        keep = set(self.path_up(finalized.hash, self._deepest(finalized, floor)) or [])
        keep.add(self._deepest(finalized, floor))
        keep.add(finalized.hash)
        for block_hash, header in sorted(self._headers.items(), key=lambda item: item[1].number):
            if header.number > finalized.number and header.parent_hash in keep:
                keep.add(block_hash)
        for block_hash in [one for one in self._headers if one not in keep]:
            del self._headers[block_hash], self._states[block_hash]

    def _deepest(self, header: Header, floor: int) -> bytes:
        while header.number > floor and header.parent_hash in self._headers:
            header = self._headers[header.parent_hash]
        return header.hash
