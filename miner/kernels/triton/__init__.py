"""The NVIDIA backend: the bytes of exact/v1 from Triton kernels.

    if is_available():
        executor = create_executor(graph)
        state, loss, grad_norm = executor.step(state, batch, seed, step)     # state stays on the device

Importing this package needs neither Triton nor a GPU; `create_executor` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from consensus.graph import Graph

if TYPE_CHECKING:
    from miner.kernels.triton.executor import TritonExecutor

CAPABILITY = (8, 0)
"""Least compute capability: Triton's int8 products and 64-bit atomics."""


def is_available() -> bool:
    """Whether this machine has PyTorch, Triton and a GPU that the kernels run on."""
    try:
        import torch
        import triton  # type: ignore[import-untyped]  # noqa: F401
    except ImportError:
        return False
    return bool(torch.cuda.is_available()) and torch.cuda.get_device_capability() >= CAPABILITY


def create_executor(graph: Graph) -> TritonExecutor:
    """An executor of a graph on the current GPU; raises `SelfTestFailed` when its kernels give other bytes there."""
    from miner.kernels.triton.executor import TritonExecutor

    return TritonExecutor(graph)


__all__ = ["CAPABILITY", "create_executor", "is_available"]
