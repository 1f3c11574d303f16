"""Fuzz of JSON-RPC: messages, batches, parameters; then a real node that is sent all of it and lives."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
import requests
from hypothesis import strategies as st

from chain.rpc.errors import RpcError
from chain.rpc.params import Params, parse_block_number, parse_hex
from chain.rpc.registry import MAX_TOKENS, parse
from chain.rpc.session import dump
from chain.rpc.storage_items import parse_child_trie, parse_items
from tests.chain.node_process import NodeProcess
from tests.chain.rpc.client import connect
from tests.fuzz import LONG_EXAMPLES, QUICK_EXAMPLES, Target, corpus, fuzz, make_tests

ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
HASH = "0x" + "22" * 32
ITEMS = [{"key": "0x12", "type": "descendantsValues", "paginationStartKey": "0x1234"}]
REQUEST = {"jsonrpc": "2.0", "id": 1, "method": "state_call", "params": ["Core_version", "0x"]}


def strict(data: str | bytes) -> Any:
    """JSON as the standard has it: no NaN, no Infinity."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(data, parse_constant=refuse)


def read_params(data: bytes) -> None:
    """One JSON value, given to every reader of parameters."""
    value = parse(data)
    readers = (
        lambda: Params([value]).bytes_("p"), lambda: Params([value]).optional_bytes("p"),
        lambda: Params([value]).hash("p"), lambda: Params([value]).optional_hash("p"),
        lambda: Params([value]).keys("p"), lambda: Params([value]).integer("p", 0, 2**32),
        lambda: Params([value]).text("p").encode(), lambda: Params([value]).flag("p"),
        lambda: Params([value]).hashes("p", 8), lambda: Params([value]).account("p"),
        lambda: parse_block_number(value, "p").to_bytes(4, "big"), lambda: parse_hex(value, "p", 64),
        lambda: parse_items(value, 8, has_start=True), lambda: parse_child_trie(value),
    )  # fmt: skip
    refused: RpcError | None = None
    for read in readers:
        try:
            read()
        except RpcError as error:
            refused = error
            strict(dump(error.to_json()))
    if refused is not None:
        raise refused


NUMBERS = (5, 2**64, "0x1f", "0x_1", "0x-1", "0x+1", "0x123456789")
VALUES = (HASH, "0x", *NUMBERS, True, None, [HASH], ITEMS, ALICE, {"a": [1.5]}, "\ud800")
TARGETS = [
    Target("rpc message", parse, (RpcError,), (json.dumps(REQUEST).encode(), json.dumps([REQUEST] * 3).encode()),
           lambda value: json.dumps(value).encode(), is_exact=False, bombs=(
               b"[" * (15 << 20), b'{"a":' * (1 << 20), b"[" + b"[]," * (5 << 20), b"[" + b"1," * (7 << 20) + b"1]",
               b"[" + b"[]," * (MAX_TOKENS // 2 - 2) + b"1]", b"9" * (15 << 20), b'"' + b"\\u0000" * (2 << 20) + b'"',
           )),
    Target("rpc params", read_params, (RpcError,), (), bombs=(
        b'"0x' + b"0" * (15 << 20) + b'"', b'"0x' + b"_1" * (1 << 20) + b'"', b'"' + b"1" * (1 << 20) + b'"',
    )),
]  # fmt: skip
test_fuzz, test_fuzz_long, test_bombs, test_corpus = make_tests(TARGETS)

LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(), max_size=20), st.sampled_from(VALUES)
)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
)


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values_at_the_edge_as_parameters(value: Any) -> None:
    with suppress(RpcError):
        read_params(json.dumps(value).encode())


def test_any_json_as_a_parameter() -> None:
    def check(value: Any) -> None:
        try:
            read_params(json.dumps(value).encode())
        except RpcError:
            return

    fuzz(check, JSON, 3 * QUICK_EXAMPLES)


def requests_of(names: list[str]) -> st.SearchStrategy[Any]:
    """Requests that are nearly right, and any JSON."""
    near = st.fixed_dictionaries(
        {"jsonrpc": st.sampled_from(("2.0", "1.0", 2)), "method": st.sampled_from(names) | LEAVES},
        optional={"id": LEAVES, "params": st.lists(LEAVES | JSON, max_size=4) | JSON},
    )
    return near | near | JSON


