"""The executor: plans a graph once, then runs it with exact kernels, one call a step."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from consensus.exact.errors import NonFiniteState
from consensus.graph import Graph
from consensus.graph.reference import run_reference

from miner.kernels.errors import SelfTestFailed, WrongPurpose
from miner.kernels.fast import NumpyProgram
from miner.kernels.inputs import collect_inputs
from miner.kernels.native.errors import NativeError
from miner.kernels.selftest import verify_backend

log = logging.getLogger(__name__)

Array = npt.NDArray[Any]

BACKENDS = ("native", "numpy", "reference")
"""On the CPU. ``native``: C generated for the graph; ``numpy``: kernels on float64 BLAS; ``reference``: node by node by
the definitions. All give the same bytes."""
TRITON = "triton"
"""On an NVIDIA GPU, with the same bytes."""
GPU_DEVICE = Path("/dev/nvidiactl")
"""There with NVIDIA's driver: PyTorch is imported, which takes seconds, only to ask it about a GPU that may exist."""


class Program(Protocol):
    """A graph ready to run."""

    def run(self, inputs: Mapping[tuple[str, str], Array]) -> dict[tuple[str, str], Array]:
        """Outputs by (kind, name) from inputs by (kind, name) of the declared dtypes and shapes."""


@dataclass(frozen=True)
class _Reference:
    graph: Graph

    def run(self, inputs: Mapping[tuple[str, str], Array]) -> dict[tuple[str, str], Array]:
        return run_reference(self.graph, inputs)


@dataclass(frozen=True)
class StepResult:
    """What one training step gives."""

    state: dict[str, Array]
    """The new state, by name. An entry that the step does not change is the given array; all others are valid and
    unchanged for as long as somebody holds them."""
    loss: np.float32
    """Loss of the batch before the update."""
    grad_norm: np.float32
    """Euclidean norm of all parameters' gradients."""


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation or inference step gives."""

    loss: np.float32 | None
    """Loss of the batch; None for inference."""
    results: dict[str, Array]
    """Results by name."""


class Executor:
    """Executes one graph. Same bytes with any backend, any number of threads, on any machine."""

    def __init__(self, graph: Graph, backend: str | None = None, threads: int | None = None) -> None:
        """Plan the graph, and compile it where the backend does.

        ``backend`` None: the fastest that works here (`find_backend`). ``threads`` None: ``OMP_NUM_THREADS``, else the
        process's CPUs; a number also sets the BLAS threads of the whole process. Raises `SelfTestFailed` when the
        backend's known-answer test fails on this machine, `NativeError` when a native backend that was asked for
        cannot be had, ValueError for an unknown one.
        """
        if backend not in (None, TRITON, *BACKENDS):
            raise ValueError(f"backend {backend!r} is unknown; choose one of {(*BACKENDS, TRITON)}")
        if threads is not None:
            set_blas_threads(threads)
        self.graph = graph
        self.signature = graph.signature()
        self.threads = threads or default_threads()
        self.backend = backend or find_backend()
        verify_backend(self.backend)
        try:
            self._program = _make_program(graph, self.backend, self.threads)
        except NativeError as error:
            if backend is not None:
                raise
            log.warning("numpy executes this graph, more slowly: %s", error)
            self.backend = "numpy"
            verify_backend(self.backend)
            self._program = _make_program(graph, self.backend, self.threads)

    @classmethod
    def from_bytes(cls, data: bytes, backend: str | None = None, threads: int | None = None) -> Executor:
        """An executor of a graph received as canonical JSON; raises `GraphError` for a bad one."""
        return cls(Graph.from_bytes(data), backend, threads)

    def run(
        self,
        state: Mapping[str, Array],
        batch: Mapping[str, Array],
        seed: tuple[int, int] | None = None,
        step: int = 0,
    ) -> StepResult:
        """One training step.

        ``seed`` (two 32-bit words, `consensus.exact.random.derive_key`) and ``step`` are for graphs that draw random
        numbers. Raises `WrongInput`, `WrongPurpose`, `NonFiniteState`, `IndexOutOfRange`; the given arrays are never
        changed.
        """
        if self.signature.purpose != "train":
            raise WrongPurpose("train", self.signature.purpose)
        outputs = self._program.run(collect_inputs(self.signature, state, batch, seed, step))
        new_state = {name: outputs[("state", name)] for name in self.signature.state}
        loss = np.float32(outputs[("loss", "loss")])
        grad_norm = np.float32(outputs[("grad_norm", "grad_norm")])
        if not (np.isfinite(loss) and np.isfinite(grad_norm)):
            raise NonFiniteState("loss or gradient norm")
        return StepResult(new_state, loss, grad_norm)

    def step(
        self,
        state: Mapping[str, Array],
        batch: Mapping[str, Array],
        seed: tuple[int, int] | None = None,
        step: int = 0,
    ) -> tuple[dict[str, Array], np.float32, np.float32]:
        """`run` as a tuple: new state, loss, gradient norm."""
        result = self.run(state, batch, seed, step)
        return result.state, result.loss, result.grad_norm

    def evaluate(
        self,
        state: Mapping[str, Array],
        batch: Mapping[str, Array],
        seed: tuple[int, int] | None = None,
        step: int = 0,
    ) -> Evaluation:
        """One evaluation or inference step. Raises as `run`."""
        if self.signature.purpose == "train":
            raise WrongPurpose("evaluate or infer", self.signature.purpose)
        outputs = self._program.run(collect_inputs(self.signature, state, batch, seed, step))
        results = {name: value for (kind, name), value in outputs.items() if kind == "result"}
        loss = outputs.get(("loss", "loss"))
        if loss is not None and not np.isfinite(loss):
            raise NonFiniteState("loss")
        return Evaluation(None if loss is None else np.float32(loss), results)


def _make_program(graph: Graph, backend: str, threads: int) -> Program:
    if backend == "native":
        from miner.kernels.native.program import NativeProgram

        return NativeProgram(graph, threads)
    if backend == TRITON:
        from miner.kernels.triton.program import TritonProgram

        return TritonProgram(graph)
    return NumpyProgram(graph) if backend == "numpy" else _Reference(graph)


@cache
def find_backend() -> str:
    """The fastest backend that passes its self-test on this machine; why a faster one does not goes to the log."""
    if GPU_DEVICE.exists():
        from miner.kernels.triton import is_available

        try:
            if is_available():
                verify_backend(TRITON)
                return TRITON
        except SelfTestFailed as error:
            log.warning("the CPU executes graphs here, more slowly: %s", error)
    try:
        verify_backend("native")
    except (NativeError, SelfTestFailed) as error:
        log.warning("numpy executes graphs here, more slowly: %s", error)
        return "numpy"
    return "native"


def default_threads() -> int:
    """``OMP_NUM_THREADS``, else the CPUs that this process may use."""
    named = os.environ.get("OMP_NUM_THREADS", "")
    return int(named) if named.isdigit() and int(named) > 0 else len(os.sched_getaffinity(0))


def set_blas_threads(threads: int) -> None:
    """Set the number of threads of the process's BLAS libraries; the bytes do not depend on it."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    threadpool_limits(limits=threads, user_api="blas")
