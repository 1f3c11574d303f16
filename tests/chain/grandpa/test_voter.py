"""The voter core, simulated: finality with all voters, with one down, over set changes, forks and restarts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chain.errors import JustificationInvalid
from chain.grandpa.actions import Accuse, Action, Broadcast, Want
from chain.grandpa.authorities import AuthoritySet
from chain.grandpa.double_vote import DoubleVote
from chain.grandpa.errors import VoteInvalid
from chain.grandpa.justification import JustificationInput, verify_justification
from chain.grandpa.messages import CommitMessage, Kind, SignedVote, Vote, VoteMessage, localized_payload
from chain.grandpa.voter import Voter
from chain.primitives import Header
from tests.chain.grandpa.simulation import GENESIS, KEYS, World, change, child, signed, signer, state, voters


def test_valid_four_voters_finalise_each_block_at_once() -> None:
    world = World(state(1, 1, 1, 1), 4)
    head = GENESIS
    for _ in range(10):
        head = world.block(child(head))
        assert {voter.finalized.number for voter in world.voters} == {head.number}
    for finalized in world.finalized.values():
        last = finalized[-1]
        verify_justification(
            JustificationInput(last.justification, last.header.hash, last.header.number, world.voters[0].authorities)
        )


def test_valid_one_of_four_down_does_not_stop_finality() -> None:
    world = World(state(1, 1, 1, 1), 4)
    world.offline = {3}
    head = GENESIS
    for _ in range(10):
        head = world.block(child(head))
        world.tick(1)
    assert [voter.finalized.number for voter in world.voters] == [10, 10, 10, 0]


def test_invalid_two_of_four_down_finalise_nothing_and_recover() -> None:
    world = World(state(1, 1, 1, 1), 4)
    world.offline = {2, 3}
    head = world.block(child(GENESIS))
    world.tick(10)
    assert world.voters[0].finalized.number == 0
    world.offline = {3}
    world.carry(2, world.voters[2].on_block(head, world.now))
    world.carry(2, world.voters[2].on_best(head.hash, world.now))
    world.tick(3)
    assert [voter.finalized.number for voter in world.voters] == [1, 1, 1, 0]


def test_exactly_two_thirds_of_the_weight_finalise_nothing() -> None:
    world = World(state(2, 2, 2), 3)
    world.offline = {2}
    world.block(child(GENESIS))
    world.tick(5)
    assert world.voters[0].finalized.number == 0


def test_just_above_two_thirds_of_the_weight_finalise() -> None:
    world = World(state(3, 2, 2), 3)
    world.offline = {2}
    world.block(child(GENESIS))
    world.tick(5)
    assert world.voters[0].finalized.number == 1


def test_a_single_voter_finalises_alone() -> None:
    world = World(state(5), 1)
    head = GENESIS
    for _ in range(5):
        head = world.block(child(head))
        world.tick(1)
    assert world.voters[0].finalized.number == 5


def test_votes_do_not_pass_an_authority_change_and_the_new_set_goes_on() -> None:
    world = World(state(1, 1, 1), 4)
    new = voters(0, 1, 1, 1)[1:]
    blocks = [child(GENESIS)]
    blocks.append(child(blocks[-1], change(new)))
    blocks += [child(blocks[-1])]
    for block in blocks:
        for index, voter in enumerate(world.voters):
            world.carry(index, voter.on_block(block, world.now))
    for index, voter in enumerate(world.voters):
        world.carry(index, voter.on_best(blocks[-1].hash, world.now))
    world.tick(3)
    assert [voter.finalized.number for voter in world.voters] == [3, 3, 3, 3]
    assert {voter.authorities.set_id for voter in world.voters} == {1}
    first = world.finalized[3]
    assert [one.header.number for one in first] == [2, 3]  # the change block has a proof of its own, by the old set


def test_a_set_change_in_every_third_block() -> None:
    world = World(state(1, 1, 1, 1), 4)
    head = GENESIS
    for number in range(1, 31):
        weights = [(number + index) % 3 + 1 for index in range(4)]
        head = world.block(child(head, *([change(voters(*weights))] if number % 3 == 0 else [])))
        world.tick(1)
        assert world.voters[0].finalized.number == number
    assert world.voters[2].authorities.set_id == 10


def test_a_delayed_change_takes_force_after_its_delay() -> None:
    world = World(state(1, 1, 1, 1), 4)
    head = world.block(child(GENESIS, change(voters(9, 1), delay=2)))
    head = world.block(child(head))
    assert world.voters[0].authorities.set_id == 0
    world.block(child(head))
    assert world.voters[0].authorities == AuthoritySet(1, voters(9, 1))


def test_a_late_voter_learns_finality_by_the_commit_its_neighbours_send() -> None:
    world = World(state(1, 1, 1, 1), 4)
    world.offline = {3}
    head, chain = GENESIS, []
    for _ in range(8):
        head = world.block(child(head))
        chain.append(head)
        world.tick(1)
    world.offline = set()
    for block in chain:
        world.carry(3, world.voters[3].on_block(block, world.now))
    world.carry(3, world.voters[3].on_best(head.hash, world.now))
    world.tick(3)
    assert world.voters[3].finalized.number == 8
    head = world.block(child(head))
    world.tick(1)
    assert {voter.finalized.number for voter in world.voters} == {9}


def test_a_late_voter_passes_a_set_change_with_the_synced_justification_only() -> None:
    world = World(state(1, 1, 1), 3)
    first = world.block(child(GENESIS, change(voters(1, 1))))
    second = world.block(child(first))
    world.tick(2)
    late = Voter(GENESIS, state(1, 1, 1), world.now)
    late.on_block(first, world.now)
    late.on_block(second, world.now)
    late.on_best(second.hash, world.now)
    assert late.next_change() == first
    proofs = [one.justification for one in world.finalized[0]]
    assert late.on_justification(proofs[1], world.now) == []  # of the next set: not before the change is final
    assert late.finalized.number == 0
    late.on_justification(proofs[0], world.now)
    late.on_justification(proofs[1], world.now)
    assert late.finalized.number == 2


def test_a_fork_is_finalised_on_one_side_only() -> None:
    world = World(state(1, 1, 1, 1), 4)
    left, right = child(GENESIS, salt=1), child(GENESIS, salt=2)
    for block in (left, right):
        for index, voter in enumerate(world.voters):
            world.carry(index, voter.on_block(block, world.now))
    for index, voter in enumerate(world.voters):
        world.carry(index, voter.on_best((left if index < 2 else right).hash, world.now))
    world.tick(3)
    longer = child(right)
    for index, voter in enumerate(world.voters):
        world.carry(index, voter.on_block(longer, world.now))
        world.carry(index, voter.on_best(longer.hash, world.now))
    world.tick(6)
    assert {voter.finalized.hash for voter in world.voters} == {longer.hash}


def test_votes_for_forks_that_others_do_not_know_do_not_stop_finality() -> None:
    world = World(state(1, 1, 1, 1), 4)
    world.offline = {0, 1, 2, 3}
    for index, voter in enumerate(world.voters):  # each alone on a fork of its own
        fork = child(GENESIS, salt=index)
        world.carry(index, voter.on_block(fork, world.now))
        world.carry(index, voter.on_best(fork.hash, world.now))
    world.offline = set()
    head = child(GENESIS, salt=9)
    for _ in range(5):
        world.block(head)
        world.tick(2)
        head = child(head)
    assert {voter.finalized.number for voter in world.voters} == {5}


def test_a_vote_for_an_unknown_block_asks_for_it_and_counts_once_it_is_there() -> None:
    voter = Voter(GENESIS, state(1), 0.0)
    block = child(GENESIS)
    asked = voter.on_vote(VoteMessage(1, 0, signed(KEYS[0], Kind.PRECOMMIT, block)), 0.0, "peer")
    assert Want("peer", 1, block.hash) in asked
    assert voter.finalized == GENESIS
    voter.on_block(block, 0.0)
    assert voter.finalized == block


def test_invalid_number_beside_a_vote_never_counts() -> None:
    voter = Voter(GENESIS, state(1), 0.0)
    block = child(GENESIS)
    voter.on_block(block, 0.0)
    vote = Vote(Kind.PRECOMMIT, block.hash, 5)
    signature = KEYS[0].sign(localized_payload(vote, 1, 0))
    voter.on_vote(VoteMessage(1, 0, SignedVote(vote, signature, KEYS[0].public)), 0.0, "peer")
    voter.on_tick(9.0)
    assert voter.finalized == GENESIS


def test_a_restarted_voter_repeats_its_vote_and_casts_no_second_one() -> None:
    world = World(state(1, 1, 1, 1), 4)
    world.offline = {1, 2, 3}
    left, right = child(GENESIS, salt=1), child(GENESIS, salt=2)
    world.block(left)
    again = Voter(GENESIS, state(1, 1, 1, 1), world.now, signer(KEYS[0]), world.remembered[0])
    again.on_block(right, world.now)
    actions = again.on_best(right.hash, world.now) + again.on_tick(world.now + 2)
    sent = [one.message for one in actions if isinstance(one, Broadcast)]
    assert {one.signed.vote.target_hash for one in sent if isinstance(one, VoteMessage)} == {left.hash}


def test_invalid_vote_of_a_stranger_or_with_a_bad_signature_changes_nothing() -> None:
    voter = Voter(GENESIS, state(1, 1, 1), 0.0)
    block = child(GENESIS)
    voter.on_block(block, 0.0)
    with pytest.raises(VoteInvalid, match="not in set"):
        voter.on_vote(VoteMessage(1, 0, signed(KEYS[5], Kind.PREVOTE, block)), 0.0)
    with pytest.raises(VoteInvalid, match="signature"):
        voter.on_vote(VoteMessage(1, 0, signed(KEYS[0], Kind.PREVOTE, block, round_number=2)), 0.0)
    assert voter.round.prevotes == {}


def test_a_vote_is_relayed_once_and_a_third_vote_of_an_equivocator_never() -> None:
    voter = Voter(GENESIS, state(1, 1, 1), 0.0)
    blocks = [child(GENESIS, salt=salt) for salt in range(3)]
    relayed = []
    for block in blocks:
        voter.on_block(block, 0.0)
    for block in [blocks[0], *blocks]:
        relayed.append(len(voter.on_vote(VoteMessage(1, 0, signed(KEYS[0], Kind.PREVOTE, block)), 0.0, "p")))
    assert relayed == [1, 0, 2, 0], "the second one comes with the evidence"


def test_invalid_commit_without_enough_weight_changes_nothing() -> None:
    world = World(state(1, 1, 1), 3)
    world.block(child(GENESIS))
    commit = next(one for one in world.sent if isinstance(one, CommitMessage))
    watcher = Voter(GENESIS, state(1, 1, 1, 1, 1), 0.0)
    watcher.on_block(world.voters[0].finalized, 0.0)
    with pytest.raises(JustificationInvalid, match="4 are needed"):
        watcher.on_commit(commit, 0.0)
    assert watcher.finalized == GENESIS


def test_buffered_votes_are_bounded() -> None:
    voter = Voter(GENESIS, state(1, 1, 1), 0.0)
    for number in range(200):
        voter.on_vote(VoteMessage(2 + number, 0, signed(KEYS[0], Kind.PREVOTE, GENESIS, 2 + number)), 0.0)
    assert len(voter._buffer) == 64


@pytest.mark.parametrize("kind", [Kind.PREVOTE, Kind.PRECOMMIT])
def test_two_votes_of_a_round_are_evidence_and_the_same_vote_twice_is_not(kind: Kind) -> None:
    voter = Voter(GENESIS, state(1, 1, 1), 0.0)
    blocks = [child(GENESIS, salt=salt) for salt in range(2)]
    for block in blocks:
        voter.on_block(block, 0.0)
    first, second = (signed(KEYS[0], kind, block) for block in blocks)
    other_kind = Kind.PRECOMMIT if kind is Kind.PREVOTE else Kind.PREVOTE
    innocent = [first, first, signed(KEYS[0], other_kind, blocks[1]), signed(KEYS[1], kind, blocks[1])]
    assert not [one for vote in innocent for one in accusations(voter.on_vote(VoteMessage(1, 0, vote), 0.0, "p"))]
    (found,) = accusations(voter.on_vote(VoteMessage(1, 0, second), 0.0, "p"))
    assert (found.set_id, found.round, found.first, found.second) == (0, 1, first, second)
    with pytest.raises(VoteInvalid):
        voter.on_vote(VoteMessage(1, 0, replace(signed(KEYS[1], kind, blocks[0]), signature=bytes(64))), 0.0)


def test_a_vote_that_waited_for_its_round_is_evidence_too() -> None:
    world = World(state(1, 1, 1, 1), 3)
    block, rival = child(GENESIS), child(GENESIS, salt=1)
    votes = [signed(KEYS[3], Kind.PREVOTE, one, round_number=2) for one in (block, rival)]
    for vote in votes:
        assert world.voters[0].on_vote(VoteMessage(2, 0, vote), world.now, "p") == []
    world.block(rival, best=False)
    world.block(block)
    world.tick(2)
    assert {(one.round, one.key) for one in world.accused[0]} == {(2, KEYS[3].public)}


def test_a_precommit_in_a_commit_is_held_against_the_one_that_was_gossiped() -> None:
    world = World(state(1, 1, 1, 1), 3)
    block, rival = child(GENESIS), child(GENESIS, salt=1)
    watcher = Voter(GENESIS, state(1, 1, 1, 1), 0.0)
    for one in (block, rival):
        watcher.on_block(one, 0.0)
    gossiped, committed = signed(KEYS[2], Kind.PRECOMMIT, rival), signed(KEYS[2], Kind.PRECOMMIT, block)
    watcher.on_vote(VoteMessage(1, 0, gossiped), 0.0, "p")
    world.block(block)
    commit = next(one for one in world.sent if isinstance(one, CommitMessage))
    assert committed in commit.commit.precommits
    (found,) = accusations(watcher.on_commit(commit, 0.0, "p"))
    assert (found.round, found.first, found.second) == (1, gossiped, committed)


def accusations(actions: list[Action]) -> list[DoubleVote]:
    """The evidence among a voter's actions."""
    return [action.evidence for action in actions if isinstance(action, Accuse)]


