"""A small JSON-RPC client over a WebSocket, for tests: requests, and notifications by subscription."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

SECONDS = 30.0


class RpcClient:
    """A connection. Notifications that come while an answer is waited for are kept in order."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.notifications: list[dict[str, Any]] = []
        self._next = 0

    async def ask(self, method: str, *params: Any) -> dict[str, Any]:
        """The whole answer to a request."""
        self._next += 1
        await self.socket.send_json({"jsonrpc": "2.0", "id": self._next, "method": method, "params": list(params)})
        while True:
            message = await self._receive()
            if message.get("id") == self._next:
                return message
            self.notifications.append(message)

    async def result(self, method: str, *params: Any) -> Any:
        """The result of a request that must succeed."""
        answer = await self.ask(method, *params)
        assert "result" in answer, answer
        return answer["result"]

    async def code(self, method: str, *params: Any) -> int:
        """The error code of a request that must fail."""
        answer = await self.ask(method, *params)
        assert "error" in answer, answer
        return int(answer["error"]["code"])

    async def event(self, subscription: str, *names: str) -> dict[str, Any]:
        """The next notification of a subscription, of these `event`s if given; others of it are thrown away."""
        while True:
            message = self.notifications.pop(0) if self.notifications else await self._receive()
            if message["params"]["subscription"] != subscription:
                continue
            result: dict[str, Any] = message["params"]["result"]
            if not names or result["event"] in names:
                return result

    async def operation(self, follow: str, started: dict[str, Any]) -> list[dict[str, Any]]:
        """All events of an operation until its last one; waits for more are answered with `continue`."""
        assert started["result"] == "started", started
        found = []
        while True:
            event = await self.event(follow)
            if event.get("operationId") != started["operationId"]:
                continue
            found.append(event)
            if event["event"] == "operationWaitingForContinue":
                assert await self.result("chainHead_v1_continue", follow, started["operationId"]) is None
            elif event["event"] != "operationStorageItems":
                return found

    async def _receive(self) -> dict[str, Any]:
        frame = await asyncio.wait_for(self.socket.receive(), SECONDS)
        assert frame.type == aiohttp.WSMsgType.TEXT, frame
        message: dict[str, Any] = json.loads(frame.data)
        return message


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[RpcClient]:
    """A connection to a node."""
    async with aiohttp.ClientSession() as session, session.ws_connect(url, max_msg_size=0) as socket:
        yield RpcClient(socket)
