"""The executor: plans a graph once, then walks it with exact kernels, one call a training step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from consensus.exact.errors import NonFiniteState
from consensus.graph import Graph, TensorSpec
from consensus.graph.ops import NUMPY_DTYPES
from consensus.graph.reference import run_reference

from miner.kernels.errors import WrongInput
from miner.kernels.fast import make_kernel
from miner.kernels.selftest import verify_backend

Array = npt.NDArray[Any]

BACKENDS = ("numpy", "reference")
"""``numpy``: fast kernels on float64 BLAS; ``reference``: node by node by the definitions."""


@dataclass(frozen=True)
class StepResult:
    """What one step gives."""

    state: dict[str, Array]
    """The new state, by name; arrays of its own, never views of inputs."""
    loss: np.float32
    """Loss of the batch before the update."""
    grad_norm: np.float32
    """Euclidean norm of all parameters' gradients."""


class Executor:
    """Executes one graph. Same bytes with any backend, any number of BLAS threads, on any machine."""

    def __init__(self, graph: Graph, backend: str = "numpy", threads: int | None = None) -> None:
        """Plan the graph.

        ``threads`` sets the number of BLAS threads of the whole process (None leaves it). Raises `SelfTestFailed` when
        the backend's known-answer test fails on this machine, ValueError for an unknown backend.
        """
        if backend not in BACKENDS:
            raise ValueError(f"backend {backend!r} is unknown; choose one of {BACKENDS}")
        if threads is not None:
            set_blas_threads(threads)
        verify_backend(backend)
        self.graph = graph
        self.backend = backend
        self.signature = graph.signature()
        self._plan = _Plan(graph) if backend == "numpy" else None

    @classmethod
    def from_bytes(cls, data: bytes, backend: str = "numpy", threads: int | None = None) -> Executor:
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
        numbers. Raises `WrongInput`, `NonFiniteState`, `IndexOutOfRange`; the given arrays are never changed.
        """
        inputs = _collect("state", self.signature.state, state) | _collect("batch", self.signature.batch, batch)
        if self.signature.needs_seed:
            if seed is None:
                raise WrongInput("seed", "seed", "this graph draws random numbers and needs the unit's seed")
            inputs[("seed", "seed")] = np.array(seed, dtype=np.uint32)
        inputs[("step", "step")] = np.array(step, dtype=np.int64)
        outputs = self._plan.run(inputs) if self._plan else run_reference(self.graph, inputs)
        new_state = {name: np.array(outputs[("state", name)], order="C") for name in self.signature.state}
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


def _collect(
    kind: str, specs: Mapping[str, TensorSpec], given: Mapping[str, Array]
) -> dict[tuple[str, str], Array]:
    unknown = sorted(set(given) - set(specs))
    if unknown:
        raise WrongInput(kind, unknown[0], f"the graph has no such input; it has {', '.join(specs)}")
    found = {}
    for name, spec in specs.items():
        if name not in given:
            raise WrongInput(kind, name, "is missing")
        tensor = given[name]
        if tensor.dtype != NUMPY_DTYPES[spec.dtype] or tensor.shape != spec.shape:
            raise WrongInput(kind, name, f"is {tensor.dtype}{tensor.shape}, the graph wants {spec.dtype}{spec.shape}")
        found[(kind, name)] = tensor
    return found


class _Plan:
    """Kernels in order, constants computed once, values dropped after their last use."""

    def __init__(self, graph: Graph) -> None:
        self._values: list[Array | None] = [None] * len(graph.nodes)
        self._inputs: list[tuple[int, tuple[str, str]]] = []
        self._outputs: list[tuple[int, tuple[str, str]]] = []
        self._steps: list[tuple[Callable[..., Array], int, tuple[int, ...], tuple[int, ...]]] = []
        constant = [False] * len(graph.nodes)
        for index, node in enumerate(graph.nodes):
            if node.op in ("input", "output"):
                key = (str(node.attrs["kind"]), str(node.attrs["name"]))
                table, place = (
                    (self._inputs, index) if node.op == "input" else (self._outputs, node.inputs[0])
                )
                table.append((place, key))
                continue
            kernel = make_kernel(node)
            constant[index] = all(constant[i] for i in node.inputs)
            if constant[index]:
                with np.errstate(all="ignore"):
                    self._values[index] = np.asarray(kernel(*(self._values[i] for i in node.inputs)))
            else:
                self._steps.append((kernel, index, node.inputs, ()))
        self._add_frees(constant)

    def _add_frees(self, constant: list[bool]) -> None:
        kept = {place for place, _ in self._outputs} | {place for place, _ in self._inputs}
        seen: set[int] = set()
        for position in range(len(self._steps) - 1, -1, -1):
            kernel, index, inputs, _ = self._steps[position]
            last = tuple({i for i in inputs if i not in seen and i not in kept and not constant[i]})
            seen.update(inputs)
            self._steps[position] = (kernel, index, inputs, last)

    def run(self, inputs: Mapping[tuple[str, str], Array]) -> dict[tuple[str, str], Array]:
        values: list[Any] = list(self._values)
        for place, key in self._inputs:
            values[place] = inputs[key]
        with np.errstate(all="ignore"):
            for kernel, index, operands, last in self._steps:
                values[index] = kernel(*[values[i] for i in operands])
                for i in last:
                    values[i] = None
        return {key: values[place] for place, key in self._outputs}


def set_blas_threads(threads: int) -> None:
    """Set the number of threads of the process's BLAS libraries; the bytes do not depend on it."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    threadpool_limits(limits=threads, user_api="blas")
