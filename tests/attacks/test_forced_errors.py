"""Playing the jackpot without looking: guess, follow another, copy a seal, come with many names, put decoys everywhere.

Source: Teutsch and Reitwiessner, "A scalable verification solution for blockchains" (Truebit, 2017), section 5 on
forced errors, jackpots, and the collusion of solver and verifier; docs/jackpot.md. What tips and names are worth is
arithmetic: tests/consensus/protocol/test_jackpot.py, and on the pallet its own tests.
"""

from dataclasses import replace

import pytest

from chain.identity import Sr25519Key
from consensus.commit.hashing import AccountId, Hash32
from consensus.commit.records import CLAIMS, Opening, compute_opening
from consensus.protocol.jackpot import (
    Decoy,
    Prizes,
    compute_budget,
    compute_decoy_commitment,
    compute_finding_commitment,
)
from consensus.protocol.units import UnitRef
from miner.lab.duties import to_hex
from miner.lab.ledger import CallRefused
from miner.lab.pallet import MadeUpExecution
from miner.roles.forms import to_abi_finding
from pallets_abi import jackpot, stakes
from tests.attacks.court import OWNER, PRICE, SHARDS, SOLVER, UNIT, VERIFIERS, Court

CHALLENGE_PPM = 100_000
SALT = bytes(32)
SEAL_BLOCKS, FIND_BLOCKS, SHOW_BLOCKS = 3, 3, 6  # of preset test
ROUNDS = 12
SHARE = 40_000


class Lottery(Court):
    """A court that challenges one unit in ten, and whose solver hides decoys."""

    def __init__(self) -> None:
        super().__init__(challenge_ppm=CHALLENGE_PPM, rounds=ROUNDS)
        self._next = 0
        for key in VERIFIERS:  # nobody verifies here, and penalties must not make them ineligible
            self.ledger.submit(key, stakes.BondCall(stakes.Role.VERIFIER, 10_000 * UNIT))

    def hand_in_with_decoy(self, unit: int, place: int, committed: int | None = None) -> MadeUpExecution:
        """Claims, hides, submits. `committed`: the place that a liar commits to."""
        self.claim(SOLVER, unit)
        decoy = Decoy(place if committed is None else committed, SALT)
        commitment = compute_decoy_commitment(AccountId(SOLVER.public), UnitRef(0, unit, 0), decoy)
        self.ledger.submit(SOLVER, jackpot.HideCall(0, unit, to_hex(commitment)))
        work = replace(self.execute(SOLVER, unit), decoy=place)
        self.submit(SOLVER, unit, work)
        return work

    def draw(self, committed_beside: int = 0) -> tuple[int, MadeUpExecution, jackpot.Draw]:
        """Units until one is a forced error (or, with `committed_beside`, would be if its commitment were true)."""
        while self._next < SHARDS * ROUNDS:
            first, self._next = self._next, self._next + SHARDS
            works = {unit: self._hand_in(unit, committed_beside) for unit in range(first, first + SHARDS)}
            self.pass_until_drawn()
            for unit, work in works.items():
                draw = self.ledger.query(jackpot.DRAWS, 0, unit)
                if draw is not None and draw.counting == work.decoy:
                    return unit, work, draw
        raise AssertionError("no forced error in all units of the task")

    def _hand_in(self, unit: int, committed_beside: int) -> MadeUpExecution:
        place = unit % CLAIMS
        return self.hand_in_with_decoy(unit, place, (place + committed_beside) % CLAIMS)

    def seal(self, key: Sr25519Key, unit: int, opening: Opening) -> Hash32:
        """Seals a finding."""
        commitment = compute_finding_commitment(
            AccountId(key.public), 0, unit, opening.record.index, opening.witness, SALT
        )
        self.ledger.submit(key, jackpot.SealCall(to_hex(commitment)))
        return commitment

    def open(self, key: Sr25519Key, unit: int, opening: Opening) -> None:
        """Opens a sealed finding."""
        self.ledger.submit(key, jackpot.FindCall(0, unit, to_abi_finding(opening), to_hex(SALT)))

    def show(self, unit: int, place: int, shown: Opening | None = None) -> None:
        """The solver shows its decoy."""
        finding = None if shown is None else to_abi_finding(shown)
        self.ledger.submit(SOLVER, jackpot.ShowCall(0, unit, place, to_hex(SALT), finding))

    def pass_until(self, block: int) -> None:
        """Until `block` is over."""
        self.ledger.pass_blocks(block + 1 - self.ledger.number)


