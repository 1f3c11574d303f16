"""`transaction_v1_*`, `transactionWatch_v1_*`, `archive_v1_*` and `chainSpec_v1_*` of a real node."""

from __future__ import annotations

from typing import Any

from substrateinterface import Keypair, SubstrateInterface

from chain.grandpa.authorities import genesis_state
from chain.grandpa.justification import JustificationInput, verify_justification
from chain.grandpa.messages import Justification
from chain.primitives import Header, Reader
from tests.chain.node_process import NodeProcess, wait_until
from tests.chain.rpc.client import RpcClient, connect

NUMBER = "0x26aa394eea5630e07c48ae0c9558cef702a5c1b19ab7a04f536c519aca4983ac"  # System.Number
ACCOUNTS = "0x26aa394eea5630e07c48ae0c9558cef7b99d880ec681799c0cf30e8886371da9"  # System.Account
ABSENT = "0x0123"
MISSING = "0x" + "11" * 32


def signed_remark(node: NodeProcess, suri: str, text: str, nonce: int | None = None) -> str:
    """A signed `System.remark` in hex."""
    with SubstrateInterface(node.url) as chain:
        call = chain.compose_call("System", "remark", {"remark": text})
        return str(chain.create_signed_extrinsic(call, Keypair.create_from_uri(suri), nonce=nonce).data)


def final_hash(node: NodeProcess) -> str:
    return str(node.rpc("chain_getFinalizedHead")["result"])


async def test_watched_transaction_is_validated_included_and_final(node: NodeProcess) -> None:
    extrinsic = signed_remark(node, "//Charlie", "watched")
    async with connect(node.url) as client:
        subscription = await client.result("transactionWatch_v1_submitAndWatch", extrinsic)
        told = [await client.event(subscription) for _ in range(3)]
        assert [event["event"] for event in told] == ["validated", "bestChainBlockIncluded", "finalized"]
        block = told[2]["block"]
        assert block == told[1]["block"]
        assert node.rpc("archive_v1_body", block["hash"])["result"][block["index"]] == extrinsic
        assert await client.code("transactionWatch_v1_unwatch", subscription) == -32602  # it has ended


async def test_invalid_transaction_is_an_event_and_no_error(node: NodeProcess) -> None:
    extrinsic = signed_remark(node, "//Charlie", "bad")
    forged = extrinsic[:-2] + ("00" if extrinsic[-2:] != "00" else "01")
    async with connect(node.url) as client:
        for data in (forged, "0x", "0x1234"):
            subscription = await client.result("transactionWatch_v1_submitAndWatch", data)
            assert (await client.event(subscription))["event"] == "invalid"
        assert await client.code("transactionWatch_v1_submitAndWatch", "zz") == -32602


async def test_unwatch_stops_the_events(node: NodeProcess) -> None:
    async with connect(node.url) as client:
        later = signed_remark(node, "//Dave", "later", nonce=50)
        subscription = await client.result("transactionWatch_v1_submitAndWatch", later)
        assert await client.result("transactionWatch_v1_unwatch", subscription) is None
        assert await client.code("transactionWatch_v1_unwatch", subscription) == -32602


async def test_broadcast_gets_a_transaction_into_a_block_and_is_limited(node: NodeProcess) -> None:
    extrinsic = signed_remark(node, "//Eve", "broadcast")
    async with connect(node.url) as client:
        operation = await client.result("transaction_v1_broadcast", extrinsic)
        invalid = [await client.result("transaction_v1_broadcast", f"0x{index:04x}") for index in range(15)]
        assert None not in invalid
        assert await client.result("transaction_v1_broadcast", "0x1234") is None
        wait_until(lambda: _is_in_a_block(node, extrinsic), what="the broadcast transaction is in a block")
        assert await client.result("transaction_v1_stop", invalid[0]) is None
        assert await client.code("transaction_v1_stop", invalid[0]) == -32602
        assert (await client.ask("transaction_v1_stop", operation))["id"] is not None  # it may be final already
        assert await client.result("transaction_v1_broadcast", "0x1234") is not None


