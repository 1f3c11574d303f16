"""Header digest items (Polkadot specification, "Digest"): what the author and the runtime log in a header."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from chain.errors import DecodeError
from chain.primitives.scale import Reader, encode_bytes

AURA_ENGINE = b"aura"
GRANDPA_ENGINE = b"FRNK"
MAX_DIGEST_ITEMS = 64
MAX_DIGEST_BYTES = 1 << 18  # 256 KiB (= 262,144): an authority list of 1,024 keys fits eight times


class DigestKind(IntEnum):
    """The tag byte of a digest item."""

    OTHER = 0
    CONSENSUS = 4
    SEAL = 5
    PRE_RUNTIME = 6
    RUNTIME_ENVIRONMENT_UPDATED = 8


@dataclass(frozen=True, slots=True)
class DigestItem:
    """One digest item. `engine` is the 4-byte consensus engine (empty for OTHER and RUNTIME_ENVIRONMENT_UPDATED)."""

    kind: DigestKind
    engine: bytes = b""
    payload: bytes = b""

    def encode(self) -> bytes:
        """SCALE bytes."""
        if self.kind is DigestKind.RUNTIME_ENVIRONMENT_UPDATED:
            return bytes((self.kind,))
        return bytes((self.kind,)) + self.engine + encode_bytes(self.payload)

    @staticmethod
    def read(reader: Reader) -> DigestItem:
        """Reads one item; raises DecodeError on an unknown tag or an oversized payload."""
        at = reader.offset
        tag = reader.u8("digest tag")
        try:
            kind = DigestKind(tag)
        except ValueError:
            raise DecodeError("digest tag", at, f"{tag} is unknown") from None
        if kind is DigestKind.RUNTIME_ENVIRONMENT_UPDATED:
            return DigestItem(kind)
        engine = b"" if kind is DigestKind.OTHER else reader.take(4, "digest engine")
        return DigestItem(kind, engine, reader.bytes_(MAX_DIGEST_BYTES, "digest payload"))


def aura_pre_runtime(slot: int) -> DigestItem:
    """The pre-runtime item that claims `slot` (u64)."""
    return DigestItem(DigestKind.PRE_RUNTIME, AURA_ENGINE, slot.to_bytes(8, "little"))


def aura_seal(signature: bytes) -> DigestItem:
    """The seal item with a 64-byte sr25519 signature."""
    return DigestItem(DigestKind.SEAL, AURA_ENGINE, signature)
