"""Blocks per second beside chopsticks: `python -m benchmarks.against_chopsticks [--turns N] [--transfers N] [--json]`.

Bars of issue 6: at 0 and at 100 transfers a block, at least 10 times the rate of chopsticks (npm
`@acala-network/chopsticks`, pinned by `chopsticks/package-lock.json`) on the same runtime and the same genesis state.
Both start at block 0 of preset dev and take turns. Ours authors (true roots, seal), executes the block again with
`Core_execute_block`, checks its root and commits it to LevelDB; chopsticks builds it, its state root all zeros. Neither
validates the transfers before. Slots are 12 s in both: chopsticks asks the runtime for the slot's length without a
state, gets none (ours is a genesis value) and takes 12 s. Needs npm and Node 22 (20 works); the first run installs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.chain import make_transfer
from benchmarks.rpc import cpu_seconds
from chain.blockchain import Blockchain
from chain.chain_spec import genesis_storage
from chain.identity import sr25519_from_uri
from chain.open_chain import export_spec, load_chain_spec
from chain.runtime.executor import Executor, default_cache_folder
from chain.runtime.genesis import GenesisCalls
from devnet.processes import find_free_port

LOCKS = Path(__file__).parent / "chopsticks"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "aipow-ci" / "chopsticks"
SLOT_MS = 12_000
START_MS = 1_800_000_000_000
BAR = 10
START_SECONDS = 120.0
ALICE, BOB = sr25519_from_uri("//Alice"), sr25519_from_uri("//Bob")


@dataclass
class Times:
    """Seconds per block: by the wall, and of CPU time in the process that makes it."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


class Ours:
    """This chain on a folder of its own."""

    def __init__(self, folder: Path, spec_file: Path) -> None:
        spec = load_chain_spec(str(spec_file))
        storage = genesis_storage(spec, GenesisCalls(Executor(spec.code, default_cache_folder())))
        self._now = START_MS
        self._chain = Blockchain.open(folder, storage, clock_ms=lambda: self._now)
        self.pid = os.getpid()

    def sign(self, nonces: range) -> list[bytes]:
        """Transfers of Alice's."""
        return [make_transfer(self._chain, ALICE, BOB.public, nonce) for nonce in nonces]

    def make_block(self, transfers: list[bytes]) -> int:
        """Authors, executes, commits; how many transfers are in."""
        self._now += SLOT_MS
        chain = self._chain
        block = chain.build_block(chain.best.hash, self._now // SLOT_MS, self._now, transfers, ALICE)
        chain.import_block(block)
        return len(block.extrinsics) - 1


class Chopsticks:
    """Chopsticks behind its RPC."""

    def __init__(self, url: str, pid: int) -> None:
        self._url, self.pid = url, pid
        version = self._rpc("state_getRuntimeVersion")
        known = SimpleNamespace(spec_version=version["specVersion"], transaction_version=version["transactionVersion"])
        genesis = bytes.fromhex(self._rpc("chain_getBlockHash", 0)[2:])
        self._signing: Any = SimpleNamespace(genesis_hash=genesis, runtime_version=lambda _hash: known)

    def sign(self, nonces: range) -> list[bytes]:
        """Transfers of Alice's for what chopsticks takes for the genesis hash."""
        return [make_transfer(self._signing, ALICE, BOB.public, nonce) for nonce in nonces]

    def make_block(self, transfers: list[bytes]) -> int:
        """Builds a block; how many transfers are in."""
        made = self._rpc("dev_newBlock", {"transactions": ["0x" + one.hex() for one in transfers]} if transfers else {})
        return len(self._rpc("chain_getBlock", made)["block"]["extrinsics"]) - 1

    def _rpc(self, method: str, *params: Any) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        asked = urllib.request.Request(self._url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=600) as answer:
            document = json.load(answer)
        if "result" not in document:
            raise SystemExit(f"chopsticks refuses {method}: {document}")
        return document["result"]


def install() -> Path:
    """Chopsticks' start file, installed once per lock file into a folder of the user's cache."""
    locks = [LOCKS / "package.json", LOCKS / "package-lock.json"]
    digest = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()[:16]
    folder = CACHE / digest
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for lock in locks:
            shutil.copy(lock, folder)
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, check=True)
        (folder / "complete").touch()
    return folder / "node_modules" / "@acala-network" / "chopsticks" / "chopsticks.cjs"


