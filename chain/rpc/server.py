"""The RPC server: JSON-RPC 2.0 over WebSocket and HTTP POST on one port, `/health` and `/metrics` beside it.

Requests carry a Host header of ours, else they are refused: a web page in somebody's browser must not reach a
loopback node by DNS rebinding. For the same reason browsers' Origin is checked.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from aiohttp import WSMsgType, web

from chain.errors import ChainError, Misuse
from chain.rpc import author_api, chain_api, evidence_api, state_api, system_api
from chain.rpc.context import RpcContext
from chain.rpc.errors import OVERSIZED_REQUEST, RpcError, TooManySubscriptions
from chain.rpc.registry import Registry, dump, error_body
from chain.rpc.system_api import health_json

log = logging.getLogger(__name__)

LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]", "::1"})


class PortInUse(Misuse):
    """The RPC port is taken."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        super().__init__(
            f"cannot listen on {host}:{port}: the port is in use; stop the other process or take another --rpc-port"
        )


@dataclass(frozen=True)
class RpcConfig:
    """Where the server listens and what it allows. `port` 0 takes a free one; sizes in bytes."""

    host: str = "127.0.0.1"
    port: int = 9944
    max_message: int = 15 * 1024 * 1024
    max_connections: int = 100
    max_subscriptions: int = 128
    outbox: int = 1_024
    allowed_hosts: frozenset[str] = LOCAL_HOSTS


def make_registry() -> Registry:
    """All methods of a node."""
    registry = Registry()
    for module in (chain_api, state_api, author_api, system_api, evidence_api):
        module.register(registry)
    return registry


class RpcServer:
    """Serves one node. `metrics` gives the Prometheus text."""

    def __init__(self, config: RpcConfig, context: RpcContext, metrics: Callable[[], bytes] = lambda: b"") -> None:
        self.config, self.context = config, context
        self.registry = make_registry()
        self._metrics = metrics
        self._runner: web.AppRunner | None = None
        self._connections: set[_Connection] = set()
        self.port = config.port

    async def start(self) -> None:
        """Binds and serves. Raises `PortInUse`."""
        app = web.Application(client_max_size=self.config.max_message, middlewares=[self._check_host])
        app.router.add_get("/", self._websocket)
        app.router.add_post("/", self._post)
        app.router.add_get("/health", self._health)
        app.router.add_get("/metrics", self._metrics_page)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.config.host, self.config.port, reuse_address=True)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            self._runner = None
            raise PortInUse(self.config.host, self.config.port) from error
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Closes all connections; may be called twice."""
        for connection in list(self._connections):
            await connection.close()
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    @property
    def url(self) -> str:
        """The WebSocket address."""
        return f"ws://{self.config.host}:{self.port}"

    @web.middleware
    async def _check_host(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if _host_of(request.headers.get("Host", "")) not in self.config.allowed_hosts:
            return web.Response(status=403, text="Host header is not allowed\n")
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).hostname not in self.config.allowed_hosts:
            return web.Response(status=403, text="Origin is not allowed\n")
        response: web.StreamResponse = await handler(request)
        return response

    async def _post(self, request: web.Request) -> web.StreamResponse:
        if request.content_type != "application/json":
            return web.Response(status=415, text="Content-Type must be application/json\n")
        answer = await self.registry.answer(self.context, await request.read(), None)
        return web.Response(text=answer or "", content_type="application/json")

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        if len(self._connections) >= self.config.max_connections:
            return web.Response(status=429, text="too many connections\n")
        socket = web.WebSocketResponse(max_msg_size=self.config.max_message, heartbeat=30.0, compress=False)
        if not socket.can_prepare(request).ok:
            return web.Response(status=405, text="use POST or a WebSocket\n")
        await socket.prepare(request)
        connection = _Connection(self, socket)
        self._connections.add(connection)
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)
        return socket

    async def _health(self, _request: web.Request) -> web.StreamResponse:
        body = health_json(self.context)
        return web.json_response(body, status=503 if body["isSyncing"] else 200)

    async def _metrics_page(self, _request: web.Request) -> web.StreamResponse:
        return web.Response(body=self._metrics(), content_type="text/plain")


class _Connection:
    """One WebSocket: a reader, a writer with a bounded outbox, and a task per subscription."""

    def __init__(self, server: RpcServer, socket: web.WebSocketResponse) -> None:
        self._server, self._socket = server, socket
        self._outbox: asyncio.Queue[str] = asyncio.Queue(server.config.outbox)
        self._streams: dict[str, asyncio.Task[None]] = {}
        self._calls: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Until the peer closes; cleans up after itself."""
        writer = asyncio.create_task(self._write())
        try:
            async for message in self._socket:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    await self._on_message(message.data)
                elif message.type == WSMsgType.ERROR:
                    log.debug("WebSocket closed: %s", self._socket.exception())
        finally:
            writer.cancel()
            for task in [*self._streams.values(), *self._calls]:
                task.cancel()
            await asyncio.gather(writer, *self._streams.values(), *self._calls, return_exceptions=True)

    async def close(self) -> None:
        """Closes the socket; `serve` ends."""
        await self._socket.close(code=1001, message=b"node stops")

    async def _on_message(self, message: str | bytes) -> None:
        answer = await self._server.registry.answer(self._server.context, message, self)
        if answer is None:
            return
        if len(answer) > 16 * self._server.config.max_message:
            answer = dump(error_body(None, RpcError(OVERSIZED_REQUEST, "Response is too big")))
        await self._outbox.put(answer)

    async def _write(self) -> None:
        while True:
            text = await self._outbox.get()
            await self._socket.send_str(text)

    def check_room(self) -> None:
        """See `registry.Session`."""
        if len(self._streams) >= self._server.config.max_subscriptions:
            raise TooManySubscriptions(self._server.config.max_subscriptions)

    def start(self, event: str, stream: AsyncIterator[Any]) -> str:
        """See `registry.Session`."""
        subscription = secrets.token_urlsafe(12)
        task = asyncio.create_task(self._pump(event, subscription, stream))
        self._streams[subscription] = task
        task.add_done_callback(lambda _task: self._streams.pop(subscription, None))
        return subscription

    def stop(self, subscription: str) -> bool:
        """See `registry.Session`."""
        task = self._streams.pop(subscription, None)
        if task is not None:
            task.cancel()
        return task is not None

    async def _pump(self, event: str, subscription: str, stream: AsyncIterator[Any]) -> None:
        await asyncio.sleep(0)  # the answer with the subscription's id goes first
        try:
            async for result in stream:
                params = {"subscription": subscription, "result": result}
                await self._outbox.put(dump({"jsonrpc": "2.0", "method": event, "params": params}))
        except asyncio.CancelledError:
            raise
        except ChainError as error:
            log.warning("subscription %s ended: %s", event, error)
        finally:
            close = getattr(stream, "aclose", None)
            if close is not None:
                await close()


def _host_of(header: str) -> str:
    host = header.rsplit(":", 1)[0] if header.count(":") == 1 or header.startswith("[") and "]:" in header else header
    return host.lower()
