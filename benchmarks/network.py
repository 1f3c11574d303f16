"""What a network of nodes costs: `python -m benchmarks.network [--nodes N] [--rate N] [--seconds N] [--json]`.

N authoring and voting nodes of preset dev on this machine, all connected with each other, one second a block. CPU time
of all nodes together, per node and block, without transactions and with `--rate` transfers a second, which are given
to the nodes in turn over RPC. On a machine with fewer cores than nodes this says what the wall cannot.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from scalecodec.utils.ss58 import ss58_encode

from benchmarks.chain import make_transfer
from benchmarks.rpc import cpu_seconds
from chain.blockchain import Blockchain
from chain.identity import ed25519_from_uri, sr25519_from_uri
from chain.open_chain import export_spec, load_chain_spec, open_blockchain

NAMES = ("//Alice", "//Bob", "//Charlie", "//Dave", "//Eve", "//Ferdie")
START_SECONDS = 90.0
SETTLE_SECONDS = 8.0


class RequestRefused(Exception):
    """A node answered a request with an error."""


@dataclass(frozen=True)
class Cost:
    """One phase: what the nodes did and what it took."""

    transfers_offered: int
    blocks: float
    transfers: int
    finalized: float
    cpu_seconds: float
    wall_seconds: float
    nodes: int

    @property
    def per_block(self) -> float:
        """CPU milliseconds per node and block."""
        return self.cpu_seconds / self.nodes / max(1.0, self.blocks) * 1_000


class RunningNode:
    """One node process."""

    def __init__(self, folder: Path, name: str, spec: Path, bootnodes: list[str]) -> None:
        self.log = folder / f"{name[2:]}.log"
        command = [sys.executable, "-m", "chain.node", "--chain", str(spec), "--dev-key", name, "--rpc-port", "0"]
        command += ["--base-path", str(folder / name[2:])]
        for address in bootnodes:
            command += ["--bootnode", address]
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output)
        self.url = "http://" + self._line("Listening on ").removeprefix("ws://")
        self.bootnode = self._line("Bootnode ")

    def _line(self, start: str) -> str:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            for line in self.log.read_text().splitlines():
                if line.startswith(start):
                    return line.removeprefix(start)
            time.sleep(0.1)
        self.stop()
        raise SystemExit(f"a node does not start:\n{self.log.read_text()[-2_000:]}")

    def rpc(self, method: str, *params: Any) -> Any:
        """The result of a request."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        asked = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=30) as answer:
            document = json.load(answer)
        if "result" not in document:
            raise RequestRefused(f"{method} was refused: {document}")
        return document["result"]

    def height(self, block_hash: str | None = None) -> int:
        """The number of a block, the best by default."""
        return int(self.rpc("chain_getHeader", *([block_hash] if block_hash else []))["number"], 16)

    def stop(self) -> None:
        """Ends it."""
        self.process.terminate()
        self.process.wait(30)


@contextmanager
def running_network(folder: Path, count: int) -> Iterator[tuple[list[RunningNode], Path]]:
    """`count` nodes that author and vote, each connected with all before it."""
    bootstrap = []
    for name in NAMES[:count]:
        address = sr25519_from_uri(name).address
        bootstrap.append([address, address, str(ss58_encode(ed25519_from_uri(name).public, 42))])
    spec = folder / "spec.json"
    spec.write_text(json.dumps(export_spec("dev", overrides={"blockRights": {"bootstrap": bootstrap}})))
    with ExitStack() as stack:
        nodes: list[RunningNode] = []
        for name in NAMES[:count]:
            nodes.append(RunningNode(folder, name, spec, [node.bootnode for node in nodes]))
            stack.callback(nodes[-1].stop)
        end = time.monotonic() + START_SECONDS
        while min(len(node.rpc("system_peers")) for node in nodes) < count - 1:
            if time.monotonic() > end:
                raise SystemExit("the nodes do not find each other")
            time.sleep(0.5)
        time.sleep(SETTLE_SECONDS)
        yield nodes, spec


def measure(nodes: list[RunningNode], transfers: list[bytes], seconds: float) -> Cost:
    """Offers the transfers evenly over the time; what all nodes spent meanwhile."""
    first, before = nodes[0].height(), sum(cpu_seconds(node.process.pid) for node in nodes)
    final_before = nodes[0].height(nodes[0].rpc("chain_getFinalizedHead"))
    start = time.monotonic()
    for number, transfer in enumerate(transfers):
        time.sleep(max(0.0, start + number * seconds / len(transfers) - time.monotonic()))
        try:
            nodes[number % len(nodes)].rpc("author_submitExtrinsic", "0x" + transfer.hex())
        except RequestRefused as error:  # a node may lose the fork on which it validates; the transfer is not in then
            print(error, file=sys.stderr)
    time.sleep(max(0.0, start + seconds - time.monotonic()))
    wall = time.monotonic() - start
    spent = sum(cpu_seconds(node.process.pid) for node in nodes) - before
    last = nodes[0].height()
    included = 0
    for number in range(first + 1, last + 1):
        block = nodes[0].rpc("chain_getBlock", nodes[0].rpc("chain_getBlockHash", number))
        included += len(block["block"]["extrinsics"]) - 1
    final = nodes[0].height(nodes[0].rpc("chain_getFinalizedHead")) - final_before
    return Cost(len(transfers), last - first, included, final, spent, wall, len(nodes))


def make_transfers(spec: Path, folder: Path, count: int) -> list[bytes]:
    """Signed transfers of one account each in turn, so that nonces follow each other at every node."""
    chain: Blockchain = open_blockchain(load_chain_spec(str(spec)), folder / "signing")
    try:
        senders = [sr25519_from_uri(name) for name in NAMES]
        to = sr25519_from_uri("//Receiver").public
        return [make_transfer(chain, senders[i % len(NAMES)], to, i // len(NAMES)) for i in range(count)]
    finally:
        chain.close()


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=5, choices=range(2, len(NAMES) + 1))
    parser.add_argument("--rate", type=int, default=40, help="transfers a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each of the two phases")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aipow-bench-network-") as name:
        folder = Path(name)
        with running_network(folder, options.nodes) as (nodes, spec):
            transfers = make_transfers(spec, folder, int(options.rate * options.seconds))
            costs = [measure(nodes, [], options.seconds), measure(nodes, transfers, options.seconds)]
    if options.json:
        print(json.dumps([asdict(cost) | {"ms_per_node_and_block": cost.per_block} for cost in costs], indent=2))
        return
    table = Table("", "no transactions", f"{options.rate} transfers a second", title=f"{options.nodes} nodes")
    made = [f"{cost.blocks} ({cost.finalized}) in {cost.wall_seconds:.0f} s" for cost in costs]
    table.add_row("blocks (final) in the time", *made)
    table.add_row("transfers in blocks", *(f"{c.transfers} of {c.transfers_offered}" for c in costs))
    table.add_row("CPU per node and block", *(f"{c.per_block:.0f} ms" for c in costs))
    shares = [c.cpu_seconds / c.nodes / c.wall_seconds for c in costs]
    table.add_row("share of a core per node", *(f"{share:.0%}" for share in shares))
    Console().print(table)


if __name__ == "__main__":
    main()
