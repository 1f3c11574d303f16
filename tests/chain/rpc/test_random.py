"""Random parameters to every method: always a JSON-RPC answer with a sensible code, never an internal error."""

from __future__ import annotations

import random
from typing import Any

from tests.chain.node_process import NodeProcess
from tests.chain.rpc.client import connect

KEY = "0x26aa394eea5630e07c48ae0c9558cef780d41e5e16056765bc8461851072c9d7"
HASH = "0x" + "22" * 32
EXTRINSIC = "0x280403000b63ce64c10c0541020000"
VALUES: list[Any] = [
    None, True, 0, -1, 1, 2**32, 2**64, 1.5, "", "0x", "0x0", "0x00", "x" * 5_000, "0xzz", "\u0000",
    KEY, HASH, EXTRINSIC, "0x84",
    [], [None], [KEY], [[KEY]], [1], {}, {"hash": HASH}, "Core_version", "AuraApi_authorities", "Core_execute_block",
    "BlockBuilder_finalize_block", "GenesisBuilder_build_state",
    "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY", "//Alice",
]  # fmt: skip
KNOWN_CODES = {-32600, -32601, -32602, 1001, 1010, 1011, 1012, 1013, 4003}
CONNECTION_CODES = {-32006, -32800, -32801, -32802, -32803, -32804}


def test_random_requests(node: NodeProcess) -> None:
    rng = random.Random(7)
    names = node.rpc("rpc_methods")["result"]["methods"]
    seen: set[int] = set()
    for _ in range(600):
        name, params = rng.choice(names), [rng.choice(VALUES) for _ in range(rng.randrange(5))]
        answer = node.rpc(name, *params)
        assert answer["id"] == 1
        if "error" in answer:
            assert answer["error"]["code"] in KNOWN_CODES, (name, params, answer)
            seen.add(answer["error"]["code"])
    assert -32602 in seen
    assert node.rpc("state_call", "Core_execute_block", "0x")["error"]["code"] == 4003, "a trap is an answer too"
    before = node.best()
    assert node.rpc("system_health")["result"]["isSyncing"] is False
    assert node.best() >= before > 0


async def test_random_requests_on_a_connection(node: NodeProcess) -> None:
    """Methods that need one, with ids and hashes that fit among those that do not."""
    rng = random.Random(11)
    names = [name for name in node.rpc("rpc_methods")["result"]["methods"] if "_v1_" in name or "ubscribe" in name]
    async with connect(node.url) as client:
        follow = await client.result("chainHead_v1_follow", True)
        pinned = (await client.event(follow))["finalizedBlockHashes"][-1]
        items = [{"key": KEY, "type": "value"}, {"key": "0x", "type": "descendantsHashes"}]
        values = [*VALUES, True, follow, pinned, items, [pinned], [pinned, pinned], items[:1], *[follow, pinned] * 10]
        for _ in range(600):
            name, params = rng.choice(names), [rng.choice(values) for _ in range(rng.randrange(5))]
            if name != "chainHead_v1_unfollow" and rng.random() < 0.5:
                params = [follow, pinned, *params[:2]]
            answer = await client.ask(name, *params)
            client.notifications.clear()
            if "error" in answer:
                assert answer["error"]["code"] in KNOWN_CODES | CONNECTION_CODES, (name, params, answer)
        assert (await client.ask("system_name"))["result"] == "aipow"


async def test_connections_that_vanish_leave_nothing_behind(node: NodeProcess) -> None:
    for _ in range(130):  # more than may be open at once
        async with connect(node.url) as client:
            await client.result("chainHead_v1_follow", True)
            await client.result("chain_subscribeNewHeads")
            client.socket._writer.transport.abort()  # without a word
    async with connect(node.url) as client:
        assert await client.result("system_name") == "aipow"
