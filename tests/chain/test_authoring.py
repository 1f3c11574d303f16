"""An honest author never seals two blocks of one slot, for that would cost its bond: whatever the clock does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chain.authoring import AuthoringService, SpentSlots, SpentSlotsDamaged
from chain.events import EventBus
from chain.importing import ChainThread, ImportQueue
from chain.keystore import AURA, Keystore
from chain.pool import TransactionSource, decode_validity
from chain.pool.service import PoolService
from chain.pool.validity import Validity
from chain.primitives import blake2_256
from tests.chain.devchain import SLOT_MS, DevChain, transfer


class Author:
    """Alice's authoring service on a chain whose clock the test moves; `restart` makes another one on it."""

    def __init__(self, dev: DevChain) -> None:
        self.dev, self.thread, self.keystore = dev, ChainThread(), Keystore()
        self.keystore.insert(AURA, "//Alice")
        self.pool = PoolService(self.validate, (dev.chain.best.hash, dev.chain.best.number))
        self.queue = ImportQueue(dev.chain, self.thread, self.pool, EventBus())
        self.restart()

    async def validate(self, source: TransactionSource, data: bytes, at: bytes) -> Validity:
        return decode_validity(await self.thread.run(self.dev.chain.validate_transaction, at, source, data))

    def restart(self) -> None:
        parts = (self.dev.chain, self.thread, self.queue, self.pool, self.keystore)
        self.service = AuthoringService(*parts, lambda: True, SpentSlots(self.dev.path.with_name("spent.json")))

    async def wake(self, slot: int) -> int:
        """The clock says that a slot has begun; blocks made since the restart."""
        self.dev.now_ms = slot * SLOT_MS
        await self.service._on_slot(slot, SLOT_MS)
        return self.service.authored


@pytest.fixture
async def author(tmp_path: Path) -> AsyncIterator[Author]:
    dev = DevChain(tmp_path / "db")
    found = Author(dev)
    yield found
    dev.chain.close()
    found.thread.close()


async def test_a_clock_that_goes_back_makes_no_second_block(author: Author) -> None:
    first = author.dev.slot + 1
    assert [await author.wake(slot) for slot in (first, first, first + 1, first, first + 1, first + 2)] == [
        1, 1, 2, 2, 2, 3,
    ]  # fmt: skip
    assert author.dev.chain.best.number == 3


async def test_a_restart_goes_on_behind_the_last_known_block(author: Author) -> None:
    first = author.dev.slot + 1
    await author.wake(first)
    author.restart()
    assert [await author.wake(slot) for slot in (first, first + 1)] == [0, 1]


async def test_a_slot_whose_block_could_not_be_imported_is_spent(author: Author) -> None:
    """The seal exists: another block of that slot could not be told from a double one."""
    first = author.dev.slot + 1
    author.dev.chain.import_block = None  # type: ignore[assignment, method-assign] - whatever goes wrong there
    with pytest.raises(TypeError):
        await author.wake(first)
    del author.dev.chain.import_block
    assert [await author.wake(slot) for slot in (first, first + 1)] == [0, 1]


async def test_what_the_parent_holds_already_is_not_banned(author: Author) -> None:
    """The best block moved and the pool does not know it yet: an honest transaction must not suffer for that."""
    dev = author.dev
    included, behind = transfer(dev.chain, 0), transfer(dev.chain, 1)
    for data in (included, behind):
        await author.pool.submit(data)
    dev.now_ms += SLOT_MS
    dev.chain.import_block(dev.build([included]))
    assert await author.wake(dev.slot + 1) == 1
    assert dev.chain.body(dev.chain.best.hash)[1:] == (behind,)  # type: ignore[index]
    assert not author.pool.pool.is_banned(blake2_256(included), time.monotonic())


async def test_the_parent_is_the_best_block_when_building_begins(author: Author) -> None:
    """While the author waits for its pool, finality takes the best block away."""
    dev = author.dev
    root = dev.chain.best.hash
    lost = dev.author(parent=root)
    won = dev.author(parent=root)
    assert dev.chain.best.hash == lost.hash
    tx_hash = await author.pool.submit(transfer(dev.chain, 0))
    author.pool.doubt([tx_hash])  # nobody works it off: the author waits its time
    waking = asyncio.create_task(author.wake(dev.slot + 1))
    await asyncio.sleep(0.01)
    assert await author.queue.finalize(won.hash, None)
    assert await waking == 1
    assert dev.chain.best.parent_hash == won.hash


async def test_a_clock_that_was_ahead_is_no_reason_to_be_silent_nor_to_seal_its_slots_again(author: Author) -> None:
    """The block of the wrong hour is on a fork that loses; its slot stays spent, also after a restart without it."""
    dev, first = author.dev, author.dev.slot + 1
    await author.wake(first)
    honest = dev.chain.best
    ahead = first + 3_600
    assert await author.wake(ahead) == 2
    for slot in (first + 1, first + 2):  # others go on from the honest block, and win
        dev.now_ms = slot * SLOT_MS
        honest = dev.chain.header(dev.chain.import_block(dev.build(parent=honest.hash)).hash) or honest
    dev.chain.finalize(honest.hash)
    assert dev.chain.best == honest
    assert await author.wake(first + 3) == 3, "not silent for an hour"
    author.restart()
    assert [await author.wake(slot) for slot in (first + 3, ahead, ahead + 1)] == [0, 0, 1]


@pytest.mark.parametrize("text", ["", "{}", "[1.5]", "[-1]", "[true]", "[" * 10_000, '["1"]'])
def test_damaged_spent_slots_are_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "spent.json"
    path.write_text(text)
    with pytest.raises(SpentSlotsDamaged, match="damaged"):
        SpentSlots(path)


def test_the_highest_spent_slots_are_remembered(tmp_path: Path) -> None:
    spent = SpentSlots(tmp_path / "spent.json")
    for slot in (5_000, *range(1_100)):
        spent.spend(slot)
    again = SpentSlots(tmp_path / "spent.json")
    assert 5_000 in again
    assert 1_099 in again
    assert 0 not in again
