"""Forced errors: what is hidden stays hidden until it is shown, and what finding a decoy is worth to whom."""

import pytest

from consensus.commit.hashing import AccountId, FieldRangeError, blake2_256
from consensus.commit.records import CLAIMS, compute_claims, is_claim_false, make_record
from consensus.protocol.jackpot import (
    MAX_FINDERS,
    Decoy,
    Prizes,
    compute_budget,
    compute_decoy_commitment,
    compute_finding_commitment,
    derive_decoy,
)
from consensus.protocol.units import UnitRef

SOLVER, OTHER = AccountId(b"s" * 32), AccountId(b"o" * 32)
ROOT, WITNESS, SECRET = blake2_256(b"root"), blake2_256(b"witness"), bytes(32)
REF = UnitRef(1, 2, 0)
PRIZES = Prizes(10**18)


@pytest.mark.parametrize("place", range(CLAIMS))
def test_only_the_decoy_is_false(place: int) -> None:
    record = make_record(SOLVER, 0, (ROOT, ROOT), (ROOT, ROOT), WITNESS, place)
    false = [other for other in range(CLAIMS) if is_claim_false(record, SOLVER, WITNESS, other)]
    assert false == [place]


def test_claims_are_an_account_s_own() -> None:
    assert compute_claims(SOLVER, WITNESS) != compute_claims(OTHER, WITNESS)


@pytest.mark.parametrize("place", [-1, CLAIMS])
def test_invalid_place(place: int) -> None:
    with pytest.raises(IndexError, match="no claim"):
        compute_claims(SOLVER, WITNESS, place)
    with pytest.raises(FieldRangeError):
        compute_decoy_commitment(SOLVER, REF, Decoy(place, bytes(32)))


def test_a_decoy_s_place_depends_on_unit_and_secret_and_all_places_come() -> None:
    places = {derive_decoy(SECRET, UnitRef(1, unit, 0)).place for unit in range(300)}
    assert places == set(range(CLAIMS))
    variants = [derive_decoy(SECRET, ref).salt for ref in (REF, UnitRef(1, 2, 1), UnitRef(1, 3, 0), UnitRef(2, 2, 0))]
    assert len({*variants, derive_decoy(b"x" * 32, REF).salt}) == 5
    assert derive_decoy(SECRET, REF) == derive_decoy(SECRET, REF)


def test_commitments_bind_everything() -> None:
    base = (SOLVER, 1, 2, 3, WITNESS, bytes(32))
    variants = [
        base, (OTHER, *base[1:]), (SOLVER, 9, *base[2:]), (*base[:2], 9, *base[3:]), (*base[:3], 9, *base[4:]),
        (*base[:4], ROOT, bytes(32)), (*base[:5], b"x" * 32),
    ]  # fmt: skip
    assert len({compute_finding_commitment(*variant) for variant in variants}) == len(variants)
    decoys = [Decoy(0, bytes(32)), Decoy(1, bytes(32)), Decoy(0, b"x" * 32)]
    refs = [REF, UnitRef(9, 2, 0), UnitRef(1, 9, 0), UnitRef(1, 2, 9)]
    commitments = {compute_decoy_commitment(who, ref, d) for who in (SOLVER, OTHER) for ref in refs for d in decoys}
    assert len(commitments) == 2 * len(refs) * len(decoys)


def test_k_finders_share_j_by_two_to_the_k_minus_one() -> None:
    single = PRIZES.compute_each(1)
    for finders in range(1, MAX_FINDERS + 1):
        share = single >> (finders - 1)
        assert share - finders < finders * PRIZES.compute_each(finders) <= share


@pytest.mark.parametrize("others", range(MAX_FINDERS))
def test_more_names_win_less(others: int) -> None:
    for names in range(2, MAX_FINDERS - others + 1):
        assert names * PRIZES.compute_each(others + names) < PRIZES.compute_each(others + 1)


@pytest.mark.parametrize("others", range(MAX_FINDERS))
def test_a_solver_that_tips_off_friends_gains_nothing(others: int) -> None:
    honest = PRIZES.compute_bonus(others)
    for friends in range(1, MAX_FINDERS - others + 1):
        finders = others + friends
        together = PRIZES.compute_bonus(finders) + friends * PRIZES.compute_each(finders)
        assert together <= honest and (friends == 1 or together < honest)


@pytest.mark.parametrize(("price", "share", "challenge_ppm"), [(10**13, 40_000, 500_000), (10**9, 10_000, 0)])
def test_a_posted_and_self_solved_task_gets_no_more_back_than_it_pays_in(
    price: int, share: int, challenge_ppm: int
) -> None:
    budget = compute_budget(price, share, challenge_ppm)
    prizes = Prizes(budget)
    chance = (1 - challenge_ppm / 10**6) / CLAIMS
    most = max(k * prizes.compute_each(k) + prizes.compute_bonus(k) for k in range(MAX_FINDERS + 1))
    assert most * chance <= price * share / 10**6


def test_looking_pays_two_who_look() -> None:
    """At the floor price (5 × cost) and 32 segments: what a look at one segment costs, and what it wins on average."""
    cost = 10**12
    price, segment = 5 * cost, cost / 32
    prizes = Prizes(compute_budget(price, 40_000, 500_000))
    wins = [prizes.compute_each(k) / CLAIMS for k in (1, 2, 3)]
    assert wins[0] > 8 * segment and wins[1] > 2 * segment and wins[2] < segment


def test_where_every_unit_is_challenged_nothing_is_paid() -> None:
    assert compute_budget(10**12, 40_000, 10**6) == 0
