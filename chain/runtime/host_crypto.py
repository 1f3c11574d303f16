"""Host functions of the crypto and hashing families."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from enum import IntEnum
from functools import lru_cache

import coincurve
import ed25519_zebra
import sr25519
import xxhash
from Crypto.Hash import keccak

from chain.errors import HostFault
from chain.primitives.scale import Reader, encode_bytes, encode_compact
from chain.runtime.host import Host, HostFunction

SECP256K1_ORDER = 2**256 - 0x14551231950B75FC4402DA1732FC9BEBF  # SEC 2, "Recommended parameters secp256k1": n
PUBLIC_BYTES = {"sr25519": 32, "ed25519": 32, "ecdsa": 33}  # lengths of the public keys a keystore may hold
MAX_URI_BYTES = 1_024
REMEMBERED_SIGNATURES = 4_096  # a transaction's is checked on entry, when authored and when re-executed


class EcdsaError(IntEnum):
    """Why no key is recovered, as the runtime decodes it."""

    BAD_RS = 0
    BAD_V = 1
    BAD_SIGNATURE = 2


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


def _recover(signature: bytes, digest: bytes) -> coincurve.PublicKey | None:
    try:
        return coincurve.PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except Exception:  # noqa: BLE001 - the binding raises its own types for malformed input
        return None


def _reduce(signature: bytes) -> bytes:
    """r and s modulo the group's order, as version 1 of the functions takes them."""
    r, s = (int.from_bytes(signature[i : i + 32], "big") % SECP256K1_ORDER for i in (0, 32))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big") + signature[64:]


def recover_secp256k1(signature: bytes, digest: bytes, is_strict: bool = True) -> coincurve.PublicKey | EcdsaError:
    """The public key that made a 65-byte recoverable signature (v = 0 … 3 or 27 … 30), or why there is none.

    `is_strict` (version 2) refuses r and s that are not below the group's order; version 1 reduces them.
    """
    v = signature[64] - 27 if signature[64] > 26 else signature[64]
    if v > 3:
        return EcdsaError.BAD_V
    signature = signature[:64] + bytes((v,))
    if not is_strict:
        signature = _reduce(signature)
    elif any(int.from_bytes(signature[i : i + 32], "big") >= SECP256K1_ORDER for i in (0, 32)):
        return EcdsaError.BAD_RS
    return _recover(signature, digest) or EcdsaError.BAD_SIGNATURE


def is_ecdsa_valid(signature: bytes, digest: bytes, public: bytes, is_strict: bool = True) -> bool:
    """Whether a 65-byte signature with v = 0 … 3 is that of the 33-byte `public` over `digest`."""
    if signature[64] > 3:
        return False
    found = recover_secp256k1(signature, digest, is_strict)
    return isinstance(found, coincurve.PublicKey) and found.format(compressed=True) == public


def twox(data: bytes, rounds: int) -> bytes:
    """`rounds` xxHash64 with seeds 0, 1, … in little-endian."""
    return b"".join(xxhash.xxh64_intdigest(data, seed).to_bytes(8, "little") for seed in range(rounds))


