"""Two authors: both keys seal their slots, one chain, finality needs both, and comes back after kill -9 of one."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
import sr25519
from scalecodec.utils.ss58 import ss58_encode

from chain.identity import ed25519_from_uri, sr25519_from_uri
from chain.open_chain import export_spec
from chain.primitives import Header, Reader
from chain.primitives.block import blake2_256
from tests.chain.node_process import NodeProcess, wait_until

NAMES = ("//Alice", "//Bob")


def write_spec(path: Path) -> Path:
    """Preset dev with two bootstrap authors."""
    bootstrap = []
    for name in NAMES:
        account, voter = sr25519_from_uri(name), ed25519_from_uri(name)
        bootstrap.append([account.address, account.address, ss58(voter.public)])
    path.write_text(json.dumps(export_spec("dev", overrides={"blockRights": {"bootstrap": bootstrap}})))
    return path


def ss58(public: bytes) -> str:
    """Address form of any 32-byte key."""
    return str(ss58_encode(public, 42))


def authors(node: NodeProcess, last: int) -> list[bytes]:
    """The key that sealed each block 1..last, each seal verified against the schedule in the parent's state."""
    found = []
    for number in range(1, last + 1):
        block_hash = node.rpc("chain_getBlockHash", number)["result"]
        raw = node.rpc("chain_getHeader", block_hash)["result"]
        logs = [bytes.fromhex(item[2:]) for item in raw["digest"]["logs"]]
        slot = int.from_bytes(logs[0][6:14], "little")
        reader = Reader(
            bytes.fromhex(node.rpc("state_call", "AuraApi_authorities", "0x", raw["parentHash"])["result"][2:])
        )
        schedule = [reader.take(32) for _ in range(reader.compact())]
        author = schedule[slot % len(schedule)]
        assert sr25519.verify(logs[-1][-64:], blake2_256(unsealed(raw, logs)), author)
        found.append(author)
    return found


def unsealed(raw: dict[str, object], logs: list[bytes]) -> bytes:
    """SCALE of the header without its seal."""
    parent, state, body = (bytes.fromhex(str(raw[name])[2:]) for name in ("parentHash", "stateRoot", "extrinsicsRoot"))
    header = Header(parent, int(str(raw["number"]), 16), state, body).encode()
    return header[:-1] + bytes([(len(logs) - 1) << 2]) + b"".join(logs[:-1])


@pytest.mark.slow
@pytest.mark.alone
def test_two_authors_share_slots_and_finality(tmp_path: Path) -> None:
    spec = str(write_spec(tmp_path / "spec.json"))
    alice = NodeProcess(tmp_path / "alice", "--dev-key", "//Alice", chain=spec)
    bob = NodeProcess(tmp_path / "bob", "--dev-key", "//Bob", chain=spec)
    try:
        alice.start()
        bob.arguments += ["--bootnode", alice.bootnode()]
        bob.start()
        wait_until(lambda: min(alice.finalized(), bob.finalized()) >= 2, 90, "both finalise together")
        keys = {sr25519_from_uri(name).public for name in NAMES}
        wait_until(lambda: set(authors(alice, alice.finalized())) == keys, 30, "both author")
        last = min(alice.finalized(), bob.finalized())
        assert alice.rpc("chain_getBlockHash", last) == bob.rpc("chain_getBlockHash", last)
        bob.stop(signal.SIGKILL)
        stalled = wait_until(lambda: alice.best() >= last + 8 and alice.finalized(), 60, "Alice goes on alone")
        assert alice.finalized() < alice.best() - 1, "half of the votes must not finalise"
        bob.start()
        wait_until(lambda: min(alice.finalized(), bob.finalized()) > stalled + 4, 90, "finality after the restart")
        number = min(alice.finalized(), bob.finalized())
        assert alice.rpc("chain_getBlockHash", number) == bob.rpc("chain_getBlockHash", number)
    finally:
        assert alice.stop() == 0
        assert bob.stop() == 0
