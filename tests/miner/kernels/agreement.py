"""The GPT of 10 million parameters on short batches, for tests of agreement; as a process it runs a unit that may be
killed: `python -m tests.miner.kernels.agreement FOLDER`.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from consensus.commit.hashing import AccountId, Hash32, blake2_256
from consensus.exact.random import derive_key
from consensus.graph import Graph
from consensus.protocol.units import UnitRef
from miner.kernels import Executor, fast
from miner.models import load_text
from miner.store.blobs import BlobStore
from miner.store.tensor_file import decode_tensors, encode_tensors
from miner.work.build import TaskParts, TaskShape, build_task
from miner.work.data import make_dataset
from miner.work.segment import STEP_PURPOSE
from miner.work.task import DataOrder
from miner.work.unit import UnitJob, UnitRunner
from miner.work.worker import TaskInputs, WorkerPool

MODEL = "gpt2-10m"
ORDER = DataOrder("windows", 1, 16)
"""One sequence of 16 tokens a step: the optimiser still passes over all ten million parameters."""
SHAPE = TaskShape(rounds=1, shards=1, segments_per_unit=4, steps_per_segment=5)
UNIT_SEED, SOLVER = blake2_256(b"agreement"), AccountId(b"s" * 32)
GRAPH, STATE, MIDDLE = "graph.json", "state.safetensors", "middle.safetensors"


@dataclass(frozen=True)
class Work:
    """A graph and its first state."""

    graph: Graph
    state: dict[str, Any]


def write_work(folder: Path) -> None:
    """Traces the model once, for all processes."""
    from miner.bench.workload import compute_first_state, load_workload
    from miner.models.benchmarks import build_benchmark
    from miner.trace.trace import trace_step

    model = load_workload(MODEL)
    batch = {name: tensor[:1, : ORDER.length] for name, tensor in build_benchmark(MODEL).batch.items()}
    graph = trace_step(model.module, model.loss, model.optimiser, batch)
    (folder / GRAPH).write_bytes(graph.to_bytes())
    (folder / STATE).write_bytes(encode_tensors(compute_first_state(model, graph)))


def read_work(folder: Path) -> Work:
    """What `write_work` wrote."""
    return Work(Graph.from_bytes((folder / GRAPH).read_bytes()), decode_tensors((folder / STATE).read_bytes()))


@cache
def load_tokens() -> dict[str, Any]:
    """The text's train split."""
    return load_text(context=ORDER.length).train


def digest(state: Mapping[str, Any], *scalars: Any) -> str:
    """One hash over names, bytes and scalars."""
    hasher = hashlib.blake2b(digest_size=16)
    for name in sorted(state):
        hasher.update(name.encode())
        hasher.update(state[name].tobytes())
    for scalar in scalars:
        hasher.update(scalar.tobytes())
    return hasher.hexdigest()


def run_steps(
    work: Work, backend: str, threads: int, steps: int, marks: frozenset[int], first: int = 0,
    middle: Path | None = None,
) -> dict[int, str]:  # fmt: skip
    """Digests of state, loss and gradient norm after the steps in ``marks`` and after the last, ``steps``.

    The work's state is that before step ``first``; the state after half of the steps is written to ``middle``.
    """
    executor, data = Executor(work.graph, backend, threads), make_dataset(load_tokens(), ORDER)
    state, key, digests = work.state, derive_key(UNIT_SEED, STEP_PURPOSE), {}
    for step in range(first, steps):
        state, loss, norm = executor.step(state, data.batch(UNIT_SEED, step), key, step)
        if step + 1 in marks or step + 1 == steps:
            digests[step + 1] = digest(state, loss, norm)
        if middle is not None and step + 1 == steps // 2:
            middle.write_bytes(encode_tensors(state))
    return digests


def run_native(folder: Path, threads: int, steps: int, marks: frozenset[int]) -> dict[int, str]:
    """`run_steps` of the native backend on what `write_work` wrote, for a process of its own; one with a single thread
    leaves the state after half of the steps in the folder."""
    middle = folder / MIDDLE if threads == 1 else None
    return run_steps(read_work(folder), "native", threads, steps, marks, middle=middle)


def run_shuffled(folder: Path, first: int, steps: int, marks: frozenset[int]) -> tuple[dict[int, str], dict[str, int]]:
    """`run_steps` of the NumPy backend with every sum shuffled, and how often it was, for a process of its own. It
    begins with the work's state or, at a later step, with the one that `run_native` left."""
    counts, work = shuffle_sums(first), read_work(folder)
    if first:
        work = Work(work.graph, decode_tensors((folder / MIDDLE).read_bytes()))
    return run_steps(work, "numpy", 1, steps, marks, first), counts


def shuffle_sums(seed: int) -> dict[str, int]:
    """From now on every exact sum of the NumPy backend takes its terms in a random order, which is counted."""
    random, right = np.random.default_rng(seed), {n: getattr(fast, n) for n in ("matmul", "reduce_sum", "add_rows")}
    counts = dict.fromkeys(right, 0)

    def matmul(a: Any, b: Any, bits: int) -> Any:
        counts["matmul"] += 1
        order = random.permutation(a.shape[-1])
        return right["matmul"](a[..., order], b[..., order, :], bits)

    def reduce_sum(values: Any, axes: tuple[int, ...]) -> Any:
        counts["reduce_sum"] += 1
        values = np.take(values, random.permutation(values.shape[axes[0]]), axis=axes[0])
        return right["reduce_sum"](values, axes)

    def add_rows(values: Any, index: Any, rows: int) -> Any:
        counts["add_rows"] += 1
        order = random.permutation(len(index))
        return right["add_rows"](values[order], index[order], rows)

    for name, function in (("matmul", matmul), ("reduce_sum", reduce_sum), ("add_rows", add_rows)):
        setattr(fast, name, function)
    return counts


def make_job(work: Work, store: BlobStore) -> UnitJob:
    """A unit of four segments."""
    parts = TaskParts(
        MODEL, work.graph.to_bytes(), Hash32(work.graph.root()), work.graph.macs(), bytes(32), work.state,
        load_tokens(), load_tokens(), ORDER,
    )  # fmt: skip
    spec = build_task(parts, SHAPE, store)
    inputs = TaskInputs(spec, store.get_blob(spec.graph.root), store.get_blob(spec.dataset.root))
    start = Hash32(bytes.fromhex(spec.initial_state_root))
    return UnitJob(UnitRef(0, 0, 0), inputs, UNIT_SEED, SOLVER, start)


async def run_unit(folder: Path) -> None:
    """Runs the unit, or what an earlier process left of it; prints each step that it hears of."""
    with BlobStore(folder / "blobs") as store:
        async with WorkerPool(1) as pool:
            job = make_job(read_work(folder), store)
            await UnitRunner(store, pool).run(job, lambda p: print(f"segment {p.segment} step {p.steps}", flush=True))
    print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(run_unit(Path(sys.argv[1])))
