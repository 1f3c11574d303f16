"""What a large state costs: `python -m benchmarks.state [--accounts N] [--blocks N] [--json]`.

Bars of issue 6: with a million accounts a block takes at most 1.5 times what it takes with a thousand, the process at
most 1 GB. Both chains (preset dev) get their accounts by real blocks of `Sudo(System.set_storage)`; then a fresh
process opens each folder, makes and imports empty blocks and blocks of 100 transfers to accounts drawn from all. Each
block is final at once. "While swept": a pruning sweep goes on, which a large state has only now and then. The bar of
time is held against the median of the thread's CPU time without one: the wall tells of the machine's other work.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.chain import SLOT_MS, START_MS, UNIT, make_transfer, sign_call
from chain.blockchain import KEPT_STATES, Blockchain
from chain.chain_spec import genesis_storage
from chain.identity import sr25519_from_uri
from chain.open_chain import load_chain_spec
from chain.primitives import encode_bytes, encode_compact
from chain.runtime.executor import Executor, default_cache_folder
from chain.runtime.genesis import GenesisCalls
from chain.runtime.host_crypto import twox
from chain.state.pruning import SWEEP_EVERY

FEW = 1_000
TRANSFERS = 100
ACCOUNTS_PER_BLOCK = 20_000  # of 164 bytes each: below the 3.9 MB that extrinsics may take
SUDO_UNCHECKED, SET_STORAGE = bytes([7, 1]), bytes([0, 4])
ALICE = sr25519_from_uri("//Alice")
MAX_RATIO, MAX_MEGABYTES = 1.5, 1_000


def account_id(number: int) -> bytes:
    """A 32-byte account, spread over the trie as real ones are."""
    return hashlib.blake2b(b"account %d" % number, digest_size=32).digest()


def account_entry(number: int) -> tuple[bytes, bytes]:
    """Key and value of `System.Account`: one provider, a free balance."""
    account = account_id(number)
    key = twox(b"System", 2) + twox(b"Account", 2) + hashlib.blake2b(account, digest_size=16).digest() + account
    counts = b"".join(n.to_bytes(4, "little") for n in (0, 0, 1, 0))
    return key, counts + (1_000 * UNIT).to_bytes(16, "little") + bytes(48)


class Bench:
    """A chain in a folder; each block is imported and made final."""

    def __init__(self, folder: Path) -> None:
        spec = load_chain_spec("dev")
        storage = genesis_storage(spec, GenesisCalls(Executor(spec.code, default_cache_folder())))
        self.chain = Blockchain.open(folder, storage, clock_ms=lambda: self.now)
        self.now = START_MS + self.chain.best.number * SLOT_MS

    def author(self, extrinsics: list[bytes]) -> None:
        self.now += SLOT_MS
        block = self.chain.build_block(self.chain.best.hash, self.now // SLOT_MS, self.now, extrinsics, ALICE)
        if len(block.extrinsics) != 1 + len(extrinsics):
            raise SystemExit(f"{len(block.extrinsics) - 1} of {len(extrinsics)} extrinsics got into the block")
        self.chain.finalize(self.chain.import_block(block).hash)

    def nonce(self) -> int:
        return self.chain.nonce(self.chain.best.hash, ALICE.public)


def fill(folder: Path, accounts: int) -> None:
    """Puts the accounts into the state."""
    bench = Bench(folder)
    for first in range(0, accounts, ACCOUNTS_PER_BLOCK):
        entries = [account_entry(number) for number in range(first, min(accounts, first + ACCOUNTS_PER_BLOCK))]
        items = encode_compact(len(entries)) + b"".join(encode_bytes(k) + encode_bytes(v) for k, v in entries)
        call = SUDO_UNCHECKED + SET_STORAGE + items + encode_compact(0) + encode_compact(0)
        bench.author([sign_call(bench.chain, ALICE, call, bench.nonce())])
    bench.chain.close()


def measure(folder: Path, accounts: int, blocks: int) -> dict[str, float]:
    """Milliseconds of blocks on the filled chain, and the most memory that this process took."""
    opened = time.perf_counter()
    bench, draw, figures = Bench(folder), random.Random(accounts), dict[str, float]()
    figures["start s"] = time.perf_counter() - opened
    kinds = {"empty": 0, "full": TRANSFERS, "empty while swept": 0, "full while swept": TRANSFERS}
    for name, transfers in kinds.items():
        while "swept" in name and bench.chain.finalized.number < KEPT_STATES + SWEEP_EVERY - 1:
            bench.author([])
        wall, cpu = [], []
        for _ in range(blocks):
            nonce = bench.nonce()
            to = [account_id(draw.randrange(accounts)) for _ in range(transfers)]
            batch = [make_transfer(bench.chain, ALICE, account, nonce + i) for i, account in enumerate(to)]
            start = time.perf_counter(), time.thread_time()
            bench.author(batch)
            wall.append((time.perf_counter() - start[0]) * 1_000)
            cpu.append((time.thread_time() - start[1]) * 1_000)
        figures |= {f"{name}, ms": statistics.median(wall), f"{name}, CPU ms": statistics.median(cpu)}
        figures |= {f"{name}, mean CPU ms": statistics.mean(cpu), f"{name}, slowest CPU ms": max(cpu)}
    bench.chain.close()
    figures["memory MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_000
    return figures


def run(work: str, folder: Path, accounts: int, blocks: int) -> Any:
    """`fill` or `measure` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.state", "--work", work, "--folder", str(folder)]
    command += ["--accounts", str(accounts), "--blocks", str(blocks)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout or "null")


def main() -> None:
    """Measures, prints a table or JSON; exit code 1 if a bar was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=1_000_000, help="accounts of the large state")
    parser.add_argument("--blocks", type=int, default=50, help="blocks of each kind")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--work", choices=["fill", "measure"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work == "fill":
        fill(options.folder, options.accounts)
        return
    if options.work == "measure":
        print(json.dumps(measure(options.folder, options.accounts, options.blocks)))
        return
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for accounts in (FEW, options.accounts):
            path = Path(folder) / str(accounts)
            run("fill", path, accounts, options.blocks)
            found.append(run("measure", path, accounts, options.blocks))
    few, many = found
    if options.json:
        Console().print_json(json.dumps({str(FEW): few, str(options.accounts): many}))
    else:
        table = Table("", f"{FEW:,} accounts", f"{options.accounts:,} accounts", "ratio", title="state, preset dev")
        for name in few:
            table.add_row(name, f"{few[name]:.1f}", f"{many[name]:.1f}", f"{many[name] / few[name]:.2f}")
        Console().print(table)
    ratio = max(many[name] / few[name] for name in ("empty, CPU ms", "full, CPU ms"))
    sys.exit(int(ratio > MAX_RATIO or many["memory MB"] > MAX_MEGABYTES))


if __name__ == "__main__":
    main()
