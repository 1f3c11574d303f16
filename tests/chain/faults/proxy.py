"""A TCP proxy in front of a node that drops, delays, duplicates and truncates what it carries, or cuts the line.

All proxies of a test run on one thread of their own. A link is good until `set` says otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

CHUNK = 1 << 14  # 16 KiB (= 16,384)
DELAY_SECONDS = 1.5  # longest delay of a chunk


@dataclass(frozen=True)
class LinkFaults:
    """Probabilities, for each chunk of up to 16 KiB; `is_cut`: nothing passes and nobody gets in."""

    drop: float = 0.0
    delay: float = 0.0
    duplicate: float = 0.0
    truncate: float = 0.0
    flip: float = 0.0
    is_cut: bool = False


GOOD = LinkFaults()


class Proxies:
    """The thread that runs proxies."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._thread.start()
        self._links: dict[int, tuple[int, LinkFaults]] = {}  # proxy's port -> node's port, faults
        self._writers: dict[int, set[asyncio.StreamWriter]] = {}

    def open(self, target: int) -> int:
        """A proxy to a port of this machine; its own port."""
        return self._do(self._open(target))

    def set(self, port: int, faults: LinkFaults) -> None:
        """From now on a link is as bad as that."""
        self._links[port] = (self._links[port][0], faults)
        if faults.is_cut:
            self._loop.call_soon_threadsafe(self._abort, port)

    def close(self) -> None:
        """Ends the thread and all connections."""
        self._loop.call_soon_threadsafe(self._end)
        self._thread.join(10)

    def _end(self) -> None:
        for port in self._writers:
            self._abort(port)
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.call_later(0.2, self._loop.stop)

    def _do(self, work: Coroutine[Any, Any, int]) -> int:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _open(self, target: int) -> int:
        server = await asyncio.start_server(lambda *streams: self._serve(port, *streams), "127.0.0.1", 0)
        port: int = server.sockets[0].getsockname()[1]
        self._links[port], self._writers[port] = (target, GOOD), set()
        return port

    def _abort(self, port: int) -> None:
        for writer in list(self._writers[port]):
            writer.transport.abort()

    async def _serve(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target, faults = self._links[port]
        with contextlib.suppress(OSError, asyncio.CancelledError):
            if not faults.is_cut:
                await self._carry(port, (reader, writer), await asyncio.open_connection("127.0.0.1", target))
        writer.transport.abort()

    async def _carry(self, port: int, near: tuple[Any, Any], far: tuple[Any, Any]) -> None:
        """Both directions, until one ends."""
        writers = {near[1], far[1]}
        self._writers[port] |= writers
        ways = [asyncio.create_task(self._pump(port, a, b)) for a, b in ((near[0], far[1]), (far[0], near[1]))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._writers[port] -= writers
            for writer in writers:
                writer.transport.abort()

    async def _pump(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            faults = self._links[port][1]
            chance: Callable[[], float] = self._random.random
            if chance() < faults.delay:
                await asyncio.sleep(chance() * DELAY_SECONDS)
            if chance() < faults.drop:
                continue
            if chance() < faults.truncate:
                data = data[: len(data) // 2]
            if chance() < faults.flip:
                at = self._random.randrange(len(data))
                data = data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]
            if chance() < faults.duplicate:
                data += data
            writer.write(data)
            await writer.drain()
