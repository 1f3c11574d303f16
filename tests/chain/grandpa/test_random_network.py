"""Seeded networks that delay, reorder, repeat and lose messages, with forks, set changes and one voter that lies.

Nobody honest may ever finalise two blocks that conflict; once the network is calm, everybody finalises its head.
"""

from __future__ import annotations

import random

import pytest

from chain.grandpa.actions import Action, Broadcast, Finalize, Send
from chain.grandpa.authorities import AuthorityState
from chain.grandpa.justification import JustificationInput, verify_justification
from chain.grandpa.messages import Kind, VoteMessage
from chain.grandpa.voter import Voter
from chain.primitives import Header
from tests.chain.grandpa.simulation import GENESIS, KEYS, change, child, give, signed, signer, state, voters

LOSS, REPEAT = 0.15, 0.1


class Net:
    """Four voters; the last one lies: it signs for whatever block it likes, twice and more in every round."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now = 0.0
        self.start = state(1, 1, 1, 1)
        self.voters = [Voter(GENESIS, self.start, 0.0, signer(KEYS[index])) for index in range(3)]
        self.blocks = [GENESIS]
        self.states: dict[bytes, AuthorityState] = {GENESIS.hash: self.start}
        self.waiting: list[tuple[float, int, int, object]] = []  # time, from, to, message or header
        self.final: list[list[Header]] = [[GENESIS] for _ in self.voters]

    def do(self, source: int, actions: list[Action], is_calm: bool) -> None:
        for action in actions:
            if isinstance(action, Finalize):
                self.note(source, action)
            elif isinstance(action, Broadcast):
                for target in range(3):
                    if target != source:
                        self.post(source, target, action.message, is_calm)
            elif isinstance(action, Send):
                self.post(source, int(action.peer), action.message, is_calm)

    def note(self, source: int, action: Finalize) -> None:
        header, before = action.header, self.final[source][-1]
        authorities = self.states[header.parent_hash].current
        verify_justification(JustificationInput(action.justification, header.hash, header.number, authorities))
        assert self.leads(header, before), f"voter {source} finalises a block that conflicts with its own"
        self.final[source].append(header)
        for other in (finals[-1] for finals in self.final):
            assert self.leads(header, other) or self.leads(other, header), "two forks are final"

    def leads(self, header: Header, ancestor: Header) -> bool:
        by_hash = {one.hash: one for one in self.blocks}
        while header.number > ancestor.number:
            header = by_hash[header.parent_hash]
        return header == ancestor

    def post(self, source: int, target: int, what: object, is_calm: bool) -> None:
        if is_calm:
            self.waiting.append((self.now, source, target, what))
            return
        if self.rng.random() < LOSS and not isinstance(what, Header):
            return
        for _ in range(2 if self.rng.random() < REPEAT else 1):
            self.waiting.append((self.now + self.rng.expovariate(2.0), source, target, what))

    def deliver(self, is_calm: bool) -> None:
        while due := sorted((one for one in self.waiting if one[0] <= self.now), key=lambda one: one[0]):
            for one in due:
                self.waiting.remove(one)
                _, source, target, what = one
                voter = self.voters[target]
                if isinstance(what, Header):
                    self.do(target, self.import_block(voter, what), is_calm)
                else:
                    self.do(target, give(voter, what, self.now, str(source)), is_calm)

    def import_block(self, voter: Voter, header: Header) -> list[Action]:
        """With its ancestors, as a node imports; the longest chain known is the best."""
        by_hash = {one.hash: one for one in self.blocks}
        missing = [header]
        while missing[-1].parent_hash not in voter.tree:
            if missing[-1].number <= voter.finalized.number:
                return []  # on a fork that lost
            missing.append(by_hash[missing[-1].parent_hash])
        actions = [action for one in reversed(missing) for action in voter.on_block(one, self.now)]
        is_longer = header.number > voter.tree.header(voter._best).number
        if header.hash in voter.tree and is_longer and self.leads(header, voter.finalized):
            actions += voter.on_best(header.hash, self.now)
        return actions

    def lie(self) -> None:
        """Three precommits and prevotes of the fourth voter for random blocks, each to a random one of the others."""
        for _ in range(3):
            target = self.rng.randrange(3)
            voter = self.voters[target]
            block = self.rng.choice(self.blocks[-6:])
            kind = self.rng.choice([Kind.PREVOTE, Kind.PRECOMMIT])
            number, set_id = voter.round.number, voter.authorities.set_id
            self.post(3, target, VoteMessage(number, set_id, signed(KEYS[3], kind, block, number, set_id)), False)

    def grow(self, number: int, has_forks: bool) -> None:
        alive = self.alive()
        top = max(one.number for one in alive)
        parent = self.rng.choice([one for one in alive if one.number >= top - (2 if has_forks else 0)])
        digest = [change(voters(1, 1, 1, 1))] if number % 7 == 6 else []
        block = child(parent, *digest, salt=number)
        self.blocks.append(block)
        self.states[block.hash] = self.states[parent.hash].after(block)
        for target in range(3):
            self.post(target, target, block, not has_forks)

    def alive(self) -> list[Header]:
        """The highest final block and all above it."""
        final = max((finals[-1] for finals in self.final), key=lambda one: one.number)
        return [one for one in self.blocks if self.leads(one, final)]

    def tick(self, is_calm: bool) -> None:
        self.now += 0.25
        self.deliver(is_calm)
        for index, voter in enumerate(self.voters):
            self.do(index, voter.on_tick(self.now), is_calm)
        self.deliver(is_calm)


@pytest.mark.parametrize("seed", range(12))
def test_no_fork_becomes_final_and_a_calm_network_finalises_its_head(seed: int) -> None:
    net = Net(seed)
    for step in range(60):
        if step % 2 == 0:
            net.grow(step // 2, has_forks=True)
        net.lie()
        net.tick(is_calm=False)
    for _ in range(8):  # all blocks are with everybody, what is lost comes again with the next sending
        net.tick(is_calm=True)
    for number in range(200, 204):
        net.grow(number, has_forks=False)
        for _ in range(40):
            net.tick(is_calm=True)
    assert {finals[-1].hash for finals in net.final} == {net.blocks[-1].hash}
