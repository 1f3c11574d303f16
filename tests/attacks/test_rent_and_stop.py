"""A crowd of rented machines works for one epoch, takes the slots that this earns, and goes.

Source: DESIGN §7 (decay, cap, bootstrap share); the 51 % attacks by rented hash power on small proof-of-work chains
(Ethereum Classic, August 2020).
"""

import pytest

from consensus.commit.hashing import AccountId, blake2_256
from consensus.protocol.block_rights import BlockRightsRules, compute_allocation, compute_weights
from pallets_abi import block_rights
from tests.attacks.court import Court

MINERS = [AccountId(blake2_256(b"miner", bytes([i]))) for i in range(9)]
RENTER = AccountId(blake2_256(b"renter"))
BOOTSTRAP = [AccountId(blake2_256(b"bootstrap"))]
MACS = 10**12
BURST = 12


@pytest.mark.parametrize("preset", ["dev", "local", "test"])
@pytest.mark.parametrize("power", [1, 9, 100, 10_000])
def test_a_burst_earns_no_more_than_its_work_or_the_cap_and_ends(preset: str, power: int) -> None:
    """``power``: the rented machines against one honest miner of nine; all work before and after is the miners'."""
    params = Court(preset).ledger.query(block_rights.PARAMS)
    rules = BlockRightsRules(
        max(params.slots_per_epoch, 60), params.decay, params.cap, params.bootstrap_initial, params.bootstrap_step,
        params.bootstrap_floor,
    )  # fmt: skip
    slots, most, by_epoch = 0, 0, {}
    epochs = range(BURST, BURST + params.decay_epochs + 3)
    for epoch in epochs:
        ages = [
            {miner: MACS for miner in MINERS} | ({RENTER: power * MACS} if epoch - age == BURST else {})
            for age in range(params.decay_epochs)
        ]
        allocation = compute_allocation(rules, compute_weights(ages, rules.decay), BOOTSTRAP, epoch)
        by_epoch[epoch] = dict(allocation.slots).get(RENTER, 0)
        slots, most = slots + by_epoch[epoch], max(most, by_epoch[epoch])
    total = rules.slots_per_epoch * len(epochs)
    worked = power / (power + len(MINERS) * len(epochs))
    print(f"{preset}, {power} times: {slots} of {total} slots for {worked:.1%} of the work, at most {most} an epoch")
    assert most <= rules.slots_per_epoch * params.cap / 1e6
    assert slots / total <= worked * 1.1 or most == rules.slots_per_epoch * params.cap // 10**6
    assert all(by_epoch[epoch] == 0 for epoch in epochs if epoch >= BURST + params.decay_epochs)
