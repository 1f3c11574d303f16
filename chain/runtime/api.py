"""Typed arguments and results of the runtime's entry points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chain.errors import DecodeError
from chain.primitives.scale import Reader, encode_bytes, encode_compact
from chain.trie import StateVersion

TIMESTAMP_INHERENT = b"timstap0"
MAX_APIS = 1_024
API_BYTES = 12  # identifier and u32
MAX_AUTHORITIES = 4_096
MAX_METADATA_BYTES = 16 << 20


@dataclass(frozen=True)
class RuntimeVersion:
    """`Core_version`. `apis` are pairs of an 8-byte API id and its version."""

    spec_name: str
    impl_name: str
    authoring_version: int
    spec_version: int
    impl_version: int
    apis: tuple[tuple[bytes, int], ...]
    transaction_version: int
    system_version: int

    @property
    def state_version(self) -> StateVersion:
        """How values are put into the state trie."""
        return StateVersion.V0 if self.system_version == 0 else StateVersion.V1

    @property
    def extrinsics_root_version(self) -> StateVersion:
        """How the extrinsics root is made: version 1 from system version 2 on."""
        return StateVersion.V1 if self.system_version >= 2 else StateVersion.V0

    @staticmethod
    def decode(data: bytes) -> RuntimeVersion:
        """From SCALE; raises DecodeError."""
        reader = Reader(data)
        spec_name = reader.bytes_(256, "spec name").decode(errors="replace")
        impl_name = reader.bytes_(256, "impl name").decode(errors="replace")
        authoring, spec, impl = reader.u32(), reader.u32(), reader.u32()
        apis = tuple((reader.take(8), reader.u32()) for _ in range(reader.compact(MAX_APIS, "APIs")))
        return RuntimeVersion(spec_name, impl_name, authoring, spec, impl, apis, reader.u32(), reader.u8())


def join_embedded_version(version: bytes, apis: bytes | None) -> bytes:
    """The encoded `RuntimeVersion` of a blob's custom sections `runtime_version` (its list of APIs is empty there) and
    `runtime_apis` (12 bytes each). Raises DecodeError."""
    reader = Reader(version)
    reader.bytes_(256, "spec name")
    reader.bytes_(256, "impl name")
    reader.take(12, "versions")
    head = reader.offset
    listed = b"".join(reader.take(API_BYTES, "API") for _ in range(reader.compact(MAX_APIS, "APIs")))
    listed = listed if apis is None else apis
    if len(listed) % API_BYTES:
        raise DecodeError("runtime_apis", 0, f"{len(listed)} bytes are no multiple of {API_BYTES}")
    return version[:head] + encode_compact(len(listed) // API_BYTES) + listed + version[reader.offset :]


def encode_inherents(timestamp_ms: int, others: Mapping[bytes, bytes] | None = None) -> bytes:
    """`InherentData` with the timestamp (milliseconds since 1970) and `others`: data by 8-byte identifier."""
    entries = {TIMESTAMP_INHERENT: timestamp_ms.to_bytes(8, "little"), **(others or {})}
    return encode_compact(len(entries)) + b"".join(name + encode_bytes(entries[name]) for name in sorted(entries))


def decode_authorities(data: bytes) -> tuple[bytes, ...]:
    """`AuraApi_authorities`: sr25519 public keys in schedule order; raises DecodeError."""
    reader = Reader(data)
    count = reader.compact(MAX_AUTHORITIES, "authorities")
    keys = tuple(reader.take(32, "authority") for _ in range(count))
    reader.finish("authorities")
    return keys


def decode_grandpa_authorities(data: bytes) -> tuple[tuple[bytes, int], ...]:
    """`GrandpaApi_grandpa_authorities`: ed25519 public keys with their weights; raises DecodeError."""
    reader = Reader(data)
    count = reader.compact(MAX_AUTHORITIES, "GRANDPA authorities")
    voters = tuple((reader.take(32, "voter"), reader.u64("weight")) for _ in range(count))
    reader.finish("GRANDPA authorities")
    return voters


def decode_metadata(data: bytes) -> bytes:
    """The metadata inside the `OpaqueMetadata` of `Metadata_metadata`; raises DecodeError."""
    return Reader(data).bytes_(MAX_METADATA_BYTES, "metadata")


def decode_optional_metadata(data: bytes) -> bytes | None:
    """The metadata inside the `Option<OpaqueMetadata>` of `Metadata_metadata_at_version`; raises DecodeError."""
    reader = Reader(data)
    return reader.bytes_(MAX_METADATA_BYTES, "metadata") if reader.option() else None
