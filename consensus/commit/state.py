"""State roots: a Merkle root over (name, tensor root) of *all* that the next step reads (DESIGN §3).

Parameters, optimiser moments and scalars, counters: what stands outside must not influence the next step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from consensus.commit.hashing import HASH_BYTES, Hash32, encode_hash, encode_u16
from consensus.commit.merkle import MerkleProof, compute_proof, compute_root, verify_proof
from consensus.commit.tensor import Array, TensorForm, TensorRoot, compute_form, compute_tensor_root

MAX_NAME_BYTES = 256
State = Mapping[str, Array]
"""Named tensors; the mapping's own order does not matter."""


class StateNameError(ValueError):
    """A tensor of a state has an empty, overlong or undecodable name."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"state tensor name {name[:64]!r} refused: {reason}")
        self.name = name
        self.reason = reason


@dataclass(frozen=True)
class StateEntry:
    """One committed tensor of a state."""

    name: str
    form: TensorForm
    root: Hash32

    def encode(self) -> bytes:
        """The leaf: "state/v1" ‖ name length u16 ‖ name ‖ tensor root; raises `StateNameError`."""
        return encode_state_leaf(self.name, self.root)


@dataclass(frozen=True)
class StateCommitment:
    """A state's root with its entries, ascending by the name's bytes."""

    root: Hash32
    entries: tuple[StateEntry, ...]


@dataclass(frozen=True)
class TensorOpening:
    """One tensor's root with its way to the state root."""

    name: str
    tensor_root: Hash32
    proof: MerkleProof


def encode_state_leaf(name: str, tensor_root: bytes) -> bytes:
    """Leaf data of one tensor; raises `StateNameError`."""
    encoded = encode_name(name)
    return b"state/v1" + encode_u16(len(encoded), "name length") + encoded + encode_hash(tensor_root, "tensor root")


def encode_name(name: str) -> bytes:
    """The name's UTF-8 bytes, by which states are ordered; raises `StateNameError`."""
    try:
        encoded = name.encode()
    except UnicodeEncodeError as error:
        raise StateNameError(name, "it is not valid Unicode") from error
    if not 0 < len(encoded) <= MAX_NAME_BYTES:
        raise StateNameError(name, f"it has {len(encoded)} bytes, not 1 to {MAX_NAME_BYTES}")
    return encoded


def compute_state_commitment(state: State, tensor_root: TensorRoot = compute_tensor_root) -> StateCommitment:
    """Root and entries; raises `StateNameError`, `TensorFormError`."""
    entries = tuple(
        StateEntry(name, compute_form(state[name]), tensor_root(state[name]))
        for name in sorted(state, key=encode_name)
    )
    return StateCommitment(compute_root([entry.encode() for entry in entries]), entries)


def compute_state_root(state: State, tensor_root: TensorRoot = compute_tensor_root) -> Hash32:
    """S_k of a state; 32 zero bytes for the empty one."""
    return compute_state_commitment(state, tensor_root).root


def compute_tensor_opening(commitment: StateCommitment, name: str) -> TensorOpening:
    """Opening of one tensor of a state; raises `StateNameError` when there is none of that name."""
    names = [entry.name for entry in commitment.entries]
    if name not in names:
        raise StateNameError(name, "the state has no tensor of that name")
    index = names.index(name)
    proof = compute_proof([entry.encode() for entry in commitment.entries], index)
    return TensorOpening(name, commitment.entries[index].root, proof)


def verify_tensor_opening(state_root: bytes, opening: TensorOpening) -> None:
    """Raises `ProofError` unless the named tensor root is in the state.

    Still trusted: the number of tensors in `opening.proof` (the graph's list of states fixes it).
    """
    if len(opening.tensor_root) != HASH_BYTES:
        raise StateNameError(opening.name, "its tensor root has not 32 bytes")
    verify_proof(state_root, encode_state_leaf(opening.name, opening.tensor_root), opening.proof)
