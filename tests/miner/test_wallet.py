"""The keystore gives back its key to who has the password, and to nobody else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from miner import wallet
from miner.wallet import InvalidKeystore, InvalidSecret, KeystoreExists, Wallet, WrongPassword


@pytest.fixture(autouse=True)
def _cheap_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wallet, "SCRYPT_N", 2**10)


def test_development_uri_gives_the_public_keys_everybody_knows() -> None:
    alice = Wallet.from_uri("//Alice")
    assert alice.address == "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
    assert alice.grandpa.public.hex() == "88dc3417d5058ec4b4503e0c12ea1a0a89be200fe98922423d4334014fa6b0ee"


@pytest.mark.parametrize("uri", ["", "no mnemonic at all", "//Alice/soft", "0x1234"])
def test_invalid_secret_is_refused(uri: str) -> None:
    with pytest.raises(InvalidSecret):
        Wallet.from_uri(uri)


def test_repr_never_shows_the_secret() -> None:
    generated = Wallet.generate()
    assert generated.uri not in repr(generated)


def test_keystore_round_trip_is_private_and_holds_no_plain_secret(tmp_path: Path) -> None:
    path, made = tmp_path / "key.json", Wallet.generate()
    wallet.save_keystore(made, path, "correct horse")
    assert path.stat().st_mode & 0o777 == 0o600
    assert made.uri.split()[0] not in json.loads(path.read_text())["ciphertext"]
    assert wallet.load_keystore(path, "correct horse").address == made.address


def test_wrong_password_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    wallet.save_keystore(Wallet.from_uri("//Bob"), path, "right")
    with pytest.raises(WrongPassword):
        wallet.load_keystore(path, "wrong")


def test_a_changed_address_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    wallet.save_keystore(Wallet.from_uri("//Bob"), path, "right")
    content = json.loads(path.read_text())
    content["address"] = Wallet.from_uri("//Eve").address
    path.write_text(json.dumps(content))
    with pytest.raises(WrongPassword):
        wallet.load_keystore(path, "right")


def test_existing_keystore_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    path.write_text("precious")
    with pytest.raises(KeystoreExists):
        wallet.save_keystore(Wallet.from_uri("//Bob"), path, "x")
    assert path.read_text() == "precious"


@pytest.mark.parametrize("content", ["", "[]", "{}", "\x00" * 5000, '{"ciphertext": "zz"}', "[" * 4000])
def test_malformed_keystore_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "key.json"
    path.write_text(content)
    with pytest.raises(InvalidKeystore):
        wallet.load_keystore(path, "x")


@pytest.mark.parametrize("n", [0, 2**18 + 1, 2**19, 2**40])
def test_keystore_asking_for_too_much_memory_is_refused(tmp_path: Path, n: int) -> None:
    path = tmp_path / "key.json"
    wallet.save_keystore(Wallet.from_uri("//Bob"), path, "x")
    content = json.loads(path.read_text())
    content["kdf"]["n"] = n
    path.write_text(json.dumps(content))
    with pytest.raises(InvalidKeystore):
        wallet.load_keystore(path, "x")
