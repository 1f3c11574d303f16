"""Fuzz of runtime blobs (of a chain spec) and of the typed answers of runtimes."""

from __future__ import annotations

from chain.chain_spec import runtime_blob
from chain.errors import BlobMalformed, DecodeError
from chain.runtime.api import RuntimeVersion, decode_authorities, decode_grandpa_authorities, decode_metadata
from chain.runtime.executor import COMPRESSED_PREFIX, decompress_blob
from chain.runtime.wasm import count_mutable_globals, find_heap_base
from tests.fuzz import Target, make_tests

WASM = (
    b"\x00asm\x01\x00\x00\x00"
    + b"\x06\x0f\x02" + b"\x7f\x01\x41\x80\x80\x04\x0b" + b"\x7f\x00\x41\x80\x80\x08\x0b"
    + b"\x07\x0f\x01" + b"\x0b__heap_base\x03\x01"
)  # fmt: skip
VERSION = b"\x0caip" * 2 + bytes(12) + b"\x04" + b"\x01" * 8 + bytes(4) + bytes(4) + b"\x01"
TARGETS = [
    Target("heap base", find_heap_base, (BlobMalformed,), (WASM,)),
    Target("globals", count_mutable_globals, (BlobMalformed,), (WASM,), bombs=(WASM[:9] + b"\x80" * (50 << 20),)),
    Target("blob", decompress_blob, (BlobMalformed,), (WASM, runtime_blob()),
           bombs=(COMPRESSED_PREFIX + bytes(64),)),
    Target("runtime version", RuntimeVersion.decode, (DecodeError,), (VERSION,)),
    Target("authorities", decode_authorities, (DecodeError,), (b"\x08" + b"\x01" * 64,)),
    Target("grandpa authorities", decode_grandpa_authorities, (DecodeError,), (b"\x04" + b"\x01" * 40,)),
    Target("metadata", decode_metadata, (DecodeError,), (b"\x10meta",)),
]  # fmt: skip
test_fuzz, test_fuzz_long, test_bombs, test_corpus = make_tests(TARGETS)
