"""Gossiped transactions that wait to be validated: a bounded queue for each peer, emptied in turn. Pure.

Who floods us fills its own queue only, and what it sends is validated no more often than what any other peer sends.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

PEER_COUNT = 1_024
PEER_BYTES = 4 * 1024 * 1024
TOTAL_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Received:
    """An extrinsic (with its length in front) as it came; `sender` is the account that signed it, None if unsigned."""

    peer: str
    hash: bytes
    data: bytes
    sender: bytes | None


class Inbox:
    """What waits, once each, whoever sent it."""

    def __init__(self) -> None:
        self._queues: OrderedDict[str, deque[Received]] = OrderedDict()  # the next peer's first
        self._sizes: dict[str, int] = {}
        self._hashes: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, tx_hash: object) -> bool:
        return tx_hash in self._hashes

    def put(self, received: Received) -> bool:
        """Whether there was room."""
        peer, size = received.peer, len(received.data)
        own = self._sizes.get(peer, 0) + size
        if len(self._queues.get(peer, ())) >= PEER_COUNT or own > PEER_BYTES:
            return False
        if sum(self._sizes.values()) + size > TOTAL_BYTES:
            return False
        self._queues.setdefault(peer, deque()).append(received)
        self._sizes[peer] = own
        self._hashes.add(received.hash)
        return True

    def take(self, count: int) -> list[Received]:
        """Up to `count` of them, one of each peer in turn."""
        found: list[Received] = []
        while self._queues and len(found) < count:
            peer, queue = self._queues.popitem(last=False)
            received = queue.popleft()
            self._sizes[peer] -= len(received.data)
            self._hashes.discard(received.hash)
            found.append(received)
            if queue:
                self._queues[peer] = queue
            else:
                del self._sizes[peer]
        return found
