"""The RPC server: JSON-RPC 2.0 over WebSocket and HTTP POST on one port, `/health` and `/metrics` beside it.

Requests carry a Host header of ours, else they are refused: a web page in somebody's browser must not reach a
loopback node by DNS rebinding. Browsers' Origin must be local, or one that `--rpc-cors` names; it gets the CORS
headers that let its page read the answers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from aiohttp import WSMsgType, web

from chain.errors import Misuse
from chain.rpc import (
    archive_api,
    author_api,
    chain_api,
    chain_head_api,
    chain_spec_api,
    childstate_api,
    evidence_api,
    grandpa_api,
    state_api,
    system_api,
    transaction_api,
)
from chain.rpc.context import RpcContext
from chain.rpc.registry import Registry
from chain.rpc.session import Session, SessionLimits
from chain.rpc.system_api import health_json

log = logging.getLogger(__name__)

GROUPS = (
    chain_api,
    state_api,
    childstate_api,
    author_api,
    system_api,
    evidence_api,
    grandpa_api,
    chain_head_api,
    chain_spec_api,
    transaction_api,
    archive_api,
)
"""Modules that register methods."""

ANY_ORIGIN = "all"
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
    """Where the server listens and what it allows. `port` 0 takes a free one; sizes in bytes.

    `origins`: those of web pages that may connect besides local ones, like `https://polkadot.js.org`, or `all`.
    """

    host: str = "127.0.0.1"
    port: int = 9944
    max_message: int = 15 * 1024 * 1024
    max_connections: int = 100
    limits: SessionLimits = SessionLimits()
    allowed_hosts: frozenset[str] = LOCAL_HOSTS
    origins: frozenset[str] = frozenset()


def make_registry() -> Registry:
    """All methods of a node."""
    registry = Registry()
    for module in GROUPS:
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
        app.router.add_options("/", self._preflight)
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
        if origin is not None and not self._is_allowed(origin):
            return web.Response(status=403, text="Origin is not allowed; start the node with --rpc-cors\n")
        response: web.StreamResponse = await handler(request)
        if origin is not None and not response.prepared:
            response.headers.update({"Access-Control-Allow-Origin": origin, "Vary": "Origin"})
        return response

    def _is_allowed(self, origin: str) -> bool:
        try:
            host = urlsplit(origin).hostname
        except ValueError:
            return False
        return host in self.config.allowed_hosts or bool({origin, ANY_ORIGIN} & self.config.origins)

    async def _preflight(self, _request: web.Request) -> web.StreamResponse:
        """A browser asks what a page may send."""
        headers = {"Access-Control-Allow-Methods": "POST", "Access-Control-Allow-Headers": "content-type"}
        return web.Response(status=204, headers=headers)

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
    """One WebSocket: reads a request, answers it, reads the next; a writer sends what is in the session's outbox."""

    def __init__(self, server: RpcServer, socket: web.WebSocketResponse) -> None:
        self._server, self._socket = server, socket
        self.session = Session(server.config.limits, self._on_too_slow)
        self._closing: asyncio.Task[None] | None = None

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
            await asyncio.gather(writer, return_exceptions=True)
            await self.session.close()

    async def close(self, code: int = 1001, reason: bytes = b"node stops") -> None:
        """Closes the socket; `serve` ends."""
        await self._socket.close(code=code, message=reason)

    def _on_too_slow(self) -> None:
        if self._closing is None:
            log.info("a connection is closed: its peer does not read its subscriptions fast enough")
            self._closing = asyncio.create_task(self.close(1013, b"too slow"))

    async def _on_message(self, message: str | bytes) -> None:
        answer = await self._server.registry.answer(self._server.context, message, self.session)
        if answer is not None:
            await self.session.outbox.put(answer)
        self.session.on_answered()

    async def _write(self) -> None:
        try:
            while True:
                await self._socket.send_str(await self.session.outbox.get())
        except ConnectionError:
            log.debug("a WebSocket's peer is gone")


def _host_of(header: str) -> str:
    host = header.rsplit(":", 1)[0] if header.count(":") == 1 or header.startswith("[") and "]:" in header else header
    return host.lower()
