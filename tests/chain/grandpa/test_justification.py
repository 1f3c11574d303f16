"""Finality proofs: what proves a block and each way in which a proof fails."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chain.errors import JustificationInvalid
from chain.grandpa.authorities import AuthoritySet
from chain.grandpa.errors import (
    BadSignature,
    DuplicateVote,
    NotEnoughWeight,
    UnknownVoter,
    UnusedAncestry,
    VoteNotDescendant,
    WrongTarget,
)
from chain.grandpa.justification import JustificationInput, verify_justification
from chain.grandpa.messages import Commit, Justification, Kind, SignedVote
from chain.primitives import Header
from tests.chain.grandpa.simulation import GENESIS, KEYS, child, signed, voters

TARGET = child(GENESIS)
ABOVE = child(TARGET)
SIDE = child(GENESIS, salt=9)
ROUND, SET = 4, 7


def precommit(index: int, target: Header = TARGET, round_number: int = ROUND, set_id: int = SET) -> SignedVote:
    return signed(KEYS[index], Kind.PRECOMMIT, target, round_number, set_id)


def given(
    votes: list[SignedVote], weights: tuple[int, ...] = (1, 1, 1, 1), headers: tuple[Header, ...] = ()
) -> JustificationInput:
    proof = Justification(ROUND, Commit(TARGET.hash, TARGET.number, tuple(votes)), headers)
    return JustificationInput(proof, TARGET.hash, TARGET.number, AuthoritySet(SET, voters(*weights)))


def refused(how: type[JustificationInvalid], what: JustificationInput) -> None:
    with pytest.raises(how):
        verify_justification(what)


def test_valid_three_of_four() -> None:
    verified = verify_justification(given([precommit(index) for index in range(3)]))
    assert (verified.block_hash, verified.round, verified.weight) == (TARGET.hash, ROUND, 3)


def test_invalid_exactly_two_thirds() -> None:
    refused(NotEnoughWeight, given([precommit(0), precommit(1)], (1, 1, 1)))
    refused(NotEnoughWeight, given([precommit(0)], (200, 100)))


def test_valid_one_above_two_thirds() -> None:
    verify_justification(given([precommit(0)], (201, 100)))


@pytest.mark.parametrize("total", range(1, 50))
def test_threshold_is_the_least_weight_above_two_thirds(total: int) -> None:
    threshold = AuthoritySet(0, ((bytes(32), total),)).threshold
    assert 3 * threshold > 2 * total >= 3 * (threshold - 1)


def test_valid_votes_for_descendants_with_ancestry() -> None:
    verify_justification(given([precommit(0, ABOVE), precommit(1, ABOVE), precommit(2)], headers=(ABOVE,)))


def test_invalid_vote_for_a_descendant_without_ancestry() -> None:
    refused(VoteNotDescendant, given([precommit(0, ABOVE), precommit(1), precommit(2)]))


def test_invalid_vote_for_another_fork() -> None:
    refused(VoteNotDescendant, given([precommit(0, SIDE), precommit(1), precommit(2)], headers=(SIDE,)))


def test_invalid_ancestry_that_serves_no_vote() -> None:
    refused(UnusedAncestry, given([precommit(index) for index in range(3)], headers=(ABOVE,)))


def test_invalid_duplicate_vote() -> None:
    refused(DuplicateVote, given([precommit(0), precommit(0), precommit(1)]))


def test_an_equivocation_counts_once() -> None:
    votes = [precommit(0), precommit(0, ABOVE), precommit(1)]
    refused(NotEnoughWeight, given(votes, headers=(ABOVE,)))
    verify_justification(given([*votes, precommit(2)], headers=(ABOVE,)))


def test_invalid_voter_outside_the_set() -> None:
    refused(UnknownVoter, given([precommit(index) for index in (0, 1, 5)]))


def test_invalid_wrong_set_id() -> None:
    refused(BadSignature, given([precommit(index, set_id=SET + 1) for index in range(3)]))


def test_invalid_wrong_round() -> None:
    refused(BadSignature, given([precommit(index, round_number=ROUND + 1) for index in range(3)]))


def test_invalid_signature_of_another() -> None:
    refused(BadSignature, given([precommit(0), precommit(1), replace(precommit(2), voter=KEYS[3].public)]))


def test_invalid_target_number_or_hash() -> None:
    good = given([precommit(index) for index in range(3)])
    refused(WrongTarget, replace(good, block_number=2))
    refused(WrongTarget, replace(good, block_hash=SIDE.hash))


def test_invalid_vote_number_beside_a_right_hash() -> None:
    vote = precommit(0)
    wrong = replace(vote, vote=replace(vote.vote, target_number=5))
    refused(VoteNotDescendant, given([wrong, precommit(1), precommit(2)]))


def test_invalid_empty_proof() -> None:
    refused(NotEnoughWeight, given([]))