def _is_in_a_block(node: NodeProcess, extrinsic: str) -> bool:
    best = node.best()
    hashes = node.rpc("chain_getBlockHash", list(range(max(0, best - 10), best + 1)))["result"]
    return any(extrinsic in node.rpc("archive_v1_body", one)["result"] for one in hashes)


def test_archive_agrees_with_older_methods(node: NodeProcess) -> None:
    height = node.rpc("archive_v1_finalizedHeight")["result"]
    (at,) = node.rpc("archive_v1_hashByHeight", height)["result"]
    assert at == node.rpc("chain_getBlockHash", height)["result"]
    assert node.rpc("archive_v1_hashByHeight", 2**32 - 1)["result"] == []
    assert node.rpc("archive_v1_body", at)["result"] == node.rpc("chain_getBlock", at)["result"]["block"]["extrinsics"]
    called = node.rpc("archive_v1_call", at, "Core_version", "0x")["result"]
    assert called == {"success": True, "value": node.rpc("state_call", "Core_version", "0x", at)["result"]}
    assert node.rpc("archive_v1_call", at, "Core_nothing", "0x")["result"]["success"] is False
    for method in ("header", "body"):
        assert node.rpc(f"archive_v1_{method}", MISSING)["result"] is None
    assert node.rpc("archive_v1_call", MISSING, "Core_version", "0x")["result"] is None
    assert node.rpc("archive_v1_hashByHeight", -1)["error"]["code"] == -32602


def test_chain_spec(node: NodeProcess) -> None:
    assert node.rpc("chainSpec_v1_chainName")["result"] == "aipow Development"
    genesis = node.rpc("chain_getBlockHash", 0)["result"]
    assert node.rpc("chainSpec_v1_genesisHash")["result"] == node.rpc("archive_v1_genesisHash")["result"] == genesis
    assert node.rpc("chainSpec_v1_properties")["result"] == node.rpc("system_properties")["result"]


async def test_archive_storage(node: NodeProcess) -> None:
    at = final_hash(node)
    accounts = node.rpc("state_getKeysPaged", ACCOUNTS, 1000, None, at)["result"]
    items = [
        {"key": NUMBER, "type": "value"},
        {"key": ABSENT, "type": "hash"},
        {"key": ACCOUNTS, "type": "descendantsHashes", "paginationStartKey": accounts[1]},
    ]
    async with connect(node.url) as client:
        events = await _stream(client, "archive_v1_storage", at, items, None)
        assert events[-1] == {"event": "storageDone"}
        assert events[0] == {
            "event": "storage",
            "key": NUMBER,
            "value": node.rpc("state_getStorage", NUMBER, at)["result"],
        }
        assert [event["key"] for event in events[1:-1]] == accounts[2:]
        assert await _stream(client, "archive_v1_storage", at, items, "0xabcd") == [{"event": "storageDone"}]
        (error,) = await _stream(client, "archive_v1_storage", MISSING, items, None)
        assert error["event"] == "storageError"
        wrong = [{"key": NUMBER, "type": "value", "paginationStartKey": NUMBER}]
        assert await client.code("archive_v1_storage", at, wrong, None) == -32602
        assert await client.result("archive_v1_stopStorage", "over") is None


