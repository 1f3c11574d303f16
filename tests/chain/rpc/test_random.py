"""Random parameters to every method: always a JSON-RPC answer with a sensible code, never an internal error."""

from __future__ import annotations

import random
from typing import Any

from tests.chain.node_process import NodeProcess

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
    assert {-32602, 4003} <= seen
    before = node.best()
    assert node.rpc("system_health")["result"]["isSyncing"] is False
    assert node.best() >= before > 0
