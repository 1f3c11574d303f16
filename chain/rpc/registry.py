"""Which methods there are, and how one JSON-RPC message becomes its answer. No sockets here.

A method is `async (context, params) -> JSON`. A subscription is an async generator of results; the session runs it as
a task and sends each result as a notification.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from chain.rpc.errors import (
    INTERNAL_ERROR,
    PARSE_ERROR,
    InvalidRequest,
    MethodNotFound,
    RpcError,
    UnsafeMethod,
    to_rpc_error,
)
from chain.rpc.params import Params

if TYPE_CHECKING:
    from chain.rpc.context import RpcContext

log = logging.getLogger(__name__)

MAX_BATCH = 256
"""Requests in one batch."""

Method = Callable[["RpcContext", Params], Awaitable[Any]]
Stream = Callable[["RpcContext", Params], Awaitable[AsyncIterator[Any]]]


@dataclass(frozen=True)
class Subscription:
    """A subscribe method: `open` checks the parameters and gives the stream; `event` names the notifications."""

    open: Stream
    event: str


class Session(Protocol):
    """What a subscription needs of its connection."""

    def check_room(self) -> None:
        """Raises `TooManySubscriptions` if there is no room for one more."""

    def start(self, event: str, stream: AsyncIterator[Any]) -> str:
        """Runs the stream as notifications; the id of the subscription."""

    def stop(self, subscription: str) -> bool:
        """Ends a subscription; whether there was one."""


class Registry:
    """The methods of a node, by name."""

    def __init__(self) -> None:
        self.methods: dict[str, Method] = {}
        self.unsafe: set[str] = set()
        self.subscriptions: dict[str, Subscription] = {}
        self.unsubscribe: set[str] = set()

    def method(self, *names: str, unsafe: bool = False) -> Callable[[Method], Method]:
        """Registers a method under its names (the first is the current one, others are kept for old clients)."""

        def register(function: Method) -> Method:
            for name in names:
                self.methods[name] = function
                if unsafe:
                    self.unsafe.add(name)
            return function

        return register

    def subscription(
        self, event: str, subscribe: tuple[str, ...], unsubscribe: tuple[str, ...]
    ) -> Callable[[Stream], Stream]:
        """Registers a stream under its subscribe and unsubscribe names."""

        def register(function: Stream) -> Stream:
            for name in subscribe:
                self.subscriptions[name] = Subscription(open=function, event=event)
            self.unsubscribe.update(unsubscribe)
            return function

        return register

    def names(self) -> list[str]:
        """All names, sorted, as `rpc_methods` answers."""
        return sorted({*self.methods, *self.subscriptions, *self.unsubscribe, "rpc_methods"})

    async def answer(self, context: RpcContext, message: str | bytes, session: Session | None) -> str | None:
        """The response to a message (single or batch), as text; None when nothing is to be sent. Never raises."""
        try:
            value = json.loads(message)
        except (ValueError, RecursionError):
            return dump(error_body(None, RpcError(PARSE_ERROR, "Parse error")))
        if not isinstance(value, list):
            single = await self._answer_one(context, value, session)
            return None if single is None else dump(single)
        if not value or len(value) > MAX_BATCH:
            return dump(error_body(None, InvalidRequest(f"a batch has 1 to {MAX_BATCH} requests")))
        answers = [await self._answer_one(context, item, session) for item in value]
        sent = [answer for answer in answers if answer is not None]
        return dump(sent) if sent else None

    async def _answer_one(self, context: RpcContext, request: Any, session: Session | None) -> dict[str, Any] | None:
        request_id = request.get("id") if isinstance(request, dict) else None
        if not isinstance(request_id, (int, str, float, type(None))) or isinstance(request_id, bool):
            request_id = None
        try:
            result = await self._call(context, request, session)
        except RpcError as error:
            answer = error_body(request_id, error)
        except Exception as error:
            converted = to_rpc_error(error)
            if converted.code == INTERNAL_ERROR:
                log.exception("RPC %s failed", request.get("method"))
            answer = error_body(request_id, converted)
        else:
            answer = {"jsonrpc": "2.0", "id": request_id, "result": result}
        is_notification = isinstance(request, dict) and "id" not in request and "method" in request
        return None if is_notification else answer

    async def _call(self, context: RpcContext, request: Any, session: Session | None) -> Any:
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            raise InvalidRequest("expected an object with a method")
        if request.get("jsonrpc") != "2.0":
            raise InvalidRequest('expected "jsonrpc": "2.0"')
        values = request.get("params")
        values = [] if values is None else values
        if not isinstance(values, (list, dict)):
            raise InvalidRequest("params must be a list or an object")
        name, params = request["method"], Params(values)
        if name == "rpc_methods":
            return {"methods": self.names()}
        if name in self.unsafe and not context.allow_unsafe:
            raise UnsafeMethod(name)
        if name in self.methods:
            return await self.methods[name](context, params)
        if name in self.subscriptions or name in self.unsubscribe:
            if session is None:
                raise InvalidRequest(f"{name} needs a WebSocket connection")
            if name in self.unsubscribe:
                return session.stop(params.text("subscription"))
            session.check_room()
            subscription = self.subscriptions[name]
            return session.start(subscription.event, await subscription.open(context, params))
        raise MethodNotFound(name)


def error_body(request_id: Any, error: RpcError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "error": error.to_json()}


def dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
