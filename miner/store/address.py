"""Addresses: what kind of thing a blob is decides which hash its bytes must have."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from consensus.commit.hashing import HASH_BYTES, Hash32, blake2_256
from consensus.commit.merkle import compute_root
from consensus.commit.records import SEGMENT_RECORD_BYTES, SegmentRecord
from consensus.commit.state import compute_state_root

from miner.kernels.native.hashing import get_hasher
from miner.store.errors import BlobMismatchError, TensorFileError
from miner.store.tensor_file import decode_tensors

MAX_TRANSCRIPT_BYTES = 2**16 * SEGMENT_RECORD_BYTES  # (= 10,616,832): a unit has at most 2**16 segments


class Kind(Enum):
    """`blob`: opaque bytes under their BLAKE2b-256. `state`: safetensors under the state root. `transcript`: the
    encoded segment records in order, under the transcript root."""

    BLOB = "blob"
    STATE = "state"
    TRANSCRIPT = "transcript"


@dataclass(frozen=True)
class Address:
    """Kind and 32-byte root of a blob; `ValueError` for another length."""

    kind: Kind
    root: Hash32

    def __post_init__(self) -> None:
        if len(self.root) != HASH_BYTES:
            raise ValueError(f"an address has 32 bytes, not {len(self.root)}")

    def __str__(self) -> str:
        return f"{self.kind.value}/{self.root.hex()}"


def compute_address(kind: Kind, data: bytes) -> Address:
    """Address of bytes; raises `TensorFileError` when they cannot be of that kind."""
    if kind is Kind.BLOB:
        return Address(kind, blake2_256(data))
    if kind is Kind.STATE:
        return Address(kind, compute_state_root(decode_tensors(data), get_hasher().compute_tensor_root))
    if len(data) % SEGMENT_RECORD_BYTES or len(data) > MAX_TRANSCRIPT_BYTES:
        raise TensorFileError(f"a transcript of {len(data)} bytes is not made of {SEGMENT_RECORD_BYTES}-byte records")
    starts = range(0, len(data), SEGMENT_RECORD_BYTES)
    return Address(kind, compute_root([data[start : start + SEGMENT_RECORD_BYTES] for start in starts]))


def verify_bytes(address: Address, data: bytes) -> None:
    """Raises `BlobMismatchError` unless the bytes are those of the address. Nothing else is trusted afterwards."""
    try:
        found = compute_address(address.kind, data)
    except TensorFileError as error:
        raise BlobMismatchError(address, f"nothing of that kind ({error.reason})") from error
    if found != address:
        raise BlobMismatchError(address, str(found))


def encode_transcript(records: list[SegmentRecord]) -> bytes:
    """The bytes that a transcript address stands for."""
    return b"".join(record.encode() for record in records)


def decode_transcript(data: bytes) -> list[SegmentRecord]:
    """Records of a transcript whose bytes were verified; raises `TensorFileError` on a broken length or index."""
    if len(data) % SEGMENT_RECORD_BYTES:
        raise TensorFileError(f"a transcript of {len(data)} bytes is not made of {SEGMENT_RECORD_BYTES}-byte records")
    records = []
    for position, start in enumerate(range(0, len(data), SEGMENT_RECORD_BYTES)):
        raw = data[start : start + SEGMENT_RECORD_BYTES]
        index = int.from_bytes(raw[:2], "little")
        if index != position:
            raise TensorFileError(f"record {position} of the transcript says that it is {index}")
        hashes = [Hash32(raw[2 + 32 * k : 34 + 32 * k]) for k in range(6)]
        records.append(SegmentRecord(index, *hashes))
    return records
