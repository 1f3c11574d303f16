"""Header and block of the chain: BLAKE2b-256, compact u32 numbers, opaque extrinsics."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from chain.errors import DecodeError
from chain.primitives.digest import MAX_DIGEST_ITEMS, DigestItem, DigestKind
from chain.primitives.scale import Reader, encode_bytes, encode_compact

MAX_BLOCK_BYTES = 8 << 20  # 8 MiB (= 8,388,608): above the runtime's own limit of 5 MiB
MAX_EXTRINSICS = 1 << 16  # = 65,536
ZERO_HASH = bytes(32)


def blake2_256(data: bytes) -> bytes:
    """BLAKE2b with a 32-byte digest: the hash of headers, extrinsics and trie nodes."""
    return hashlib.blake2b(data, digest_size=32).digest()


@dataclass(frozen=True)
class Header:
    """A block header; `number` is a u32, hashes are 32 bytes, `digest` ends with the seal once sealed."""

    parent_hash: bytes
    number: int
    state_root: bytes
    extrinsics_root: bytes
    digest: tuple[DigestItem, ...] = ()

    def encode(self) -> bytes:
        """SCALE bytes."""
        return b"".join((
            self.parent_hash,
            encode_compact(self.number),
            self.state_root,
            self.extrinsics_root,
            encode_compact(len(self.digest)),
            *(item.encode() for item in self.digest),
        ))  # fmt: skip

    @property
    def hash(self) -> bytes:
        """BLAKE2b-256 of the encoded header: the block's hash (computed once)."""
        known = self.__dict__.get("_hash")
        if known is None:
            known = blake2_256(self.encode())
            object.__setattr__(self, "_hash", known)
        return bytes(known)

    @property
    def seal(self) -> DigestItem | None:
        """The last digest item if it is a seal."""
        if self.digest and self.digest[-1].kind is DigestKind.SEAL:
            return self.digest[-1]
        return None

    def without_seal(self) -> Header:
        """The header as it was signed and as the runtime executes it."""
        return replace(self, digest=self.digest[:-1]) if self.seal else self

    def with_seal(self, seal: DigestItem) -> Header:
        """The header with `seal` appended."""
        return replace(self, digest=(*self.digest, seal))

    @staticmethod
    def read(reader: Reader) -> Header:
        """Reads a header; raises DecodeError."""
        parent = reader.take(32, "parent hash")
        number = reader.compact(what="block number")
        state_root = reader.take(32, "state root")
        extrinsics_root = reader.take(32, "extrinsics root")
        count = reader.compact(MAX_DIGEST_ITEMS, "digest length")
        return Header(parent, number, state_root, extrinsics_root, tuple(DigestItem.read(reader) for _ in range(count)))

    @staticmethod
    def decode(data: bytes) -> Header:
        """A header from exactly these bytes; raises DecodeError."""
        reader = Reader(data)
        header = Header.read(reader)
        reader.finish("header")
        return header


@dataclass(frozen=True)
class Block:
    """A header and its body. Each extrinsic is its opaque bytes, *with* its own compact length in front."""

    header: Header
    extrinsics: tuple[bytes, ...] = ()

    @property
    def hash(self) -> bytes:
        """The header's hash."""
        return self.header.hash

    def encode(self) -> bytes:
        """SCALE bytes, as `Core_execute_block` takes them."""
        return self.header.encode() + encode_body(self.extrinsics)

    @staticmethod
    def decode(data: bytes) -> Block:
        """A block from exactly these bytes; raises DecodeError."""
        if len(data) > MAX_BLOCK_BYTES:
            raise DecodeError("block", 0, f"{len(data)} bytes are above the bound {MAX_BLOCK_BYTES}")
        reader = Reader(data)
        header = Header.read(reader)
        extrinsics = read_body(reader)
        reader.finish("block")
        return Block(header, extrinsics)


def encode_body(extrinsics: tuple[bytes, ...]) -> bytes:
    """`Vec<UncheckedExtrinsic>`: each extrinsic already carries its length."""
    return encode_compact(len(extrinsics)) + b"".join(extrinsics)


def read_body(reader: Reader) -> tuple[bytes, ...]:
    """Reads `Vec<UncheckedExtrinsic>`; each result keeps its length prefix; raises DecodeError."""
    count = reader.compact(MAX_EXTRINSICS, "extrinsics count")
    return tuple(encode_bytes(reader.bytes_(MAX_BLOCK_BYTES, "extrinsic")) for _ in range(count))


def decode_body(data: bytes) -> tuple[bytes, ...]:
    """A body from exactly these bytes; raises DecodeError."""
    if len(data) > MAX_BLOCK_BYTES:
        raise DecodeError("body", 0, f"{len(data)} bytes are above the bound {MAX_BLOCK_BYTES}")
    reader = Reader(data)
    body = read_body(reader)
    reader.finish("body")
    return body
