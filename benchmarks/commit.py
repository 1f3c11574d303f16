"""What committing costs a real training: `python -m benchmarks.commit MODEL`; see `--help`.

Bars of issue 4: committing (digests each step, roots at checkpoints every 32 steps, stored) takes at most 3 % of the
run; peak memory at most 1.3 times that of eager training. Segments with and without committing take turns in one
process; the least of each counts. On a machine that others use, look at CPU time: what a segment's threads really used.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from consensus.commit.hashing import Hash32, blake2_256
from consensus.commit.records import StepOutcome, compute_step_record
from consensus.commit.state import State, compute_state_root
from consensus.exact.random import derive_key
from consensus.graph import Graph
from miner.bench.memory import MemoryWatch
from miner.kernels import Executor
from miner.kernels.native.hashing import Hasher, HashlibHasher, get_hasher
from miner.store.address import Address, Kind
from miner.store.blobs import BlobStore
from miner.store.tensor_file import decode_tensors, encode_tensors, read_tensors
from miner.work.commitment import CheckpointPipeline, Spool
from miner.work.data import Dataset, make_dataset
from miner.work.segment import STEP_PURPOSE, SegmentExecution, SegmentJob, SegmentResult, Training
from miner.work.task import DataOrder

SEED, ZERO = blake2_256(b"benchmark"), Hash32(bytes(32))
SEGMENT_STEPS = 32
LABEL = "unit"
MEMORY_SEGMENTS, MEMORY_STEPS = 3, 3
HASH_RUNS = 5


class Run:
    """A task in memory: executor, data, first state."""

    def __init__(self, folder: Path, threads: int) -> None:
        graph = Graph.from_bytes((folder / "graph.json").read_bytes())
        self.state: State = read_tensors(folder / "state.safetensors")
        rows = decode_tensors((folder / "rows.safetensors").read_bytes())
        batch = next(iter(graph.signature().batch.values())).shape[0]
        self.dataset: Dataset = make_dataset(dict(rows), DataOrder("rows", batch, 0))
        self.executor = Executor(graph, threads=threads)
        self.key = derive_key(SEED, STEP_PURPOSE)

    def run_bare(self, first: int, steps: int) -> None:
        """Plain training: data order and steps."""
        for step in range(first, first + steps):
            self.state = self.executor.step(self.state, self.dataset.batch(SEED, step), self.key, step)[0]


class Committing:
    """The miner's way: segments whose end states are committed to and stored while the next one runs."""

    def __init__(self, run: Run, store: BlobStore) -> None:
        self._store, self._training = store, Training(run.executor, run.dataset, run.state)
        self._last: Address | None = None
        start = compute_state_root(run.state, get_hasher().compute_tensor_root)
        self.pipeline = CheckpointPipeline(start, Spool(store.spool), self._on_segment)
        self._index = 0

    def run_segment(self, steps: int) -> SegmentExecution:
        """The next segment."""
        self._index += 1
        job = SegmentJob(SEED, self._index - 1, steps, ZERO)
        return self._training.execute(job, on_step=lambda *_: self.pipeline.on_step())

    def _on_segment(self, result: SegmentResult, file: Path | None) -> None:
        address = Address(Kind.STATE, result.end_state_root)
        if file is not None:
            self._store.adopt(address, file, LABEL)
        self._store.put_record(LABEL, result.compute_record(SEED).encode())  # type: ignore[arg-type]
        if self._last is not None:
            self._store.release(self._last, LABEL)
        self._last = address


@contextmanager
def clock(found: list[dict[str, float]]) -> Iterator[None]:
    """Appends wall and CPU seconds (all threads) of what runs inside."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    found.append({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu})


def measure_time(folder: Path, threads: int, steps: int, rounds: int) -> dict[str, Any]:
    """Segments without and with committing in turn; each of the latter commits to the one before while it runs."""
    run = Run(folder, threads)
    bare: list[dict[str, float]] = []
    committed: list[dict[str, float]] = []
    commits: list[float] = []
    with BlobStore(folder / f"store-{threads}") as store:
        run.run_bare(0, 1)
        committing = Committing(run, store)
        executions = [committing.run_segment(1)]
        for number in range(rounds):
            with clock(bare):
                run.run_bare(number * steps, steps)
            before = committing.pipeline.cpu_seconds
            with clock(committed):
                committing.pipeline.put(executions.pop())
                executions.append(committing.run_segment(steps))
                committing.pipeline.finish()
            commits.append(committing.pipeline.cpu_seconds - before)
        committing.pipeline.close()
    return {
        "backend": run.executor.backend, "bare": bare, "committed": committed, "commit": commits,
        "record": measure_record(run, steps), "state_bytes": sum(tensor.nbytes for tensor in run.state.values()),
    }  # fmt: skip


def measure_record(run: Run, steps: int) -> float:
    """Least CPU seconds of one step's digest and record, over as many as a segment has."""
    hasher, best = get_hasher(), float("inf")
    for step in range(steps):
        batch = run.dataset.batch(SEED, step)
        started = time.thread_time()
        digest = compute_state_root(batch, hasher.compute_tensor_root)
        compute_step_record(SEED, step, ZERO, digest, StepOutcome(1.0, 1.0))
        best = min(best, time.thread_time() - started)
    return best


def measure_memory(folder: Path, threads: int, is_committing: bool) -> dict[str, Any]:
    """Peak memory of a few short segments, above that of the process before the task was loaded."""
    watch = MemoryWatch()
    run = Run(folder, threads)
    if not is_committing:
        run.run_bare(0, MEMORY_SEGMENTS * MEMORY_STEPS)
    else:
        with BlobStore(folder / "store-memory") as store:
            committing = Committing(run, store)
            run.state = {}
            for _ in range(MEMORY_SEGMENTS):
                committing.pipeline.put(committing.run_segment(MEMORY_STEPS))
            committing.pipeline.close()
    return {"peak": watch.read_peak()}


