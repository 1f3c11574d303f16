"""A little chain of empty headers for the network's tests; answers block requests as a node does."""

from __future__ import annotations

from chain.network import BlockProvider
from chain.primitives import Header

GENESIS_HASH = bytes([7]) * 32


class Chainlet(BlockProvider):
    """Blocks 0..count−1 in a row, each with one extrinsic; even ones have a justification."""

    def __init__(self, count: int = 300) -> None:
        self.headers: list[Header] = []
        parent = bytes(32)
        for number in range(count):
            header = Header(parent, number, bytes(32), bytes(32))
            self.headers.append(header)
            parent = header.hash
        self._by_hash = {header.hash: header for header in self.headers}

    def canonical_hash(self, number: int) -> bytes | None:
        return self.headers[number].hash if number < len(self.headers) else None

    def header_bytes(self, block_hash: bytes) -> bytes | None:
        header = self._by_hash.get(block_hash)
        return None if header is None else header.encode()

    def body_bytes(self, block_hash: bytes) -> tuple[bytes, ...] | None:
        return (b"\x04a",) if block_hash in self._by_hash else None

    def justification_bytes(self, block_hash: bytes) -> bytes | None:
        return b"proof" if self._by_hash[block_hash].number % 2 == 0 else None