def look(work: MadeUpExecution, segment: int) -> Opening:
    """What who executes a segment has."""
    return compute_opening(work.records, segment, work.witness(segment, is_true=True))


def test_who_looks_is_paid_and_who_follows_or_guesses_is_not() -> None:
    lottery = Lottery()
    unit, work, draw = lottery.draw()
    looker, follower, guesser = VERIFIERS
    sealed = lottery.seal(looker, unit, look(work, 1))
    lottery.ledger.submit(follower, jackpot.SealCall(to_hex(sealed)))  # copied before it is opened
    guess = replace(look(work, 1), witness=Hash32(bytes(32)))
    lottery.seal(guesser, unit, guess)
    lottery.pass_until(draw.seal_until)
    lottery.open(looker, unit, look(work, 1))
    with pytest.raises(CallRefused, match="NotSealed"):
        lottery.open(follower, unit, look(work, 1))  # now it knows the witness
    with pytest.raises(CallRefused, match="BadWitness"):
        lottery.open(guesser, unit, guess)
    lottery.pass_until(draw.find_until)
    pot, before = lottery.ledger.query(jackpot.POT), lottery.wealth(looker)
    lottery.show(unit, draw.counting)
    prizes = Prizes(min(pot, compute_budget(PRICE, SHARE, CHALLENGE_PPM)))
    assert lottery.wealth(looker) - before == prizes.compute_each(1) > 0
    lottery.ledger.pass_blocks(1)
    (event,) = lottery.find(jackpot.ForcedErrorEvent)
    assert (event.finders, event.prize, event.bonus) == (1, prizes.compute_each(1), prizes.compute_bonus(1))
    assert lottery.bond(stakes.Role.SOLVER, SOLVER) == 200 * UNIT  # a forced error costs the solver nothing


def test_a_solver_without_looked_at_decoy_shows_it_itself_and_not_a_made_up_one() -> None:
    lottery = Lottery()
    unit, work, draw = lottery.draw()
    lottery.pass_until(draw.find_until)
    true = compute_opening(replace(work, decoy=None).records, draw.segment, work.witness(draw.segment, is_true=True))
    with pytest.raises(CallRefused, match="NotShown"):
        lottery.show(unit, draw.counting)
    with pytest.raises(CallRefused, match="BadProof"):
        lottery.show(unit, draw.counting, true)
    with pytest.raises(CallRefused, match="WrongDecoy"):
        lottery.show(unit, (draw.counting + 1) % CLAIMS, look(work, draw.segment))
    lottery.show(unit, draw.counting, look(work, draw.segment))
    with pytest.raises(CallRefused, match="NoDraw"):
        lottery.show(unit, draw.counting, look(work, draw.segment))


def test_a_false_claim_beside_the_committed_decoy_costs_the_penalty() -> None:
    lottery = Lottery()
    unit, work, draw = lottery.draw(committed_beside=1)
    looker = VERIFIERS[0]
    lottery.seal(looker, unit, look(work, 2))
    lottery.pass_until(draw.seal_until)
    lottery.open(looker, unit, look(work, 2))
    lottery.pass_until(draw.find_until)
    with pytest.raises(CallRefused, match="NotForced"):
        lottery.show(unit, (draw.counting + 1) % CLAIMS)
    bond = lottery.bond(stakes.Role.SOLVER, SOLVER)
    lottery.pass_until(draw.show_until + 1)
    penalty = lottery.ledger.query(stakes.PARAMS).penalty
    assert bond - lottery.bond(stakes.Role.SOLVER, SOLVER) == penalty
    assert [event.unit for event in lottery.find(jackpot.FalseClaimEvent)] == [unit]


def test_outsiders_and_the_solver_itself_do_not_play() -> None:
    lottery = Lottery()
    unit, work, draw = lottery.draw()
    with pytest.raises(CallRefused, match="NotEligible"):
        lottery.seal(OWNER, unit, look(work, 0))
    lottery.seal(SOLVER, unit, look(work, 0))
    lottery.pass_until(draw.seal_until)
    with pytest.raises(CallRefused, match="OwnUnit"):
        lottery.open(SOLVER, unit, look(work, 0))
