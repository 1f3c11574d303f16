"""Keys of a daemon: one secret, an sr25519 key that signs extrinsics and seals, an ed25519 key that votes in GRANDPA.

The secret is a Substrate secret URI (`//Alice`, a mnemonic, `<mnemonic>//hard/junction`). At rest it is kept in an
encrypted keystore: scrypt makes the key from the password, ChaCha20-Poly1305 encrypts the URI, and everything that is
not secret (parameters, address) is authenticated as associated data, so that no field can be swapped unnoticed.

Errors
    WalletError
    ├── InvalidSecret      the URI is no secret URI, or asks for a derivation that ed25519 does not have
    ├── InvalidKeystore    the file is not a keystore, or its parameters are out of bounds
    ├── WrongPassword      authentication failed: wrong password or changed file
    └── KeystoreExists     refusing to overwrite a key
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from chain.identity import BadSecretUri, Ed25519Key, ed25519_from_uri
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from substrateinterface import Keypair, KeypairType

DEV_NAMES = ("Alice", "Bob", "Charlie", "Dave", "Eve", "Ferdie")
"""Development accounts endowed in the genesis of every preset."""

SS58_PREFIX = 42
"""Address prefix of the chain (generic Substrate)."""

SCRYPT_N, SCRYPT_R, SCRYPT_P = 2**15, 8, 1
"""Cost of a keystore's key: 2**15 (= 32,768) × 8 × 128 bytes = 32 MiB, about 0.1 s."""

SCRYPT_N_MAX = 2**18
"""A file asking for more is refused before any memory is spent (2**18 = 262,144, 256 MiB)."""

MAX_KEYSTORE_BYTES = 4096
"""Upper bound of a keystore file, checked before parsing."""


class WalletError(Exception):
    """Base of all errors about keys."""


class InvalidSecret(WalletError):
    """The secret URI cannot be used; the message says why."""


class InvalidKeystore(WalletError):
    """The keystore file is malformed or out of bounds."""


class WrongPassword(WalletError):
    """Decryption failed: the password is wrong or the file was changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"{path}: wrong password, or the file was changed; give the password the key was made with")


class KeystoreExists(WalletError):
    """A keystore is never overwritten."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"{path} exists; move it away or choose another file, keys are never overwritten")


@dataclass(frozen=True)
class Wallet:
    """An unlocked key. `uri` is secret: never log it."""

    uri: str
    account: Keypair
    """sr25519: the account that bonds and is paid, and the Aura key that seals blocks."""
    grandpa: Ed25519Key
    """ed25519: the key that votes in GRANDPA."""

    def __repr__(self) -> str:
        return f"Wallet({self.address})"

    @classmethod
    def from_uri(cls, uri: str) -> Wallet:
        """Unlock a secret URI. Raises InvalidSecret."""
        try:
            grandpa = ed25519_from_uri(uri)
            account = Keypair.create_from_uri(uri, ss58_format=SS58_PREFIX, crypto_type=KeypairType.SR25519)
        except (BadSecretUri, ValueError, NotImplementedError) as error:
            raise InvalidSecret(str(error)) from error
        return cls(uri=uri, account=account, grandpa=grandpa)

    @classmethod
    def generate(cls) -> Wallet:
        """A new key from 128 bits of entropy (12 words)."""
        return cls.from_uri(Keypair.generate_mnemonic(12))

    @property
    def address(self) -> str:
        """SS58 address of the account."""
        return str(self.account.ss58_address)

    @property
    def public_key(self) -> bytes:
        """32-byte sr25519 public key = account id = Aura key."""
        return bytes(self.account.public_key)


def _derive_key(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return Scrypt(salt=salt, length=32, n=n, r=r, p=p).derive(password.encode())


def _associated_data(header: dict[str, object]) -> bytes:
    return json.dumps(header, sort_keys=True, separators=(",", ":")).encode()


def save_keystore(wallet: Wallet, path: Path, password: str) -> None:
    """Write the encrypted keystore, mode 0600, atomically. Raises KeystoreExists, OSError."""
    if path.exists():
        raise KeystoreExists(path)
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    header: dict[str, object] = {
        "version": 1,
        "address": wallet.address,
        "kdf": {"name": "scrypt", "n": SCRYPT_N, "r": SCRYPT_R, "p": SCRYPT_P, "salt": salt.hex()},
        "cipher": {"name": "chacha20-poly1305", "nonce": nonce.hex()},
    }
    key = _derive_key(password, salt, SCRYPT_N, SCRYPT_R, SCRYPT_P)
    sealed = ChaCha20Poly1305(key).encrypt(nonce, wallet.uri.encode(), _associated_data(header))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump({**header, "ciphertext": sealed.hex()}, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _parse_keystore(path: Path) -> tuple[dict[str, object], bytes, bytes, tuple[int, int, int], bytes]:
    """Header, salt, nonce, scrypt parameters, ciphertext of a keystore file, all within bounds."""
    if path.stat().st_size > MAX_KEYSTORE_BYTES:
        raise InvalidKeystore(f"{path}: larger than {MAX_KEYSTORE_BYTES} bytes, not a keystore")
    try:
        header = json.loads(path.read_text())
        sealed = bytes.fromhex(header.pop("ciphertext"))
        kdf, cipher = header["kdf"], header["cipher"]
        salt, nonce = bytes.fromhex(kdf["salt"]), bytes.fromhex(cipher["nonce"])
        n, r, p = int(kdf["n"]), int(kdf["r"]), int(kdf["p"])
        names = (header["version"], kdf["name"], cipher["name"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidKeystore(f"{path}: not a keystore: {error}; make one with `aipow account new FILE`") from error
    if names != (1, "scrypt", "chacha20-poly1305"):
        raise InvalidKeystore(f"{path}: unknown version, kdf or cipher {names}")
    if not (2**10 <= n <= SCRYPT_N_MAX and n & (n - 1) == 0 and 1 <= r <= 16 and 1 <= p <= 4):
        raise InvalidKeystore(f"{path}: scrypt parameters n={n} r={r} p={p} are out of bounds")
    if len(nonce) != 12 or not 8 <= len(salt) <= 64:
        raise InvalidKeystore(f"{path}: nonce must have 12 bytes and salt 8 to 64")
    return header, salt, nonce, (n, r, p), sealed


def load_keystore(path: Path, password: str) -> Wallet:
    """Decrypt a keystore. Raises InvalidKeystore, WrongPassword, InvalidSecret, OSError."""
    header, salt, nonce, cost, sealed = _parse_keystore(path)
    try:
        uri = ChaCha20Poly1305(_derive_key(password, salt, *cost)).decrypt(nonce, sealed, _associated_data(header))
    except InvalidTag as error:
        raise WrongPassword(path) from error
    return Wallet.from_uri(uri.decode())
