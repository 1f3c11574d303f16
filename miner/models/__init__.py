"""The built-in models: what submitters post in the demo. Imports PyTorch; miners' daemons need only `miner.kernels`.

    graph = build_task_graph("digits-mlp")           # Graph; graph.to_bytes(), .root(), .macs()
    state = initial_state("digits-mlp", seed)        # dict of named f32 arrays, from a 32-byte seed
    data = load_dataset("digits-mlp")                # data.batch(unit_seed, step) -> dict of named arrays
    executor = Executor(graph)                       # miner.kernels
    state, loss, grad_norm = executor.step(state, data.batch(unit_seed, 0))
    evaluate("digits-mlp", state).loss               # plain PyTorch f32 on held-out data
    parts = build_task_parts("digits-mlp", seed)     # for miner.work.build.build_task(parts, shape, store)
    module = load_module("digits-mlp", state)        # the plain nn.Module; any state or checkpoint

Names: ``digits-mlp`` (AdamW), ``digits-mlp-tiny`` (SGD with momentum), ``byte-gpt-tiny`` (AdamW).
"""

from miner.models.data import Split, TextTooShort, load_digits, load_text
from miner.models.registry import (
    MODELS,
    Evaluation,
    ModelSpec,
    UnknownModel,
    WrongCheckpoint,
    build_task_graph,
    build_task_parts,
    evaluate,
    get_model,
    initial_state,
    load_dataset,
    load_module,
)

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
]
