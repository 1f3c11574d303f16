"""An author grinds its block, so that a unit's verifiers and segments, or its data order, come out as it likes.

Source: DESIGN §5, "block hashes can be ground by their author, so nothing is drawn from them".
"""

from pallets_abi import beacon, system, tasks
from tests.attacks.court import RIVAL, SOLVER, Court

TRIES = 6


def test_no_content_of_a_block_moves_a_draw() -> None:
    """Each try is another block for the claim and for every block until the draw: another hash, the same seed."""
    draws, seeds, hashes = set(), set(), set()
    for attempt in range(TRIES):
        court = Court()
        for number in range(3):
            court.ledger.submit(RIVAL, system.RemarkCall(bytes([attempt, number])))
            court.ledger.pass_blocks(1)
        court.hand_in(SOLVER, 0)
        court.pass_until_drawn()
        duty = court.duty(0)
        draws.add((tuple(address for address, _ in duty.verifiers), tuple(duty.segments)))
        seeds.add(court.ledger.query(beacon.SEED))
        hashes.add(court.find(tasks.UnitClaimedEvent)[0].seed)
    assert len(seeds) == len(draws) == 1
    assert len(hashes) == TRIES  # only the data order is keyed by a block, the one before the claim
