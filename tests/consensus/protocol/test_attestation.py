"""Attestations and beacon: commitments bind every field and the account; windows hold on both sides."""

import pytest

from consensus.commit.hashing import AccountId, FieldRangeError, Hash32, blake2_256
from consensus.protocol.attestation import (
    Attestation,
    Outcome,
    SegmentClaim,
    compute_attestation_commitment,
    compute_beacon_commitment,
    compute_draw_epoch,
    compute_next_seed,
    is_commit_slot,
    is_reveal_slot,
)

A, B = AccountId(b"a" * 32), AccountId(b"b" * 32)
CLAIM = SegmentClaim(blake2_256(b"end"), blake2_256(b"witness"))
SALT = blake2_256(b"salt")


def test_encoding_by_hand() -> None:
    assert Attestation(Outcome.UNAVAILABLE).encode() == b"\x01\x00"
    assert Attestation(Outcome.EXECUTED, (CLAIM,)).encode() == b"\x00\x04" + CLAIM.end_state_root + CLAIM.witness
    assert len(Attestation(Outcome.EXECUTED, (CLAIM,) * 16).encode()) == 2 + 16 * 64


def test_invalid_attestations() -> None:
    for attestation in (
        Attestation(Outcome.EXECUTED, (CLAIM,) * 17),
        Attestation(Outcome.INCONCLUSIVE, (CLAIM,)),
        Attestation(Outcome.EXECUTED, (SegmentClaim(Hash32(b"x"), CLAIM.witness),)),
    ):
        with pytest.raises(FieldRangeError):
            attestation.encode()


def test_every_field_changes_the_commitment() -> None:
    done, away = Attestation(Outcome.EXECUTED, (CLAIM,)), Attestation(Outcome.UNAVAILABLE)
    variants = {
        compute_attestation_commitment(A, 1, 2, done, SALT),
        compute_attestation_commitment(B, 1, 2, done, SALT),
        compute_attestation_commitment(A, 2, 2, done, SALT),
        compute_attestation_commitment(A, 1, 1, done, SALT),
        compute_attestation_commitment(A, 1, 2, away, SALT),
        compute_attestation_commitment(A, 1, 2, done, CLAIM.witness),
    }
    assert len(variants) == 6
    beacon = {
        compute_beacon_commitment(A, 1, SALT),
        compute_beacon_commitment(B, 1, SALT),
        compute_beacon_commitment(A, 2, SALT),
        compute_beacon_commitment(A, 1, CLAIM.witness),
    }
    assert len(beacon) == 4
    with pytest.raises(FieldRangeError):
        compute_beacon_commitment(A, 1, b"short")


def test_seed_depends_on_every_reveal_but_not_on_order() -> None:
    seed, one, two = blake2_256(b"seed"), blake2_256(b"1"), blake2_256(b"2")
    both = compute_next_seed(seed, {A: one, B: two})
    assert both == compute_next_seed(seed, {B: two, A: one})
    others = [{}, {A: one}, {B: two}, {A: two, B: one}]
    assert len({both, *(compute_next_seed(seed, reveals) for reveals in others)}) == 5
    assert compute_next_seed(seed, {}) == blake2_256(b"seed/v1", seed)


@pytest.mark.parametrize("n", [12, 20, 100])
def test_windows_both_sides(n: int) -> None:
    third, two_thirds = n // 3, 2 * n // 3
    assert is_commit_slot(0, n) and is_commit_slot(third - 1, n) and not is_commit_slot(third, n)
    assert not is_commit_slot(-1, n)
    assert not is_reveal_slot(third - 1, n) and is_reveal_slot(third, n)
    assert is_reveal_slot(two_thirds - 1, n) and not is_reveal_slot(two_thirds, n)
    assert compute_draw_epoch(7, third - 1, n) == 7 and compute_draw_epoch(7, third, n) == 8
