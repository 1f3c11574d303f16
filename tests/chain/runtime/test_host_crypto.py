"""Signature checks, recovery and keystore through the host functions, with keys made here."""

from __future__ import annotations

import hashlib

import coincurve
import pytest

from chain.errors import HostFault
from chain.identity import ed25519_from_uri, sr25519_from_uri
from chain.keystore import Keystore, UnknownKeyType
from chain.runtime.host import KeystoreMissing, OutOfBounds
from chain.runtime.host_crypto import SECP256K1_ORDER
from chain.state import Overlay, StateView
from chain.trie import EMPTY_ROOT, Trie
from tests.chain.runtime.guest import Guest

SECRET = coincurve.PrivateKey(b"\x07" * 32)
PUBLIC = SECRET.public_key.format(compressed=True)
MESSAGE = b"a message"
DIGEST = hashlib.blake2b(MESSAGE, digest_size=32).digest()
SIGNATURE = SECRET.sign_recoverable(DIGEST, hasher=None)


def guest(keystore: Keystore | None = None) -> Guest:
    return Guest(Overlay(StateView(Trie({}), EMPTY_ROOT)), keystore)


def put(at: Guest, *values: bytes) -> list[int]:
    return [at.host.put(value) for value in values]


def ask(name: str, signature: bytes, message: bytes, public: bytes) -> bytes | int | None:
    at = guest()
    s, p = put(at, signature, public)
    return at(f"crypto_{name}", s, message, p)


def test_the_order_is_that_of_the_curve() -> None:
    assert coincurve.PrivateKey((SECP256K1_ORDER - 1).to_bytes(32, "big"))
    with pytest.raises(ValueError, match="[Ss]ecret"):
        coincurve.PrivateKey(SECP256K1_ORDER.to_bytes(32, "big"))


@pytest.mark.parametrize("version", [1, 2])
def test_ecdsa_verify(version: int) -> None:
    name = f"ecdsa_verify_version_{version}"
    assert ask(name, SIGNATURE, MESSAGE, PUBLIC) == 1
    assert ask(name, SIGNATURE, MESSAGE + b"!", PUBLIC) == 0
    assert ask(name, SIGNATURE, MESSAGE, b"\x02" + bytes(32)) == 0
    assert ask(name, SIGNATURE[:64] + bytes((SIGNATURE[64] + 27,)), MESSAGE, PUBLIC) == 0  # only recovery takes 27 …


def test_ecdsa_verify_prehashed() -> None:
    at = guest()
    signature, digest, public = put(at, SIGNATURE, DIGEST, PUBLIC)
    assert at("crypto_ecdsa_verify_prehashed_version_1", signature, digest, public) == 1
    assert at("crypto_ecdsa_verify_prehashed_version_1", signature, signature, public) == 0


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("offset", [0, 27])
def test_recovery(version: int, offset: int) -> None:
    at = guest()
    signature, digest = put(at, SIGNATURE[:64] + bytes((SIGNATURE[64] + offset,)), DIGEST)
    assert at(f"crypto_secp256k1_ecdsa_recover_compressed_version_{version}", signature, digest) == b"\0" + PUBLIC
    whole = SECRET.public_key.format(compressed=False)[1:]
    assert at(f"crypto_secp256k1_ecdsa_recover_version_{version}", signature, digest) == b"\0" + whole


@pytest.mark.parametrize(
    ("version", "signature", "answer"),
    [
        (1, SIGNATURE[:64] + b"\x04", b"\1\1"),
        (2, SIGNATURE[:64] + b"\x04", b"\1\1"),
        (2, SECP256K1_ORDER.to_bytes(32, "big") + SIGNATURE[32:], b"\1\0"),
        (1, SECP256K1_ORDER.to_bytes(32, "big") + SIGNATURE[32:], b"\1\2"),  # reduced to r = 0
        (2, bytes(65), b"\1\2"),
    ],
)
def test_recovery_says_why_not(version: int, signature: bytes, answer: bytes) -> None:
    at = guest()
    pointers = put(at, signature, DIGEST)
    assert at(f"crypto_secp256k1_ecdsa_recover_compressed_version_{version}", *pointers) == answer


