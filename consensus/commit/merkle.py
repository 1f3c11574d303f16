"""Binary Merkle trees: leaf H(0x00 ‖ data), inner H(0x01 ‖ left ‖ right), an odd node promoted unchanged.

The two domain bytes keep a leaf from being passed off as an inner node (second pre-image); the leaf count, which the
verifier knows from elsewhere, fixes the tree's form, so that a promoted node cannot be doubled (CVE-2012-2459).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from consensus.commit.hashing import HASH_BYTES, Hash32, blake2_256

EMPTY_ROOT = Hash32(bytes(HASH_BYTES))
"""Root of the empty list."""
MAX_LEAVES = 2**32  # (= 4,294,967,296): 16 TiB of tiles in one tensor


class ProofError(ValueError):
    """A Merkle proof is not one of the given leaf under the given root."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Merkle proof refused: {reason}; ask the prover for a proof of this index under this root")
        self.reason = reason


@dataclass(frozen=True)
class MerkleProof:
    """Place of one leaf: `siblings` from the leaf up; levels at which the node is promoted contribute none."""

    index: int
    leaf_count: int
    siblings: tuple[Hash32, ...]


def compute_leaf_hash(data: bytes | memoryview) -> Hash32:
    """H(0x00 ‖ data)."""
    return blake2_256(b"\x00", data)


def compute_inner_hash(left: bytes, right: bytes) -> Hash32:
    """H(0x01 ‖ left ‖ right)."""
    return blake2_256(b"\x01" + left + right)


def compute_root_of_hashes(hashes: Sequence[Hash32]) -> Hash32:
    """Root over leaf *hashes*; 32 zero bytes for the empty list."""
    level = list(hashes)
    if not level:
        return EMPTY_ROOT
    while len(level) > 1:
        level = _compute_next_level(level)
    return level[0]


def compute_root(leaves: Sequence[bytes]) -> Hash32:
    """Root over leaf *data*."""
    return compute_root_of_hashes([compute_leaf_hash(leaf) for leaf in leaves])


def compute_proof_of_hashes(hashes: Sequence[Hash32], index: int) -> MerkleProof:
    """Proof of the leaf at `index`; raises `ProofError` when there is no such leaf."""
    if not 0 <= index < len(hashes):
        raise ProofError(f"index {index} is not one of {len(hashes)} leaves")
    siblings: list[Hash32] = []
    level, position = list(hashes), index
    while len(level) > 1:
        sibling = position ^ 1
        if sibling < len(level):
            siblings.append(level[sibling])
        level = _compute_next_level(level)
        position >>= 1
    return MerkleProof(index, len(hashes), tuple(siblings))


def compute_proof(leaves: Sequence[bytes], index: int) -> MerkleProof:
    """`compute_proof_of_hashes` over leaf data."""
    return compute_proof_of_hashes([compute_leaf_hash(leaf) for leaf in leaves], index)


def compute_root_from_proof(leaf_hash: Hash32, proof: MerkleProof) -> Hash32:
    """The root that the proof leads to; raises `ProofError` when its length does not fit index and leaf count."""
    if not 0 < proof.leaf_count <= MAX_LEAVES:
        raise ProofError(f"leaf count {proof.leaf_count} is not in 1..{MAX_LEAVES}")
    if not 0 <= proof.index < proof.leaf_count:
        raise ProofError(f"index {proof.index} is not one of {proof.leaf_count} leaves")
    node, position, width = leaf_hash, proof.index, proof.leaf_count
    siblings = iter(proof.siblings)
    while width > 1:
        if position ^ 1 < width:
            sibling = next(siblings, None)
            if sibling is None:
                raise ProofError("too few siblings")
            if len(sibling) != HASH_BYTES:
                raise ProofError(f"a sibling has {len(sibling)} bytes, not 32")
            node = compute_inner_hash(sibling, node) if position & 1 else compute_inner_hash(node, sibling)
        position >>= 1
        width = (width + 1) >> 1
    if next(siblings, None) is not None:
        raise ProofError("too many siblings")
    return node


def verify_proof(root: bytes, leaf: bytes, proof: MerkleProof) -> None:
    """Raises `ProofError` unless `leaf` is at `proof.index` of the list of `proof.leaf_count` leaves under `root`.

    Still trusted: that `proof.leaf_count` is the list's true length (it comes from the committed shape or the chain).
    """
    if compute_root_from_proof(compute_leaf_hash(leaf), proof) != root:
        raise ProofError("it leads to another root")


def _compute_next_level(level: list[Hash32]) -> list[Hash32]:
    paired = [compute_inner_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
    if len(level) & 1:
        paired.append(level[-1])
    return paired
