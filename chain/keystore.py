"""The node's own signing keys on disk: what `author_insertKey` and `author_rotateKeys` fill.

Files as a stock node keeps them: `<key type in hex><public key in hex>`, holding the secret URI as a JSON string,
readable by the owner only. Key types: `aura` (sr25519) and `gran` (ed25519).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from chain.errors import Misuse
from chain.identity import BadSecretUri, Ed25519Key, Sr25519Key, ed25519_from_uri, sr25519_from_uri

AURA = b"aura"
GRANDPA = b"gran"
_SCHEMES = {AURA: "sr25519", GRANDPA: "ed25519"}
MAX_KEY_FILES = 1_024
"""More files than this in a keystore are not read."""


class KeystoreError(Misuse):
    """A key cannot be stored or read."""


class UnknownKeyType(KeystoreError):
    """Only `aura` and `gran` keys are kept."""

    def __init__(self, key_type: bytes) -> None:
        self.key_type = key_type
        super().__init__(f"key type {key_type!r} is not used by this chain; use aura or gran")


class KeyMismatch(KeystoreError):
    """The secret does not belong to the public key given with it."""

    def __init__(self, expected: bytes, found: bytes) -> None:
        self.expected, self.found = expected, found
        super().__init__(f"the secret belongs to 0x{found.hex()}, not to 0x{expected.hex()}")


@dataclass
class Keystore:
    """Keys by public key. `folder` None keeps them in memory only."""

    folder: Path | None = None

    def __post_init__(self) -> None:
        self.aura: dict[bytes, Sr25519Key] = {}
        self.grandpa: dict[bytes, Ed25519Key] = {}
        if self.folder is not None and self.folder.is_dir():
            for path in sorted(self.folder.iterdir())[:MAX_KEY_FILES]:
                self._read(path)

    def insert(self, key_type: bytes, uri: str, public: bytes | None = None) -> bytes:
        """Adds the key of a secret URI; its public key. Raises `UnknownKeyType`, `KeyMismatch`, `BadSecretUri`."""
        found = self._add(key_type, uri, public)
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / (key_type.hex() + found.hex())
            temporary = path.with_suffix(".tmp")
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "w") as file:
                json.dump(uri, file)
            temporary.replace(path)
        return found

    def generate(self) -> bytes:
        """New session keys from the system's entropy: the aura and the GRANDPA public key, concatenated."""
        seed = "0x" + os.urandom(32).hex()
        return self.insert(AURA, seed) + self.insert(GRANDPA, seed)

    def has(self, key_type: bytes, public: bytes) -> bool:
        """Whether the secret of this public key is here."""
        return public in (self.aura if key_type == AURA else self.grandpa if key_type == GRANDPA else {})

    def generate_key(self, crypto: str, key_type: bytes, uri: str | None) -> bytes:
        """What a runtime generates: the key of a secret URI, or one of the system's entropy. Raises as `insert`."""
        self._check(crypto, key_type)
        return self.insert(key_type, uri if uri is not None else "0x" + os.urandom(32).hex())

    def public_keys(self, crypto: str, key_type: bytes) -> list[bytes]:
        """Public keys of a type; raises `UnknownKeyType`."""
        self._check(crypto, key_type)
        return sorted(self.aura if key_type == AURA else self.grandpa)

    def sign_with(self, crypto: str, key_type: bytes, public: bytes, message: bytes) -> bytes | None:
        """A signature, None if the key is not here; raises `UnknownKeyType`."""
        self._check(crypto, key_type)
        key = self.aura.get(public) if key_type == AURA else self.grandpa.get(public)
        return None if key is None else key.sign(message)

    def _check(self, crypto: str, key_type: bytes) -> None:
        if _SCHEMES.get(key_type) != crypto:
            raise UnknownKeyType(key_type)

    def _add(self, key_type: bytes, uri: str, public: bytes | None) -> bytes:
        key: Sr25519Key | Ed25519Key
        if key_type == AURA:
            key = sr25519_from_uri(uri)
        elif key_type == GRANDPA:
            key = ed25519_from_uri(uri)
        else:
            raise UnknownKeyType(key_type)
        if public is not None and public != key.public:
            raise KeyMismatch(public, key.public)
        if isinstance(key, Sr25519Key):
            self.aura[key.public] = key
        else:
            self.grandpa[key.public] = key
        return key.public

    def _read(self, path: Path) -> None:
        if path.suffix == ".tmp":
            return
        try:
            name = bytes.fromhex(path.name)
            with path.open() as file:
                uri = json.loads(file.read(4_096))
            self._add(name[:4], str(uri), name[4:])
        except (OSError, ValueError, RecursionError, KeystoreError, BadSecretUri) as error:
            raise KeystoreError(f"keystore file {path} is unreadable ({error}); move it away") from error
