"""Storage proofs: enough, minimal, and refused when a node is missing or changed; read by an independent check too."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

from chain.errors import ProofInvalid
from chain.state.view import CHILD_ROOT_PREFIX
from chain.trie import (
    EMPTY_ROOT,
    StateVersion,
    Trie,
    create_child_proof,
    create_proof,
    verify_child_proof,
    verify_proof,
)
from tests.chain.trie.naive_proof import NotProven, read_child_proof, read_proof

STATE = {bytes([i, i * 7 % 256]): bytes([i]) * (i % 50) for i in range(200)}
CHILD = CHILD_ROOT_PREFIX + b"crowd"


def _store(
    version: StateVersion = StateVersion.V1, child: Mapping[bytes, bytes] | None = None
) -> tuple[dict[bytes, bytes], bytes]:
    trie, state, nodes = Trie({}), dict(STATE), dict[bytes, bytes]()
    if child:
        update = trie.update(EMPTY_ROOT, child, version)
        nodes, state[CHILD] = update.nodes, update.root
    update = trie.update(EMPTY_ROOT, state, version)
    return nodes | update.nodes, update.root


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
    assert create_child_proof({}, EMPTY_ROOT, CHILD, [b"k"]) == [b"\x00"]


@pytest.mark.parametrize("version", list(StateVersion))
def test_proofs_are_read_by_an_independent_check(version: StateVersion) -> None:
    draw = random.Random(6)
    child = {draw.randbytes(draw.randint(0, 4)): draw.randbytes(draw.randint(0, 80)) for _ in range(60)}
    store, root = _store(version, child)
    for key in [*draw.sample(sorted(STATE), 20), b"", b"absent", CHILD]:
        proof = create_proof(store, root, [key])
        assert read_proof(root, proof, key) == verify_proof(root, proof, [key])[key] == Trie(store).get(root, key)
    for key in [*child, b"no such key"]:
        proof = create_child_proof(store, root, CHILD, [key])
        assert read_child_proof(root, proof, b"crowd", key) == child.get(key)
        assert verify_child_proof(root, proof, CHILD, [key]) == {key: child.get(key)}
        for i in range(len(proof)):
            with pytest.raises(NotProven):
                read_child_proof(root, proof[:i] + proof[i + 1 :], b"crowd", key)
            with pytest.raises(ProofInvalid):
                verify_child_proof(root, proof[:i] + proof[i + 1 :], CHILD, [key])


def test_a_child_trie_that_is_not_there_is_proven_absent() -> None:
    store, root = _store()
    proof = create_child_proof(store, root, CHILD, [b"k"])
    assert verify_child_proof(root, proof, CHILD, [b"k", b"l"]) == {b"k": None, b"l": None}
    assert read_child_proof(root, proof, b"crowd", b"k") is None
    with pytest.raises(ProofInvalid):
        verify_child_proof(root, [], CHILD, [b"k"])


def test_a_child_root_of_another_length_is_no_root() -> None:
    trie = Trie({})
    update = trie.update(EMPTY_ROOT, {CHILD: b"\x00"})
    with pytest.raises(ProofInvalid, match="no root"):
        verify_child_proof(update.root, update.nodes.values(), CHILD, [b"k"])
