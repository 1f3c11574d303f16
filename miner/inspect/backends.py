"""All backends behind one face: those of `miner.kernels` and, where a GPU is, Triton's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from consensus.graph import Graph, Signature

from miner.inspect.errors import UnusableBackend
from miner.inspect.machine import find_gpus
from miner.kernels import BACKENDS, Executor
from miner.kernels.selftest import verify_backend

Array = npt.NDArray[Any]

TRITON = "triton"
ALL_BACKENDS = (*BACKENDS, TRITON)
"""Names of all backends, whether this machine has them or not."""


class AnyExecutor(Protocol):
    """What every backend's executor can do."""

    @property
    def signature(self) -> Signature:
        """The graph's inputs and outputs."""

    def step(
        self, state: Mapping[str, Array], batch: Mapping[str, Array], seed: tuple[int, int] | None = None, step: int = 0
    ) -> tuple[Mapping[str, Array], np.float32, np.float32]:
        """One training step: new state, loss, gradient norm."""


def verify_any_backend(backend: str) -> None:
    """A backend's known-answer test. Raises `SelfTestFailed`; `UnusableBackend`, `NativeError` where there is none."""
    if backend not in ALL_BACKENDS:
        raise UnusableBackend(backend, f"there are {', '.join(ALL_BACKENDS)}")
    if backend != TRITON:
        verify_backend(backend)
        return
    if not find_gpus():  # asked of the driver: PyTorch's import costs seconds
        raise UnusableBackend(backend, "there is no NVIDIA GPU")
    from miner.kernels.triton import CAPABILITY, is_available

    if not is_available():
        capability = ".".join(map(str, CAPABILITY))
        raise UnusableBackend(backend, f"it needs PyTorch and Triton for CUDA and a GPU of capability {capability}")
    from miner.kernels.triton.selftest import verify_triton

    verify_triton()


def make_executor(graph: Graph, backend: str, threads: int | None = None) -> AnyExecutor:
    """An executor of a training step on a backend that passed `verify_any_backend`; raises the backend's errors."""
    if backend == TRITON:
        from miner.kernels.triton import create_executor

        return create_executor(graph)
    return Executor(graph, backend, threads)
