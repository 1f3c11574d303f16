"""Whoever reveals last sees the beacon's next seed before all others, and keeps silent when it does not like it.

Source: RANDAO's known bias (Buterin 2018, "RANDAO beacon exploitability analysis"): m withheld reveals give 2^m seeds
to choose from. Here each costs the penalty and the next epoch's slots; what a better seed saves is a unit's cost.
"""

import hashlib
from math import comb

import pytest

from consensus.commit.hashing import AccountId
from consensus.protocol.attestation import compute_beacon_commitment
from miner.lab.duties import to_hex
from pallets_abi import beacon, stakes, tasks, verification
from tests.attacks.court import MACS, SLOTS_PER_EPOCH, UNIT, VERIFIERS, Court

SECRETS = [hashlib.blake2b(bytes([i]), digest_size=32).digest() for i in range(3)]


def test_silence_costs_the_penalty_and_gives_one_other_seed() -> None:
    court = Court()
    court.ledger.pass_blocks(SLOTS_PER_EPOCH - (court.ledger.number - 1) % SLOTS_PER_EPOCH)
    epoch = court.ledger.query(beacon.EPOCH)
    for key, secret in zip(VERIFIERS, SECRETS, strict=True):
        commitment = compute_beacon_commitment(AccountId(key.public), epoch, secret)
        court.ledger.submit(key, beacon.CommitCall(to_hex(commitment)))
    court.ledger.pass_blocks(SLOTS_PER_EPOCH // 3)
    *honest, last = zip(VERIFIERS, SECRETS, strict=True)
    for key, secret in honest:
        court.ledger.submit(key, beacon.RevealCall(to_hex(secret)))
    court.ledger.pass_blocks(SLOTS_PER_EPOCH)
    assert court.bond(stakes.Role.VERIFIER, last[0]) == 100 * UNIT - court.ledger.query(stakes.PARAMS).penalty
    assert [court.bond(stakes.Role.VERIFIER, key) for key, _ in honest] == [100 * UNIT] * 2
    assert {event.reason for event in court.find(stakes.SlashedEvent)} == {stakes.SlashReason.BEACON_NO_SHOW}


@pytest.mark.parametrize("preset", ["dev", "local", "test"])
def test_what_the_choice_of_a_seed_saves_never_pays_for_it(preset: str) -> None:
    """Expected gain of a solver that cheats on n whole units of 10^9 MACs an epoch, with up to m reveals to withhold.

    It looks at seeds one by one and withholds one more reveal while a unit of it is caught; caught, it loses its bond.
    The units that the chain's bonds allow at once are few against what one penalty is worth.
    """
    query = Court(preset).ledger.query
    rules, bonds, market = query(verification.PARAMS), query(stakes.PARAMS), query(tasks.PARAMS)
    p, r = rules.challenge_ppm / 1e6, rules.attacker_share / 1e6
    caught = min(p, 0.5) * (1 - r**rules.verifiers)  # preset test challenges every unit, so that no seed saves one
    cost = market.mac_cost * MACS / 1e6
    best = float("-inf")
    for units in (1, 2, 5, 10, 100, 1000):
        escape = (1 - caught) ** units
        for reveals in range(8):
            seeds = sum(comb(reveals, k) for k in range(reveals + 1))
            fails = (1 - escape) ** seeds
            withheld = sum((1 - escape) ** 2**k for k in range(reveals))
            best = max(best, units * cost - fails * bonds.min_solver_bond - withheld * bonds.penalty)
    print(f"{preset}: the best plan gains {best / UNIT:.4f} UNIT; a unit's honest cost is {cost / UNIT:.4f}")
    assert best < 0
