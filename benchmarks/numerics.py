"""Step times of the exact executor against plain eager PyTorch, and a validator's replay against the execution.

    python -m benchmarks.numerics [--json] [--steps N] [--models NAME …]

Each thread count has a process of its own, so that BLAS's and PyTorch's threads are what they say. Times are medians
over steps after a warm-up. On a busy machine the figures are upper bounds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

MODELS = ("digits-mlp-tiny", "digits-mlp", "byte-gpt-tiny")
WARM_UP = 3
SEED = bytes(32)


def _median_ms(step: Callable[[int], object], steps: int) -> float:
    times = []
    for k in range(WARM_UP + steps):
        started = time.perf_counter()
        step(k)
        times.append(time.perf_counter() - started)
    return statistics.median(times[WARM_UP:]) * 1e3


def measure_exact(name: str, steps: int, threads: int) -> dict[str, Any]:
    """Median step of the exact executor, in ms, and MACs a second."""
    from miner.kernels import Executor
    from miner.models import build_task_graph, initial_state, load_dataset

    graph, data, state = build_task_graph(name), load_dataset(name), initial_state(name, SEED)
    executor = Executor(graph, threads=threads)

    def step(k: int) -> None:
        nonlocal state
        state = executor.step(state, data.batch(SEED, k))[0]

    ms = _median_ms(step, steps)
    return {"ms": ms, "macs": graph.macs(), "nodes": len(graph.nodes), "macs_per_second": graph.macs() / ms * 1e3}


def measure_eager(name: str, steps: int, threads: int) -> dict[str, Any]:
    """Median step of eager PyTorch f32 with its own optimiser and the same batches, gradient norm included, in ms."""
    import torch

    from miner.models import get_model, initial_state, load_dataset, load_module
    from miner.models.evaluation import get_loss
    from miner.trace import Sgd

    torch.set_num_threads(threads)
    spec, data = get_model(name), load_dataset(name)
    module = load_module(name, initial_state(name, SEED)).train()
    o = spec.optimiser
    if isinstance(o, Sgd):
        optimiser: Any = torch.optim.SGD(module.parameters(), o.learning_rate, o.momentum)
    else:
        optimiser = torch.optim.AdamW(module.parameters(), o.learning_rate)

    def step(k: int) -> None:
        batch = {key: torch.from_numpy(value) for key, value in data.batch(SEED, k).items()}
        optimiser.zero_grad()
        loss = get_loss(spec)(module, batch)
        loss.backward()
        torch.nn.utils.get_total_norm([p.grad for p in module.parameters()])
        optimiser.step()
        loss.item()

    return {"ms": _median_ms(step, steps)}


def measure_replay(name: str, steps: int, threads: int) -> dict[str, Any]:
    """A segment of 5 · ``steps`` steps executed, then replayed as a validator does; seconds and their ratio.

    The two alternate five times and the least time of each counts, so that a noisy neighbour does not decide.
    """
    from consensus.commit.hashing import AccountId, Hash32
    from consensus.commit.records import compute_unit_start_record
    from consensus.commit.state import compute_state_root
    from miner.kernels import Executor
    from miner.models import build_task_graph, initial_state, load_dataset
    from miner.work.segment import CommittedSegment, SegmentJob, replay_segment, run_segment

    steps *= 5
    executor = Executor(build_task_graph(name), threads=threads)
    data, state, unit_seed = load_dataset(name), initial_state(name, SEED), Hash32(SEED)
    solver, root = AccountId(bytes(32)), compute_state_root(state)
    job = SegmentJob(unit_seed, 0, steps, compute_unit_start_record(unit_seed, root))
    executions, replays = [], []
    for _ in range(5):
        started = time.perf_counter()
        record = run_segment(executor, data, state, job).compute_record(solver)
        executions.append(time.perf_counter() - started)
        committed = CommittedSegment(solver, unit_seed, steps, (record,), 0, root)
        started = time.perf_counter()
        report = replay_segment(executor, data, state, committed)
        replays.append(time.perf_counter() - started)
        if not report.is_match:
            raise SystemExit(f"the replay does not match: {report.detail}")
    return {"execution_s": min(executions), "replay_s": min(replays), "ratio": min(replays) / min(executions)}


MEASURES: dict[str, Callable[[str, int, int], dict[str, Any]]] = {
    "exact": measure_exact,
    "eager": measure_eager,
    "replay": measure_replay,
}


def _measure_models(models: list[str], steps: int, threads: int) -> list[dict[str, Any]]:
    """One row for each model, measured in this process."""
    rows = []
    for name in models:
        exact, eager, replay = (measure(name, steps, threads) for measure in MEASURES.values())
        rows.append({
            "model": name, "threads": threads, "nodes": exact["nodes"], "macs_per_step": exact["macs"],
            "exact_ms": exact["ms"], "eager_ms": eager["ms"], "exact_over_eager": exact["ms"] / eager["ms"],
            "macs_per_second": exact["macs_per_second"], "replay_over_execution": replay["ratio"],
        })  # fmt: skip
    return rows


def measure_all(models: list[str], steps: int) -> list[dict[str, Any]]:
    """One row for each model and thread count; a process for each thread count."""
    rows = []
    for threads in (1, 2):
        environment = os.environ | {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
        command = [sys.executable, "-m", "benchmarks.numerics", "--threads", str(threads), "--steps", str(steps)]
        done = subprocess.run(
            [*command, "--models", *models], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
        rows += json.loads(done.stdout.splitlines()[-1])
    return sorted(rows, key=lambda row: (models.index(row["model"]), row["threads"]))


def print_table(rows: list[dict[str, Any]]) -> None:
    """The rows for a reader."""
    print(f"{'model':16} {'thr':>3} {'nodes':>5} {'MACs/step':>11} {'exact':>9} {'eager f32':>10} {'ratio':>6} "
          f"{'MMAC/s':>7} {'replay/exec':>11}")  # fmt: skip
    for r in rows:
        print(f"{r['model']:16} {r['threads']:3} {r['nodes']:5} {r['macs_per_step']:11,} {r['exact_ms']:6.2f} ms "
              f"{r['eager_ms']:7.2f} ms {r['exact_over_eager']:6.2f} {r['macs_per_second'] / 1e6:7.0f} "
              f"{r['replay_over_execution']:11.3f}")  # fmt: skip


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--steps", type=int, default=50, help="steps a figure (default 50)")
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--threads", type=int, help="measure in this process with so many threads and print JSON")
    arguments = parser.parse_args()
    if arguments.threads:
        print(json.dumps(_measure_models(arguments.models, arguments.steps, arguments.threads)))
        return
    rows = measure_all(list(arguments.models), arguments.steps)
    if arguments.json:
        print(json.dumps(rows, indent=2))
    else:
        print_table(rows)


if __name__ == "__main__":
    main()
