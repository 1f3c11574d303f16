"""What the network needs of the chain, and how a block request is answered from it. Pure."""

from __future__ import annotations

from typing import Protocol

from chain.network.messages import BlockData, BlockField, BlockRequest, Direction
from chain.primitives import Header

MAX_RESPONSE_BODY_BYTES = 8 << 20  # 8 MiB (= 8,388,608) of block data; a response may hold 16 MiB in all


class BlockProvider(Protocol):
    """Blocks by hash, as the node stores them. Called on the asyncio thread; each call must be quick (one look-up)."""

    def canonical_hash(self, number: int) -> bytes | None:
        """Hash of block `number` on our best chain; None above it."""

    def header_bytes(self, block_hash: bytes) -> bytes | None:
        """SCALE header with its seal; None if unknown."""

    def body_bytes(self, block_hash: bytes) -> tuple[bytes, ...] | None:
        """Extrinsics, each with its compact length in front; None if unknown."""

    def justification_bytes(self, block_hash: bytes) -> bytes | None:
        """SCALE GrandpaJustification of exactly this block, if one is stored."""


class ResponseBuilder:
    """Builds the answer to `request` block by block, so that the caller may yield between two."""

    def __init__(self, provider: BlockProvider, request: BlockRequest) -> None:
        self._provider, self._request = provider, request
        self._next: bytes | None = (
            provider.canonical_hash(request.start) if isinstance(request.start, int) else request.start
        )
        self._bytes = 0
        self.blocks: list[BlockData] = []

    def step(self) -> bool:
        """Adds one block; False when the answer is complete (bound reached, or no further block is known)."""
        block_hash = self._next
        if block_hash is None or len(self.blocks) >= self._request.max_blocks:
            return False
        header = self._provider.header_bytes(block_hash)
        if header is None:
            return False
        block = self._block(block_hash, header)
        if block is None:
            return False
        self._bytes += len(header) + sum(map(len, block.body or ())) + len(block.justification or b"")
        if self.blocks and self._bytes > MAX_RESPONSE_BODY_BYTES:
            return False
        self.blocks.append(block)
        self._next = self._successor(block_hash, header)
        return True

    def _block(self, block_hash: bytes, header: bytes) -> BlockData | None:
        wanted = self._request.fields
        body = self._provider.body_bytes(block_hash) if wanted & BlockField.BODY else None
        if body is None and wanted & BlockField.BODY:
            return None
        proof = self._provider.justification_bytes(block_hash) if wanted & BlockField.JUSTIFICATION else None
        return BlockData(block_hash, header if wanted & BlockField.HEADER else None, body, proof)

    def _successor(self, block_hash: bytes, header: bytes) -> bytes | None:
        decoded = Header.decode(header)
        if self._request.direction is Direction.DESCENDING:
            return decoded.parent_hash if decoded.number else None
        if self._provider.canonical_hash(decoded.number) != block_hash:
            return None  # a fork's block has no canonical child
        return self._provider.canonical_hash(decoded.number + 1)
