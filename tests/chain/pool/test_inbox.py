"""Floods of transactions from peers: bounded, fair to the others, and told to the network."""

from __future__ import annotations

import pytest

from chain.pool import PoolLimits, inbox
from chain.pool.inbox import Inbox, Received
from chain.pool.service import BATCH, MAX_REFUSED
from chain.primitives import encode_bytes
from tests.chain.pool.test_statuses import BOB, Chain, extrinsic


def received(peer: str, number: int, size: int = 4) -> Received:
    return Received(peer, number.to_bytes(32, "big"), bytes(size), None)


def test_peers_take_turns() -> None:
    box = Inbox()
    for number in range(6):
        assert box.put(received("loud", number))
    assert box.put(received("quiet", 100))
    assert [one.peer for one in box.take(3)] == ["loud", "quiet", "loud"]
    assert len(box) == 4
    assert len(box.take(100)) == 4
    assert (len(box), box._sizes, len(box._queues)) == (0, {}, 0)


def test_a_peers_count_is_bounded_and_the_others_are_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "PEER_COUNT", 2)
    box = Inbox()
    assert [box.put(received("loud", number)) for number in range(3)] == [True, True, False]
    assert (2).to_bytes(32, "big") not in box
    assert box.put(received("quiet", 2))


def test_bytes_are_bounded_by_peer_and_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "PEER_BYTES", 10)
    monkeypatch.setattr(inbox, "TOTAL_BYTES", 25)
    box = Inbox()
    assert [box.put(received("a", 0, 10)), box.put(received("a", 1, 1))] == [True, False]
    assert [box.put(received("b", 2, 10)), box.put(received("c", 3, 5)), box.put(received("d", 4, 1))] == [
        True, True, False,
    ]  # fmt: skip
    box.take(1)
    assert box.put(received("d", 4, 1))


async def test_a_flood_of_invalid_ones_delays_nobody_and_is_reported() -> None:
    chain = Chain()
    faults: list[str] = []
    chain.pool.on_fault = faults.append
    junk = [extrinsic(number % 200, number.to_bytes(32, "big")) for number in range(5_000)]
    chain.runtime.refused.update(junk)
    chain.pool.offer("junk", junk)
    chain.pool.offer("honest", [extrinsic(0, BOB)])
    assert len(chain.pool._inbox) == inbox.PEER_COUNT + 1
    batch = chain.pool._inbox.take(BATCH)
    await chain.pool._take_offered(batch)
    assert [tx.data for tx in chain.pool.ready()] == [extrinsic(0, BOB)], "it was in the first batch"
    await chain.pool.work()
    assert faults == ["junk"] * (inbox.PEER_COUNT - MAX_REFUSED)
    assert chain.pool.validations == inbox.PEER_COUNT + 1
    chain.pool.offer("other", junk[:10])
    await chain.pool.work()
    assert chain.pool.validations == inbox.PEER_COUNT + 1, "refused ones are remembered until the next block"
    assert len(chain.pool.pool) == 1


async def test_what_is_no_extrinsic_is_a_fault_and_a_full_account_is_none() -> None:
    chain = Chain(PoolLimits(per_account=1))
    faults: list[str] = []
    chain.pool.on_fault = faults.append
    await chain.pool.submit(extrinsic(0))
    chain.pool.offer("honest", [extrinsic(1), extrinsic(0)])
    assert faults == []
    for bad in (b"", b"\x00", b"\x08\x84", bytes(64), encode_bytes(b"\x84\x00" + b"A" * 31), extrinsic(0)[:-1]):
        chain.pool.offer("junk", [bad])
    await chain.pool.work()
    assert faults == ["junk"] * 6
    assert chain.pool.validations == 1
