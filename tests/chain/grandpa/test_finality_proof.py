"""Finality proofs of old blocks: the nearest justification above, and the headers that lead to it."""

from __future__ import annotations

import pytest

from chain.grandpa import finality_proof
from chain.grandpa.finality_proof import FinalityProof, find_finality_proof
from chain.primitives import Header
from tests.chain.grandpa.simulation import GENESIS, child


class Row:
    """Blocks 0 to 9 without forks, 8 of them final; justifications of blocks 3 and 6."""

    def __init__(self) -> None:
        self.headers = [GENESIS]
        while len(self.headers) < 10:
            self.headers.append(child(self.headers[-1]))
        self.finalized = self.headers[8]

    def hash_of(self, number: int) -> bytes | None:
        return self.headers[number].hash

    def header(self, block_hash: bytes) -> Header | None:
        return next(one for one in self.headers if one.hash == block_hash)

    def justification(self, block_hash: bytes) -> bytes | None:
        return {self.headers[3].hash: b"three", self.headers[6].hash: b"six"}.get(block_hash)


@pytest.mark.parametrize(("number", "proved"), [(0, 3), (2, 3), (3, 3), (4, 6), (6, 6)])
def test_the_nearest_justification_proves_a_block(number: int, proved: int) -> None:
    chain = Row()
    proof = b"three" if proved == 3 else b"six"
    wanted = FinalityProof(chain.headers[proved].hash, proof, tuple(chain.headers[number + 1 : proved + 1]))
    assert find_finality_proof(chain, number) == wanted


@pytest.mark.parametrize("number", [7, 8, 9])
def test_nothing_proves_a_block_above_the_last_justification(number: int) -> None:
    assert find_finality_proof(Row(), number) is None


def test_a_proof_is_no_longer_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finality_proof, "MAX_UNKNOWN_HEADERS", 2)
    assert find_finality_proof(Row(), 1) is not None
    assert find_finality_proof(Row(), 0) is None


def test_proof_bytes() -> None:
    header = child(GENESIS)
    wanted = "ab" * 32 + "0c" + "010203" + "04" + header.encode().hex()
    assert FinalityProof(bytes([0xAB]) * 32, b"\x01\x02\x03", (header,)).encode().hex() == wanted
