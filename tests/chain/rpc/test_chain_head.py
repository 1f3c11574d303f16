"""`chainHead_v1_*` of a real node: order of events, pinning, operations with their limits, errors by their codes."""

from __future__ import annotations

from typing import Any

from chain.primitives import Header
from tests.chain.node_process import NodeProcess
from tests.chain.rpc.client import RpcClient, connect

NUMBER = "0x26aa394eea5630e07c48ae0c9558cef702a5c1b19ab7a04f536c519aca4983ac"  # System.Number
ACCOUNTS = "0x26aa394eea5630e07c48ae0c9558cef7b99d880ec681799c0cf30e8886371da9"  # System.Account
MISSING = "0x" + "11" * 32


async def follow(client: RpcClient, with_runtime: bool = True) -> tuple[str, dict[str, Any]]:
    """A new subscription's id and its first event."""
    subscription = await client.result("chainHead_v1_follow", with_runtime)
    return subscription, await client.event(subscription)


async def test_blocks_are_told_after_their_parents_and_become_final_once(node: NodeProcess) -> None:
    async with connect(node.url) as client:
        subscription, first = await follow(client)
        assert first["event"] == "initialized"
        assert first["finalizedBlockRuntime"]["type"] == "valid"
        assert isinstance(first["finalizedBlockRuntime"]["spec"]["apis"], dict)
        finalized: list[str] = first["finalizedBlockHashes"]
        told = {finalized[-1]}
        best = ""
        while len(finalized) < len(first["finalizedBlockHashes"]) + 3:
            event = await client.event(subscription)
            if event["event"] == "newBlock":
                assert event["parentBlockHash"] in told
                assert event["newRuntime"] is None
                told.add(event["blockHash"])
            elif event["event"] == "bestBlockChanged":
                best = event["bestBlockHash"]
                assert best in told
            else:
                assert event["event"] == "finalized"
                assert set(event["finalizedBlockHashes"]) <= told
                finalized = finalized + event["finalizedBlockHashes"]
                assert best in told
        numbers = [int(node.rpc("chain_getHeader", one)["result"]["number"], 16) for one in finalized]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


async def test_no_runtime_is_told_without_with_runtime(node: NodeProcess) -> None:
    async with connect(node.url) as client:
        subscription, first = await follow(client, with_runtime=False)
        assert "finalizedBlockRuntime" not in first
        assert "newRuntime" not in await client.event(subscription, "newBlock")
        pinned = first["finalizedBlockHashes"][-1]
        assert await client.code("chainHead_v1_call", subscription, pinned, "Core_version", "0x") == -32802


async def test_header_body_and_call_are_those_of_older_methods(node: NodeProcess) -> None:
    async with connect(node.url) as client:
        subscription, first = await follow(client)
        pinned = first["finalizedBlockHashes"][-1]
        header = await client.result("chainHead_v1_header", subscription, pinned)
        assert Header.decode(bytes.fromhex(header[2:])).hash.hex() == pinned[2:]
        block = node.rpc("chain_getBlock", pinned)["result"]["block"]
        started = await client.result("chainHead_v1_body", subscription, pinned)
        (done,) = await client.operation(subscription, started)
        assert (done["event"], done["value"]) == ("operationBodyDone", block["extrinsics"])
        started = await client.result("chainHead_v1_call", subscription, pinned, "Core_version", "0x")
        (done,) = await client.operation(subscription, started)
        assert done["output"] == node.rpc("state_call", "Core_version", "0x", pinned)["result"]
        started = await client.result("chainHead_v1_call", subscription, pinned, "Core_nothing", "0x")
        (done,) = await client.operation(subscription, started)
        assert done["event"] == "operationError"


async def test_storage_items_of_every_type(node: NodeProcess) -> None:
    async with connect(node.url) as client:
        subscription, first = await follow(client)
        pinned = first["finalizedBlockHashes"][-1]
        accounts = node.rpc("state_getKeysPaged", ACCOUNTS, 1000, None, pinned)["result"]
        items = [
            {"key": NUMBER, "type": "value"},
            {"key": NUMBER, "type": "hash"},
            {"key": "0x01", "type": "value"},
            {"key": NUMBER, "type": "closestDescendantMerkleValue"},
            {"key": ACCOUNTS, "type": "closestDescendantMerkleValue"},
            {"key": "0x01", "type": "closestDescendantMerkleValue"},
            {"key": ACCOUNTS, "type": "descendantsValues"},
            {"key": ACCOUNTS, "type": "descendantsHashes"},
        ]
        started = await client.result("chainHead_v1_storage", subscription, pinned, items, None)
        assert started["discardedItems"] == 0
        events = await client.operation(subscription, started)
        assert events[-1]["event"] == "operationStorageDone"
        found = [item for event in events[:-1] for item in event.get("items", [])]
        values = {item["key"]: item["value"] for item in found if "value" in item}
        assert set(values) == {NUMBER, *accounts}
        for key in values:
            assert values[key] == node.rpc("state_getStorage", key, pinned)["result"]
        hashes = {item["key"]: item["hash"] for item in found if "hash" in item}
        assert hashes == {key: node.rpc("state_getStorageHash", key, pinned)["result"] for key in values}
        assert {item["key"] for item in found if "closestDescendantMerkleValue" in item} == {NUMBER, ACCOUNTS}


