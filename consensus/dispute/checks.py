"""What rules share: proofs under a root, with the errors of moves."""

from __future__ import annotations

from collections.abc import Sequence

from consensus.commit.hashing import Hash32
from consensus.commit.merkle import MerkleProof, ProofError, compute_leaf_hash, compute_root_from_proof
from consensus.commit.state import StateNameError, encode_state_leaf
from consensus.dispute.errors import BadProof


def verify(root: bytes, leaf: bytes, index: int, count: int, siblings: Sequence[Hash32]) -> None:
    """Raises `BadProof` unless ``leaf`` is leaf ``index`` of ``count`` under the root."""
    try:
        if compute_root_from_proof(compute_leaf_hash(leaf), MerkleProof(index, count, tuple(siblings))) != root:
            raise BadProof(f"leaf {index} leads to another root")
    except ProofError as error:
        raise BadProof(error.reason) from error


def encode_leaf(name: str, root: Hash32) -> bytes:
    """Leaf data of a tensor in a state or data set; raises `BadProof` for a name that none has."""
    try:
        return encode_state_leaf(name, root)
    except StateNameError as error:
        raise BadProof(error.reason) from error
