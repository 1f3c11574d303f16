"""What verifiers and solvers send about a challenged unit, on a chain in memory."""

from __future__ import annotations

from collections.abc import Iterable

from chain.identity import Sr25519Key
from consensus.commit.hashing import AccountId, Hash32
from consensus.commit.records import Opening
from consensus.protocol.attestation import Attestation, compute_attestation_commitment
from pallets_abi import verification

from miner.lab.ledger import Ledger
from miner.roles.forms import to_abi_opening
from miner.roles.taskbook import UnitKey
from miner.roles.verifier import to_abi_attestation

SALT = Hash32(bytes(32))
"""Of all commitments here: nobody guesses."""


def to_hex(data: bytes) -> str:
    """As calls take bytes."""
    return "0x" + data.hex()


def commit(ledger: Ledger, key: Sr25519Key, unit: UnitKey, attestation: Attestation) -> None:
    """A verifier commits. Raises `CallRefused`, as do the others."""
    commitment = compute_attestation_commitment(AccountId(key.public), *unit, attestation, SALT)
    ledger.submit(key, verification.CommitCall(*unit, to_hex(commitment)))


def reveal(ledger: Ledger, key: Sr25519Key, unit: UnitKey, attestation: Attestation) -> None:
    """A verifier reveals."""
    ledger.submit(key, verification.RevealCall(*unit, to_abi_attestation(attestation), to_hex(SALT)))


def open_segments(ledger: Ledger, key: Sr25519Key, unit: UnitKey, openings: Iterable[Opening]) -> None:
    """The solver's reveal."""
    ledger.submit(key, verification.RevealSolverCall(*unit, [to_abi_opening(opening) for opening in openings]))
