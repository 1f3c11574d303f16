"""The sides of the comparison, each in a process of its own: plain PyTorch, compiled PyTorch, exact.

Each trains on one batch that it sees again and again: the time of a step does not depend on the numbers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from consensus.commit.hashing import Hash32
from consensus.commit.state import compute_state_root
from consensus.exact.random import derive_key
from consensus.graph import Graph

from miner.bench.memory import MemoryWatch
from miner.kernels import Executor
from miner.kernels.native.hashing import get_hasher
from miner.store.address import Address, Kind
from miner.store.blobs import BlobStore
from miner.store.tensor_file import decode_tensors, read_tensors
from miner.work.commitment import CheckpointPipeline, Spool
from miner.work.segment import STEP_PURPOSE, SegmentJob, SegmentResult, Training, execute_segment

Array = npt.NDArray[Any]

GRAPH, STATE, BATCH = "graph.json", "state.safetensors", "batch.safetensors"
"""Files in which the exact side finds its work."""
UNIT_SEED = Hash32(bytes(32))
COMMIT_RUNS = 3
"""Segments that are committed to; the least time counts."""
COMMIT_STEPS = 2
"""Steps of such a segment: one runs beside the commitment to the segment before, the next needs that one's memory."""


class Side(Protocol):
    """One way to do the step."""

    def first_step(self) -> dict[str, Any]:
        """Make everything ready and do one step: ``loss``, ``seconds`` from the model in memory to the step's end."""

    def steps(self, count: int) -> tuple[float, float]:
        """Seconds of the fastest of so many steps, and CPU seconds of the one that took least."""

    def finish(self) -> dict[str, Any]:
        """What else is known at the end."""


class EagerSide:
    """An ordinary PyTorch training step in f32: zero the gradients, loss, backward, the optimiser's own step.

    ``is_compiled``: model and loss go through `torch.compile`. ``is_fused``: the optimiser's fused form.
    """

    def __init__(self, name: str, threads: int, is_compiled: bool, is_fused: bool) -> None:
        import torch

        from miner.bench.workload import load_workload, make_optimiser

        torch.set_num_threads(threads)
        _load_lazy_parts()
        self._watch = MemoryWatch()
        self._model = load_workload(name)
        self._optimiser = make_optimiser(self._model.optimiser, self._model.module.parameters(), is_fused)
        module = self._model.module

        def compute_loss() -> Any:
            return self._model.loss(module, self._model.batch)

        self._loss = torch.compile(compute_loss) if is_compiled else compute_loss

    def _step(self) -> float:
        self._optimiser.zero_grad()
        loss = self._loss()
        loss.backward()
        self._optimiser.step()
        return float(loss.item())

    def first_step(self) -> dict[str, Any]:
        """With `torch.compile`'s compilation, if any."""
        started = time.perf_counter()
        loss = self._step()
        return {"loss": loss, "seconds": time.perf_counter() - started}

    def steps(self, count: int) -> tuple[float, float]:
        """Wall and CPU."""
        return _fastest(self._step, count)

    def finish(self) -> dict[str, Any]:
        """Peak memory of model and training."""
        return {"memory": self._watch.read_peak()}


def _load_lazy_parts() -> None:
    """One step of nothing: PyTorch loads modules at its first step that are no part of a training's memory."""
    import torch

    module = torch.nn.Linear(1, 1)
    optimiser = torch.optim.AdamW(module.parameters())
    module(torch.zeros(1, 1)).sum().backward()
    optimiser.step()
    optimiser.zero_grad()


@dataclass(frozen=True)
class _OneBatch:
    """The same batch at every step."""

    arrays: dict[str, Array]

    def batch(self, unit_seed: bytes, step: int) -> dict[str, Array]:
        return self.arrays