async def test_storage_diff_is_what_changed(node: NodeProcess) -> None:
    at = final_hash(node)
    height = int(node.rpc("chain_getHeader", at)["result"]["number"], 16)
    older = node.rpc("chain_getBlockHash", height - 2)["result"]
    async with connect(node.url) as client:
        for previous in (None, older):
            events = await _stream(client, "archive_v1_storageDiff", at, None, previous)
            assert events.pop() == {"event": "storageDiffDone"}
            before = _state(node, previous or node.rpc("chain_getHeader", at)["result"]["parentHash"])
            after = _state(node, at)
            changed = {key for key in {*before, *after} if before.get(key) != after.get(key)}
            assert {event["key"] for event in events} == changed
            assert NUMBER in changed
            for event in events:
                assert event.get("value") == after.get(event["key"])
                assert event["type"] == (
                    "modified" if event["key"] in before else "added" if "value" in event else "deleted"
                )
        items = [{"key": NUMBER, "returnType": "hash"}]
        (only, _) = await _stream(client, "archive_v1_storageDiff", at, items, None)
        assert only["hash"] == node.rpc("state_getStorageHash", NUMBER, at)["result"]
        (error,) = await _stream(client, "archive_v1_storageDiff", older, None, at)
        assert error["event"] == "storageDiffError"
        assert await client.code("archive_v1_storageDiff", at, [{"returnType": "both"}]) == -32602


def _state(node: NodeProcess, at: str) -> dict[str, str]:
    keys = node.rpc("state_getKeysPaged", "0x", 1000, None, at)["result"]
    assert len(keys) < 1000
    return dict(node.rpc("state_queryStorageAt", keys, at)["result"][0]["changes"])


async def _stream(client: RpcClient, method: str, *params: Any) -> list[dict[str, Any]]:
    """All events of a subscription that ends by itself."""
    subscription = await client.result(method, *params)
    events = []
    while not events or not events[-1]["event"].endswith(("Done", "Error")):
        events.append(await client.event(subscription))
    return events


async def test_cors_headers_for_pages_that_may_connect(node: NodeProcess) -> None:
    import requests

    headers = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"}
    answer = requests.options(node.http, headers=headers, timeout=30)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (204, "http://localhost:3000")
    body = {"jsonrpc": "2.0", "id": 1, "method": "system_name"}
    answer = requests.post(node.http, json=body, headers={"Origin": "http://localhost:3000"}, timeout=30)
    assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    assert requests.options(node.http, headers={"Origin": "http://evil.example"}, timeout=30).status_code == 403


async def test_justifications_are_told(node: NodeProcess) -> None:
    async with connect(node.url) as client:
        subscription = await client.result("grandpa_subscribeJustifications")
        data = await client.event(subscription)
        assert isinstance(data, str)
        target = Justification.decode(bytes.fromhex(data[2:])).commit.target_hash
        number = int(node.rpc("chain_getHeader", "0x" + target.hex())["result"]["number"], 16)
        assert node.rpc("chain_getBlockHash", number)["result"] == "0x" + target.hex()
        assert await client.result("grandpa_unsubscribeJustifications", subscription) is True


async def test_finality_of_an_old_block_is_proved_and_of_a_future_one_refused(node: NodeProcess) -> None:
    wait_until(lambda: node.finalized() >= 2, what="block #2 is final")
    async with connect(node.url) as client:
        reader = Reader(bytes.fromhex((await client.result("grandpa_proveFinality", 1))[2:]))
        block_hash = reader.take(32, "block")
        proof = Justification.decode(reader.bytes_(1 << 20, "justification"))
        headers = [Header.read(reader) for _ in range(reader.compact(100, "headers"))]
        reader.finish("finality proof")
        assert proof.commit.target_hash == block_hash
        first = await client.result("chain_getBlockHash", 1)
        above = ["0x" + header.parent_hash.hex() for header in headers[:1]] or ["0x" + block_hash.hex()]
        assert above == [first]
        assert [header.hash for header in headers[-1:]] in ([], [block_hash])
        stored = (node.log.with_suffix("") / "grandpa" / "genesis_authorities.hex").read_text()  # the state may be gone
        authorities = genesis_state(bytes.fromhex(stored)).current
        verify_justification(JustificationInput(proof, block_hash, proof.commit.target_number, authorities))
        assert await client.code("grandpa_proveFinality", 1_000_000) == 4
        assert await client.code("grandpa_proveFinality", -1) == -32602
