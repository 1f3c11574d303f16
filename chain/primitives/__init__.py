"""Header, block, digest and bounded SCALE: the data of the chain, pure."""

from chain.primitives.block import (
    MAX_BLOCK_BYTES,
    ZERO_HASH,
    Block,
    Header,
    blake2_256,
    decode_body,
    encode_body,
    read_body,
)
from chain.primitives.digest import (
    AURA_ENGINE,
    GRANDPA_ENGINE,
    DigestItem,
    DigestKind,
    aura_pre_runtime,
    aura_seal,
)
from chain.primitives.scale import Reader, encode_bytes, encode_compact, encode_option

__all__ = [
    "AURA_ENGINE",
    "GRANDPA_ENGINE",
    "MAX_BLOCK_BYTES",
    "ZERO_HASH",
    "Block",
    "DigestItem",
    "DigestKind",
    "Header",
    "Reader",
    "aura_pre_runtime",
    "aura_seal",
    "blake2_256",
    "decode_body",
    "encode_body",
    "encode_bytes",
    "encode_compact",
    "encode_option",
    "read_body",
]
