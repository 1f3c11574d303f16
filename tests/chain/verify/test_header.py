"""`verify_header`: one error for each broken rule, both sides of each bound; nothing but its input decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from chain.errors import (
    FutureSlot,
    HeaderInvalid,
    MissingSeal,
    SlotNotIncreasing,
    WrongAuthor,
    WrongDigest,
    WrongNumber,
    WrongParent,
    WrongSeal,
)
from chain.identity import Sr25519Key
from chain.primitives import Header, aura_pre_runtime, aura_seal
from chain.verify import HeaderInput, verify_header
from tests.chain.devchain import ALICE, BOB

SLOT_MS, SLOT = 1_000, 10
GRANDPARENT = Header(bytes(32), 0, bytes(32), bytes(32))


def seal(header: Header, key: Sr25519Key = ALICE) -> Header:
    """The header sealed anew."""
    unsealed = header.without_seal()
    return unsealed.with_seal(aura_seal(key.sign(unsealed.hash)))


PARENT = seal(Header(GRANDPARENT.hash, 1, bytes(32), bytes(32), (aura_pre_runtime(SLOT),)))
SIBLING = seal(replace(PARENT, state_root=b"\x01" * 32))
GOOD = Header(PARENT.hash, 2, bytes(32), bytes(32), (aura_pre_runtime(SLOT + 1),))


def check(header: Header, now_ms: int = (SLOT + 1) * SLOT_MS, authorities: tuple[bytes, ...] = (ALICE.public,)) -> int:
    """Verifies against PARENT; the slot."""
    return verify_header(HeaderInput(header, PARENT, authorities, SLOT_MS, now_ms)).slot


def test_valid_header() -> None:
    verified = verify_header(HeaderInput(seal(GOOD), PARENT, (BOB.public, ALICE.public), SLOT_MS, (SLOT + 1) * SLOT_MS))
    assert (verified.slot, verified.author, verified.unsealed) == (SLOT + 1, ALICE.public, GOOD)


@pytest.mark.parametrize("parent", [SIBLING, GRANDPARENT], ids=["sibling", "grandparent"])
def test_invalid_parent(parent: Header) -> None:
    """A good seal over another parent's hash does not help."""
    with pytest.raises(WrongParent, match=parent.hash.hex()):
        check(seal(replace(GOOD, parent_hash=parent.hash)))


@pytest.mark.parametrize("number", [0, 1, 3, 2**32 - 1])
def test_invalid_number(number: int) -> None:
    with pytest.raises(WrongNumber):
        check(seal(replace(GOOD, number=number)))


def test_slot_after_the_parents_and_at_it() -> None:
    assert check(seal(GOOD)) == SLOT + 1
    for slot in (SLOT, SLOT - 1, 0):
        with pytest.raises(SlotNotIncreasing):
            check(seal(replace(GOOD, digest=(aura_pre_runtime(slot),))))


def test_slot_one_ahead_of_the_clock_and_two() -> None:
    assert check(seal(GOOD), now_ms=SLOT * SLOT_MS) == SLOT + 1
    with pytest.raises(FutureSlot, match="2 slots ahead"):
        check(seal(GOOD), now_ms=SLOT * SLOT_MS - 1)
    with pytest.raises(FutureSlot):
        check(seal(replace(GOOD, digest=(aura_pre_runtime(2**64 - 1),))))


def test_an_old_slot_is_no_fault() -> None:
    """Blocks that are synced are older than the clock."""
    assert check(seal(GOOD), now_ms=10**15) == SLOT + 1


def test_author_of_the_slot_and_of_another() -> None:
    schedule = (ALICE.public, BOB.public)  # slot 11 is Bob's
    assert check(seal(GOOD, BOB), authorities=schedule) == SLOT + 1
    with pytest.raises(WrongAuthor, match=ALICE.public.hex()):
        check(seal(GOOD), authorities=schedule)
    with pytest.raises(WrongAuthor):
        check(seal(GOOD), authorities=())


MUTATIONS: dict[str, tuple[Callable[[Header], Header], type[HeaderInvalid]]] = {
    "a stranger's seal": (lambda header: seal(header, BOB), WrongSeal),
    "seal of zeros": (lambda header: header.with_seal(aura_seal(bytes(64))), WrongSeal),
    "another state root": (lambda header: replace(seal(header), state_root=b"\x02" * 32), WrongSeal),
    "another extrinsics root": (lambda header: replace(seal(header), extrinsics_root=b"\x02" * 32), WrongSeal),
    "no seal": (lambda header: header, MissingSeal),
    "short seal": (lambda header: header.with_seal(aura_seal(bytes(63))), MissingSeal),
    "seal before the slot": (
        lambda header: replace(header, digest=(aura_seal(bytes(64)), *header.digest)),
        MissingSeal,
    ),
    "no slot": (lambda header: seal(replace(header, digest=())), WrongDigest),
    "two slots": (lambda header: seal(replace(header, digest=header.digest * 2)), WrongDigest),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_invalid_seal_or_digest(name: str) -> None:
    mutate, error = MUTATIONS[name]
    with pytest.raises(error):
        check(mutate(GOOD))
