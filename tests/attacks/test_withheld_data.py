"""A task whose data set its owner keeps back, so that solvers claim units in vain or verifiers cannot check them; and
the opposite, asks that are to make an honest owner lose. Withheld data is the open end of every protocol whose checks
need it (see "data availability" of optimistic rollups); here a chunk drawn at random is asked for on chain.
"""

from __future__ import annotations

import numpy as np
import pytest

from chain.identity import Sr25519Key
from consensus.commit.state import State
from consensus.dispute.availability import DataChunk, encode_answer, open_data
from miner.lab.duties import to_hex
from miner.lab.ledger import CallRefused
from miner.lab.pallet import START
from miner.roles.availability import PALLET, to_abi_chunk
from miner.roles.link import EncodedCall
from miner.roles.owner import hash_arrays
from pallets_abi import availability, stakes, tasks
from tests.attacks.court import MACS, OWNER, PRICE, RIVAL, SEGMENTS, SHARDS, SOLVER, Court

ARRAYS: State = {
    "images": np.arange(70 * 40, dtype=np.float32).reshape(70, 40),
    "labels": np.arange(70, dtype=np.uint8),
    "nothing": np.zeros((0, 3), np.int64),
    "weights": np.ones((70, 3, 3), np.int16),
}
TASK = 1
DEADLINE = 20


class Market(Court):
    """The court with a second task, whose data set is real."""

    def __init__(self) -> None:
        super().__init__()
        self.tensors = hash_arrays(ARRAYS)
        root = to_hex(START)
        data = tasks.DataRule(to_hex(self.tensors.commitment.root), len(ARRAYS), windows=False)
        self.ledger.submit(OWNER, tasks.PostCall(tasks.TaskSpec(
            spec_hash=root, graph_root=root, initial_state_root=root, shards=SHARDS, rounds=1,
            segments_per_unit=SEGMENTS, steps_per_segment=1, macs_per_step=MACS // SEGMENTS, price=PRICE,
            deadline_blocks=DEADLINE, endpoint=b"", node_count=1, state_count=1, data=data,
        )))  # fmt: skip
        self.params = self.ledger.query(availability.PARAMS)

    def ask(self, key: Sr25519Key, unit: int, chunk: DataChunk) -> int:
        """Asks the owner; the number of the ask."""
        number = self.ledger.query(availability.NEXT_ASK)
        self.ledger.submit(key, availability.AskCall(TASK, unit, to_abi_chunk(chunk)))
        return number

    def answer(self, number: int, chunk: DataChunk) -> None:
        """The owner opens what it has."""
        answer = encode_answer(number, open_data(chunk, self.tensors))
        self.ledger.submit(OWNER, EncodedCall(PALLET, "answer", answer))

    def task(self) -> tasks.Task:
        """The task as it stands."""
        task = self.ledger.query(tasks.TASKS, TASK)
        assert task is not None
        return task


@pytest.mark.parametrize("tile", [0, 5, 2**32 - 1])
def test_an_honest_owner_opens_any_tile_and_gains(tile: int) -> None:
    market = Market()
    before, asker = market.wealth(OWNER), market.wealth(RIVAL)
    numbers = []
    for array in range(len(ARRAYS)):
        market.claim(RIVAL, array, TASK)
        chunk = DataChunk(array, tile)
        number = market.ask(RIVAL, array, chunk)
        with pytest.raises(CallRefused, match="WrongOpening|BadProof|BadTile"):
            market.answer(number, DataChunk((array + 1) % len(ARRAYS), tile))
        market.answer(number, chunk)
        numbers.append(number)
    gained, lost = market.wealth(OWNER) - before, asker - market.wealth(RIVAL)
    fees = len(ARRAYS) * market.params.compensation - gained  # of refused answers, too
    print(f"{len(numbers)} asks: the owner gains {gained:,} plancks after {fees:,} of fees, the asker loses {lost:,}")
    assert lost >= len(ARRAYS) * market.params.deposit and gained > 0
    market.ledger.pass_blocks(market.params.answer_blocks + 1)
    assert not market.task().closed
    for number in numbers:
        ended = market.ledger.query(availability.ENDED, number)
        assert ended is not None and ended.outcome is availability.Outcome.ANSWERED


def test_whoever_claims_in_vain_loses_nothing_and_the_owner_more_than_the_work_is_worth() -> None:
    market = Market()
    bond, before = market.bond(stakes.Role.SOLVER, SOLVER), market.wealth(OWNER)
    market.claim(SOLVER, 0, TASK)
    number = market.ask(SOLVER, 0, DataChunk(0, 7))
    market.ledger.submit(OWNER, tasks.CloseCall(TASK))  # too late: while it is asked nothing is given back
    market.ledger.pass_blocks(market.params.answer_blocks + 1)
    with pytest.raises(CallRefused, match="NoAsk"):
        market.answer(number, DataChunk(0, 7))
    with pytest.raises(CallRefused, match="TaskIsClosed"):
        market.claim(RIVAL, 1, TASK)
    market.ledger.pass_blocks(DEADLINE)
    assert (market.state(0, TASK), market.task().escrowed) == ("Closed", 0)
    assert market.bond(stakes.Role.SOLVER, SOLVER) == bond
    forfeited = market.find(tasks.ForfeitedEvent)
    rewarded, burned = (sum(getattr(event, name) for event in forfeited) for name in ("rewarded", "burned"))
    assert rewarded + burned == SHARDS * PRICE * market.params.owner_share // 10**6
    assert rewarded == (rewarded + burned) * market.params.reward_share // 10**6
    honest = MACS * market.ledger.query(tasks.PARAMS).mac_cost // 10**6
    print(f"the owner burns {burned / SHARDS:,.0f} plancks a unit; executing one costs {honest:,}")
    assert burned > SHARDS * honest
    assert before - market.wealth(OWNER) >= rewarded + burned
    market.claim(SOLVER, 0)  # it goes on with another task


def test_only_who_needs_the_data_asks_and_only_once() -> None:
    market = Market()
    with pytest.raises(CallRefused, match="NoNeed"):
        market.ask(RIVAL, 0, DataChunk(0, 0))
    market.claim(SOLVER, 0, TASK)
    with pytest.raises(CallRefused, match="NoNeed"):
        market.ask(RIVAL, 0, DataChunk(0, 0))
    with pytest.raises(CallRefused, match="NoSuchChunk"):
        market.ask(SOLVER, 0, DataChunk(len(ARRAYS), 0))
    market.answer(market.ask(SOLVER, 0, DataChunk(0, 0)), DataChunk(0, 0))
    with pytest.raises(CallRefused, match="AlreadyAsked"):
        market.ask(SOLVER, 0, DataChunk(0, 0))


@pytest.mark.parametrize("preset", ["dev", "local", "test"])
def test_in_every_preset_silence_burns_more_than_honest_work_costs(preset: str) -> None:
    ledger = Court(preset).ledger
    market, asks = ledger.query(tasks.PARAMS), ledger.query(availability.PARAMS)
    burned = market.floor_price * asks.owner_share * (10**6 - asks.reward_share) // 10**12
    assert burned > market.mac_cost
