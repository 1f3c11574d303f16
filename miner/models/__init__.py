"""The built-in models: what submitters post in the demo.

    graph = build_task_graph("digits-mlp")           # Graph; graph.to_bytes(), .root(), .macs()
    state = initial_state("digits-mlp", seed)        # dict of named f32 arrays, from a 32-byte seed
    data = load_dataset("digits-mlp")                # data.batch(unit_seed, step) -> dict of named arrays
    executor = Executor(graph)                       # miner.kernels
    state, loss, grad_norm = executor.step(state, data.batch(unit_seed, 0))
    parts = build_task_parts("digits-mlp", seed)     # for miner.work.build.build_task(parts, shape, store)
    evaluate("digits-mlp", state).loss               # plain PyTorch f32 on held-out data
    module = load_module("digits-mlp", state)        # the plain nn.Module; any state or checkpoint

The last two load PyTorch when first asked for; the others need none.
Names: ``digits-mlp`` (AdamW), ``digits-mlp-tiny`` (SGD with momentum), ``byte-gpt-tiny`` (AdamW).
"""

from typing import TYPE_CHECKING, Any

from miner.models.data import Split, TextTooShort, load_digits, load_text
from miner.models.registry import (
    MODELS,
    ModelSpec,
    UnknownModel,
    build_task_graph,
    build_task_parts,
    get_model,
    initial_state,
    load_dataset,
)

if TYPE_CHECKING:
    from miner.models.evaluation import Evaluation, WrongCheckpoint, evaluate, load_module, trace_model

__all__ = [
    "MODELS",
    "Evaluation",
    "ModelSpec",
    "Split",
    "TextTooShort",
    "UnknownModel",
    "WrongCheckpoint",
    "build_task_graph",
    "build_task_parts",
    "evaluate",
    "get_model",
    "initial_state",
    "load_dataset",
    "load_digits",
    "load_module",
    "load_text",
    "trace_model",
]

_TORCH_SIDE = ("Evaluation", "WrongCheckpoint", "evaluate", "load_module", "trace_model")


def __getattr__(name: str) -> Any:
    if name in _TORCH_SIDE:
        from miner.models import evaluation

        return getattr(evaluation, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
