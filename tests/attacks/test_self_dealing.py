"""A miner buys its own work: a task that is easy to shortcut, at the lowest price, so that credits cost it nothing.

Source: DESIGN §4, "self-dealing is priced, not forbidden": a fixed share of every price is burned, and the floor keeps
the burn per credit at or above what computing honestly costs.
"""

import pytest

from miner.lab.ledger import CallRefused
from pallets_abi import block_rights, tasks, verification
from tests.attacks.court import MACS, PRICE, RIVAL, SOLVER, VERIFIERS, Court


def test_a_self_dealt_credit_costs_at_least_what_honest_work_does() -> None:
    """Owner, solver and all verifiers are one party; none of them executes anything, and nobody else looks."""
    court = Court()
    court.post(RIVAL)
    gang = (RIVAL, SOLVER, *VERIFIERS)
    before = court.wealth(*gang)
    work = court.hand_in(SOLVER, 0, cheated=4, task=1)
    court.pass_until_drawn()
    court.verify(0, work, SOLVER, lambda _: False, task=1)
    court.ledger.pass_blocks(6)
    assert court.state(0, task=1) == "Final"
    epoch = court.ledger.query(block_rights.CREDIT_EPOCHS)[0]
    assert court.ledger.query(block_rights.CREDITS, epoch, SOLVER.address) == MACS
    params = court.ledger.query(tasks.PARAMS)
    burned, honest = PRICE * params.burn_share // 10**6, params.mac_cost * MACS // 10**6
    lost = before - court.wealth(*gang)
    print(f"credits of {MACS:,} MACs cost {lost:,} plancks, {burned:,} of them burned; honest work costs {honest:,}")
    assert lost >= burned >= honest > 0


@pytest.mark.parametrize("preset", ["dev", "local", "test"])
def test_every_preset_burns_what_honest_work_costs(preset: str) -> None:
    params = Court(preset).ledger.query(tasks.PARAMS)
    assert params.floor_price * params.burn_share >= params.mac_cost * 10**6


def test_neither_a_lower_price_nor_other_macs_are_taken() -> None:
    court = Court()
    spec = court.ledger.query(tasks.TASKS, 0)
    assert spec is not None
    for change, error in (
        ({"price": PRICE - 1}, "PriceBelowFloor"),
        ({"price": 0}, "PriceBelowFloor"),
        ({"macs_per_step": 0}, "BadWork"),
        ({"macs_per_step": 2**62}, "BadWork"),
    ):
        fields = {name: getattr(spec.spec, name) for name in spec.spec.__dataclass_fields__} | change
        with pytest.raises(CallRefused, match=error):
            court.ledger.submit(RIVAL, tasks.PostCall(tasks.TaskSpec(**fields)))
    court.claim(SOLVER, 0)
    work = court.execute(SOLVER, 0)
    root = "0x" + work.records[-1].end_state_root.hex()
    for macs in (0, MACS - 1, MACS + 1, 2**64 - 1):
        with pytest.raises(CallRefused, match="WrongMacs"):
            court.ledger.submit(SOLVER, verification.SubmitCall(0, 0, root, root, macs))
