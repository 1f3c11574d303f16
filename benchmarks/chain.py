"""What blocks cost on the embedded node: `python -m benchmarks.chain [--json] [--no-node] [--blocks N]`.

Bars of issue 3 (preset dev): an empty block, authored + `Core_execute_block` + committed to LevelDB, at most 25 ms in
the median; each of 100 signed transfers at most 8 ms more (validation, authoring, re-execution together); an idle
node at most 400 MB; a warm start to the first block at most 10 s. Of issue 6: import, re-execution included, of an
empty block at most 12 ms, of one with 100 transfers at most 500 ms. Wall time and the thread's own CPU time are both
shown: on a busy machine they differ.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from chain.blockchain import Blockchain
from chain.chain_spec import genesis_storage
from chain.identity import Sr25519Key, sr25519_from_uri
from chain.open_chain import load_chain_spec
from chain.primitives import blake2_256, encode_bytes, encode_compact
from chain.runtime.executor import Executor, default_cache_folder
from chain.runtime.genesis import GenesisCalls
from chain.runtime.host_crypto import is_sr25519_valid

SLOT_MS = 1_000
START_MS = 1_800_000_000_000
TRANSFER_KEEP_ALIVE = bytes([4, 3])  # pallet Balances (4), call transfer_keep_alive (3)
UNIT = 10**12  # plancks
IDLE_SECONDS = 10


@dataclass(frozen=True)
class Figure:
    """One line of the table: `value` (wall), `cpu` (the same in CPU time, if measured) and the bar, all in `unit`."""

    name: str
    value: float
    unit: str
    bar: float | None = None
    cpu: float | None = None


class Clock:
    """Times a piece of work by the wall and by this thread's CPU."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []

    def __enter__(self) -> None:
        self._start = time.perf_counter(), time.thread_time()

    def __exit__(self, *_: object) -> None:
        self.wall.append((time.perf_counter() - self._start[0]) * 1_000)
        self.cpu.append((time.thread_time() - self._start[1]) * 1_000)

    def figure(self, name: str, bar: float | None = None, share: int = 1) -> Figure:
        """The medians in ms, divided by `share`."""
        return Figure(name, statistics.median(self.wall) / share, "ms", bar, statistics.median(self.cpu) / share)


def make_transfer(chain: Blockchain, key: Sr25519Key, to: bytes, nonce: int) -> bytes:
    """A signed `transfer_keep_alive` of one UNIT with its length in front."""
    return sign_call(chain, key, TRANSFER_KEEP_ALIVE + b"\x00" + to + encode_compact(UNIT), nonce)


def sign_call(chain: Blockchain, key: Sr25519Key, call: bytes, nonce: int) -> bytes:
    """A signed extrinsic with its length in front."""
    version = chain.runtime_version(chain.genesis_hash)
    extra = b"\x00" + encode_compact(nonce) + encode_compact(0) + b"\x00"  # immortal, no tip, no metadata hash
    implicit = version.spec_version.to_bytes(4, "little") + version.transaction_version.to_bytes(4, "little")
    payload = call + extra + implicit + chain.genesis_hash * 2 + b"\x00"
    signature = key.sign(payload if len(payload) <= 256 else blake2_256(payload))
    return encode_bytes(b"\x84\x00" + key.public + b"\x01" + signature + extra + call)


