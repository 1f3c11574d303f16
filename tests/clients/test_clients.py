"""Stock clients, unmodified, each through the same story on one node: `pytest -m slow tests/clients`.

Each connects, reads metadata and storage, estimates a fee, transfers, calls a pallet of ours, watches both to finality,
reads their events, and follows heads for 20 blocks meanwhile. What it reports is held against what the node says.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from substrateinterface import Keypair, SubstrateInterface

from chain.identity import sr25519_from_uri
from tests.chain.node_process import NodeProcess
from tests.clients.install import install_node_clients, install_python_client

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(600)]  # the first run installs

HERE = Path(__file__).parent
HEADS = 20
STORY_SECONDS = 120


@dataclass(frozen=True)
class Client:
    """A client, the development account that it sends from, and the endpoint that it sets."""

    name: str
    suri: str
    endpoint: str


CLIENTS = [
    Client("substrate_interface.py", "//Bob", "http://substrate-interface.example"),
    Client("async_substrate.py", "//Charlie", "http://async-substrate.example"),
    Client("polkadot_js.mjs", "//Dave", "http://polkadot.js.example"),
    Client("papi.mjs", "//Eve", "http://papi.example"),
]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node of preset dev with //Alice's keys."""
    process = NodeProcess(tmp_path_factory.mktemp("clients") / "alice", "--dev-key", "//Alice")
    try:
        yield process.start()
    finally:
        process.stop()


def run_client(client: Client, url: str, recipient: str) -> dict[str, Any]:
    """Runs it to its end; what it reports."""
    source = HERE / client.name
    if source.suffix == ".mjs":  # from stdin, so that packages are looked for where they are installed
        command, folder = ["node", "--input-type=module", "-", url, client.suri, recipient], install_node_clients()
    elif client.name == "async_substrate.py":
        key = sr25519_from_uri(client.suri)
        pair = (key.public + key.secret).hex()
        command, folder = [str(install_python_client()), str(source), url, pair, recipient], HERE
    else:
        command, folder = [sys.executable, str(source), url, client.suri, recipient], HERE
    with source.open("rb") as script:
        done = subprocess.run(command, cwd=folder, stdin=script, capture_output=True, timeout=STORY_SECONDS)
    assert done.returncode == 0, done.stderr.decode()[-3_000:]
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_client_walks_the_whole_way(node: NodeProcess, client: Client) -> None:
    recipient = Keypair.create_from_uri(f"{client.suri}//friend").ss58_address
    with SubstrateInterface(node.url) as chain:
        sender = Keypair.create_from_uri(client.suri).ss58_address
        before = chain.query("System", "Account", [sender]).value["data"]["free"]
        report = run_client(client, node.url, recipient)

        assert {"System", "Balances", "Stakes", "Verification"} <= set(report["pallets"])
        assert report["free"] == str(before)
        received = chain.query("System", "Account", [recipient]).value["data"]["free"]
        assert str(received) == report["amount"]
        assert chain.query("Stakes", "Endpoints", [sender]).value == report["endpoint"] == client.endpoint
        assert {"Balances.Transfer", "System.ExtrinsicSuccess"} <= set(report["transfer"]["events"])
        assert {"Stakes.EndpointSet", "System.ExtrinsicSuccess"} <= set(report["call"]["events"])
        assert int(report["fee"]) == fee_paid(chain, report["transfer"]["block"], sender)
    numbers = [number_of(node, report[name]["block"]) for name in ("transfer", "call")]
    assert numbers[0] < numbers[1] <= node.finalized()
    first = report["heads"][0]
    assert report["heads"] == list(range(first, first + HEADS))


def number_of(node: NodeProcess, block_hash: str) -> int:
    """The number of a block, which must be on the best chain."""
    number = int(node.rpc("chain_getHeader", block_hash)["result"]["number"], 16)
    assert node.rpc("chain_getBlockHash", number)["result"] == block_hash
    return number


def fee_paid(chain: SubstrateInterface, block_hash: str, sender: str) -> int:
    """What `sender` paid for its only extrinsic in a block, without the tip."""
    events = [event.value["event"] for event in chain.get_events(block_hash)]
    (fee,) = [
        event["attributes"]["actual_fee"]
        for event in events
        if event["event_id"] == "TransactionFeePaid" and event["attributes"]["who"] == sender
    ]
    return int(fee)
