"""The event bus: order, kinds, and readers that are told a few at a time."""

from __future__ import annotations

import asyncio

import pytest

from chain.events import QUEUE_SIZE, TOLD_AT_ONCE, BestChanged, BlockFinalized, BlockImported, EventBus, ReaderTooSlow
from chain.primitives import Header

HEADERS = [Header(bytes(32), number, bytes(32), bytes(32), ()) for number in range(4)]


async def test_many_readers_hear_all_events_in_order_a_few_at_a_time() -> None:
    bus = EventBus()
    streams = [bus.stream() for _ in range(3 * TOLD_AT_ONCE + 1)]
    events = [event for header in HEADERS for event in (BlockImported(header), BestChanged(header, (), ()))]
    heard = [asyncio.create_task(anext(stream)) for stream in streams]
    await asyncio.sleep(0)
    for event in events:
        bus.publish(event)
    await asyncio.sleep(0)
    assert sum(task.done() for task in heard) <= 2 * TOLD_AT_ONCE
    late = bus.stream()
    bus.publish(BlockFinalized(HEADERS[0], ()))
    assert await anext(late) == BlockFinalized(HEADERS[0], ())
    for first, stream in zip(heard, streams, strict=True):
        assert [await first, *[await anext(stream) for _ in events]] == [*events, BlockFinalized(HEADERS[0], ())]


async def test_a_stream_of_one_kind_hears_no_other() -> None:
    bus = EventBus()
    best = bus.stream(BestChanged)
    bus.publish(BlockImported(HEADERS[1]))
    bus.publish(BestChanged(HEADERS[1], (), ()))
    assert await anext(best) == BestChanged(HEADERS[1], (), ())


async def test_closing_tells_what_is_left_before_the_end() -> None:
    bus = EventBus()
    streams = [bus.stream() for _ in range(2 * TOLD_AT_ONCE)]
    bus.publish(BlockImported(HEADERS[1]))
    bus.close()
    for stream in streams:
        assert [event async for event in stream] == [BlockImported(HEADERS[1])]


async def test_a_reader_that_lags_is_told_so() -> None:
    bus = EventBus()
    stream = bus.stream()
    for _ in range(QUEUE_SIZE + 2):
        bus.publish(BlockImported(HEADERS[1]))
    for _ in range(QUEUE_SIZE):
        await anext(stream)
    with pytest.raises(ReaderTooSlow):
        await anext(stream)
