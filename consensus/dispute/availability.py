"""Chunks of what a solver has committed to, and of a task's data set: what may be asked for on chain, and the openings
that answer.

The wire contract is `docs/availability.md`; ``encode_answer`` gives the arguments of the call in SCALE. The chunk's
checkpoint i is the state after i segments of the unit, 0 the state that it starts from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from consensus.arbiter.codec import encode_bytes, encode_hashes, encode_list
from consensus.commit.hashing import Hash32, encode_hash, encode_u8, encode_u32
from consensus.commit.merkle import ProofError, compute_proof, compute_proof_of_hashes, compute_root_of_hashes
from consensus.commit.records import SegmentRecord
from consensus.commit.state import State, StateCommitment, compute_state_commitment, encode_name
from consensus.commit.tensor import (
    DTYPES,
    Array,
    TensorForm,
    TensorRoot,
    TileHashes,
    compute_tile,
    compute_tile_hashes,
)
from consensus.commit.tensor import compute_tensor_root as compute_tensor_root_reference
from consensus.dispute.moves import Opened, Siblings


@dataclass(frozen=True)
class TranscriptChunk:
    """The record of a segment."""

    segment: int


@dataclass(frozen=True)
class CheckpointChunk:
    """One tile of one tensor of a checkpoint; `entry` its place in the state, `tile` counts modulo their number."""

    checkpoint: int
    entry: int
    tile: int


@dataclass(frozen=True)
class DataChunk:
    """One tile of one array of the task's data set, which its owner must open; `tile` counts modulo their number."""

    array: int
    tile: int


Chunk = TranscriptChunk | CheckpointChunk | DataChunk


@dataclass(frozen=True)
class TranscriptOpening:
    """A record under the transcript root."""

    record: Opened

    def encode(self) -> bytes:
        """SCALE."""
        return encode_u8(0) + self.record.encode()


@dataclass(frozen=True)
class EntryOpening:
    """A tile of a named tensor with its way to the root over all names; no bytes for a tensor of no elements."""

    name: str
    form: TensorForm
    inner_root: Hash32
    siblings: Siblings
    tile: bytes
    tile_siblings: Siblings

    def encode(self) -> bytes:
        """SCALE: the tensor, then its tile."""
        form = encode_u8(DTYPES[self.form.dtype][0]) + encode_list(self.form.shape, encode_u32)
        entry = (
            encode_bytes(encode_name(self.name)) + form + encode_hash(self.inner_root) + encode_hashes(self.siblings)
        )
        return entry + encode_bytes(self.tile) + encode_hashes(self.tile_siblings)


@dataclass(frozen=True)
class CheckpointOpening:
    """A tile with its way to a root that the chain knows; `record` is None for the unit's first and last state."""

    record: Opened | None
    entry: EntryOpening

    def encode(self) -> bytes:
        """SCALE."""
        record = b"\x00" if self.record is None else b"\x01" + self.record.encode()
        return encode_u8(1) + record + self.entry.encode()


@dataclass(frozen=True)
class DataOpening:
    """A tile of an array under the root of the task's data set."""

    entry: EntryOpening

    def encode(self) -> bytes:
        """SCALE."""
        return encode_u8(2) + self.entry.encode()


ChunkOpening = TranscriptOpening | CheckpointOpening | DataOpening


TileProof = Callable[[Array, int], tuple[Hash32, Siblings]]
"""Gives the inner root of a tensor, and the siblings of one of its tiles."""


@dataclass(frozen=True)
class Tensors:
    """A state, or the arrays of a data set, with the hashes of its entries: made once, opened often."""

    state: State = field(repr=False)
    commitment: StateCommitment = field(repr=False)
    prove: TileProof = field(repr=False)

    @classmethod
    def of(
        cls,
        state: State,
        tensor_root: TensorRoot = compute_tensor_root_reference,
        tile_hashes: TileHashes = compute_tile_hashes,
    ) -> Tensors:
        """Hashes everything; an opened tensor's tiles are hashed again."""

        def prove(tensor: Array, tile: int) -> tuple[Hash32, Siblings]:
            hashes = tile_hashes(tensor)
            return compute_root_of_hashes(hashes), compute_proof_of_hashes(hashes, tile).siblings

        return cls(state, compute_state_commitment(state, tensor_root), prove)

    def open(self, place: int, tile: int) -> EntryOpening:
        """A tile, modulo their number, of the tensor at a place. Raises `ProofError` when there is none."""
        entries = self.commitment.entries
        if not 0 <= place < len(entries):
            raise ProofError(f"there are {len(entries)} tensors, none of number {place}")
        entry = entries[place]
        siblings = compute_proof([leaf.encode() for leaf in entries], place).siblings
        if not entry.form.tile_count:
            return EntryOpening(entry.name, entry.form, compute_root_of_hashes([]), siblings, b"", ())
        tensor, number = self.state[entry.name], tile % entry.form.tile_count
        inner_root, way = self.prove(tensor, number)
        return EntryOpening(entry.name, entry.form, inner_root, siblings, compute_tile(tensor, number), way)


def open_record(records: Sequence[SegmentRecord], segment: int) -> Opened:
    """A record with its proof; raises `ProofError` when there is no such segment."""
    if not 0 <= segment < len(records):
        raise ProofError(f"there is no segment {segment} among {len(records)}")
    return Opened(records[segment], compute_proof([record.encode() for record in records], segment).siblings)


def open_checkpoint(chunk: CheckpointChunk, records: Sequence[SegmentRecord], state: Tensors) -> CheckpointOpening:
    """The tile that answers; `state` is the checkpoint's. Raises `ProofError` when the state has no such tensor."""
    is_inside = 0 < chunk.checkpoint < len(records)
    record = open_record(records, chunk.checkpoint - 1) if is_inside else None
    return CheckpointOpening(record, state.open(chunk.entry, chunk.tile))


def open_data(chunk: DataChunk, dataset: Tensors) -> DataOpening:
    """The tile that answers. Raises `ProofError` when the data set has no such array."""
    return DataOpening(dataset.open(chunk.array, chunk.tile))


def encode_answer(ask: int, opening: ChunkOpening) -> bytes:
    """The arguments of `Availability.answer`."""
    return encode_u32(ask) + opening.encode()
