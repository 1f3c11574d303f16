"""The tracer: a PyTorch model's training step becomes the canonical graph (DESIGN §2). It needs PyTorch.

    graph = trace_step(module, loss, AdamW(1e-3), example_batch)   # loss(module, batch) -> scalar

An operator outside exact/v1 raises `UnsupportedOperator` with its name and the model's line.
"""

from miner.trace.errors import TraceError, UnsupportedOperator, UntraceableModel
from miner.trace.optimisers import AdamW, Optimiser, Sgd
from miner.trace.trace import trace_step

__all__ = ["AdamW", "Optimiser", "Sgd", "TraceError", "UnsupportedOperator", "UntraceableModel", "trace_step"]