def test_who_joins_a_round_votes_there_only_once_the_round_before_is_decided_for_it() -> None:
    """With the estimate it came with it would prevote against what the others must build on: all would stand still."""
    ours, theirs = child(GENESIS, salt=1), child(GENESIS, salt=2)
    voter = Voter(GENESIS, state(1, 1, 1, 1), 0.0, signer(KEYS[0]))
    for block in (ours, theirs):
        voter.on_block(block, 0.0)
    voter.on_best(ours.hash, 0.0)

    def hear(key: int, kind: Kind, target: Header, number: int, now: float) -> None:
        voter.on_vote(VoteMessage(number, 0, signed(KEYS[key], kind, target, number)), now)

    for key in (1, 3):
        hear(key, Kind.PREVOTE, theirs, 1, 0.1)
    voter.on_tick(2.0)  # the GHOST is block 0: precommitted after some patience
    for key in (1, 3):
        hear(key, Kind.PREVOTE, theirs, 2, 2.1)
    voter.on_tick(9.0)
    assert voter.round.number == 2
    assert KEYS[0].public not in voter.round.prevotes
    hear(2, Kind.PREVOTE, theirs, 1, 9.1)
    for key in (1, 3):
        hear(key, Kind.PRECOMMIT, theirs, 1, 9.2)
    (vote,) = voter.round.prevotes[KEYS[0].public]
    assert vote.vote.target_hash == theirs.hash