async def test_descendants_come_in_pages_that_wait_for_continue(node: NodeProcess) -> None:
    async with connect(node.url) as client:
        subscription, first = await follow(client)
        pinned = first["finalizedBlockHashes"][-1]
        items = [{"key": "0x", "type": "descendantsHashes"}] * 8
        started = await client.result("chainHead_v1_storage", subscription, pinned, items, None)
        operation = started["operationId"]
        keys = []
        waits = 0
        while True:
            event = await client.event(subscription)
            if event["event"] == "operationStorageItems":
                assert len(event["items"]) <= 512
                keys += [item["key"] for item in event["items"]]
            elif event["event"] == "operationWaitingForContinue":
                waits += 1
                assert await client.result("chainHead_v1_continue", subscription, operation) is None
            elif event["event"] == "operationStorageDone":
                break
        every = _all_keys(node, pinned)
        assert keys == every * 8
        assert waits == (len(keys) - 1) // 512 >= 1
        assert await client.result("chainHead_v1_continue", subscription, operation) is None  # is over


def _all_keys(node: NodeProcess, at: str) -> list[str]:
    keys: list[str] = []
    while True:
        page = node.rpc("state_getKeysPaged", "0x", 1000, keys[-1] if keys else None, at)["result"]
        if not page:
            return keys
        keys += page


async def test_sixteen_operations_at_a_time(node: NodeProcess) -> None:
    async with connect(node.url) as client:
        subscription, first = await follow(client)
        pinned = first["finalizedBlockHashes"][-1]
        waiting = [{"key": "0x", "type": "descendantsHashes"}] * 20  # more than a page: does not end by itself
        started = await client.result("chainHead_v1_storage", subscription, pinned, waiting, None)
        assert started["discardedItems"] == 4
        limit = {"result": "limitReached"}
        assert await client.result("chainHead_v1_body", subscription, pinned) == limit
        assert await client.result("chainHead_v1_storage", subscription, pinned, waiting, None) == limit
        assert await client.result("chainHead_v1_stopOperation", subscription, started["operationId"]) is None
        assert (await client.result("chainHead_v1_body", subscription, pinned))["result"] == "started"


async def test_unpinned_blocks_are_gone_and_unpin_is_all_or_nothing(node: NodeProcess) -> None:
    async with connect(node.url) as client:
        subscription, _ = await follow(client)
        told = [(await client.event(subscription, "newBlock"))["blockHash"] for _ in range(2)]
        assert await client.code("chainHead_v1_unpin", subscription, [told[0], MISSING]) == -32801
        assert await client.code("chainHead_v1_unpin", subscription, [told[0], told[0]]) == -32804
        assert (await client.result("chainHead_v1_header", subscription, told[0])).startswith("0x")
        assert await client.result("chainHead_v1_unpin", subscription, told) is None
        for method in ("chainHead_v1_header", "chainHead_v1_body"):
            assert await client.code(method, subscription, told[0]) == -32801
        assert await client.code("chainHead_v1_call", subscription, told[0], "Core_version", "0x") == -32801
        assert await client.code("chainHead_v1_storage", subscription, told[0], [], None) == -32801
        assert await client.code("chainHead_v1_unpin", subscription, told[0]) == -32801


async def test_dead_subscriptions_are_no_error(node: NodeProcess) -> None:
    async with connect(node.url) as client:
        subscription, first = await follow(client)
        pinned = first["finalizedBlockHashes"][-1]
        assert await client.result("chainHead_v1_unfollow", subscription) is None
        for dead in (subscription, "never"):
            assert await client.result("chainHead_v1_unfollow", dead) is None
            assert await client.result("chainHead_v1_header", dead, pinned) is None
            assert await client.result("chainHead_v1_unpin", dead, pinned) is None
            assert await client.result("chainHead_v1_continue", dead, "x") is None
            assert await client.result("chainHead_v1_stopOperation", dead, "x") is None
            limit = {"result": "limitReached"}
            assert await client.result("chainHead_v1_body", dead, pinned) == limit
            assert await client.result("chainHead_v1_call", dead, pinned, "Core_version", "0x") == limit
            assert await client.result("chainHead_v1_storage", dead, pinned, [], None) == limit


async def test_subscriptions_of_another_connection_are_unknown(node: NodeProcess) -> None:
    async with connect(node.url) as client, connect(node.url) as other:
        subscription, first = await follow(client)
        pinned = first["finalizedBlockHashes"][-1]
        assert await other.result("chainHead_v1_header", subscription, pinned) is None
        assert (await client.result("chainHead_v1_header", subscription, pinned)) is not None


async def test_four_follows_on_a_connection(node: NodeProcess) -> None:
    async with connect(node.url) as client:
        ids = [(await follow(client))[0] for _ in range(4)]
        assert await client.code("chainHead_v1_follow", True) == -32800
        await client.result("chainHead_v1_unfollow", ids[0])
        assert (await follow(client))[1]["event"] == "initialized"


async def test_wrong_parameters(node: NodeProcess) -> None:
    async with connect(node.url) as client:
        subscription, first = await follow(client)
        pinned = first["finalizedBlockHashes"][-1]
        for method, params in [
            ("chainHead_v1_follow", []),
            ("chainHead_v1_follow", ["yes"]),
            ("chainHead_v1_header", [subscription, "0x12"]),
            ("chainHead_v1_header", [subscription, pinned, 1]),
            ("chainHead_v1_call", [subscription, pinned, "Core_version"]),
            ("chainHead_v1_storage", [subscription, pinned, [{"key": "0x"}], None]),
            ("chainHead_v1_storage", [subscription, pinned, [{"key": "0x", "type": "values"}], None]),
            ("chainHead_v1_storage", [subscription, pinned, [{"key": "0x", "type": "value"}] * 1_025, None]),
            ("chainHead_v1_unpin", [subscription, [5]]),
        ]:
            assert await client.code(method, *params) == -32602, method


def test_needs_a_connection_that_stays(node: NodeProcess) -> None:
    assert node.rpc("chainHead_v1_follow", True)["error"]["code"] == -32600
