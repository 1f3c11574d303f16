"""Cheaters on the runtime's own pallets: who is caught loses the whole bond, who is not is paid."""

from dataclasses import replace

import pytest

from chain.errors import GenesisRejected
from chain.identity import sr25519_from_uri
from consensus.protocol.economics import Incentive
from miner.lab.incentive import Setting, measure, play_detection
from miner.lab.ledger import CallRefused, Ledger
from miner.lab.pallet import BATCH, CheaterPlay, Tally
from pallets_abi import beacon, stakes, system, tasks

UNIT = 10**12
INCENTIVE = Incentive(500_000, 333_333, 2, UNIT // 1000, 200 * UNIT, 10**9, 200_000)
BOB = sr25519_from_uri("//Bob")


def test_a_ledger_decides_as_the_chain() -> None:
    ledger = Ledger("test")
    ledger.submit(BOB, stakes.BondCall(stakes.Role.SOLVER, 200 * UNIT))
    assert ledger.query(stakes.BONDS, "Solver", BOB.address) == 200 * UNIT
    with pytest.raises(CallRefused, match="UnknownTask"):
        ledger.submit(BOB, tasks.ClaimCall(0, 0))
    with pytest.raises(CallRefused, match="BelowMinimum"):
        ledger.submit(BOB, stakes.UnbondCall(stakes.Role.SOLVER, 199 * UNIT))
    assert ledger.query(tasks.TASKS, 0) is None and ledger.query(beacon.EPOCH) == 0
    ledger.pass_blocks(12)
    assert (ledger.number, ledger.query(beacon.EPOCH)) == (13, 1)
    bonded = [event for event in ledger.events if isinstance(event, stakes.BondedEvent)]
    assert [event.account for event in bonded] == [BOB.address]
    assert sum(isinstance(event, system.ExtrinsicFailedEvent) for event in ledger.events) == 2


def test_honest_units_are_final_and_cost_nothing() -> None:
    always = replace(INCENTIVE, challenge_ppm=1_000_000)
    assert CheaterPlay(always, 1, 8, 0).play(8) == Tally(8, 0, 0, 8)


def test_a_whole_cheat_is_always_caught_by_an_honest_verifier() -> None:
    always = replace(INCENTIVE, challenge_ppm=1_000_000, attacker_share=0)
    assert CheaterPlay(always, 1, 8, 8).play(8) == Tally(8, 8, 8 * 200 * UNIT, 0)


def test_one_s_own_verifiers_never_catch_one() -> None:
    owner = replace(INCENTIVE, challenge_ppm=1_000_000, attacker_share=1_000_000)
    assert CheaterPlay(owner, 1, 8, 8).play(8) == Tally(8, 0, 0, 8)


def test_the_pallets_give_the_formula() -> None:
    point = measure(Setting(INCENTIVE, 2, 16), 0.5, 0.5, BATCH, 3, play_detection)
    assert point.agrees and point.error > 0, point
    assert not replace(point, formula=point.formula * 3).agrees


def test_the_chain_refuses_a_setting_in_which_cheating_pays() -> None:
    with pytest.raises(GenesisRejected, match="cheating pays"):
        CheaterPlay(replace(INCENTIVE, challenge_ppm=1, bond=1), 1, 8, 8)
