"""Storage proofs: enough, minimal, and refused when a node is missing or changed."""

from __future__ import annotations

import pytest

from chain.errors import ProofInvalid
from chain.trie import EMPTY_ROOT, Trie, create_proof, verify_proof

STATE = {bytes([i, i * 7 % 256]): bytes([i]) * (i % 50) for i in range(200)}


def _store() -> tuple[dict[bytes, bytes], bytes]:
    update = Trie({}).update(EMPTY_ROOT, STATE)
    return update.nodes, update.root


def test_a_proof_gives_values_and_absence() -> None:
    store, root = _store()
    keys = [bytes([49, 49 * 7 % 256]), bytes([3, 21]), b"absent", b""]
    proof = create_proof(store, root, keys)
    assert len(proof) < len(store) / 5
    assert verify_proof(root, proof, keys) == {key: STATE.get(key) for key in keys}


def test_a_proof_lacks_no_node_without_being_refused() -> None:
    store, root = _store()
    key = bytes([49, 49 * 7 % 256])
    proof = create_proof(store, root, [key])
    assert len(proof) >= 3  # root, path and the value stored apart
    for i in range(len(proof)):
        with pytest.raises(ProofInvalid):
            verify_proof(root, proof[:i] + proof[i + 1 :], [key])
        with pytest.raises(ProofInvalid):
            verify_proof(root, [*proof[:i], proof[i] + b"\x00", *proof[i + 1 :]], [key])


def test_the_empty_state_has_a_proof() -> None:
    assert verify_proof(EMPTY_ROOT, create_proof({}, EMPTY_ROOT, [b"k"]), [b"k"]) == {b"k": None}
