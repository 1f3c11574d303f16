"""How a long chain starts, and what it takes on disk: `python -m benchmarks.start [--blocks N] [--json]`.

Bar of issue 6: a node with 100,000 blocks on disk opens its chain within 3 s. Makes a chain of empty blocks of preset
dev, each finalised as it comes (states pruned as a node prunes them), closes it, opens it anew in a process of its own
(compiled runtime cached) and reads the best block. 100,000 blocks take a quarter of an hour to make.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.chain import SLOT_MS, START_MS, Figure
from chain.blockchain import Blockchain
from chain.chain_spec import genesis_storage
from chain.identity import sr25519_from_uri
from chain.open_chain import load_chain_spec
from chain.runtime.executor import Executor, default_cache_folder
from chain.runtime.genesis import GenesisCalls

OPEN = """
import sys, time
from pathlib import Path
from chain.open_chain import load_chain_spec, open_blockchain
start = time.perf_counter()
chain = open_blockchain(load_chain_spec("dev"), Path(sys.argv[1]))
chain.runtime_version(chain.best.hash)
print(time.perf_counter() - start, chain.best.number)
chain.close()
"""


def make_chain(folder: Path, blocks: int) -> float:
    """Makes the chain in `<folder>/db`; bytes on disk per block, block 0 with its state and runtime left out."""
    spec = load_chain_spec("dev")
    now = [START_MS]
    genesis = genesis_storage(spec, GenesisCalls(Executor(spec.code, default_cache_folder())))
    alice = sr25519_from_uri("//Alice")
    Blockchain.open(folder / "db", genesis, clock_ms=lambda: now[0]).close()
    empty = disk_bytes(folder)
    chain = Blockchain.open(folder / "db", genesis, clock_ms=lambda: now[0])
    for _ in range(blocks):
        now[0] += SLOT_MS
        block = chain.build_block(chain.best.hash, now[0] // SLOT_MS, now[0], [], alice)
        chain.import_block(block)
        chain.finalize(block.header.hash)
    chain.close()
    return (disk_bytes(folder) - empty) / blocks


def disk_bytes(folder: Path) -> int:
    """Size of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def main() -> None:
    """Prints the table; exit code 1 if the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aipow-bench-start-") as name:
        folder = Path(name)
        began = time.perf_counter()
        per_block = make_chain(folder, options.blocks)
        making = time.perf_counter() - began
        size = disk_bytes(folder)
        command = [sys.executable, "-c", OPEN, name]
        opened = [subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() for _ in range(3)]
    if any(int(number) != options.blocks for _, number in opened):
        raise SystemExit(f"the chain opened at {opened} instead of at block {options.blocks}")
    figures = [
        Figure(f"opening a chain of {options.blocks} blocks", min(float(seconds) for seconds, _ in opened), "s", 3),
        Figure("disk per empty block", per_block, "bytes"),
        Figure("disk in all", size / 1_000_000, "MB"),
        Figure("making it", making, "s"),
    ]
    if options.json:
        print(json.dumps([asdict(figure) for figure in figures], indent=2))
    else:
        table = Table("", "value", "bar", title="start")
        for figure in figures:
            table.add_row(figure.name, f"{figure.value:.4g} {figure.unit}", f"≤ {figure.bar:g} s" if figure.bar else "")
        Console().print(table)
    sys.exit(any(figure.bar is not None and figure.value > figure.bar for figure in figures))


if __name__ == "__main__":
    main()