def check_answer(node: NodeProcess, batch: list[Any]) -> None:
    """Every answer is strict JSON-RPC and no internal error."""
    post(node, json.dumps(batch), str(batch))


def post(node: NodeProcess, body: str, batch: str) -> None:
    response = requests.post(node.http, data=body, headers={"Content-Type": "application/json"}, timeout=60)
    assert response.status_code == 200
    answers = strict(response.text) if response.text else []
    for answer in answers if isinstance(answers, list) else [answers]:
        assert answer["jsonrpc"] == "2.0"
        assert ("result" in answer) != ("error" in answer)
        assert answer.get("error", {}).get("code") != -32603, (batch, answer)


def test_any_json_as_a_request(node: NodeProcess) -> None:
    names = node.rpc("rpc_methods")["result"]["methods"]
    fuzz(lambda batch: check_answer(node, batch), st.lists(requests_of(names), max_size=8), QUICK_EXAMPLES)
    for data in corpus("rpc request"):
        post(node, data.decode(), data.decode())
    assert node.rpc("system_name")["result"] == "aipow"


@pytest.mark.slow
def test_any_json_as_a_request_long(node: NodeProcess) -> None:
    names = node.rpc("rpc_methods")["result"]["methods"]
    fuzz(lambda batch: check_answer(node, batch), st.lists(requests_of(names), max_size=30), LONG_EXAMPLES // 5)
    assert node.rpc("system_name")["result"] == "aipow"


async def test_unknown_ids_and_dead_subscriptions_are_told_and_harmless(node: NodeProcess) -> None:
    async with connect(node.url) as client:
        for name in ("chain_unsubscribeNewHeads", "state_unsubscribeStorage", "author_unwatchExtrinsic"):
            assert await client.result(name, "nosuch") is False
        heads = await client.result("chain_subscribeNewHeads")
        follow = await client.result("chainHead_v1_follow", False)
        assert await client.result("chain_unsubscribeNewHeads", heads) is True
        assert await client.result("chain_unsubscribeNewHeads", heads) is False
        assert await client.result("chainHead_v1_unfollow", follow) is None
        for one in (follow, "nosuch"):
            assert await client.result("chainHead_v1_header", one, HASH) is None
            assert await client.result("chainHead_v1_body", one, HASH) == {"result": "limitReached"}
            assert await client.result("chainHead_v1_continue", one, "1") is None
            assert await client.result("chainHead_v1_stopOperation", one, "1") is None
            assert await client.result("chainHead_v1_unpin", one, HASH) is None
        assert await client.code("transaction_v1_stop", "nosuch") == -32602
        assert await client.code("transactionWatch_v1_unwatch", "nosuch") == -32602
        client.notifications.clear()
        before = node.best()
        while node.best() < before + 2:
            await asyncio.sleep(0.2)
        assert await client.result("system_name") == "aipow"
        dead = [one for one in client.notifications if one["params"]["subscription"] in (heads, follow)]
        assert not dead


async def test_batches_of_10_000_are_refused_on_a_connection_that_goes_on(node: NodeProcess) -> None:
    async with connect(node.url) as client:
        await client.socket.send_str(json.dumps([REQUEST] * 10_000))
        answer = json.loads((await client.socket.receive()).data)
        assert answer["error"]["code"] == -32010
        assert await client.result("system_name") == "aipow"


async def test_zeros_within_the_bound_are_a_parse_error(node: NodeProcess) -> None:
    async with connect(node.url) as client:
        await client.socket.send_bytes(bytes(14 << 20))
        assert json.loads((await client.socket.receive()).data)["error"]["code"] == -32700
        assert await client.result("system_name") == "aipow"


@pytest.mark.parametrize("size", [16 << 20, 64 << 20])
async def test_zeros_above_the_bound_end_that_connection_alone(node: NodeProcess, size: int) -> None:
    async with connect(node.url) as other, connect(node.url) as client:
        with suppress(ConnectionError):  # the node closes while we send
            await client.socket.send_bytes(bytes(size))
        frame = await asyncio.wait_for(client.socket.receive(), 30)
        assert frame.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        assert await other.result("system_name") == "aipow"
