"""The tracer: a PyTorch model's step becomes the canonical graph (DESIGN §2).

    graph = trace_step(module, loss, AdamW(1e-3), example_batch)   # loss(module, batch) -> scalar
    state = initial_state(module, AdamW(1e-3))                     # its first state, from the module's weights
    graph = trace_evaluation(module, loss, example_batch)          # a loss of a state and a batch
    graph = trace_inference(module, call, example_batch)           # call(module, batch) -> named tensors

In place of an optimiser a `Recipe` adds groups, a schedule, clipping and accumulation; `from_torch` reads one off a
`torch.optim` optimiser. An operator outside exact/v1 raises `UnsupportedOperator` with its name, its shapes and the
model's line. PyTorch, whose import costs seconds, is loaded when one of these functions is first asked for.
"""

from typing import TYPE_CHECKING, Any

from miner.trace.errors import (
    DataDependentBranch,
    ShapeBranchWarning,
    TraceError,
    UnsupportedOperator,
    UnsupportedOptimiser,
    UntraceableModel,
)
from miner.trace.optimisers import AdamW, Lion, Optimiser, Sgd
from miner.trace.recipe import Group, Recipe, cosine_schedule

if TYPE_CHECKING:
    from miner.trace.state import from_torch, initial_state
    from miner.trace.trace import trace_evaluation, trace_inference, trace_step

__all__ = [
    "AdamW",
    "DataDependentBranch",
    "Group",
    "Lion",
    "Optimiser",
    "Recipe",
    "Sgd",
    "ShapeBranchWarning",
    "TraceError",
    "UnsupportedOperator",
    "UnsupportedOptimiser",
    "UntraceableModel",
    "cosine_schedule",
    "from_torch",
    "initial_state",
    "trace_evaluation",
    "trace_inference",
    "trace_step",
]

_TORCH_SIDE = {
    "from_torch": "state",
    "initial_state": "state",
    "trace_evaluation": "trace",
    "trace_inference": "trace",
    "trace_step": "trace",
}


def __getattr__(name: str) -> Any:
    if name in _TORCH_SIDE:
        from importlib import import_module

        return getattr(import_module(f"miner.trace.{_TORCH_SIDE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
