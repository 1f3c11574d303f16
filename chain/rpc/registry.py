"""Which methods there are, and how one JSON-RPC message becomes its answer. No sockets here.

A method is `async (context, params) -> JSON`; a session method also gets the connection. A subscription is an async
generator of results; the session runs it as a task and sends each result as a notification.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chain.rpc.errors import (
    INTERNAL_ERROR,
    PARSE_ERROR,
    InvalidRequest,
    MethodNotFound,
    OversizedBatch,
    OversizedBatchResponse,
    OversizedResponse,
    RpcError,
    UnsafeMethod,
    to_rpc_error,
)
from chain.rpc.params import Params
from chain.rpc.session import Session, dump

if TYPE_CHECKING:
    from chain.rpc.context import RpcContext

log = logging.getLogger(__name__)

MAX_BATCH = 256
"""Requests in one batch."""

MAX_ANSWER = 15 * 1024 * 1024
"""Characters of an answer, and of all answers to a batch together, as in polkadot-sdk."""

MAX_TOKENS = 2**18
"""Brackets and commas of a message (= 262,144): each may become an object of some 100 bytes, 15 MiB of them 1 GB."""

Method = Callable[["RpcContext", Params], Awaitable[Any]]
SessionMethod = Callable[["RpcContext", Params, Session], Awaitable[Any]]
Stream = Callable[["RpcContext", Params], Awaitable[AsyncIterator[Any]]]


@dataclass(frozen=True)
class Subscription:
    """A subscribe method: `open` checks the parameters and gives the stream; `event` names the notifications."""

    open: Stream
    event: str


class Registry:
    """The methods of a node, by name."""

    def __init__(self) -> None:
        self.methods: dict[str, Method] = {}
        self.session_methods: dict[str, SessionMethod] = {}
        self.unsafe: set[str] = set()
        self.subscriptions: dict[str, Subscription] = {}
        self.unsubscribe: dict[str, bool] = {}

    def method(self, *names: str, unsafe: bool = False) -> Callable[[Method], Method]:
        """Registers a method under its names (the first is the current one, others are kept for old clients)."""

        def register(function: Method) -> Method:
            for name in names:
                self.methods[name] = function
                if unsafe:
                    self.unsafe.add(name)
            return function

        return register

    def session_method(self, name: str) -> Callable[[SessionMethod], SessionMethod]:
        """Registers a method that needs a connection that stays."""

        def register(function: SessionMethod) -> SessionMethod:
            self.session_methods[name] = function
            return function

        return register

    def subscription(
        self, event: str, subscribe: tuple[str, ...], unsubscribe: tuple[str, ...], quiet: bool = False
    ) -> Callable[[Stream], Stream]:
        """Registers a stream under its subscribe and unsubscribe names. `quiet`: unsubscribing answers null, not
        whether there was such a subscription."""

        def register(function: Stream) -> Stream:
            for name in subscribe:
                self.subscriptions[name] = Subscription(open=function, event=event)
            self.unsubscribe.update(dict.fromkeys(unsubscribe, quiet))
            return function

        return register

    def names(self) -> list[str]:
        """All names, sorted, as `rpc_methods` answers."""
        return sorted({*self.methods, *self.session_methods, *self.subscriptions, *self.unsubscribe, "rpc_methods"})

    async def answer(self, context: RpcContext, message: str | bytes, session: Session | None) -> str | None:
        """The response to a message (single or batch), as text; None when nothing is to be sent. Never raises."""
        try:
            value = parse(message)
        except RpcError as error:
            return dump(error_body(None, error))
        if not isinstance(value, list):
            return await self._answer_one(context, value, session)
        if not value:
            return dump(error_body(None, InvalidRequest("a batch has at least one request")))
        if len(value) > MAX_BATCH:
            return dump(error_body(None, OversizedBatch(MAX_BATCH)))
        return await self._answer_batch(context, value, session)

    async def _answer_batch(self, context: RpcContext, batch: list[Any], session: Session | None) -> str | None:
        answers: list[str] = []
        size = 0
        for request in batch:
            answer = await self._answer_one(context, request, session)
            if answer is not None:
                answers.append(answer)
                size += len(answer)
            if size > MAX_ANSWER:
                return dump(error_body(None, OversizedBatchResponse(MAX_ANSWER)))
        return f"[{','.join(answers)}]" if answers else None

    async def _answer_one(self, context: RpcContext, request: Any, session: Session | None) -> str | None:
        request_id = request.get("id") if isinstance(request, dict) else None
        if not _is_id(request_id):
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
        if isinstance(request, dict) and "id" not in request and "method" in request:
            return None  # a notification
        text = dump(answer)
        return text if len(text) <= MAX_ANSWER else dump(error_body(request_id, OversizedResponse(MAX_ANSWER)))

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
        if name not in self.session_methods and name not in self.subscriptions and name not in self.unsubscribe:
            raise MethodNotFound(name)
        if session is None:
            raise InvalidRequest(f"{name} needs a WebSocket connection")
        return await self._call_session(context, name, params, session)

    async def _call_session(self, context: RpcContext, name: str, params: Params, session: Session) -> Any:
        if name in self.session_methods:
            return await self.session_methods[name](context, params, session)
        if name in self.unsubscribe:
            was_there = session.stop(params.text("subscription"))
            return None if self.unsubscribe[name] else was_there
        session.check_room()
        subscription = self.subscriptions[name]
        return session.start(subscription.event, await subscription.open(context, params))


def _is_id(value: Any) -> bool:
    """Whether it may be given back as an id: 1e999, for one, would be no JSON any more."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, (int, str, type(None))) and not isinstance(value, bool)


def parse(message: str | bytes) -> Any:
    """JSON of a message, with bounds on its depth and on what it takes in memory. Raises `RpcError`."""
    try:
        text = message if isinstance(message, str) else message.decode()
        if sum(map(text.count, ",[{")) > MAX_TOKENS:
            raise InvalidRequest(f"more than {MAX_TOKENS} values; split it")
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RpcError(PARSE_ERROR, "Parse error") from error


def _refuse_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def error_body(request_id: Any, error: RpcError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "error": error.to_json()}
