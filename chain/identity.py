"""Keys from secret URIs, and the node's own libp2p key.

A secret URI is `phrase[/soft][//hard][///password]`, or `0x` and 64 hex digits followed by a path; an empty phrase
means Substrate's public development phrase, so `//Alice` is everybody's Alice. Derivation follows `sp_core::crypto`
(`DeriveJunction`) and, for ed25519, `sp_core::ed25519::Pair::derive` (hard junctions only).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import bip39  # type: ignore[import-untyped]
import ed25519_zebra
import sr25519
from scalecodec.utils.ss58 import ss58_encode

from chain.errors import Misuse
from chain.primitives.scale import encode_bytes

DEV_PHRASE = "bottom drive obey lake curtain smoke basket hold race lonely fit walk"
"""The development phrase of Substrate: known to everybody, never for money."""

MAX_URI_CHARS = 1_024
"""A secret URI longer than this is refused before it is parsed."""

NODE_KEY_FILE = "secret_ed25519"
"""Name of the node key inside `<base path>/network`, as a stock node names it (64 hex digits)."""

_URI = re.compile(r"(?P<phrase>0x[0-9a-fA-F]{64}|[a-z]+( [a-z]+)*)?(?P<path>(//?[^/]+)*)(///(?P<password>.*))?")
_JUNCTION = re.compile(r"(//?)([^/]+)")
_ED25519_HDKD = b"\x2cEd25519HDKD"  # SCALE of the string: compact(11) = 11 << 2 = 0x2c


class IdentityError(Misuse):
    """A key could not be made or read."""


class BadSecretUri(IdentityError):
    """The text is no secret URI of the wanted key type. `reason` never repeats the secret."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"bad secret URI: {reason}; expected '//Name', 'twelve words//path' or '0x<64 hex digits>'")


class BadNodeKey(IdentityError):
    """The node key file is unreadable or not 32 bytes in hex."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"node key {path}: {reason}; remove the file to get a new peer identity")


@dataclass(frozen=True)
class Sr25519Key:
    """A Schnorrkel key pair: accounts and Aura authors. `secret` is 64 bytes, `public` 32."""

    public: bytes
    secret: bytes

    def sign(self, message: bytes) -> bytes:
        """64-byte signature with Substrate's context, over the message as it is."""
        signature: bytes = sr25519.sign((self.public, self.secret), message)
        return signature

    @property
    def address(self) -> str:
        """SS58 address with prefix 42."""
        address: str = ss58_encode(self.public, 42)
        return address

    def __repr__(self) -> str:
        return f"Sr25519Key({self.address})"


@dataclass(frozen=True)
class Ed25519Key:
    """An Ed25519 key pair: GRANDPA voters and libp2p peers. `seed` and `public` are 32 bytes."""

    public: bytes
    seed: bytes

    def sign(self, message: bytes) -> bytes:
        """64-byte signature over the message as it is."""
        signature: bytes = ed25519_zebra.ed_sign(self.seed, message)
        return signature

    def __repr__(self) -> str:
        return f"Ed25519Key(0x{self.public.hex()})"


@dataclass(frozen=True)
class _Junction:
    chain_code: bytes
    is_hard: bool


def sr25519_from_seed(seed: bytes) -> Sr25519Key:
    """The key pair of a 32-byte mini secret."""
    public, secret = sr25519.pair_from_seed(_checked_seed(seed))
    return Sr25519Key(public=public, secret=secret)


def ed25519_from_seed(seed: bytes) -> Ed25519Key:
    """The key pair of a 32-byte seed."""
    _, public = ed25519_zebra.ed_from_seed(_checked_seed(seed))
    return Ed25519Key(public=public, seed=seed)


def sr25519_from_uri(uri: str) -> Sr25519Key:
    """The sr25519 key of a secret URI, soft and hard junctions. Raises `BadSecretUri`."""
    seed, junctions = _parse_uri(uri)
    key = sr25519_from_seed(seed)
    for junction in junctions:
        derive = sr25519.hard_derive_keypair if junction.is_hard else sr25519.derive_keypair
        _, public, secret = derive((junction.chain_code, key.public, key.secret), b"")
        key = Sr25519Key(public=public, secret=secret)
    return key


def ed25519_from_uri(uri: str) -> Ed25519Key:
    """The ed25519 key of a secret URI; a soft junction is refused (`BadSecretUri`), as everywhere in Substrate."""
    seed, junctions = _parse_uri(uri)
    for junction in junctions:
        if not junction.is_hard:
            raise BadSecretUri("ed25519 has hard junctions (//) only")
        seed = blake2b(_ED25519_HDKD + seed + junction.chain_code, digest_size=32).digest()
    return ed25519_from_seed(seed)


def load_node_key(folder: Path) -> Ed25519Key:
    """The node key kept in `folder`, made from the system's entropy when there is none.

    Raises `BadNodeKey` for a file that is no key; it is never overwritten.
    """
    path = folder / NODE_KEY_FILE
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".new")  # a process killed here leaves no half a key
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(os.urandom(32).hex())
        temporary.replace(path)
    try:
        with path.open() as file:
            seed = bytes.fromhex(file.read(128).strip())
    except (OSError, ValueError) as error:
        raise BadNodeKey(path, str(error)) from error
    if len(seed) != 32:
        raise BadNodeKey(path, f"{len(seed)} bytes instead of 32")
    return ed25519_from_seed(seed)


def _checked_seed(seed: bytes) -> bytes:
    if len(seed) != 32:
        raise BadSecretUri(f"a seed has 32 bytes, not {len(seed)}")
    return seed


def _parse_uri(uri: str) -> tuple[bytes, list[_Junction]]:
    if len(uri) > MAX_URI_CHARS:
        raise BadSecretUri(f"longer than {MAX_URI_CHARS} characters")
    match = _URI.fullmatch(uri)
    if match is None or not uri or not _is_utf8(uri):
        raise BadSecretUri("it does not have the form phrase//path")
    phrase = match["phrase"] or DEV_PHRASE
    if phrase.startswith("0x"):
        if match["password"]:
            raise BadSecretUri("a hex seed takes no password")
        seed = bytes.fromhex(phrase[2:])
    else:
        try:
            seed = bytes(bip39.bip39_to_mini_secret(phrase, match["password"] or "", "en"))
        except Exception as error:  # the binding raises its own type for each cause
            raise BadSecretUri("the phrase is no BIP-39 mnemonic") from error
    return seed, [_junction(text, mark == "//") for mark, text in _JUNCTION.findall(match["path"])]


def _is_utf8(text: str) -> bool:
    """Whether it has UTF-8 bytes: JSON can hold halves of surrogate pairs."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _junction(text: str, is_hard: bool) -> _Junction:
    if text.isascii() and text.isdigit() and int(text) < 2**64:
        code = int(text).to_bytes(8, "little")
    else:
        raw = text.encode()
        code = encode_bytes(raw)
    if len(code) > 32:
        code = blake2b(code, digest_size=32).digest()
    return _Junction(chain_code=code.ljust(32, b"\x00"), is_hard=is_hard)
