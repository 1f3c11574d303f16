"""Openings of chunks lead to the roots that the chain knows, whatever the tensor; what is not there is refused."""

import numpy as np
import pytest

from consensus.commit.hashing import AccountId, Hash32, blake2_256
from consensus.commit.merkle import MerkleProof, ProofError, compute_leaf_hash, compute_root_from_proof, verify_proof
from consensus.commit.records import SegmentRecord, compute_transcript_root, make_record
from consensus.commit.state import State, compute_state_root, encode_state_leaf
from consensus.commit.tensor import compute_tensor_root_of_hashes
from consensus.dispute.availability import (
    CheckpointChunk,
    DataChunk,
    EntryOpening,
    Tensors,
    TranscriptOpening,
    encode_answer,
    open_checkpoint,
    open_data,
    open_record,
)

SEGMENTS = 5
STATE: State = {
    "weight": np.arange(70 * 40, dtype=np.float32).reshape(70, 40),
    "count": np.array(7, np.int64),
    "none": np.zeros((0, 3), np.float32),
    "kernel": np.ones((2, 3, 3, 3), np.float32),
}
NAMES = sorted(STATE)
MAX_OPENING_BYTES = 12 * 2**10  # `MAX_OPENING_BYTES` of the pallet


def make_records(state_root: Hash32) -> list[SegmentRecord]:
    """Records of a unit of which every segment ends in the same state."""
    account, steps, witness = AccountId(b"s" * 32), (blake2_256(b"step"),) * 2, blake2_256(b"witness")
    return [make_record(account, index, (state_root, state_root), steps, witness) for index in range(SEGMENTS)]


RECORDS = make_records(compute_state_root(STATE))
TENSORS = Tensors.of(STATE)


def verify(opening: EntryOpening, entry: int, tile: int) -> None:
    """As the chain does it."""
    form = opening.form
    inner = opening.inner_root
    if form.tile_count:
        proof = MerkleProof(tile % form.tile_count, form.tile_count, opening.tile_siblings)
        assert compute_root_from_proof(compute_leaf_hash(opening.tile), proof) == inner
        assert len(opening.tile) == form.tile_bytes
    else:
        assert (inner, opening.tile, opening.tile_siblings) == (bytes(32), b"", ())
    root = compute_tensor_root_of_hashes(form, [inner])
    leaf = encode_state_leaf(opening.name, root)
    verify_proof(compute_state_root(STATE), leaf, MerkleProof(entry, len(STATE), opening.siblings))


@pytest.mark.parametrize("entry", range(len(STATE)))
@pytest.mark.parametrize("tile", [0, 5, 2**32 - 1])
def test_valid_tiles(entry: int, tile: int) -> None:
    opening = open_checkpoint(CheckpointChunk(2, entry, tile), RECORDS, TENSORS)
    assert opening.entry.name == NAMES[entry]
    verify(opening.entry, entry, tile)
    assert len(opening.encode()) <= MAX_OPENING_BYTES
    data = open_data(DataChunk(entry, tile), TENSORS)
    assert data.entry == opening.entry
    assert data.encode() == b"\x02" + data.entry.encode() and opening.encode().endswith(data.entry.encode())


@pytest.mark.parametrize("checkpoint", range(SEGMENTS + 1))
def test_only_inner_checkpoints_bring_a_record(checkpoint: int) -> None:
    opening = open_checkpoint(CheckpointChunk(checkpoint, 0, 0), RECORDS, TENSORS)
    if checkpoint in (0, SEGMENTS):
        assert opening.record is None
        return
    assert opening.record is not None and opening.record.record.index == checkpoint - 1


@pytest.mark.parametrize("segment", range(SEGMENTS))
def test_valid_records(segment: int) -> None:
    opened = open_record(RECORDS, segment)
    proof = MerkleProof(segment, SEGMENTS, opened.proof)
    verify_proof(compute_transcript_root(RECORDS), opened.record.encode(), proof)
    encoded = encode_answer(7, TranscriptOpening(opened))
    assert encoded[:5] == b"\x07\x00\x00\x00\x00" and encoded[5:199] == RECORDS[segment].encode()


def test_invalid_chunks() -> None:
    for entry in (-1, len(STATE)):
        with pytest.raises(ProofError):
            open_checkpoint(CheckpointChunk(1, entry, 0), RECORDS, TENSORS)
        with pytest.raises(ProofError):
            open_data(DataChunk(entry, 0), TENSORS)
    for segment in (-1, SEGMENTS):
        with pytest.raises(ProofError):
            open_record(RECORDS, segment)