def measure_blocks(folder: Path, blocks: int, transfers: int) -> list[Figure]:
    """Empty blocks, then blocks full of transfers, on a fresh chain of preset dev."""
    spec = load_chain_spec("dev")
    storage = genesis_storage(spec, GenesisCalls(Executor(spec.code, default_cache_folder())))
    now = [START_MS]
    chain = Blockchain.open(folder, storage, clock_ms=lambda: now[0])
    alice, bob = sr25519_from_uri("//Alice"), sr25519_from_uri("//Bob")

    def author(extrinsics: list[bytes], build: Clock, imported: Clock) -> None:
        now[0] += SLOT_MS
        with build:
            block = chain.build_block(chain.best.hash, now[0] // SLOT_MS, now[0], extrinsics, alice)
        with imported:
            chain.import_block(block)
        if len(block.extrinsics) != 1 + len(extrinsics):
            raise SystemExit(f"{len(block.extrinsics) - 1} of {len(extrinsics)} transfers got into the block")

    for _ in range(5):
        author([], Clock(), Clock())
    empty, building, importing = Clock(), Clock(), Clock()
    for _ in range(blocks):
        with empty:
            author([], building, importing)
    figures = [
        building.figure("empty block: author"),
        importing.figure("empty block: import", 12),
        empty.figure("empty block: all", 25),
    ]
    validate, full, building, importing, foreign = Clock(), Clock(), Clock(), Clock(), Clock()
    nonce = 0
    for _ in range(5):
        batch = [make_transfer(chain, alice, bob.public, nonce + i) for i in range(transfers)]
        nonce += transfers
        with full:
            with validate:
                for extrinsic in batch:
                    if chain.validate_transaction(chain.best.hash, 2, extrinsic)[:1] != b"\x00":
                        raise SystemExit("the runtime refuses a transfer")
            author(batch, building, importing)
    for _ in range(5):
        batch = [make_transfer(chain, alice, bob.public, nonce + i) for i in range(transfers)]
        nonce += transfers
        now[0] += SLOT_MS
        block = chain.build_block(chain.best.hash, now[0] // SLOT_MS, now[0], batch, alice)
        is_sr25519_valid.cache_clear()  # as for a block of another node whose transfers were not in our pool
        with foreign:
            chain.import_block(block)
    chain.close()
    each = full.figure("each of a block's transfers: all", 8, transfers)
    base = figures[-1]
    return [
        *figures,
        validate.figure("each of a block's transfers: validate", share=transfers),
        building.figure("each of a block's transfers: author", share=transfers),
        importing.figure("each of a block's transfers: execute and commit", share=transfers),
        foreign.figure(f"block of {transfers} transfers never seen before: import", 500),
        Figure(
            each.name,
            each.value - base.value / transfers,
            "ms",
            8,
            (each.cpu or 0) - (base.cpu or 0) / transfers,
        ),
    ]


def measure_node(folder: Path) -> list[Figure]:
    """A node process of preset dev: warm start to the first block (compiled runtime cached), memory when idle."""
    log = folder / "log"
    start = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "chain.node", "--chain", "dev", "--base-path", str(folder / "node"),
             "--rpc-port", "0", "--dev-key", "//Alice"],
            stdout=output, stderr=output,
        )  # fmt: skip
    try:
        while process.poll() is None and time.perf_counter() - start < 60:
            found = re.search(r"Listening on ws://(\S+)", log.read_text())
            if found and _best_number(f"http://{found[1]}") > 0:
                break
            time.sleep(0.02)
        else:
            raise SystemExit(f"the node made no block:\n{log.read_text()[-2_000:]}")
        first = time.perf_counter() - start
        time.sleep(IDLE_SECONDS)
        figures = [Figure("warm start to the first block", first, "s", 10)]
        status = Path(f"/proc/{process.pid}/status")
        if status.exists():
            resident = re.search(r"VmRSS:\s+(\d+) kB", status.read_text())
            figures.append(Figure("memory of an idle node", int(resident[1]) / 1_000 if resident else 0, "MB", 400))
        return figures
    finally:
        process.terminate()
        process.wait(20)


def _best_number(url: str) -> int:
    request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "chain_getHeader", "params": []}).encode()
    asked = urllib.request.Request(url, request, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(asked, timeout=5) as answer:
            return int(json.load(answer)["result"]["number"], 16)
    except OSError:
        return 0


def main() -> None:
    """Measures, prints a table or JSON; exit code 1 if a bar was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--blocks", type=int, default=100, help="empty blocks to take the median of")
    parser.add_argument("--transfers", type=int, default=100, help="transfers per full block")
    parser.add_argument("--no-node", action="store_true", help="leave out start and memory of a node process")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure_blocks(Path(folder) / "db", options.blocks, options.transfers)
        if not options.no_node:
            figures += measure_node(Path(folder))
    if options.json:
        Console().print_json(json.dumps([asdict(figure) for figure in figures]))
    else:
        table = Table("", "wall", "CPU", "bar", title="chain, preset dev")
        for figure in figures:
            cpu = "" if figure.cpu is None else f"{figure.cpu:.2f} {figure.unit}"
            bar = "" if figure.bar is None else f"≤ {figure.bar:g} {figure.unit}"
            table.add_row(figure.name, f"{figure.value:.2f} {figure.unit}", cpu, bar)
        Console().print(table)
    sys.exit(any(figure.bar is not None and figure.value > figure.bar for figure in figures))


if __name__ == "__main__":
    main()
