"""The service around the voter: what it stores, what it reads at a start, and what it does with peers' messages."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from chain.events import BestChanged, BlockImported, EventBus
from chain.grandpa.actions import Voted
from chain.grandpa.authorities import encode_voters
from chain.grandpa.messages import Justification, Kind, Neighbor
from chain.grandpa.service import GrandpaFiles, GrandpaService, load_genesis_authorities
from chain.network import NetworkConfig, NetworkService
from chain.primitives import Header
from tests.chain.grandpa.simulation import GENESIS, KEYS, change, child, forced_change, signed, state, voters
from tests.chain.network.chainlet import Chainlet

VOTED = Voted(3, 7, signed(KEYS[0], Kind.PREVOTE, GENESIS), signed(KEYS[0], Kind.PRECOMMIT, GENESIS))


class Row:
    """A chain without forks, as GrandpaService reads it."""

    def __init__(self, headers: list[Header], finalized: int) -> None:
        self._headers, self._by_hash = headers, {header.hash: header for header in headers}
        self.best, self.finalized = headers[-1], headers[finalized]
        self.forks: list[Header] = []

    def leaves(self) -> list[bytes]:
        return [header.hash for header in (self.best, *self.forks)]

    def header(self, block_hash: bytes) -> Header | None:
        return self._by_hash.get(block_hash)

    def canonical_hash(self, number: int) -> bytes | None:
        return self._headers[number].hash if number < len(self._headers) else None


def row(finalized: int, changes: tuple[int, ...] = ()) -> Row:
    headers = [GENESIS]
    for number in range(1, 7):
        headers.append(child(headers[-1], *([change(voters(1, number))] if number in changes else [])))
    return Row(headers, finalized)


def service(chain: Row, folder: Path, finalized: list[tuple[bytes, bytes]], events: EventBus) -> GrandpaService:
    async def finalize(block_hash: bytes, proof: bytes) -> None:
        finalized.append((block_hash, proof))

    network = NetworkService(NetworkConfig(bytes(32), bytes(32)), Chainlet(1))
    return GrandpaService(chain, encode_voters(voters(1)), KEYS[0], finalize, events, network, folder)


@pytest.mark.parametrize("voted", [VOTED, replace(VOTED, precommit=None), Voted(0, 1)])
def test_votes_survive_a_restart(tmp_path: Path, voted: Voted) -> None:
    GrandpaFiles(tmp_path).save_votes(voted)
    assert GrandpaFiles(tmp_path).load_votes() == voted


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"set_id": 1}', '{"set_id": 1, "round": 1, "prevote": "00"}'])
def test_damaged_files_are_ignored(tmp_path: Path, damage: str) -> None:
    for name in ("votes.json", "authorities.json"):
        (tmp_path / name).write_text(damage)
    assert GrandpaFiles(tmp_path).load_votes() is None
    assert GrandpaFiles(tmp_path).load_state(row(3)) is None


def test_the_stored_state_is_carried_on_to_the_finalised_block(tmp_path: Path) -> None:
    chain = row(5, changes=(2, 4))
    files = GrandpaFiles(tmp_path)
    at_two = state(1).after(chain._headers[2])
    files.save_state(chain._headers[2], at_two)
    loaded = files.load_state(chain)
    assert loaded is not None
    assert (loaded.current.set_id, loaded.current.voters) == (2, voters(1, 4))


def test_the_state_of_another_fork_or_above_finality_is_not_used(tmp_path: Path) -> None:
    files = GrandpaFiles(tmp_path)
    files.save_state(child(GENESIS, salt=8), state(1))
    assert files.load_state(row(3)) is None
    files.save_state(row(3)._headers[4], state(1))
    assert files.load_state(row(3)) is None


async def test_genesis_authorities_are_read_from_the_chain_once(tmp_path: Path) -> None:
    calls = []

    async def read() -> bytes:
        calls.append(1)
        return authorities

    authorities = b"\x04" + bytes(40)
    assert [await load_genesis_authorities(tmp_path, read) for _ in range(2)] == [authorities] * 2
    assert len(calls) == 1
    for damage in ("", "zz", "04ff"):  # no authorities: read again
        (tmp_path / "genesis_authorities.hex").write_text(damage)
        assert await load_genesis_authorities(tmp_path, read) == authorities
    assert len(calls) == 4


async def test_a_lone_voter_finalises_what_the_bus_tells_and_survives_junk(tmp_path: Path) -> None:
    chain, finalized, events = row(0), list[tuple[bytes, bytes]](), EventBus()
    chain.best = GENESIS
    grandpa = service(chain, tmp_path, finalized, events)
    task = asyncio.create_task(grandpa.run())
    for junk in (b"", b"\x09", bytes(200), Neighbor(9, 9, 9).encode()):
        grandpa.on_message("peer", junk)
    grandpa.on_justification(chain._headers[1].hash, b"junk")
    for header in chain._headers[1:]:
        events.publish(BlockImported(header))
        events.publish(BestChanged(header, (header.hash,), ()))
    async with asyncio.timeout(5):
        while not finalized or finalized[-1][0] != chain._headers[-1].hash:
            await asyncio.sleep(0.02)
    assert Justification.decode(finalized[-1][1]).commit.target_number == 6
    assert grandpa.status.finalized_number == 6
    assert not task.done()
    task.cancel()
    assert GrandpaFiles(tmp_path).load_votes() is not None


async def test_a_restart_begins_with_the_unfinalised_blocks(tmp_path: Path) -> None:
    chain, finalized = row(2), list[tuple[bytes, bytes]]()
    grandpa = service(chain, tmp_path, finalized, EventBus())
    task = asyncio.create_task(grandpa.run())
    async with asyncio.timeout(5):
        while not finalized:
            await asyncio.sleep(0.02)
    task.cancel()
    assert finalized[0][0] == chain.best.hash


async def test_a_restart_with_a_stored_vote_for_a_fork_goes_on(tmp_path: Path) -> None:
    chain, finalized = row(2), list[tuple[bytes, bytes]]()
    fork = child(chain._headers[2], salt=8)
    chain.forks.append(fork)
    chain._by_hash[fork.hash] = fork
    GrandpaFiles(tmp_path).save_votes(Voted(0, 1, signed(KEYS[0], Kind.PREVOTE, chain._headers[2])))
    grandpa = service(chain, tmp_path, finalized, EventBus())
    assert fork.hash in grandpa.voter.tree
    task = asyncio.create_task(grandpa.run())
    async with asyncio.timeout(9):
        while not finalized:
            await asyncio.sleep(0.02)
    task.cancel()
    assert finalized[-1][0] == chain.best.hash


async def test_a_forced_change_is_stored_and_a_restart_stays_with_it(tmp_path: Path) -> None:
    chain, finalized, events = row(0), list[tuple[bytes, bytes]](), EventBus()
    headers = [GENESIS]
    for number in range(1, 5):
        digest = [forced_change(voters(0, 0, 3)[2:], delay=2, median=0)] if number == 2 else []
        headers.append(child(headers[-1], *digest))
    chain.best = GENESIS
    grandpa = service(chain, tmp_path, finalized, events)  # our key is in the old set only
    task = asyncio.create_task(grandpa.run())
    for header in headers[2:]:
        chain._by_hash[header.hash] = header
    chain._by_hash[headers[1].hash] = headers[1]
    for header in headers[1:]:
        events.publish(BlockImported(header))
    async with asyncio.timeout(5):
        while grandpa.status.set_id == 0:
            await asyncio.sleep(0.02)
    task.cancel()
    assert not grandpa.status.is_voter
    chain.best = headers[-1]
    again = service(chain, tmp_path, finalized, EventBus())
    assert again.status.set_id == 1
    assert (again.voter.finalized, finalized) == (GENESIS, [])
