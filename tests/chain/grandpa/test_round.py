"""Rounds with equivocators: they count for everything that may become final, and for nothing that cannot be proved."""

from __future__ import annotations

from dataclasses import replace

from chain.grandpa.authorities import AuthoritySet
from chain.grandpa.justification import JustificationInput, verify_justification
from chain.grandpa.messages import Kind, localized_payload
from chain.grandpa.round import Round
from chain.grandpa.tree import BlockTree
from chain.primitives import Header
from tests.chain.grandpa.simulation import GENESIS, KEYS, child, signed, state, voters

LEFT, RIGHT = child(GENESIS, salt=1), child(GENESIS, salt=2)
ABOVE = child(LEFT)


def round_of(prevotes: list[tuple[int, Header]], precommits: list[tuple[int, Header]]) -> tuple[Round, BlockTree]:
    """Round 1 of four voters with these votes, and the tree of all blocks."""
    tree = BlockTree(GENESIS, state(1, 1, 1, 1))
    for header in (LEFT, RIGHT, ABOVE):
        tree.add(header)
    where = Round(1, AuthoritySet(0, voters(1, 1, 1, 1)), GENESIS.hash, 0.0)
    for kind, votes in ((Kind.PREVOTE, prevotes), (Kind.PRECOMMIT, precommits)):
        for index, target in votes:
            where.add(signed(KEYS[index], kind, target))
    return where, tree


def test_an_equivocating_prevote_counts_for_every_block() -> None:
    where, tree = round_of([(0, LEFT), (1, LEFT), (2, RIGHT), (2, GENESIS)], [])
    assert where.prevote_ghost(tree, GENESIS.hash) == LEFT.hash


def test_a_single_prevote_counts_for_its_own_blocks_only() -> None:
    where, tree = round_of([(0, LEFT), (1, LEFT), (2, RIGHT)], [])
    assert where.prevote_ghost(tree, GENESIS.hash) == GENESIS.hash


def test_what_an_equivocators_third_vote_could_finalise_stays_the_estimate() -> None:
    """Somebody else may hold //C's precommit for LEFT: the next round must build on LEFT, although two votes of //C
    that we know are for other blocks."""
    prevotes = [(index, LEFT) for index in range(4)]
    where, tree = round_of(prevotes, [(0, LEFT), (1, LEFT), (2, RIGHT), (2, GENESIS)])
    assert where.finalizes(tree, GENESIS.hash) == GENESIS.hash
    assert where.outcome(tree, GENESIS.hash) == (LEFT.hash, True)


def test_three_honest_votes_finalise_beside_an_equivocator_and_the_proof_holds_without_it() -> None:
    where, tree = round_of([], [(0, ABOVE), (1, LEFT), (2, LEFT), (3, RIGHT), (3, GENESIS)])
    assert where.finalizes(tree, GENESIS.hash) == LEFT.hash
    proof = where.justification(LEFT.hash, tree)
    assert proof is not None
    assert {one.voter for one in proof.commit.precommits} == {KEYS[index].public for index in range(3)}
    verify_justification(JustificationInput(proof, LEFT.hash, LEFT.number, where.authorities))


def test_a_proof_holds_one_vote_of_an_equivocator() -> None:
    where, tree = round_of([], [(0, ABOVE), (1, ABOVE), (2, LEFT), (2, ABOVE)])
    assert where.finalizes(tree, GENESIS.hash) == ABOVE.hash
    proof = where.justification(ABOVE.hash, tree)
    assert proof is not None
    assert len(proof.commit.precommits) == 3
    verify_justification(JustificationInput(proof, ABOVE.hash, ABOVE.number, where.authorities))


def test_votes_on_two_forks_above_a_block_cannot_be_proved() -> None:
    where, tree = round_of([], [(0, LEFT), (1, LEFT), (2, RIGHT), (3, RIGHT)])
    assert where.finalizes(tree, GENESIS.hash) == GENESIS.hash
    assert where.justification(GENESIS.hash, tree) is None


def test_a_vote_with_a_wrong_number_is_in_no_proof() -> None:
    where, tree = round_of([], [(0, LEFT), (1, LEFT), (2, LEFT)])
    wrong = replace(signed(KEYS[3], Kind.PRECOMMIT, LEFT).vote, target_number=7)
    signature = KEYS[3].sign(localized_payload(wrong, 1, 0))
    where.add(replace(signed(KEYS[3], Kind.PRECOMMIT, LEFT), vote=wrong, signature=signature))
    proof = where.justification(LEFT.hash, tree)
    assert proof is not None
    assert len(proof.commit.precommits) == 3


def test_a_precommit_for_an_unknown_block_may_finalise_it_unless_its_voter_equivocates() -> None:
    unknown, far = child(ABOVE, salt=5), child(ABOVE, salt=6)
    prevotes, precommits = [(index, LEFT) for index in range(4)], [(0, LEFT), (1, LEFT), (2, unknown)]
    where, tree = round_of(prevotes, precommits)
    assert where.outcome(tree, GENESIS.hash) is None, "two thirds are not seen"
    where, tree = round_of(prevotes, [*precommits, (2, far)])
    assert where.outcome(tree, GENESIS.hash) == (LEFT.hash, True)
