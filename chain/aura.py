"""Aura: who may seal a block in which slot. Pure.

`authorities[slot mod len]`, as of the parent's state, is the slot's author; a key may stand in the list many times.
"""

from __future__ import annotations

from collections.abc import Sequence

from chain.errors import MissingSeal, WrongAuthor, WrongDigest
from chain.primitives.block import Header
from chain.primitives.digest import AURA_ENGINE, DigestKind

SIGNATURE_BYTES = 64
SLOT_BYTES = 8


def compute_slot(now_ms: int, slot_duration_ms: int) -> int:
    """The slot at a time in milliseconds since 1970."""
    return now_ms // slot_duration_ms


def get_slot(header: Header) -> int:
    """The slot a header claims; raises WrongDigest unless it has exactly one Aura pre-runtime item of 8 bytes."""
    found = [i for i in header.digest if i.kind is DigestKind.PRE_RUNTIME and i.engine == AURA_ENGINE]
    if len(found) != 1 or len(found[0].payload) != SLOT_BYTES:
        raise WrongDigest(header.number, f"{len(found)} Aura pre-runtime digests, one of 8 bytes is needed")
    return int.from_bytes(found[0].payload, "little")


def get_seal(header: Header) -> bytes:
    """The 64-byte seal; raises MissingSeal unless it is the last digest item and the only seal."""
    seals = [i for i in header.digest if i.kind is DigestKind.SEAL]
    seal = header.seal
    if seal is None or len(seals) != 1 or seal.engine != AURA_ENGINE or len(seal.payload) != SIGNATURE_BYTES:
        raise MissingSeal(header.number, "the last digest item is not one 64-byte Aura seal")
    return seal.payload


def get_author(header: Header, slot: int, authorities: Sequence[bytes]) -> bytes:
    """The sr25519 key that must seal `slot`; raises WrongAuthor when there are no authorities."""
    if not authorities:
        raise WrongAuthor(header.number, "the parent's state has no Aura authorities")
    return authorities[slot % len(authorities)]
