"""The RPC of a real node: errors by their codes, batches, limits, Host check. Nothing a client sends ends it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
import requests

from tests.chain.node_process import NodeProcess, wait_until

KEY = "0x26aa394eea5630e07c48ae0c9558cef780d41e5e16056765bc8461851072c9d7"  # System.Events


def post(node: NodeProcess, body: Any, **headers: str) -> requests.Response:
    data = body if isinstance(body, (str, bytes)) else json.dumps(body)
    return requests.post(node.http, data=data, headers={"Content-Type": "application/json", **headers}, timeout=30)


def error_code(answer: dict[str, Any]) -> int:
    return int(answer["error"]["code"])


def test_unknown_method(node: NodeProcess) -> None:
    assert error_code(node.rpc("chain_mineBlock")) == -32601


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("chain_getHeader", ["0x12"]),
        ("chain_getHeader", ["zz"]),
        ("chain_getHeader", [5]),
        ("chain_getBlockHash", [-1]),
        ("chain_getBlockHash", [2**32]),
        ("chain_getBlockHash", ["0xzz"]),
        ("chain_getBlockHash", [{}]),
        ("state_getStorage", []),
        ("state_getStorage", ["0x0"]),
        ("state_getStorage", [KEY, None, 3]),
        ("state_getKeysPaged", [KEY, 1001]),
        ("state_getKeysPaged", [KEY, "1"]),
        ("state_queryStorageAt", [KEY]),
        ("state_queryStorageAt", [[KEY] * 4097]),
        ("state_call", ["Core_version"]),
        ("author_submitExtrinsic", ["nohex"]),
        ("system_accountNextIndex", ["5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQX"]),
        ("system_accountNextIndex", [1]),
        ("payment_queryInfo", []),
    ],
)
def test_invalid_params(node: NodeProcess, method: str, params: list[Any]) -> None:
    assert error_code(node.rpc(method, *params)) == -32602


def test_parameters_at_their_bounds_are_taken(node: NodeProcess) -> None:
    wait_until(node.best)  # block 0 has no events
    assert node.rpc("state_getKeysPaged", KEY, 1000)["result"] == [KEY]
    assert node.rpc("chain_getBlockHash", 2**32 - 1)["result"] is None
    assert len(node.rpc("state_queryStorageAt", [KEY] * 4096)["result"][0]["changes"]) == 4096


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("", -32700),
        ("{", -32700),
        ("[" * 100_000, -32700),
        (b"\xff\xfe", -32700),
        ("[]", -32600),
        ("5", -32600),
        ("{}", -32600),
        ({"jsonrpc": "1.0", "id": 1, "method": "system_name"}, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": 5}, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": "system_name", "params": "x"}, -32600),
        ([{"jsonrpc": "2.0", "id": 1, "method": "system_name"}] * 257, -32010),
        ([{"jsonrpc": "2.0", "id": 1, "method": "system_name"}] * 10_000, -32010),
        ([[]] * 262_144, -32600),
        ("[" + "9" * 100_000 + "]", -32700),
        ('{"a":' * 50_000 + "1" + "}" * 50_000, -32700),
    ],
)
def test_malformed_requests(node: NodeProcess, body: Any, code: int) -> None:
    assert error_code(post(node, body).json()) == code


def test_batch_keeps_order_and_leaves_out_notifications(node: NodeProcess) -> None:
    batch = [
        {"jsonrpc": "2.0", "id": "a", "method": "system_name"},
        {"jsonrpc": "2.0", "method": "system_name"},
        {"jsonrpc": "2.0", "id": 2, "method": "nope"},
        7,
    ]
    answers = post(node, batch).json()
    assert [answer["id"] for answer in answers] == ["a", 2, None]
    assert answers[0]["result"] == "aipow"
    assert [error_code(answer) for answer in answers[1:]] == [-32601, -32600]
    assert post(node, {"jsonrpc": "2.0", "method": "system_name"}).text == ""


def test_named_parameters(node: NodeProcess) -> None:
    request = {"jsonrpc": "2.0", "id": 1, "method": "state_getKeysPaged", "params": {"prefix": KEY, "count": 5}}
    assert post(node, request).json()["result"] == [KEY]


def test_unknown_block_is_a_client_error(node: NodeProcess) -> None:
    missing = "0x" + "11" * 32
    assert node.rpc("chain_getHeader", missing)["result"] is None
    assert node.rpc("chain_getBlock", missing)["result"] is None
    assert error_code(node.rpc("state_getStorage", KEY, missing)) == 4003
    assert error_code(node.rpc("state_call", "Core_nothing", "0x")) == 4003


def test_unsafe_methods_are_off(node: NodeProcess) -> None:
    for method in ("author_rotateKeys", "author_insertKey", "author_hasKey", "system_dryRun"):
        answer = node.rpc(method)
        assert error_code(answer) == -32601
        assert "unsafe" in answer["error"]["message"]


def test_subscriptions_need_a_websocket(node: NodeProcess) -> None:
    assert error_code(node.rpc("chain_subscribeNewHeads")) == -32600


def test_every_listed_method_answers(node: NodeProcess) -> None:
    names = node.rpc("rpc_methods")["result"]["methods"]
    assert {"state_getMetadata", "author_submitAndWatchExtrinsic", "chain_getHead"} <= set(names)
    for name in names:
        answer = node.rpc(name)
        assert "result" in answer or answer["error"]["code"] in (-32602, -32600, -32601), (name, answer)


def test_foreign_host_and_origin_are_refused(node: NodeProcess) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "system_name"}
    assert post(node, body, Host="evil.example").status_code == 403
    assert post(node, body, Origin="http://evil.example").status_code == 403
    assert post(node, body, Host="localhost:1").status_code == 200
    assert post(node, body, Origin="http://localhost:3000").status_code == 200
    assert requests.post(node.http, data="{}", headers={"Content-Type": "text/plain"}, timeout=30).status_code == 415


def test_oversized_body_is_refused_and_the_node_lives(node: NodeProcess) -> None:
    answer = post(node, b" " * (15 * 1024 * 1024 + 1))
    assert answer.status_code == 413
    assert node.rpc("system_name")["result"] == "aipow"


def test_health_and_metrics(node: NodeProcess) -> None:
    health = requests.get(node.http + "/health", timeout=30)
    assert health.status_code == 200
    assert set(health.json()) == {"peers", "isSyncing", "shouldHavePeers"}
    assert "substrate_block_height_best" in requests.get(node.http + "/metrics", timeout=30).text


async def test_subscription_limit_and_unsubscribe(node: NodeProcess) -> None:
    async with aiohttp.ClientSession() as session, session.ws_connect(node.url) as socket:
        ids = [(await _call(socket, "chain_subscribeNewHeads"))["result"] for _ in range(128)]
        assert len(set(ids)) == 128
        assert error_code(await _call(socket, "chain_subscribeNewHeads")) == -32006
        assert (await _call(socket, "chain_unsubscribeNewHeads", ids[0]))["result"] is True
        assert (await _call(socket, "chain_unsubscribeNewHeads", ids[0]))["result"] is False
        assert "result" in await _call(socket, "chain_subscribeNewHeads")


async def test_new_heads_follow_each_other(node: NodeProcess) -> None:
    async with aiohttp.ClientSession() as session, session.ws_connect(node.url) as socket:
        subscription = (await _call(socket, "chain_subscribeNewHeads"))["result"]
        numbers: list[int] = []
        while len(numbers) < 3:
            message = json.loads((await asyncio.wait_for(socket.receive(), 20)).data)
            assert message["params"]["subscription"] == subscription
            numbers.append(int(message["params"]["result"]["number"], 16))
        assert numbers == list(range(numbers[0], numbers[0] + 3))


async def test_storage_subscription_tells_changes_only(node: NodeProcess) -> None:
    number = "0x26aa394eea5630e07c48ae0c9558cef702a5c1b19ab7a04f536c519aca4983ac"  # System.Number
    async with aiohttp.ClientSession() as session, session.ws_connect(node.url) as socket:
        await _call(socket, "state_subscribeStorage", [number, "0x01"])
        first = json.loads((await asyncio.wait_for(socket.receive(), 20)).data)["params"]["result"]
        second = json.loads((await asyncio.wait_for(socket.receive(), 20)).data)["params"]["result"]
        assert dict(first["changes"])["0x01"] is None
        assert [key for key, _ in second["changes"]] == [number]


async def test_garbage_over_websocket(node: NodeProcess) -> None:
    async with aiohttp.ClientSession() as session, session.ws_connect(node.url) as socket:
        await socket.send_str("}{")
        assert error_code(json.loads((await socket.receive()).data)) == -32700
        await socket.send_bytes(b"\x00\xff")
        assert error_code(json.loads((await socket.receive()).data)) == -32700
        assert (await _call(socket, "system_chain"))["result"] == "aipow Development"


async def _call(socket: aiohttp.ClientWebSocketResponse, method: str, *params: Any) -> dict[str, Any]:
    """The answer to a request; notifications in between are passed over."""
    await socket.send_json({"jsonrpc": "2.0", "id": 99, "method": method, "params": list(params)})
    while True:
        message: dict[str, Any] = json.loads((await asyncio.wait_for(socket.receive(), 20)).data)
        if message.get("id") == 99:
            return message