def verify_functions(host: Host) -> dict[str, HostFunction]:
    """Signature checks and key recovery. A batch checks at once and remembers whether all were valid."""
    memory = host.memory

    def sr25519(signature: int, message: int, public: int) -> bool:
        return is_sr25519_valid(memory.read(signature, 64), memory.read_span(message), memory.read(public, 32))

    def ed25519(signature: int, message: int, public: int) -> bool:
        return is_ed25519_valid(memory.read(signature, 64), memory.read_span(message), memory.read(public, 32))

    def ecdsa(signature: int, message: int, public: int, is_strict: bool = True) -> bool:
        digest = hashlib.blake2b(memory.read_span(message), digest_size=32).digest()
        return is_ecdsa_valid(memory.read(signature, 65), digest, memory.read(public, 33), is_strict)

    def ecdsa_prehashed(signature: int, digest: int, public: int) -> bool:
        return is_ecdsa_valid(memory.read(signature, 65), memory.read(digest, 32), memory.read(public, 33))

    def recover(signature: int, digest: int, is_compressed: bool, is_strict: bool) -> int:
        found = recover_secp256k1(memory.read(signature, 65), memory.read(digest, 32), is_strict)
        if isinstance(found, EcdsaError):
            return host.put_span(b"\x01" + bytes((found,)))
        key: bytes = found.format(compressed=is_compressed)
        return host.put_span(b"\x00" + (key if is_compressed else key[1:]))

    def in_batch(check: Callable[[int, int, int], bool], signature: int, message: int, public: int) -> int:
        is_valid = check(signature, message, public)
        if host.context.batch_valid is not None:
            host.context.batch_valid &= is_valid
        return int(is_valid)

    def start_batch() -> None:
        if host.context.batch_valid is not None:
            raise HostFault("a batch of signature checks is open already; finish it first")
        host.context.batch_valid = True

    def finish_batch() -> int:
        found, host.context.batch_valid = host.context.batch_valid, None
        if found is None:
            raise HostFault("a batch of signature checks was finished that was never started")
        return int(found)

    functions = {
        "sr25519_verify_version_1": HostFunction("ili", "i", lambda *given: int(sr25519(*given))),
        "sr25519_verify_version_2": HostFunction("ili", "i", lambda *given: int(sr25519(*given))),
        "ed25519_verify_version_1": HostFunction("ili", "i", lambda *given: int(ed25519(*given))),
        "ecdsa_verify_version_1": HostFunction("ili", "i", lambda s, m, p: int(ecdsa(s, m, p, is_strict=False))),
        "ecdsa_verify_version_2": HostFunction("ili", "i", lambda *given: int(ecdsa(*given))),
        "ecdsa_verify_prehashed_version_1": HostFunction("iii", "i", lambda *given: int(ecdsa_prehashed(*given))),
        "start_batch_verify_version_1": HostFunction("", "", start_batch),
        "finish_batch_verify_version_1": HostFunction("", "i", finish_batch),
    }
    for name, check in (("sr25519", sr25519), ("ed25519", ed25519), ("ecdsa", ecdsa)):
        functions[f"{name}_batch_verify_version_1"] = HostFunction(
            "ili", "i", lambda *given, check=check: in_batch(check, *given)
        )
    for version in (1, 2):
        for name, is_compressed in (("recover", False), ("recover_compressed", True)):
            functions[f"secp256k1_ecdsa_{name}_version_{version}"] = HostFunction(
                "ii", "l", lambda s, digest, c=is_compressed, strict=version == 2: recover(s, digest, c, strict)
            )
    return {f"ext_crypto_{name}": function for name, function in functions.items()}


def keystore_functions(host: Host) -> dict[str, HostFunction]:
    """Making, listing and using the keys of the call's keystore; raises KeystoreMissing where it has none."""
    memory = host.memory

    def generate(crypto: str, key_type: int, seed: int) -> int:
        reader = Reader(memory.read_span(seed))
        raw = reader.bytes_(MAX_URI_BYTES) if reader.option() else None
        try:
            uri = None if raw is None else raw.decode()
        except UnicodeDecodeError as error:
            raise HostFault("the seed of a new key is no UTF-8 text") from error
        return host.put(host.keystore.generate_key(crypto, memory.read(key_type, 4), uri))

    def public_keys(crypto: str, key_type: int) -> int:
        keys = host.keystore.public_keys(crypto, memory.read(key_type, 4))
        return host.put_span(encode_compact(len(keys)) + b"".join(keys))

    def sign(crypto: str, key_type: int, public: int, message: int) -> int:
        key = memory.read(public, PUBLIC_BYTES[crypto])
        found = host.keystore.sign_with(crypto, memory.read(key_type, 4), key, memory.read_span(message))
        return host.put_span(b"\x00" if found is None else b"\x01" + found)

    functions = {}
    for crypto in PUBLIC_BYTES:
        functions[f"ext_crypto_{crypto}_generate_version_1"] = HostFunction(
            "il", "i", lambda key_type, seed, crypto=crypto: generate(crypto, key_type, seed)
        )
        functions[f"ext_crypto_{crypto}_public_keys_version_1"] = HostFunction(
            "i", "l", lambda key_type, crypto=crypto: public_keys(crypto, key_type)
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
