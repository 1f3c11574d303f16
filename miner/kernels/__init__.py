"""Executors of committed graphs; NumPy only, no PyTorch.

    executor = load_executor(graph_bytes)                      # or Executor(Graph.from_bytes(graph_bytes))
    state, loss, grad_norm = executor.step(state, batch)       # dicts of named NumPy arrays; f32 scalars
    executor.signature.state, executor.signature.batch         # names -> TensorSpec(dtype, shape)

``step`` never changes its arguments. It raises `WrongInput` (names, dtypes, shapes), `NonFiniteState` (the training
diverged: ends the unit) and `IndexOutOfRange` (data that do not fit the model).
"""

from miner.kernels.errors import KernelError, SelfTestFailed, WrongInput, WrongPurpose
from miner.kernels.executor import BACKENDS, Evaluation, Executor, StepResult, find_backend, set_blas_threads


def load_executor(graph: bytes) -> Executor:
    """The fast executor of a graph's canonical bytes: the worker process's factory ``miner.kernels:load_executor``."""
    return Executor.from_bytes(graph)


__all__ = [
    "BACKENDS",
    "Evaluation",
    "Executor",
    "KernelError",
    "SelfTestFailed",
    "StepResult",
    "WrongInput",
    "WrongPurpose",
    "find_backend",
    "load_executor",
    "set_blas_threads",
]
