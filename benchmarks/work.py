"""What committing, storing, fetching and replaying cost: `python -m benchmarks.work [MODEL] [STEPS]`.

Bar of issue 3: a replay of one segment costs no more than its execution did (± 10 %).
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from consensus.commit.hashing import AccountId, Hash32, blake2_256
from consensus.commit.state import State, compute_state_root
from miner.kernels import load_executor
from miner.models import build_task_graph, initial_state, load_dataset
from miner.store.address import Address, Kind
from miner.store.blobs import BlobStore
from miner.store.client import BlobClient
from miner.store.server import BlobServer
from miner.work.segment import CommittedSegment, SegmentJob, compute_previous_record, replay_segment, run_segment

RUNS = 5
SOLVER, SEED = AccountId(b"s" * 32), blake2_256(b"benchmark")
STATE: State = {f"w{i}": np.random.default_rng(i).standard_normal((1000, 1000)).astype(np.float32) for i in range(10)}


def measure(work: Callable[[], object]) -> float:
    """Median seconds of `RUNS` calls after one to warm up."""
    work()
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def compare(*works: Callable[[], object]) -> list[float]:
    """Median CPU seconds of each, taken in turn, so that a busy machine bends all alike."""
    times: list[list[float]] = [[] for _ in works]
    for run in range(RUNS + 1):
        for work, collected in zip(works, times, strict=True):
            start = time.process_time()
            work()
            if run:
                collected.append(time.process_time() - start)
    return [statistics.median(collected) for collected in times]


def measure_segment(model: str, steps: int, table: Table) -> None:
    """Execution against replay, and the share of both that is not the executor's."""
    executor, dataset = load_executor(build_task_graph(model).to_bytes()), load_dataset(model)
    state = initial_state(model, bytes(32))
    start = compute_state_root(state)
    job = SegmentJob(SEED, 0, steps, compute_previous_record(SEED, [], 0, start))
    result = run_segment(executor, dataset, state, job)
    committed = CommittedSegment(SOLVER, SEED, steps, (result.compute_record(SOLVER),), 0, start)
    batch = dataset.batch(SEED, 0)
    execution, replay, step = compare(
        lambda: run_segment(executor, dataset, state, job),
        lambda: replay_segment(executor, dataset, state, committed),
        lambda: [executor.step(state, batch) for _ in range(steps)],
    )
    table.add_row(f"{model}: execution of a segment of {steps} steps", f"{execution * 1e3:.1f} ms CPU")
    table.add_row(f"{model}: its replay", f"{replay * 1e3:.1f} ms CPU ({replay / execution - 1:+.1%})")
    table.add_row(f"{model}: committing and data order", f"{1 - step / execution:.1%} of the execution")


async def measure_store(folder: Path, table: Table) -> None:
    """40 MB of state: root, write, read, fetch and check over HTTP."""
    table.add_row("state root of 40 MB", f"{measure(lambda: compute_state_root(STATE)) * 1e3:.0f} ms")
    with BlobStore(folder / "blobs") as store:
        start = time.perf_counter()
        root = Hash32(store.put_state(STATE))
        table.add_row("put 40 MB (root, LevelDB, fsync)", f"{(time.perf_counter() - start) * 1e3:.0f} ms")
        address = Address(Kind.STATE, root)
        table.add_row("get 40 MB", f"{measure(lambda: store.get(address)) * 1e3:.0f} ms")
        server = BlobServer(store)
        url = await server.start()
        async with BlobClient() as client:
            start = time.perf_counter()
            await client.fetch(url, address)
            table.add_row("fetch 40 MB over HTTP and check", f"{(time.perf_counter() - start) * 1e3:.0f} ms")
        await server.stop()


def main() -> None:
    """Prints the table."""
    model = sys.argv[1] if len(sys.argv) > 1 else "digits-mlp"
    steps = int(sys.argv[2]) if len(sys.argv) > 2 else 50
    table = Table("what", "figure", title="work and store")
    measure_segment(model, steps, table)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure_store(Path(folder), table))
    Console().print(table)


if __name__ == "__main__":
    main()
