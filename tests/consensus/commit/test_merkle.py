"""Merkle trees: roots by hand, proofs of every leaf, and every way to bend one."""

import dataclasses

import pytest

from consensus.commit.hashing import Hash32, blake2_256
from consensus.commit.merkle import EMPTY_ROOT, MerkleProof, ProofError, compute_proof, compute_root, verify_proof


def leaves(count: int) -> list[bytes]:
    return [f"leaf {i}".encode() for i in range(count)]


def test_roots_by_hand() -> None:
    a, b, c = (blake2_256(b"\x00", leaf) for leaf in leaves(3))
    assert compute_root([]) == EMPTY_ROOT == bytes(32)
    assert compute_root(leaves(1)) == a
    assert compute_root(leaves(3)) == blake2_256(b"\x01", blake2_256(b"\x01", a, b), c)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 9, 31, 33])
def test_valid_proof_of_every_leaf(count: int) -> None:
    root = compute_root(leaves(count))
    for index in range(count):
        verify_proof(root, leaves(count)[index], compute_proof(leaves(count), index))


@pytest.mark.parametrize("count", [2, 3, 5, 8, 13])
def test_invalid_proof_of_other_leaf_index_or_sibling(count: int) -> None:
    root, data = compute_root(leaves(count)), leaves(count)
    for index in range(count):
        proof = compute_proof(data, index)
        other = (index + 1) % count
        with pytest.raises(ProofError):
            verify_proof(root, data[other], proof)
        with pytest.raises(ProofError):
            verify_proof(root, data[index], dataclasses.replace(proof, index=other))
        with pytest.raises(ProofError, match="too many"):
            verify_proof(root, data[index], dataclasses.replace(proof, siblings=(*proof.siblings, Hash32(bytes(32)))))
        with pytest.raises(ProofError, match="too few"):
            verify_proof(root, data[index], dataclasses.replace(proof, siblings=proof.siblings[:-1]))
        bent = bytes([proof.siblings[0][0] ^ 1]) + proof.siblings[0][1:]
        with pytest.raises(ProofError, match="another root"):
            verify_proof(root, data[index], dataclasses.replace(proof, siblings=(Hash32(bent), *proof.siblings[1:])))
        with pytest.raises(ProofError, match="not 32"):
            verify_proof(root, data[index], dataclasses.replace(proof, siblings=(Hash32(b"x"), *proof.siblings[1:])))


def test_invalid_index_and_count() -> None:
    root, data = compute_root(leaves(3)), leaves(3)
    for index, count in ((3, 3), (-1, 3), (0, 0), (0, 2**33)):
        with pytest.raises(ProofError):
            verify_proof(root, data[0], MerkleProof(index, count, ()))
    with pytest.raises(ProofError):
        compute_proof(data, 3)


def test_inner_node_is_no_leaf() -> None:
    """Second pre-image: the concatenation of two hashes offered as a leaf one level up."""
    a, b = (blake2_256(b"\x00", leaf) for leaf in leaves(2))
    with pytest.raises(ProofError):
        verify_proof(compute_root(leaves(2)), a + b, MerkleProof(0, 1, ()))
