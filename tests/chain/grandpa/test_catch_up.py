"""Catching up within a set, as the stock protocol does it: who is asked, what is answered, what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chain.grandpa.actions import Send, Want
from chain.grandpa.catch_up import BEHIND, make_catch_up, verify_catch_up
from chain.grandpa.errors import VoteInvalid
from chain.grandpa.messages import CatchUp, CatchUpRequest, Kind, Neighbor
from chain.grandpa.voter import CATCH_UP_PAUSE, CATCH_UP_TIMEOUT, Voter
from chain.primitives import Header
from tests.chain.grandpa.simulation import GENESIS, KEYS, World, child, signed, signer, state


def lone(*blocks: Header) -> Voter:
    """The fourth voter, in round 1, with these blocks."""
    voter = Voter(GENESIS, state(1, 1, 1, 1), 0.0, signer(KEYS[3]))
    for block in blocks:
        voter.on_block(block, 0.0)
    return voter


def rounds_ahead() -> tuple[World, list[Header]]:
    """Three of four voters in a round above 5, and the blocks that they finalised."""
    world = World(state(1, 1, 1, 1), 4)
    world.offline = {3}
    blocks = [GENESIS]
    while world.voters[0].round.number <= 5:
        blocks.append(world.block(child(blocks[-1])))
        world.tick(1)
    return world, blocks[1:]


def asked(world: World, voter: Voter) -> CatchUpRequest:
    """What `voter` asks when the first of the world tells where it is."""
    ahead = world.voters[0]
    (action,) = voter.on_neighbor(Neighbor(ahead.round.number, 0, ahead.finalized.number), 1.0, "0")
    assert isinstance(action, Send)
    assert isinstance(action.message, CatchUpRequest)
    return action.message


def answered(world: World, request: CatchUpRequest) -> CatchUp:
    """The answer of the first of the world."""
    (action,) = world.voters[0].on_catch_up_request(request, world.now, "3")
    assert isinstance(action, Send)
    assert isinstance(action.message, CatchUp)
    return action.message


def test_a_voter_in_round_one_joins_the_round_of_the_others_and_votes_there() -> None:
    world, blocks = rounds_ahead()
    world.voters[3] = late = lone(*blocks)
    world.carry(3, late.on_best(blocks[-1].hash, world.now))
    world.offline = set()
    number = world.voters[0].round.number
    message = answered(world, asked(world, late))
    world.carry(3, late.on_catch_up(message, world.now, "0"))
    assert late.round.number >= number
    world.offline = {0}  # now the late one is needed for more than two thirds
    head = world.block(child(blocks[-1]))
    world.tick(3)
    assert {voter.finalized.hash for voter in world.voters[1:]} == {head.hash}


@pytest.mark.parametrize("rounds", [BEHIND, BEHIND + 1])
def test_only_who_is_more_than_two_rounds_behind_asks(rounds: int) -> None:
    sent = lone().on_neighbor(Neighbor(1 + rounds, 0, 0), 0.0, "0")
    assert sent == ([Send("0", CatchUpRequest(rounds, 0))] if rounds > BEHIND else [])


def test_a_peer_of_another_set_is_not_asked() -> None:
    assert lone().on_neighbor(Neighbor(9, 1, 0), 0.0, "0") == []


def test_one_peer_is_asked_at_a_time() -> None:
    voter = lone()
    assert voter.on_neighbor(Neighbor(9, 0, 0), 0.0, "0")
    assert not voter.on_neighbor(Neighbor(9, 0, 0), CATCH_UP_TIMEOUT - 0.1, "1")
    assert voter.on_neighbor(Neighbor(9, 0, 0), CATCH_UP_TIMEOUT, "1")


def test_an_answer_that_was_not_asked_for_changes_nothing() -> None:
    world, blocks = rounds_ahead()
    late = lone(*blocks)
    message = answered(world, CatchUpRequest(2, 0))
    assert late.on_catch_up(message, 1.0, "0") == []
    asked(world, late)
    assert late.on_catch_up(message, 1.0, "1") == []
    assert late.round.number == 1


def test_requests_are_answered_with_a_pause_and_never_for_a_later_round_or_another_set() -> None:
    world, _ = rounds_ahead()
    voter, now = world.voters[0], world.now
    assert voter.on_catch_up_request(CatchUpRequest(voter.round.number, 0), now, "3") == []
    assert voter.on_catch_up_request(CatchUpRequest(2, 1), now, "3") == []
    assert voter.on_catch_up_request(CatchUpRequest(2, 0), now, "3")
    assert voter.on_catch_up_request(CatchUpRequest(2, 0), now + CATCH_UP_PAUSE / 2, "3") == []
    assert voter.on_catch_up_request(CatchUpRequest(2, 0), now + CATCH_UP_PAUSE, "3")


def test_votes_for_unknown_blocks_make_us_fetch_them_first() -> None:
    world, blocks = rounds_ahead()
    late = lone()
    actions = late.on_catch_up(answered(world, asked(world, late)), 1.0, "0")
    assert late.round.number == 1
    assert {action.block_hash for action in actions if isinstance(action, Want)} <= {block.hash for block in blocks}
    assert actions


@pytest.mark.parametrize("damage", ["signature", "few", "stranger", "set", "round", "many"])
def test_invalid_catch_up_changes_nothing(damage: str) -> None:
    world, blocks = rounds_ahead()
    late = lone(*blocks)
    good = answered(world, asked(world, late))
    stranger = signed(KEYS[5], Kind.PREVOTE, blocks[-1], good.round)
    bad = {
        "signature": replace(good, prevotes=(replace(good.prevotes[0], signature=bytes(64)), *good.prevotes[1:])),
        "few": replace(good, precommits=good.precommits[:2]),
        "stranger": replace(good, prevotes=(*good.prevotes, stranger)),
        "set": replace(good, set_id=1),
        "round": replace(good, round=1),
        "many": replace(good, prevotes=good.prevotes * 2),
    }[damage]
    with pytest.raises(VoteInvalid):
        verify_catch_up(bad, late.authorities)
    if damage == "set":
        assert late.on_catch_up(bad, 1.0, "0") == []
    else:
        with pytest.raises(VoteInvalid):
            late.on_catch_up(bad, 1.0, "0")
    assert (late.round.number, late.finalized) == (1, GENESIS)


def test_the_base_is_below_all_votes() -> None:
    world, blocks = rounds_ahead()
    last = world.voters[0]._previous
    assert last is not None
    left, right = child(blocks[-1], salt=1), child(blocks[-1], salt=2)
    for block in (left, right):
        world.voters[0].tree.add(block)
    for index, block in ((3, left), (3, right)):
        last.add(signed(KEYS[index], Kind.PRECOMMIT, block, last.number))
    message = make_catch_up(last, world.voters[0].tree)
    assert message is not None
    assert message.base_number <= blocks[-1].number
    for one in (*message.prevotes, *message.precommits):
        assert world.voters[0].tree.is_descendant(one.vote.target_hash, message.base_hash)
