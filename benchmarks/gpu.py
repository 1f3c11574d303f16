"""Step times on an NVIDIA GPU: the exact executor, PyTorch in f32 eager, compiled, and compiled with CUDA graphs.

    python -m benchmarks.gpu [--models NAME …] [--steps N] [--graphs FOLDER] [--only WHAT …] [--profile]

Prints a JSON line a figure. A step is one call with a batch from the host, its loss read back; the exact state and
PyTorch's parameters stay on the device. Times are medians over steps after a warm-up. ``--graphs`` reads traced graphs
from ``FOLDER/<name>.json`` instead of tracing; ``--profile`` adds the kernels that take longest.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from consensus.graph import Graph
from miner.kernels.triton.executor import TritonExecutor
from miner.models.benchmarks import BenchmarkModel, build_benchmark

MODELS = ("gpt2-10m", "llama-15m")
WARM_UP = 10
TORCH_MODES = {"eager": None, "compiled": "default", "compiled-graphs": "reduce-overhead"}
"""What PyTorch runs, and the mode of `torch.compile`."""


def _median_ms(step: Callable[[], object], steps: int) -> float:
    times = []
    for _ in range(WARM_UP + steps):
        started = time.perf_counter()
        step()
        times.append(time.perf_counter() - started)
    return statistics.median(times[WARM_UP:]) * 1e3


def load_graph(model: BenchmarkModel, folder: Path | None) -> Graph:
    """The graph of a model's training step, traced here or elsewhere."""
    if folder is not None:
        return Graph.from_bytes((folder / f"{model.name}.json").read_bytes())
    from miner.trace.trace import trace_step

    return trace_step(model.module, model.loss, model.optimiser, model.batch)


def initial_state(graph: Graph, model: BenchmarkModel) -> dict[str, Any]:
    """The module's weights, moments 0, powers 1."""
    weights = {f"param/{n}": p for n, p in model.module.named_parameters()}
    weights |= {f"buffer/{n}": b for n, b in model.module.named_buffers()}
    state = {}
    for name, spec in graph.signature().state.items():
        if name in weights:
            state[name] = weights[name].detach().numpy().copy()
        else:
            state[name] = np.full(spec.shape, 1.0 if spec.shape == () else 0.0, dtype=np.float32)
    return state


def measure_exact(model: BenchmarkModel, graph: Graph, steps: int, profile: bool) -> dict[str, Any]:
    """The exact executor: median step, the GPU's own time of a step, seconds to the end of the first one."""
    batch = {name: tensor.numpy() for name, tensor in model.batch.items()}
    state: Any = initial_state(graph, model)
    started = time.perf_counter()
    executor = TritonExecutor(graph)
    prepared = time.perf_counter() - started
    losses = []

    def step() -> None:
        nonlocal state
        state, loss, _ = executor.step(state, batch, (1, 2), 0)
        losses.append(float(loss))

    step()
    first = time.perf_counter() - started
    ms = _median_ms(step, steps)
    device_ms = _device_ms(step)
    downloads = []
    for _ in range(5):
        step()
        began = time.perf_counter()
        _ = dict(state)
        downloads.append(time.perf_counter() - began)
    row = {
        "ms": ms, "device_ms": device_ms, "selftest_s": prepared, "first_step_s": first, "nodes": len(graph.nodes),
        "macs": graph.macs(), "gmacs_per_second": graph.macs() / ms / 1e6, "first_loss": losses[0],
        "last_loss": losses[-1], "state_download_ms": min(downloads) * 1e3,
        "peak_mib": torch.cuda.max_memory_allocated() / 2**20,
    }  # fmt: skip
    if profile:
        row["kernels"] = list_kernels(step)
    return row


def _device_ms(step: Callable[[], object]) -> float:
    """Milliseconds between the first and the last kernel of a step, by the device's clock; the least of some."""
    times = []
    for _ in range(10):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        step()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return float(min(times))


def list_kernels(step: Callable[[], object], limit: int = 40) -> list[tuple[str, int, float]]:
    """(name, calls, microseconds) of the kernels that take longest in one step."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
        step()
        torch.cuda.synchronize()
    rows = [(e.key[:60], e.count, e.device_time_total) for e in profiler.key_averages()]
    return sorted(rows, key=lambda row: -row[2])[:limit]


def measure_torch(model: BenchmarkModel, steps: int, mode: str | None) -> dict[str, Any]:
    """PyTorch in f32 (no TF32) with AdamW and the gradients' norm; ``mode``: `torch.compile`'s, of model and loss."""
    torch.set_float32_matmul_precision("highest")
    module = model.module.cuda()
    parameters = list(module.parameters())
    o: Any = model.optimiser
    optimiser = torch.optim.AdamW(parameters, o.learning_rate, weight_decay=o.weight_decay, fused=mode is not None)
    host = {name: tensor.pin_memory() for name, tensor in model.batch.items()}

    def forward(batch: dict[str, torch.Tensor]) -> Any:
        return model.loss(module, batch)

    run = torch.compile(forward, mode=mode) if mode else forward
    losses = []

    def step() -> None:
        batch = {name: tensor.to("cuda", non_blocking=True) for name, tensor in host.items()}
        optimiser.zero_grad()
        loss = run(batch)
        loss.backward()
        torch.nn.utils.get_total_norm([p.grad for p in parameters])
        optimiser.step()
        losses.append(loss.item())

    started = time.perf_counter()
    step()
    first = time.perf_counter() - started
    ms = _median_ms(step, steps)
    peak = torch.cuda.max_memory_allocated() / 2**20
    return {"ms": ms, "first_step_s": first, "first_loss": losses[0], "last_loss": losses[-1], "peak_mib": peak}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--steps", type=int, default=100, help="steps a figure (default 100)")
    parser.add_argument("--graphs", type=Path, help="folder of traced graphs")
    parser.add_argument("--only", nargs="+", default=("exact", *TORCH_MODES), choices=("exact", *TORCH_MODES))
    parser.add_argument("--profile", action="store_true", help="list the exact step's kernels")
    arguments = parser.parse_args()
    for name in arguments.models:
        for what in arguments.only:
            model = build_benchmark(name)
            torch.cuda.reset_peak_memory_stats()
            if what == "exact":
                row = measure_exact(model, load_graph(model, arguments.graphs), arguments.steps, arguments.profile)
            else:
                row = measure_torch(model, arguments.steps, TORCH_MODES[what])
            print(json.dumps({"model": name, "what": what, "gpu": torch.cuda.get_device_name()} | row), flush=True)


if __name__ == "__main__":
    main()
