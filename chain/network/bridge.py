"""The two bounded queues between the asyncio node and the trio thread, and the little state both read.

Every method says on which thread it runs. Values crossing are immutable (bytes, frozen dataclasses).
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from chain.errors import PeerFault
from chain.network.errors import RequestFailed
from chain.network.events import BlockAnnounced, NetworkEvent
from chain.network.messages import BlockData, BlockRequest, Handshake, encode_response
from chain.network.provider import BlockProvider, ResponseBuilder

logger = logging.getLogger(__name__)

MAX_COMMANDS = 1_024  # commands on the way to the thread
MAX_EVENTS = 4_096  # events on the way to the node


@dataclass(frozen=True, slots=True)
class Gossip:
    """Send `message` on `protocol` to `only`, or to all peers but `exclude`."""

    protocol: str
    message: bytes
    only: str | None = None
    exclude: str | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """A block request; the thread answers through `Bridge.answer(ticket, …)`."""

    ticket: int
    peer: str
    request: BlockRequest


@dataclass(frozen=True, slots=True)
class Report:
    """A fault that the node found in what a peer sent."""

    peer: str


@dataclass(frozen=True, slots=True)
class Stop:
    """End the thread."""


Command = Gossip | Ask | Report | Stop
Ready = tuple[str, tuple[str, ...]]


class Bridge:
    """Owned by NetworkService; `post` is set by the thread once its loop runs."""

    def __init__(self, provider: BlockProvider, handshake: Handshake) -> None:
        self.handshake = handshake  # replaced as a whole by the node, read by the thread
        self.peers: dict[str, Handshake] = {}  # written by the asyncio thread only
        self.dropped = 0
        self.faults = 0
        self.stopping = threading.Event()
        self._provider = provider
        self._loop: asyncio.AbstractEventLoop | None = None
        self._post: Callable[[Command], None] | None = None
        self._commands = 0
        self._waiting_events = 0
        self._lock = threading.Lock()
        self._queue: asyncio.Queue[NetworkEvent] = asyncio.Queue()
        self._asked: dict[int, tuple[str, asyncio.Future[list[BlockData]]]] = {}
        self._ticket = 0
        self._ready: asyncio.Future[Ready] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # ---- asyncio side

    def open(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[Ready]:
        """Prepares for a thread; the future gives (peer id, addresses) or the reason why it cannot listen."""
        self._loop = loop
        self._ready = loop.create_future()
        return self._ready

    def close(self) -> None:
        """Tells the thread to end and fails what still waits for an answer."""
        self.stopping.set()
        self._submit(Stop(), force=True)
        for peer, future in self._asked.values():
            if not future.done():
                future.set_exception(RequestFailed(peer, "the network is stopping"))
        self._asked.clear()
        self.peers.clear()

    def send_all(self, protocol: str, message: bytes, exclude: str | None = None) -> None:
        """Queues a message for every peer; dropped and counted when the queue is full."""
        self._submit(Gossip(protocol, message, None, exclude))

    def send_one(self, protocol: str, message: bytes, peer: str) -> None:
        """Queues a message for one peer."""
        self._submit(Gossip(protocol, message, peer))

    def report(self, peer: str) -> None:
        """Queues a fault report."""
        self._submit(Report(peer))

    def request(self, peer: str, request: BlockRequest) -> asyncio.Future[list[BlockData]]:
        """Queues a request; the future gives blocks or raises."""
        future: asyncio.Future[list[BlockData]] = asyncio.get_running_loop().create_future()
        self._ticket += 1
        ticket = self._ticket
        if not self._submit(Ask(ticket, peer, request)):
            future.set_exception(RequestFailed(peer, "the command queue is full"))
            return future
        self._asked[ticket] = (peer, future)
        future.add_done_callback(lambda _: self._asked.pop(ticket, None))
        return future

    async def next_event(self) -> NetworkEvent:
        """Takes one event; keeps the list of peers current."""
        event = await self._queue.get()
        with self._lock:
            self._waiting_events -= 1
        if isinstance(event, BlockAnnounced) and event.announce.is_best and event.peer in self.peers:
            header = event.announce.header
            known = self.peers[event.peer]
            self.peers[event.peer] = replace(known, best_number=header.number, best_hash=header.hash)
        return event

    def _submit(self, command: Command, force: bool = False) -> bool:
        with self._lock:
            if self._post is None or (self._commands >= MAX_COMMANDS and not force):
                self.dropped += 1
                return False
            self._commands += 1
            self._post(command)
        return True

    # ---- trio side

    def attach(self, post: Callable[[Command], None] | None) -> None:
        """Sets (or takes away) how commands reach the thread's loop; `post` must be thread-safe."""
        with self._lock:
            self._post = post
            self._commands = 0

    def taken(self) -> None:
        """One command was taken out of the queue."""
        with self._lock:
            self._commands -= 1

    @property
    def is_full(self) -> bool:
        """Whether the node is behind with events: stop reading from peers."""
        return self._waiting_events >= MAX_EVENTS

    def emit(self, event: NetworkEvent) -> None:
        """Hands an event to the node; callers wait while `is_full` first."""
        with self._lock:
            self._waiting_events += 1
        self._call(lambda: self._queue.put_nowait(event))

    def set_peer(self, peer: str, handshake: Handshake | None) -> None:
        """Sets or forgets what a peer told of itself."""
        self._call(lambda: self._store_peer(peer, handshake))

    def ready(self, peer_id: str, addresses: tuple[str, ...]) -> None:
        """The host listens."""
        self._settle(lambda future: future.set_result((peer_id, addresses)))

    def failed(self, error: Exception) -> None:
        """The host cannot start."""
        self._settle(lambda future: future.set_exception(error))

    def answer(self, ticket: int, result: list[BlockData] | Exception) -> None:
        """The outcome of a request."""

        def settle() -> None:
            _, future = self._asked.get(ticket, ("", None))
            if future is None or future.done():
                return
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

        self._call(settle)

    def serve(self, request: BlockRequest, reply: Callable[[bytes], None]) -> None:
        """Has the node answer a peer's request; `reply` gets the encoded response, on the asyncio thread."""

        def start() -> None:
            task = asyncio.ensure_future(self._build(request, reply))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        self._call(start)

    async def _build(self, request: BlockRequest, reply: Callable[[bytes], None]) -> None:
        blocks: list[BlockData] = []
        try:
            builder = ResponseBuilder(self._provider, request)
            while builder.step():
                await asyncio.sleep(0)
            blocks = builder.blocks
        except PeerFault as error:
            logger.debug("block request not served: %s", error)
        except Exception:
            logger.exception("the block provider failed; the peer gets an empty response")
        reply(encode_response(blocks))

    def _store_peer(self, peer: str, handshake: Handshake | None) -> None:
        if handshake is None:
            self.peers.pop(peer, None)
        else:
            self.peers[peer] = handshake

    def _settle(self, how: Callable[[asyncio.Future[Ready]], None]) -> None:
        def settle() -> None:
            if self._ready is not None and not self._ready.done():
                how(self._ready)

        self._call(settle)

    def _call(self, what: Callable[[], object]) -> None:
        loop = self._loop
        if loop is None:
            return
        try:
            loop.call_soon_threadsafe(what)
        except RuntimeError:  # the node's loop is closed: nobody is left to tell
            self.stopping.set()
