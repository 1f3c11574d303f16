"""Forced changes: the way out when more than a third of the voters are gone for ever."""

from __future__ import annotations

from chain.grandpa.actions import Switch
from chain.grandpa.authorities import AuthoritySet
from chain.grandpa.messages import Kind, VoteMessage
from chain.grandpa.voter import Voter
from chain.primitives import Header
from tests.chain.grandpa.simulation import (
    GENESIS,
    KEYS,
    World,
    change,
    child,
    forced_change,
    signed,
    signer,
    state,
    voters,
)

NEW = AuthoritySet(1, voters(1, 1))


def stalled(delay: int = 2) -> tuple[World, list[Header]]:
    """Four voters, two of them gone; block 2 announces a set of the two that are left."""
    world = World(state(1, 1, 1, 1), 4)
    world.offline = {2, 3}
    blocks = [GENESIS]
    blocks.append(world.block(child(blocks[-1])))
    blocks.append(world.block(child(blocks[-1], forced_change(voters(1, 1), delay, median=0))))
    world.tick(5)
    return world, blocks


def test_a_forced_change_takes_force_with_the_block_after_its_delay_and_finality_goes_on() -> None:
    world, blocks = stalled()
    blocks.append(world.block(child(blocks[-1])))
    world.tick(5)
    assert [voter.authorities.set_id for voter in world.voters[:2]] == [0, 0]
    assert [voter.finalized.number for voter in world.voters[:2]] == [0, 0]
    blocks.append(world.block(child(blocks[-1])))
    assert [voter.authorities for voter in world.voters[:2]] == [NEW, NEW]
    world.tick(2)
    head = world.block(child(blocks[-1]))
    world.tick(2)
    assert [voter.finalized.hash for voter in world.voters[:2]] == [head.hash] * 2


def test_nobody_votes_between_the_announcement_and_its_force() -> None:
    world, blocks = stalled()
    before = [one for one in world.sent if isinstance(one, VoteMessage)]
    rounds = {(one.set_id, one.round, one.signed) for one in before}
    world.block(child(blocks[-1]))
    world.tick(5)
    after = {(one.set_id, one.round, one.signed) for one in world.sent if isinstance(one, VoteMessage)}
    assert after == rounds


def test_a_fork_without_the_announcement_keeps_its_set() -> None:
    world, blocks = stalled()
    side = blocks[1]
    for _ in range(4):
        side = world.block(child(side, salt=7))
    world.tick(2)
    assert {voter.authorities.set_id for voter in world.voters[:2]} == {0}


def test_a_late_voter_reaches_the_same_set_and_follows_the_commits() -> None:
    world, blocks = stalled()
    for _ in range(3):
        blocks.append(world.block(child(blocks[-1])))
    world.tick(2)
    world.voters[2] = late = Voter(GENESIS, state(1, 1, 1, 1), world.now, signer(KEYS[2]))
    for block in blocks[1:]:
        world.carry(2, late.on_block(block, world.now))
    world.carry(2, late.on_best(blocks[-1].hash, world.now))
    world.offline = {3}
    assert (late.authorities, late.is_voter) == (NEW, False)
    world.tick(2)
    assert late.finalized == world.voters[0].finalized
    assert late.finalized.number == len(blocks) - 1


def test_a_restart_after_the_switch_does_not_switch_again() -> None:
    world, blocks = stalled()
    for _ in range(2):
        blocks.append(child(blocks[-1]))
        world.voters[0].on_block(blocks[-2], world.now)
    (switch,) = [one for one in world.voters[0].on_block(blocks[-1], world.now) if isinstance(one, Switch)]
    assert (switch.finalized, switch.state.current) == (GENESIS, NEW)
    again = Voter(switch.finalized, switch.state, world.now)
    for block in [*blocks[1:], child(blocks[-1])]:
        assert not [one for one in again.on_block(block, world.now) if isinstance(one, Switch)]
    assert again.authorities == NEW


def test_a_standard_change_up_to_the_median_must_be_in_force_before() -> None:
    world = World(state(1, 1, 1), 3)
    first = child(GENESIS, change(voters(1, 1, 1, 1)))
    second = child(first, forced_change(voters(1, 1), 1, median=1))
    third = child(second)
    late = Voter(GENESIS, state(1, 1, 1), 0.0)
    for block in (first, second, third):
        late.on_block(block, 0.0)
    late.on_best(third.hash, 0.0)
    assert late.authorities.set_id == 0
    world.block(first)  # the first set finalises it
    proof = world.finalized[0][0].justification
    assert any(isinstance(one, Switch) for one in late.on_justification(proof, 0.0))
    assert late.authorities == AuthoritySet(2, voters(1, 1))


def test_a_standard_change_above_the_median_that_is_not_final_is_replaced() -> None:
    late = Voter(GENESIS, state(1, 1, 1), 0.0)
    first = child(GENESIS, change(voters(1, 1, 1, 1)))
    second = child(first, forced_change(voters(1, 1), 1, median=0))
    third = child(second)
    for block in (first, second, third):
        late.on_block(block, 0.0)
    assert late.authorities == NEW
    vote = signed(KEYS[0], Kind.PRECOMMIT, first, set_id=1)
    other = signed(KEYS[1], Kind.PRECOMMIT, first, set_id=1)
    for one in (vote, other):
        late.on_vote(VoteMessage(1, 1, one), 0.0, "p")
    assert late.finalized == first, "the new set finalises the blocks below its switch too"
    assert late.authorities == NEW