def measure_eager_memory(model: str, threads: int) -> dict[str, Any]:
    """Peak memory of plain PyTorch's training."""
    from miner.bench.sides import EagerSide

    side = EagerSide(model, threads, is_compiled=False, is_fused=False)
    side.first_step()
    side.steps(2)
    return {"peak": side.finish()["memory"]}


def measure_hashing() -> list[tuple[str, float]]:
    """Bytes a CPU second of tensor roots and of plain BLAKE2b over 41 MB, taken in turn."""
    tensor = np.random.default_rng(1).standard_normal((3200, 3200)).astype(np.float32)
    hashers: list[Hasher] = [get_hasher(), HashlibHasher()]
    works: list[tuple[str, Callable[[], object]]] = [
        *((f"tensor root, {h.backend}", lambda h=h: h.compute_tensor_root(tensor)) for h in hashers),
        ("one BLAKE2b-256 of hashlib, no tiles", lambda: hashlib.blake2b(tensor.data, digest_size=32).digest()),
        ("finiteness (E8)", lambda: hashers[0].is_finite(tensor)),
    ]
    best = dict.fromkeys((name for name, _ in works), float("inf"))
    for _ in range(HASH_RUNS):
        for name, work in works:
            started = time.thread_time()
            work()
            best[name] = min(best[name], time.thread_time() - started)
    return [(name, tensor.nbytes / seconds) for name, seconds in best.items()]


def prepare(model: str, folder: Path) -> None:
    """Writes graph, first state and some rows of data for the measuring processes, which load no PyTorch."""
    from miner.bench.workload import compute_first_state, load_workload, make_batch, trace_workload

    workload = load_workload(model)
    graph = trace_workload(workload)
    (folder / "graph.json").write_bytes(graph.to_bytes())
    (folder / "state.safetensors").write_bytes(encode_tensors(compute_first_state(workload, graph)))
    rows = {name: np.concatenate([array, array[::-1]]) for name, array in make_batch(workload).items()}
    (folder / "rows.safetensors").write_bytes(encode_tensors(rows))


def run_child(threads: int, *arguments: object) -> dict[str, Any]:
    """One of the measurements in a process of its own."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = os.environ | dict.fromkeys(names, str(threads)) | {"OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, "-m", "benchmarks.commit", "--child", *(str(argument) for argument in arguments)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def add_rows(table: Table, threads: int, steps: int, found: dict[str, Any]) -> None:
    """The figures of one number of threads."""

    def least(name: str, clock_name: str) -> float:
        return float(min(entry[clock_name] for entry in found[name]))

    records, commit = steps * found["record"], min(found["commit"])
    share = (records + commit) / (least("bare", "cpu") + records + commit)
    name = f"{threads} thread{'s' * (threads > 1)}"
    for kind in ("bare", "committed"):
        table.add_row(
            f"{name}: {kind} segment of {steps} steps",
            f"{least(kind, 'wall'):.2f} s, {least(kind, 'cpu'):.2f} s CPU",
        )
    table.add_row(f"{name}: checkpoint (roots, file, store)", f"{commit * 1e3:.0f} ms CPU")
    table.add_row(f"{name}: a step's digest and record", f"{found['record'] * 1e6:.0f} µs CPU")
    table.add_row(f"{name}: committing's share of CPU time", f"{share:.2%}")
    for clock_name in ("wall", "cpu"):
        more = least("committed", clock_name) / least("bare", clock_name) - 1
        table.add_row(f"{name}: committed over bare, {clock_name}", f"{more:+.1%}")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="gpt2-10m")
    parser.add_argument("--steps", type=int, default=SEGMENT_STEPS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", default="1,2")
    options = parser.parse_args()
    table = Table("what", "figure", title=f"committing, {options.model}")
    for name, speed in measure_hashing():
        table.add_row(name, f"{speed / 1e6:,.0f} MB/s CPU")
    with tempfile.TemporaryDirectory() as folder:
        prepare(options.model, Path(folder))
        counts = [int(count) for count in options.threads.split(",")]
        for threads in counts:
            found = run_child(threads, "time", folder, threads, options.steps, options.rounds)
            print(json.dumps({"threads": threads, **found}), file=sys.stderr, flush=True)
            add_rows(table, threads, options.steps, found)
        table.add_row("state", f"{found['state_bytes'] / 1e6:.0f} MB, {found['backend']} executor")
        eager = run_child(1, "eager", options.model, 1)["peak"]
        for name, kind in (("exact", "bare"), ("exact, committing", "committed")):
            peak = run_child(1, kind, folder, 1)["peak"]
            table.add_row(f"peak memory, {name}", f"{peak / 1e6:.0f} MB, {peak / eager:.2f} of eager PyTorch's")
    Console().print(table)


def main_child(kind: str, *arguments: str) -> None:
    """One measurement; its result as JSON on stdout."""
    if kind == "time":
        folder, *numbers = arguments
        print(json.dumps(measure_time(Path(folder), *(int(number) for number in numbers))))
    elif kind == "eager":
        print(json.dumps(measure_eager_memory(arguments[0], int(arguments[1]))))
    else:
        print(json.dumps(measure_memory(Path(arguments[0]), int(arguments[1]), kind == "committed")))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        main_child(*sys.argv[2:])
    else:
        main()
