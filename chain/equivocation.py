"""Equivocation: one key that seals two blocks of one slot (Aura), or signs two votes of one round (GRANDPA). No I/O.

`BlockWitness` remembers who sealed what; `EvidenceBox` keeps what was found, double votes too, for whoever reports it
on chain (pallet Evidence). Both are bounded and safe to use from several threads: blocks come on the chain thread,
announces and votes on the node's loop.

Not noticed: a second block that comes more than `KEPT_BLOCKS` blocks after the first, or after a restart of this node;
a second vote for a round older than the last one. Other nodes may have seen it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import ClassVar, Protocol

from chain.aura import get_seal, get_slot
from chain.errors import HeaderInvalid
from chain.primitives import Header, encode_bytes
from chain.runtime.host_crypto import is_sr25519_valid

log = logging.getLogger(__name__)

KEPT_BLOCKS = 512
"""Blocks whose headers are remembered (= 2^9); those of the lowest slots go first."""

MAX_HEADER_BYTES = 1 << 16
"""Longest header that pallet Evidence takes (= 65,536)."""

MAX_EVIDENCE = 64
"""Pieces of evidence that are kept (= 2^6); when there are more, the oldest go."""


class Evidence(Protocol):
    """Two signatures of one key that must not both be."""

    CALL: ClassVar[str]
    """The call of pallet Evidence that takes it."""

    @property
    def key(self) -> bytes:
        """The key that signed twice."""

    @property
    def offence(self) -> Hashable:
        """Tells offences apart: each is charged once."""

    @property
    def text(self) -> str:
        """One line for a log."""

    def encode(self) -> bytes:
        """The call's arguments in SCALE."""


@dataclass(frozen=True, slots=True)
class DoubleBlock:
    """Two different blocks of `slot`, both sealed by the sr25519 key `author`."""

    author: bytes
    slot: int
    first: Header
    second: Header

    CALL: ClassVar[str] = "report_aura"

    @property
    def key(self) -> bytes:
        """The key that signed twice."""
        return self.author

    @property
    def offence(self) -> tuple[str, bytes, int]:
        """Tells offences apart: each is charged once."""
        return ("blocks", self.author, self.slot)

    @property
    def text(self) -> str:
        """One line for a log."""
        first, second = (block.hash.hex()[:16] for block in (self.first, self.second))
        return f"blocks 0x{first} and 0x{second} of slot {self.slot}"

    def encode(self) -> bytes:
        """The arguments of `Evidence.report_aura`: key, header, header."""
        return self.author + encode_bytes(self.first.encode()) + encode_bytes(self.second.encode())


class EvidenceBox:
    """Evidence that was found, the oldest first, each offence once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[Hashable, Evidence] = {}
        self.count = 0
        """Offences found since the start."""

    def add(self, evidence: Evidence) -> None:
        """Keeps a piece of evidence unless its offence is known."""
        with self._lock:
            if evidence.offence in self._found:
                return
            while len(self._found) >= MAX_EVIDENCE:
                del self._found[next(iter(self._found))]
            self._found[evidence.offence] = evidence
            self.count += 1
        log.warning("equivocation of key 0x%s: %s", evidence.key.hex(), evidence.text)

    def list(self) -> list[Evidence]:
        """What is kept."""
        with self._lock:
            return list(self._found.values())


class BlockWitness:
    """Remembers the headers of recent slots by author; `on_found` is told of every second one."""

    def __init__(self) -> None:
        self.on_found: Callable[[DoubleBlock], None] = lambda _: None
        self._lock = threading.Lock()
        self._seen: dict[tuple[int, bytes], Header] = {}

    def on_verified(self, header: Header, slot: int, author: bytes) -> None:
        """A header whose seal by `author` for `slot` was verified."""
        if len(header.encode()) > MAX_HEADER_BYTES:
            return
        with self._lock:
            first = self._seen.setdefault((slot, author), header)
            while len(self._seen) > KEPT_BLOCKS:
                del self._seen[min(self._seen)]
        if first.hash != header.hash:
            self.on_found(DoubleBlock(author, slot, first, header))

    def on_header(self, header: Header) -> None:
        """A header that nobody verified, of a block that may never be imported.

        It counts if a key sealed it that sealed a verified block of its slot; what is no good header is ignored.
        """
        try:
            slot, seal = get_slot(header), get_seal(header)
        except HeaderInvalid:
            return
        with self._lock:
            rivals = [author for (at, author), seen in self._seen.items() if at == slot and seen.hash != header.hash]
        for author in rivals:
            if is_sr25519_valid(seal, header.without_seal().hash, author):
                self.on_verified(header, slot, author)
