"""One connection: what waits to be sent, its subscriptions, follows and broadcasts. Everything in it is bounded.

Back-pressure: whoever sends waits while the outbox is full, and the next request is read only when the last one's
answer is in it. A subscription that waits so long that the node's events overrun it ends the connection: a client
never misses an event without noticing.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chain.errors import ChainError
from chain.events import ReaderTooSlow
from chain.rpc.errors import TooManySubscriptions

if TYPE_CHECKING:
    from chain.rpc.follow import Follow

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SessionLimits:
    """What one connection may hold. The specification asks for 2 follows and 4 broadcasts at least."""

    subscriptions: int = 128
    follows: int = 4
    broadcasts: int = 16
    outbox_bytes: int = 4 * 1024 * 1024


class Outbox:
    """Texts that wait for the peer, in order: fewer than `limit` characters, or one more text than that."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._texts: deque[str] = deque()
        self._size = 0
        self._filled, self._room = asyncio.Event(), asyncio.Event()

    async def put(self, text: str) -> None:
        """Adds a text, as soon as there is room."""
        while self._size >= self._limit:
            self._room.clear()
            await self._room.wait()
        self._texts.append(text)
        self._size += len(text)
        self._filled.set()

    async def get(self) -> str:
        """The oldest text, as soon as there is one."""
        while not self._texts:
            self._filled.clear()
            await self._filled.wait()
        text = self._texts.popleft()
        self._size -= len(text)
        self._room.set()
        return text


class Session:
    """The state of a WebSocket connection. `on_too_slow` is called once when its peer does not read fast enough."""

    def __init__(self, limits: SessionLimits, on_too_slow: Callable[[], None] = lambda: None) -> None:
        self.limits = limits
        self.outbox = Outbox(limits.outbox_bytes)
        self.follows: dict[str, Follow] = {}
        self.broadcasts: dict[str, asyncio.Task[None]] = {}
        self._on_too_slow = on_too_slow
        self._streams: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._answered = asyncio.Event()

    def on_answered(self) -> None:
        """The answer to the message at hand is in the outbox: what it started may send now."""
        self._answered.set()
        self._answered = asyncio.Event()

    def spawn(self, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Runs `work` once the message at hand is answered, until it ends or the connection does."""
        task = asyncio.create_task(self._guard(work, self._answered))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guard(self, work: Callable[[], Awaitable[None]], answered: asyncio.Event) -> None:
        try:
            await answered.wait()
            await work()
        except ReaderTooSlow:
            self._on_too_slow()
        except ChainError as error:
            log.warning("a subscription ended: %s", error)
        except Exception:
            log.exception("a subscription failed")

    def check_room(self) -> None:
        """Raises `TooManySubscriptions` if there is no room for one more."""
        if len(self._streams) + len(self.follows) >= self.limits.subscriptions:
            raise TooManySubscriptions(self.limits.subscriptions)

    def start(self, event: str, stream: AsyncIterator[Any]) -> str:
        """Sends what the stream yields as notifications `event`; the id of the subscription."""
        subscription = make_id()

        async def pump() -> None:
            try:
                async for result in stream:
                    await self.notify(event, subscription, result)
            finally:
                close = getattr(stream, "aclose", None)
                if close is not None:
                    await close()

        task = self.spawn(pump)
        self._streams[subscription] = task
        task.add_done_callback(lambda _task: self._streams.pop(subscription, None))
        return subscription

    def stop(self, subscription: str) -> bool:
        """Ends a subscription; whether there was one."""
        task = self._streams.pop(subscription, None)
        if task is not None:
            task.cancel()
        return task is not None

    async def notify(self, event: str, subscription: str, result: Any) -> None:
        """Sends a notification, as soon as there is room."""
        text = result if isinstance(result, Dumped) else dump(result)
        params = f'{{"subscription":"{subscription}","result":{text}}}'
        await self.outbox.put(f'{{"jsonrpc":"2.0","method":"{event}","params":{params}}}')

    async def close(self) -> None:
        """The connection is gone: all that belonged to it ends."""
        for follow in list(self.follows.values()):
            follow.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Dumped(str):
    """JSON that is written out already, because many subscribers get the same."""


def make_id() -> str:
    """A new id that nobody guesses."""
    return secrets.token_urlsafe(12)


def dump(value: Any) -> str:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":"))
