"""The development accounts: well-known secrets, endowed by the runtime's presets; worthless anywhere else."""

from __future__ import annotations

from dataclasses import dataclass

from chain.identity import sr25519_from_uri

DEVELOPMENT_NAMES = ("Alice", "Bob", "Charlie", "Dave", "Eve", "Ferdie")
OPERATOR_URI = "//Alice"
PLANCKS_PER_UNIT = 10**12


@dataclass(frozen=True)
class DevelopmentAccount:
    """A name, its SS58 address (prefix 42) and its secret URI."""

    name: str
    address: str
    uri: str


def development_accounts() -> tuple[DevelopmentAccount, ...]:
    """//Alice (operator, sudo, bootstrap author) to //Ferdie."""
    return tuple(DevelopmentAccount(name, address_of(f"//{name}"), f"//{name}") for name in DEVELOPMENT_NAMES)


def address_of(uri: str) -> str:
    """SS58 address of a secret URI's sr25519 key; raises BadSecretUri."""
    return sr25519_from_uri(uri).address