class ExactSide:
    """The executor on a graph from files; no PyTorch in the process."""

    def __init__(self, folder: Path, threads: int, backend: str | None) -> None:
        self._watch = MemoryWatch()
        self._graph = Graph.from_bytes((folder / GRAPH).read_bytes())
        self._state = read_tensors(folder / STATE)
        self._batch = decode_tensors((folder / BATCH).read_bytes())
        self._folder, self._threads, self._backend = folder, threads, backend
        self._key = derive_key(UNIT_SEED, STEP_PURPOSE)
        self._count = 0

    def _step(self) -> float:
        self._state, loss, _ = self._executor.step(self._state, self._batch, self._key, self._count)
        self._count += 1
        return float(loss)

    def first_step(self) -> dict[str, Any]:
        """From the parsed graph: self-test, plan and compilation or what the kernel cache has of them, and the step."""
        started = time.perf_counter()
        self._executor = Executor(self._graph, self._backend, self._threads)
        loss = self._step()
        return {"loss": loss, "seconds": time.perf_counter() - started, "backend": self._executor.backend}

    def steps(self, count: int) -> tuple[float, float]:
        """Wall and CPU."""
        return _fastest(self._step, count)

    def finish(self) -> dict[str, Any]:
        """Peak memory of training, then what committing costs, and the peak with it."""
        memory = self._watch.read_peak()
        record = self._measure_record()
        checkpoint, state_bytes = self._measure_checkpoint()
        return {
            "memory": memory, "record_seconds": record, "checkpoint_seconds": checkpoint, "state_bytes": state_bytes,
            "memory_committing": self._watch.read_peak(),
        }  # fmt: skip

    def _measure_record(self) -> float:
        """CPU seconds that a step's record takes: `execute_segment` around an executor that does nothing."""
        steps, idle, batches = 16, _Idle(self._state), _OneBatch(self._batch)
        job = SegmentJob(UNIT_SEED, 0, steps, UNIT_SEED)
        return _fastest(lambda: execute_segment(idle, batches, self._state, job), COMMIT_RUNS)[1] / steps

    def _measure_checkpoint(self) -> tuple[float, int]:
        """CPU seconds of one checkpoint beside real steps: roots, file, adoption by a store; and the state's bytes.

        In a miner all of it runs beside the training: in another thread, and in the daemon's process.
        """
        training = Training(self._executor, _OneBatch(self._batch), self._state)
        start_root = compute_state_root(self._state, get_hasher().compute_tensor_root)
        self._state, found = {}, []
        with BlobStore(self._folder / "store") as store, _pipeline(start_root, store) as pipeline:
            for number in range(COMMIT_RUNS + 1):
                job, before = SegmentJob(UNIT_SEED, number, COMMIT_STEPS, UNIT_SEED), pipeline.cpu_seconds
                execution = training.execute(job, on_step=lambda *_: pipeline.on_step())
                pipeline.finish()
                found.append(pipeline.cpu_seconds - before)
                pipeline.put(execution)
                del execution
        self._state = training.state
        return min(found[1:]), sum(tensor.nbytes for tensor in self._state.values())


@dataclass(frozen=True)
class _Idle:
    """An executor whose step does nothing."""

    state: dict[str, Array]

    def step(self, *_: object) -> tuple[dict[str, Array], np.float32, np.float32]:
        """The same state again."""
        return self.state, np.float32(1.0), np.float32(1.0)


@contextmanager
def _pipeline(root: Hash32, store: BlobStore) -> Iterator[CheckpointPipeline]:
    """Commits into a store, whose part counts as the pipeline's."""

    def adopt(result: SegmentResult, file: Path | None) -> None:
        if file is not None:
            store.adopt(Address(Kind.STATE, result.end_state_root), file)

    pipeline = CheckpointPipeline(root, Spool(store.spool), adopt)
    try:
        yield pipeline
    finally:
        pipeline.close()


def _fastest(work: Callable[[], object], count: int) -> tuple[float, float]:
    """Least seconds and least CPU seconds of all threads."""
    wall = cpu = float("inf")
    for _ in range(count):
        started, started_cpu = time.perf_counter(), time.process_time()
        work()
        wall, cpu = min(wall, time.perf_counter() - started), min(cpu, time.process_time() - started_cpu)
    return wall, cpu
