"""Keys from URIs agree with Substrate's known ones; malformed URIs and key files are refused."""

from __future__ import annotations

from pathlib import Path

import ed25519_zebra
import pytest
from substrateinterface import Keypair

from chain.identity import (
    DEV_PHRASE,
    MAX_URI_CHARS,
    BadNodeKey,
    BadSecretUri,
    ed25519_from_uri,
    load_node_key,
    sr25519_from_uri,
)
from chain.keystore import KeyMismatch, Keystore, KeystoreError, UnknownKeyType

# subkey inspect --scheme ed25519 //Alice, //Bob
ALICE_ED25519 = "88dc3417d5058ec4b4503e0c12ea1a0a89be200fe98922423d4334014fa6b0ee"
BOB_ED25519 = "d17c2d7823ebf260fd138f2d7e27d114c0145d968b5ff5006125f2414fadae69"


def test_development_keys_are_substrates() -> None:
    assert sr25519_from_uri("//Alice").address == "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
    assert ed25519_from_uri("//Alice").public.hex() == ALICE_ED25519
    assert ed25519_from_uri("//Bob").public.hex() == BOB_ED25519


@pytest.mark.parametrize("path", ["", "//a", "/a", "//a/b//3", "/18446744073709551615", "//" + "x" * 40])
def test_sr25519_derivation_equals_substrate_interface(path: str) -> None:
    assert sr25519_from_uri(DEV_PHRASE + path).public == Keypair.create_from_uri(DEV_PHRASE + path).public_key


def test_hex_seed_and_phrase_are_one() -> None:
    seed = "0xfac7959dbfe72f052e5a0c3c8d6530f202b02fd8f9f5ca3580ec8deb7797479e"  # of the development phrase
    assert sr25519_from_uri(seed + "//Alice") == sr25519_from_uri("//Alice")
    assert ed25519_from_uri(seed) == ed25519_from_uri(DEV_PHRASE)


def test_signatures_verify() -> None:
    key = ed25519_from_uri("//Alice")
    assert ed25519_zebra.ed_verify(key.sign(b"message"), b"message", key.public)
    assert Keypair.create_from_uri("//Bob").verify(b"m", sr25519_from_uri("//Bob").sign(b"m"))


@pytest.mark.parametrize(
    "uri", ["", "/", "//", "hello world", "0x12", "0x" + "0" * 64 + "///pw", "a" * (MAX_URI_CHARS + 1)]
)
def test_bad_uri(uri: str) -> None:
    for derive in (sr25519_from_uri, ed25519_from_uri):
        with pytest.raises(BadSecretUri):
            derive(uri)


def test_ed25519_has_no_soft_junctions() -> None:
    with pytest.raises(BadSecretUri, match="hard"):
        ed25519_from_uri("//Alice/soft")


def test_secrets_are_not_printed() -> None:
    key = sr25519_from_uri("//Alice")
    assert key.secret.hex() not in repr(key)
    assert ed25519_from_uri("//Alice").seed.hex() not in repr(ed25519_from_uri("//Alice"))


def test_node_key_is_kept_private_and_never_overwritten(tmp_path: Path) -> None:
    key = load_node_key(tmp_path / "network")
    assert load_node_key(tmp_path / "network") == key
    path = tmp_path / "network" / "secret_ed25519"
    assert path.stat().st_mode & 0o077 == 0
    for bad in ("", "zz", "00" * 31, "00" * 33):
        path.write_text(bad)
        with pytest.raises(BadNodeKey):
            load_node_key(tmp_path / "network")
        assert path.read_text() == bad


def test_keystore_survives_restart_and_refuses_mismatches(tmp_path: Path) -> None:
    store = Keystore(tmp_path)
    alice = sr25519_from_uri("//Alice").public
    assert store.insert(b"aura", "//Alice", alice) == alice
    both = store.generate()
    with pytest.raises(KeyMismatch):
        store.insert(b"gran", "//Alice", alice)
    with pytest.raises(UnknownKeyType):
        store.insert(b"babe", "//Alice")
    again = Keystore(tmp_path)
    assert again.has(b"aura", alice)
    assert again.has(b"aura", both[:32])
    assert again.has(b"gran", both[32:])
    assert not again.has(b"gran", alice)
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir())
    (tmp_path / "00").write_text('"//Alice"')
    with pytest.raises(KeystoreError):
        Keystore(tmp_path)
