"""`childstate_*` and proofs of a real node, whose chain spec has child tries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

import pytest

from chain.open_chain import export_spec
from tests.chain.node_process import NodeProcess
from tests.chain.rpc.client import connect
from tests.chain.trie.naive_proof import NotProven, read_child_proof, read_proof

CROWD = {b"alice": b"1", b"alex": b"", b"bob": b"2" * 40}
NAME = "0x" + b":child_storage:default:crowd".hex()
NONE = "0x" + b":child_storage:default:none".hex()
ACCOUNTS = "0x26aa394eea5630e07c48ae0c9558cef7b99d880ec681799c0cf30e8886371da9"  # System.Account
INVALID_PARAMS = -32602


def to_hex(data: bytes) -> str:
    return "0x" + data.hex()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node of preset dev, written out raw with a child trie, that authors."""
    folder: Path = tmp_path_factory.mktemp("childstate")
    spec = export_spec("dev", is_raw=True)
    spec["genesis"]["raw"]["childrenDefault"] = {to_hex(b"crowd"): {to_hex(k): to_hex(v) for k, v in CROWD.items()}}
    (folder / "spec.json").write_text(json.dumps(spec))
    process = NodeProcess(folder / "alice", "--dev-key", "//Alice", chain=str(folder / "spec.json"))
    try:
        yield process.start()
    finally:
        process.stop()


def test_values_hashes_and_sizes(node: NodeProcess) -> None:
    for key, value in CROWD.items():
        given = (NAME, to_hex(key))
        assert node.rpc("childstate_getStorage", *given)["result"] == to_hex(value)
        assert node.rpc("childstate_getStorageSize", *given)["result"] == len(value)
        digest = blake2b(value, digest_size=32).digest()
        assert node.rpc("childstate_getStorageHash", *given)["result"] == to_hex(digest)
    for given in ((NAME, "0x01"), (NONE, to_hex(b"bob"))):
        for what in ("", "Hash", "Size"):
            assert node.rpc(f"childstate_getStorage{what}", *given)["result"] is None
    keys = [to_hex(b"bob"), "0x01"]
    assert node.rpc("childstate_getStorageEntries", NAME, keys)["result"] == [to_hex(CROWD[b"bob"]), None]
    assert node.rpc("childstate_getStorageEntries", NONE, keys)["result"] == [None, None]


def test_keys(node: NodeProcess) -> None:
    ordered = [to_hex(key) for key in sorted(CROWD)]
    assert node.rpc("childstate_getKeys", NAME, "0x")["result"] == ordered
    assert node.rpc("childstate_getKeys", NAME, to_hex(b"al"))["result"] == ordered[:2]
    assert node.rpc("childstate_getKeysPaged", NAME, None, 2)["result"] == ordered[:2]
    assert node.rpc("childstate_getKeysPagedAt", NAME, "0x", 5, ordered[0])["result"] == ordered[1:]
    assert node.rpc("childstate_getKeysPaged", NONE, "0x", 5)["result"] == []


def test_proofs_verify_independently(node: NodeProcess) -> None:
    at = node.rpc("chain_getBlockHash", 1)["result"] or node.rpc("chain_getBlockHash", 0)["result"]
    root = bytes.fromhex(node.rpc("chain_getHeader", at)["result"]["stateRoot"][2:])
    for key in (*CROWD, b"none"):
        answer = node.rpc("state_getChildReadProof", NAME, [to_hex(key)], at)["result"]
        proof = [bytes.fromhex(entry[2:]) for entry in answer["proof"]]
        assert answer["at"] == at
        assert read_child_proof(root, proof, b"crowd", key) == CROWD.get(key)
        with pytest.raises(NotProven):
            read_child_proof(root, proof[1:], b"crowd", key)
    accounts = node.rpc("state_getKeysPaged", ACCOUNTS, 3, None, at)["result"]
    answer = node.rpc("state_getReadProof", [*accounts, "0x0102"], at)["result"]
    proof = [bytes.fromhex(entry[2:]) for entry in answer["proof"]]
    for account in accounts:
        value = node.rpc("state_getStorage", account, at)["result"]
        assert read_proof(root, proof, bytes.fromhex(account[2:])) == bytes.fromhex(value[2:])
    assert read_proof(root, proof, b"\x01\x02") is None


async def test_the_new_methods_read_them_too(node: NodeProcess) -> None:
    genesis, items = node.rpc("chainSpec_v1_genesisHash")["result"], [{"key": "0x", "type": "descendantsValues"}]
    assert node.rpc("childstate_getStorage", NAME, to_hex(b"alice"), genesis)["result"] == to_hex(b"1")
    async with connect(node.url) as client:
        subscription = await client.result("archive_v1_storage", genesis, items, to_hex(b"crowd"))
        events = [await client.event(subscription) for _ in range(len(CROWD) + 1)]
    assert [(event.get("key"), event.get("value")) for event in events[:-1]] == [
        (to_hex(key), to_hex(CROWD[key])) for key in sorted(CROWD)
    ]
    assert {event.get("childTrieKey") for event in events[:-1]} == {to_hex(b"crowd")}
    assert events[-1] == {"event": "storageDone"}


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("childstate_getStorage", ["0x01", "0x"]),
        ("childstate_getStorage", [to_hex(b":child_storage:other:x"), "0x"]),
        ("childstate_getKeysPaged", [NAME, "0x", 1_001]),
        ("childstate_getStorageEntries", [NAME, "0x"]),
        ("state_getChildReadProof", ["0x", []]),
        ("state_getChildReadProof", [NAME, ["0x"] * 4_097]),
    ],
)
def test_bad_parameters_are_refused(node: NodeProcess, method: str, params: list[object]) -> None:
    assert node.rpc(method, *params)["error"]["code"] == INVALID_PARAMS
