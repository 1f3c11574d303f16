"""Host functions of the trie family: roots of lists and of maps, and checks of compact proofs."""

from __future__ import annotations

from Crypto.Hash import keccak

from chain.errors import ProofInvalid
from chain.primitives.block import MAX_BLOCK_BYTES, MAX_EXTRINSICS, blake2_256
from chain.primitives.scale import Reader
from chain.runtime.host import Host, HostFunction
from chain.runtime.host_storage import state_version
from chain.trie import compute_trie_root, ordered_trie_root
from chain.trie.compact import verify_compact_proof
from chain.trie.trie import Hasher


def keccak_256(data: bytes) -> bytes:
    """Keccak-256 with Ethereum's padding."""
    return keccak.new(digest_bits=256, data=data).digest()


def _read_list(span: bytes) -> list[bytes]:
    reader = Reader(span)
    return [reader.bytes_(MAX_BLOCK_BYTES) for _ in range(reader.compact(MAX_EXTRINSICS))]


def _read_map(span: bytes) -> dict[bytes, bytes]:
    reader = Reader(span)
    return {
        reader.bytes_(MAX_BLOCK_BYTES): reader.bytes_(MAX_BLOCK_BYTES) for _ in range(reader.compact(MAX_EXTRINSICS))
    }


def _functions_of(host: Host, hasher: Hasher) -> dict[str, HostFunction]:
    memory = host.memory

    def ordered_root(items: int, version: int = 0) -> int:
        values = _read_list(memory.read_span(items))
        return host.put(ordered_trie_root(values, state_version(version), hasher))

    def root(items: int, version: int = 0) -> int:
        return host.put(compute_trie_root(_read_map(memory.read_span(items)), state_version(version), hasher))

    def verify_proof(top: int, proof: int, key: int, value: int, version: int = 0) -> int:
        nodes = _read_list(memory.read_span(proof))
        given = memory.read(top, 32), nodes, memory.read_span(key), memory.read_span(value), state_version(version)
        try:
            verify_compact_proof(*given, hasher)
        except ProofInvalid:
            return 0
        return 1

    return {
        "ordered_root_version_1": HostFunction("l", "i", ordered_root),
        "ordered_root_version_2": HostFunction("li", "i", ordered_root),
        "root_version_1": HostFunction("l", "i", root),
        "root_version_2": HostFunction("li", "i", root),
        "verify_proof_version_1": HostFunction("illl", "i", verify_proof),
        "verify_proof_version_2": HostFunction("illli", "i", verify_proof),
    }


def trie_functions(host: Host) -> dict[str, HostFunction]:
    """All of both hashes; roots are pointers to 32 bytes."""
    return {
        f"ext_trie_{name}_{function}": made
        for name, hasher in (("blake2_256", blake2_256), ("keccak_256", keccak_256))
        for function, made in _functions_of(host, hasher).items()
    }
