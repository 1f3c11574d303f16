"""The tracer: a PyTorch model's training step becomes the canonical graph (DESIGN §2).

    graph = trace_step(module, loss, AdamW(1e-3), example_batch)   # loss(module, batch) -> scalar

An operator outside exact/v1 raises `UnsupportedOperator` with its name and the model's line. PyTorch, whose import
costs seconds, is loaded when `trace_step` is first asked for.
"""

from typing import TYPE_CHECKING, Any

from miner.trace.errors import TraceError, UnsupportedOperator, UntraceableModel
from miner.trace.optimisers import AdamW, Optimiser, Sgd

if TYPE_CHECKING:
    from miner.trace.trace import trace_step

__all__ = ["AdamW", "Optimiser", "Sgd", "TraceError", "UnsupportedOperator", "UntraceableModel", "trace_step"]


def __getattr__(name: str) -> Any:
    if name == "trace_step":
        from miner.trace import trace

        return trace.trace_step
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
