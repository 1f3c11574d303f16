"""What the roles send is, byte for byte, what `consensus` hashes: attestations and openings in chain types."""

from __future__ import annotations

import pytest
from scalecodec.base import RuntimeConfigurationObject, ScaleBytes
from scalecodec.type_registry import load_type_registry_preset

from chain.runtime.api import decode_metadata
from chain.state.overlay import Overlay
from chain.state.view import StateView
from chain.trie import EMPTY_ROOT, Trie
from consensus.commit.hashing import AccountId, Hash32
from consensus.commit.records import compute_opening, make_record
from consensus.protocol.attestation import Attestation, Outcome, SegmentClaim
from miner.lab.ledger import load_executor
from miner.roles.forms import to_abi_opening
from miner.roles.verifier import to_abi_attestation
from pallets_abi import verification
from pallets_abi.base import Call
from pallets_abi.metadata import BOUNDED_VECTORS

SOLVER = AccountId(bytes([7] * 32))


def make_hash(number: int) -> Hash32:
    return Hash32(bytes([number] * 32))


@pytest.fixture(scope="module")
def runtime() -> tuple[RuntimeConfigurationObject, object]:
    config = RuntimeConfigurationObject()
    config.update_type_registry(load_type_registry_preset("core"))
    config.update_type_registry(BOUNDED_VECTORS)
    empty = Overlay(StateView(Trie({}), EMPTY_ROOT))
    data = decode_metadata(load_executor().call("Metadata_metadata", b"", empty))
    metadata = config.create_scale_object("MetadataVersioned", data=ScaleBytes(bytearray(data)))
    metadata.decode()
    config.add_portable_registry(metadata)
    return config, metadata


def encode(runtime: tuple[RuntimeConfigurationObject, object], call: Call) -> bytes:
    """A call's SCALE bytes without the two of its index."""
    config, metadata = runtime
    made = config.create_scale_object("Call", metadata=metadata)
    arguments = {"call_module": call.pallet, "call_function": call.function, "call_args": call.params()}
    return bytes(made.encode(arguments).data)[2:]


@pytest.mark.parametrize(
    "attestation",
    [
        Attestation(
            Outcome.EXECUTED, (SegmentClaim(make_hash(1), make_hash(2)), SegmentClaim(make_hash(3), make_hash(4)))
        ),
        Attestation(Outcome.UNAVAILABLE),
        Attestation(Outcome.INCONCLUSIVE),
    ],
)
def test_revealed_attestation_is_what_was_committed_to(
    runtime: tuple[RuntimeConfigurationObject, object], attestation: Attestation
) -> None:
    salt = bytes(range(32))
    call = verification.RevealCall(1, 2, to_abi_attestation(attestation), "0x" + salt.hex())
    expected = (1).to_bytes(4, "little") + (2).to_bytes(4, "little") + attestation.encode() + salt
    assert encode(runtime, call) == expected


def test_opening_carries_the_committed_record(runtime: tuple[RuntimeConfigurationObject, object]) -> None:
    witnesses = [make_hash(50 + k) for k in range(3)]
    records = [
        make_record(SOLVER, k, (make_hash(k), make_hash(k + 1)), (make_hash(20 + k), make_hash(30 + k)), witness, k)
        for k, witness in enumerate(witnesses)
    ]
    opening = compute_opening(records, 1, witnesses[1])
    call = verification.RevealSolverCall(1, 2, [to_abi_opening(opening)])
    body = opening.record.encode() + opening.witness + bytes([len(opening.proof) << 2]) + b"".join(opening.proof)
    assert encode(runtime, call) == (1).to_bytes(4, "little") + (2).to_bytes(4, "little") + b"\x04" + body