@contextmanager
def running_chopsticks(folder: Path, spec_file: Path) -> Iterator[Chopsticks]:
    """Chopsticks on the raw chain spec."""
    port, log = find_free_port(), folder / "chopsticks.log"
    command = ["node", str(install()), "--chain-spec", str(spec_file), "--build-block-mode", "Manual"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)], stdout=output, stderr=output, cwd=folder
        )
    try:
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                yielded = Chopsticks(f"http://127.0.0.1:{port}", process.pid)
                break
            except (urllib.error.URLError, ConnectionError):
                if time.monotonic() > end or process.poll() is not None:
                    raise SystemExit(f"chopsticks does not start:\n{log.read_text()[-2_000:]}") from None
                time.sleep(0.5)
        yield yielded
    finally:
        process.terminate()
        process.wait(30)


def measure(side: Ours | Chopsticks, transfers: list[bytes], blocks: int, times: Times) -> None:
    """Makes blocks with the same number of transfers each; one entry in `times` for their mean."""
    share = len(transfers) // blocks
    start, before = time.perf_counter(), cpu_seconds(side.pid)
    for number in range(blocks):
        batch = transfers[number * share : (number + 1) * share]
        if side.make_block(batch) != share:
            raise SystemExit(f"{type(side).__name__} did not take all {share} transfers into a block")
    times.wall.append((time.perf_counter() - start) / blocks)
    times.cpu.append((cpu_seconds(side.pid) - before) / blocks)


def run(turns: int, transfers: int, empty: int) -> dict[str, dict[str, Times]]:
    """Side -> kind of block -> times; the sides take turns."""
    found: dict[str, dict[str, Times]] = {
        side: {"empty": Times(), "full": Times()} for side in ("Ours", "Chopsticks")
    }
    with tempfile.TemporaryDirectory(prefix="aipow-bench-chopsticks-") as name:
        folder = Path(name)
        spec_file = folder / "spec.json"
        slots = {"blockRights": {"slotDuration": SLOT_MS}}
        spec_file.write_text(json.dumps(export_spec("dev", is_raw=True, overrides=slots)))
        with running_chopsticks(folder, spec_file) as theirs:
            sides = (Ours(folder / "db", spec_file), theirs)
            for side in sides:
                measure(side, [], 3, Times())  # warm
            for turn in range(turns):
                for side in sides:
                    kinds = found[type(side).__name__]
                    measure(side, [], empty, kinds["empty"])
                    full = side.sign(range(turn * transfers, (turn + 1) * transfers))
                    measure(side, full, 1, kinds["full"])
    return found


def main() -> None:
    """Prints the table; exit code 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--transfers", type=int, default=100, help="in a full block")
    parser.add_argument("--empty", type=int, default=10, help="empty blocks in a turn")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = run(options.turns, options.transfers, options.empty)
    lines = []
    for kind, name in (("empty", "empty"), ("full", f"{options.transfers} transfers")):
        ours, theirs = found["Ours"][kind], found["Chopsticks"][kind]
        for clock in ("wall", "cpu"):
            mine, other = (statistics.median(getattr(times, clock)) for times in (ours, theirs))
            lines.append({"block": name, "clock": clock, "ours_ms": mine * 1_000, "chopsticks_ms": other * 1_000})
    if options.json:
        print(json.dumps(lines, indent=2))
    else:
        table = Table("block", "clock", "ours", "chopsticks", "times", f"≥ {BAR}", title="a block, median of the turns")
        for line in lines:
            times = line["chopsticks_ms"] / max(line["ours_ms"], 0.001)
            cells = (f"{line['ours_ms']:.1f} ms", f"{line['chopsticks_ms']:.0f} ms", f"{times:.0f}")
            table.add_row(line["block"], line["clock"], *cells, "yes" if times >= BAR else "no")
        Console().print(table)
    sys.exit(any(line["chopsticks_ms"] < BAR * line["ours_ms"] for line in lines if line["clock"] == "wall"))


if __name__ == "__main__":
    main()
