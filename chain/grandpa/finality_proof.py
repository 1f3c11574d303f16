"""Proofs that a block of a finalised chain is final, for who knows the set in force for it.

The proof of a block is the justification of the nearest block at or above it that has one, with the headers between.
A block that ends a set always has one of its own, so the set is the same for both. (A stock node takes the last
block of the set instead; what it encodes and what verifies it are the same, the headers are more.)
Source: `sc-consensus-grandpa` 0.45 finality_proof.rs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from chain.primitives import Header, encode_bytes, encode_compact

MAX_UNKNOWN_HEADERS = 8_192
"""Headers in a proof (= 2^13), some 2 MB; a stock node gives up to 100,000."""


class FinalizedChain(Protocol):
    """The chain as proofs read it."""

    def hash_of(self, number: int) -> bytes | None:
        """Hash of the block of this number on the best chain."""

    def header(self, block_hash: bytes) -> Header | None:
        """Header of a known block."""

    def justification(self, block_hash: bytes) -> bytes | None:
        """The stored justification of exactly this block."""

    @property
    def finalized(self) -> Header:
        """Header of the last finalised block."""


@dataclass(frozen=True, slots=True)
class FinalityProof:
    """`justification` makes `block` final; `unknown_headers` lead from the asked block, without it, to that one."""

    block: bytes
    justification: bytes
    unknown_headers: tuple[Header, ...]

    def encode(self) -> bytes:
        """FinalityProof of a stock node."""
        headers = b"".join(header.encode() for header in self.unknown_headers)
        return self.block + encode_bytes(self.justification) + encode_compact(len(self.unknown_headers)) + headers


def find_finality_proof(chain: FinalizedChain, number: int) -> FinalityProof | None:
    """The proof of finalised block `number`; None if no justification is stored within `MAX_UNKNOWN_HEADERS` blocks."""
    headers: list[Header] = []
    for at in range(number, min(chain.finalized.number, number + MAX_UNKNOWN_HEADERS) + 1):
        block_hash = chain.hash_of(at)
        header = None if block_hash is None else chain.header(block_hash)
        if block_hash is None or header is None:
            return None
        if at > number:
            headers.append(header)
        proof = chain.justification(block_hash)
        if proof is not None:
            return FinalityProof(block_hash, proof, tuple(headers))
    return None
