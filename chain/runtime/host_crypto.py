"""Host functions of the crypto and hashing families."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import coincurve
import ed25519_zebra
import sr25519
import xxhash
from Crypto.Hash import keccak

from chain.primitives.scale import Reader, encode_bytes
from chain.runtime.host import Host, HostFunction

REMEMBERED_SIGNATURES = 4_096  # a transaction's is checked on entry, when authored and when re-executed


@lru_cache(maxsize=REMEMBERED_SIGNATURES)
def is_sr25519_valid(signature: bytes, message: bytes, public: bytes) -> bool:
    """Whether a 64-byte sr25519 signature (context "substrate") is `public`'s over `message`."""
    try:
        return bool(sr25519.verify(signature, message, public))
    except Exception:  # noqa: BLE001 - the binding raises its own types for malformed input
        return False


@lru_cache(maxsize=REMEMBERED_SIGNATURES)
def is_ed25519_valid(signature: bytes, message: bytes, public: bytes) -> bool:
    """Whether a 64-byte ed25519 signature is `public`'s over `message` (ZIP-215 rules)."""
    try:
        return bool(ed25519_zebra.ed_verify(signature, message, public))
    except Exception:  # noqa: BLE001 - the binding raises its own types for malformed input
        return False


def recover_secp256k1(signature: bytes, digest: bytes) -> bytes | None:
    """The compressed public key that made a 65-byte recoverable signature, or None."""
    if signature[64] >= 27:
        signature = signature[:64] + bytes((signature[64] - 27,))
    try:
        return coincurve.PublicKey.from_signature_and_message(signature, digest, hasher=None).format(compressed=True)
    except Exception:  # noqa: BLE001 - the binding raises its own types for malformed input
        return None


def twox(data: bytes, rounds: int) -> bytes:
    """`rounds` xxHash64 with seeds 0, 1, … in little-endian."""
    return b"".join(xxhash.xxh64_intdigest(data, seed).to_bytes(8, "little") for seed in range(rounds))


def crypto_functions(host: Host) -> dict[str, HostFunction]:
    """Signature checks, key generation and signing."""
    memory = host.memory

    def sr25519_verify(signature: int, message: int, public: int) -> int:
        return int(is_sr25519_valid(memory.read(signature, 64), memory.read_span(message), memory.read(public, 32)))

    def ed25519_verify(signature: int, message: int, public: int) -> int:
        return int(is_ed25519_valid(memory.read(signature, 64), memory.read_span(message), memory.read(public, 32)))

    def recover(signature: int, digest: int) -> int:
        found = recover_secp256k1(memory.read(signature, 65), memory.read(digest, 32))
        return host.put_span(b"\x01\x02" if found is None else b"\x00" + found)

    def generate(crypto: str, key_type: int, seed: int) -> int:
        reader = Reader(memory.read_span(seed))
        uri = reader.bytes_(1_024).decode() if reader.option() else None
        return host.put(host.keystore.generate_key(crypto, memory.read(key_type, 4), uri))

    def sign(crypto: str, key_type: int, public: int, message: int) -> int:
        found = host.keystore.sign_with(
            crypto, memory.read(key_type, 4), memory.read(public, 32), memory.read_span(message)
        )
        return host.put_span(b"\x00" if found is None else b"\x01" + found)

    functions = {
        "ext_crypto_sr25519_verify_version_1": HostFunction("ili", "i", sr25519_verify),
        "ext_crypto_sr25519_verify_version_2": HostFunction("ili", "i", sr25519_verify),
        "ext_crypto_ed25519_verify_version_1": HostFunction("ili", "i", ed25519_verify),
        "ext_crypto_secp256k1_ecdsa_recover_compressed_version_2": HostFunction("ii", "l", recover),
    }
    for crypto in ("sr25519", "ed25519"):
        functions[f"ext_crypto_{crypto}_generate_version_1"] = HostFunction(
            "il", "i", lambda key_type, seed, crypto=crypto: generate(crypto, key_type, seed)
        )
        functions[f"ext_crypto_{crypto}_sign_version_1"] = HostFunction(
            "iil", "l", lambda key_type, public, text, crypto=crypto: sign(crypto, key_type, public, text)
        )
    return functions


def hashing_functions(host: Host) -> dict[str, HostFunction]:
    """Hashes; each returns a pointer to the digest."""
    memory = host.memory
    hashes = {
        "blake2_128": lambda data: hashlib.blake2b(data, digest_size=16).digest(),
        "blake2_256": lambda data: hashlib.blake2b(data, digest_size=32).digest(),
        "twox_64": lambda data: twox(data, 1),
        "twox_128": lambda data: twox(data, 2),
        "twox_256": lambda data: twox(data, 4),
        "sha2_256": lambda data: hashlib.sha256(data).digest(),
        "keccak_256": lambda data: keccak.new(digest_bits=256, data=data).digest(),
        "keccak_512": lambda data: keccak.new(digest_bits=512, data=data).digest(),
    }
    return {
        f"ext_hashing_{name}_version_1": HostFunction(
            "l", "i", lambda span, compute=compute: host.put(compute(memory.read_span(span)))
        )
        for name, compute in hashes.items()
    }


def encode_runtime_version(version: bytes | None) -> bytes:
    """`Option<Vec<u8>>` of an encoded RuntimeVersion."""
    return b"\x00" if version is None else b"\x01" + encode_bytes(version)