def test_version_1_reduces_scalars_above_the_order() -> None:
    # r = n + 3 fits 32 bytes; both versions' key for r = 3 is found by any s and digest
    small = (3).to_bytes(32, "big") + (5).to_bytes(32, "big") + b"\0"
    large = (SECP256K1_ORDER + 3).to_bytes(32, "big") + small[32:]
    at = guest()
    s, big, digest = put(at, small, large, DIGEST)
    name = "crypto_secp256k1_ecdsa_recover_version_"
    found = at(name + "2", s, digest)
    assert isinstance(found, bytes)
    assert found[0] == 0
    assert at(name + "1", big, digest) == found
    assert at(name + "2", big, digest) == b"\1\0"


def test_a_batch_remembers_one_bad_check() -> None:
    key = sr25519_from_uri("//Alice")
    voter = ed25519_from_uri("//Alice")
    at = guest()
    good, public, vote, voter_public = put(at, key.sign(MESSAGE), key.public, voter.sign(MESSAGE), voter.public)
    for messages, answer in (((MESSAGE, MESSAGE), 1), ((MESSAGE, b"other"), 0), ((MESSAGE, MESSAGE), 1)):
        at("crypto_start_batch_verify_version_1")
        assert at("crypto_sr25519_batch_verify_version_1", good, messages[0], public) == 1
        assert at("crypto_ed25519_batch_verify_version_1", vote, messages[1], voter_public) == answer
        assert at("crypto_finish_batch_verify_version_1") == answer
    assert at("crypto_sr25519_batch_verify_version_1", good, MESSAGE, public) == 1  # also without a batch


def test_batches_opened_or_closed_twice_are_faults() -> None:
    at = guest()
    with pytest.raises(HostFault, match="never started"):
        at("crypto_finish_batch_verify_version_1")
    at("crypto_start_batch_verify_version_1")
    with pytest.raises(HostFault, match="open already"):
        at("crypto_start_batch_verify_version_1")


@pytest.mark.parametrize(("crypto", "key_type"), [("sr25519", b"aura"), ("ed25519", b"gran")])
def test_keys_are_made_listed_and_used(crypto: str, key_type: bytes) -> None:
    at = guest(Keystore())
    (kind,) = put(at, key_type)
    assert at(f"crypto_{crypto}_public_keys_version_1", kind) == b"\0"
    pointer = at(f"crypto_{crypto}_generate_version_1", kind, b"\1\x1c//Alice")
    assert isinstance(pointer, int)
    public = at.memory.read(pointer, 32)
    assert public == (sr25519_from_uri if crypto == "sr25519" else ed25519_from_uri)("//Alice").public
    assert at(f"crypto_{crypto}_public_keys_version_1", kind) == b"\x04" + public
    signed = at(f"crypto_{crypto}_sign_version_1", kind, pointer, MESSAGE)
    assert isinstance(signed, bytes)
    assert ask(f"{crypto}_verify_version_1", signed[1:], MESSAGE, public) == 1
    assert at(f"crypto_{crypto}_sign_version_1", kind, at.host.put(bytes(32)), MESSAGE) == b"\0"


def test_bad_keystore_requests_are_typed_faults() -> None:
    at = guest(Keystore())
    aura, other = put(at, b"aura", b"zzzz")
    for name, kind in (("ed25519", aura), ("ecdsa", aura), ("sr25519", other)):
        with pytest.raises(UnknownKeyType):
            at(f"crypto_{name}_generate_version_1", kind, b"\0")
        with pytest.raises(UnknownKeyType):
            at(f"crypto_{name}_public_keys_version_1", kind)
    with pytest.raises(HostFault, match="UTF-8"):
        at("crypto_sr25519_generate_version_1", aura, b"\1\x04\xff")
    with pytest.raises(KeystoreMissing):
        guest()("crypto_sr25519_public_keys_version_1", aura)
    with pytest.raises(OutOfBounds):
        at("crypto_ecdsa_verify_version_2", 1 << 30, MESSAGE, aura)
