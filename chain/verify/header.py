"""A header against its parent, the schedule and the clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from chain.aura import compute_slot, get_author, get_seal, get_slot
from chain.errors import FutureSlot, SlotNotIncreasing, WrongAuthor, WrongNumber, WrongParent, WrongSeal
from chain.primitives.block import Header
from chain.runtime.host_crypto import is_sr25519_valid

MAX_DRIFT_SLOTS = 1  # a header may be one slot ahead of our clock, as in stock Aura
MAX_SUSPECTS = 16  # authorities that a bad seal is compared with, only to name its maker: bad seals must stay cheap


@dataclass(frozen=True)
class HeaderInput:
    """`authorities` and `slot_duration_ms` are those of the parent's state; `now_ms` is our clock's (since 1970)."""

    header: Header
    parent: Header
    authorities: Sequence[bytes]
    slot_duration_ms: int
    now_ms: int


@dataclass(frozen=True)
class VerifiedHeader:
    """What a good header says: its slot, its author's sr25519 key, and the header without its seal."""

    slot: int
    author: bytes
    unsealed: Header


def verify_header(given: HeaderInput) -> VerifiedHeader:
    """Parent, number, slot order, clock, author and seal.

    Raises WrongParent, WrongNumber, WrongDigest, MissingSeal, SlotNotIncreasing, FutureSlot, WrongAuthor, WrongSeal.
    Still trusted afterwards: the parent and its state, our clock; that roots and body are right is not known yet.
    """
    header, parent = given.header, given.parent
    if header.parent_hash != parent.hash:
        raise WrongParent(header.number, f"parent is 0x{header.parent_hash.hex()}, not 0x{parent.hash.hex()}")
    if header.number != parent.number + 1:
        raise WrongNumber(header.number, f"the parent's number is {parent.number}")
    slot = get_slot(header)
    seal = get_seal(header)
    if parent.number > 0 and slot <= get_slot(parent):
        raise SlotNotIncreasing(header.number, f"slot {slot} is not after the parent's slot {get_slot(parent)}")
    now = compute_slot(given.now_ms, given.slot_duration_ms)
    if slot > now + MAX_DRIFT_SLOTS:
        raise FutureSlot(header.number, f"slot {slot} is {slot - now} slots ahead of our clock")
    author = get_author(header, slot, given.authorities)
    unsealed = header.without_seal()
    if not is_sr25519_valid(seal, unsealed.hash, author):
        for other in islice(dict.fromkeys(given.authorities), MAX_SUSPECTS):
            if is_sr25519_valid(seal, unsealed.hash, other):
                raise WrongAuthor(header.number, f"slot {slot} belongs to 0x{author.hex()}, 0x{other.hex()} sealed it")
        raise WrongSeal(header.number, f"the seal is not the signature of slot {slot}'s author 0x{author.hex()}")
    return VerifiedHeader(slot, author, unsealed)
