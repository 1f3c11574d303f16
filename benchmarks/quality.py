"""Does exactness cost quality? Training by exact/v1 at several grids against plain f32 PyTorch with three seeds.

    python -m benchmarks.quality [--models NAME …] [--steps N] [--jobs N]      runs what is missing, then plots
    python -m benchmarks.quality --plot                                        plots and judges what is there

Every run has a process and a file of its own under ``--folder``, so that a stopped benchmark goes on where it was. A
run trains on batches that its seed draws and is then judged by plain f32 PyTorch on held-out data. Exact runs have the
first weights and batches of f32's seed 0. A grid passes when its held-out loss is not above the worst of the seeds'.
Nudged runs are a control: f32 with seed 0 whose first weights are changed by one part in ten million. They say how far
apart runs end that differ in nothing but rounding.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from consensus.exact.matmul import DEFAULT_BITS

if TYPE_CHECKING:
    from torch import Tensor, nn

    from miner.trace.optimisers import Optimiser
    from miner.work.data import Dataset

Array = npt.NDArray[Any]

ROOT = Path(__file__).resolve().parents[1]
BITS = (8, 10, 12, 14)
SEEDS = (0, 1, 2)
NUDGES = (1, 2)
NUDGE = 1e-7
"""Relative change of the first weights of a nudged run."""
STEPS = 1000
WINDOW = 10
"""A curve's point is the mean loss of so many steps."""
TEXT_BATCH = (1, 64)
"""Sequences and bytes a step of the GPT: short, so that a machine without time for more can run it."""
DIGITS_BATCH = 32
EVALUATION_WINDOWS = 64
"""Sequences of held-out text that judge the GPT."""
PALETTE = {8: "tab:red", 10: "tab:orange", 12: "tab:green", 14: "tab:blue"}


@dataclass(frozen=True)
class Subject:
    """A model with its data."""

    make: Callable[[int], nn.Module]
    """With the first weights of a seed."""
    loss: Callable[[nn.Module, Mapping[str, Tensor]], Tensor]
    optimiser: Optimiser
    data: Dataset
    held_out: dict[str, Array]
    """One batch."""


def load_subject(name: str) -> Subject:
    """``gpt2-10m`` on the bytes of Python's standard library, ``digits-cnn`` on scikit-learn's digits."""
    from miner.models import load_digits, load_text
    from miner.models.benchmarks import build_benchmark, predict_tokens
    from miner.models.nets import classify
    from miner.trace.optimisers import AdamW
    from miner.work.data import make_dataset
    from miner.work.task import DataOrder

    if name == "digits-cnn":
        digits = load_digits()
        train, held_out = ({**d, "x": d["x"].reshape(-1, 1, 8, 8)} for d in (digits.train, digits.held_out))
        data = make_dataset(train, DataOrder("rows", DIGITS_BATCH, 0))
        return Subject(make_cnn, classify, AdamW(1e-3), data, held_out)
    text, (batch, length) = load_text(context=TEXT_BATCH[1]), TEXT_BATCH
    tokens = text.held_out["tokens"].astype(np.int64)
    starts = np.linspace(0, len(tokens) - length - 1, EVALUATION_WINDOWS).astype(np.int64)
    windows = tokens[starts[:, None] + np.arange(length + 1)]
    data = make_dataset(text.train, DataOrder("windows", batch, length))
    held_out = {"inputs": windows[:, :-1].copy(), "targets": windows[:, 1:].copy()}
    optimiser = build_benchmark(name).optimiser
    return Subject(lambda seed: build_benchmark(name, seed).module, predict_tokens, optimiser, data, held_out)


def make_cnn(seed: int) -> nn.Module:
    """Two convolutions and a linear layer on 8 × 8 digits."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(),
        nn.Linear(32 * 4 * 4, 10),
    )  # fmt: skip


def compute_unit_seed(seed: int) -> bytes:
    """What draws a run's batches."""
    return seed.to_bytes(32, "little")


def train_f32(subject: Subject, seed: int, steps: int, nudge: int = 0) -> tuple[list[float], nn.Module]:
    """Losses and the trained module, by plain PyTorch. ``nudge``: draws a change of the first weights, 0 is none."""
    import torch

    from miner.bench.workload import make_optimiser

    module = subject.make(seed).train()
    if nudge:
        torch.manual_seed(nudge)
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.mul_(1 + NUDGE * torch.randn_like(parameter))
    optimiser = make_optimiser(subject.optimiser, module.parameters(), is_fused=True)
    losses = []
    for step in range(steps):
        batch = {n: torch.from_numpy(a) for n, a in subject.data.batch(compute_unit_seed(seed), step).items()}
        optimiser.zero_grad()
        loss = subject.loss(module, batch)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.item()))
    return losses, module


def train_exact(subject: Subject, bits: int, steps: int) -> tuple[list[float], nn.Module]:
    """The same of seed 0 by the executor, with ``bits`` for the grid of every product."""
    import torch

    from miner.bench.workload import compute_first_state
    from miner.kernels import Executor
    from miner.models.benchmarks import BenchmarkModel
    from miner.trace.names import BUFFER_PREFIX, PARAMETER_PREFIX
    from miner.trace.trace import trace_step

    module, unit_seed = subject.make(0).train(), compute_unit_seed(0)
    batch = {n: torch.from_numpy(a) for n, a in subject.data.batch(unit_seed, 0).items()}
    graph = trace_step(module, subject.loss, subject.optimiser, batch, bits)
    state = compute_first_state(BenchmarkModel("", module, subject.loss, subject.optimiser, batch), graph)
    executor, losses = Executor(graph), []
    for step in range(steps):
        state, loss, _ = executor.step(state, subject.data.batch(unit_seed, step), (0, 0), step)
        losses.append(float(loss))
    tensors = {n: torch.from_numpy(np.array(a)) for n, a in state.items()}
    prefixes = (PARAMETER_PREFIX, BUFFER_PREFIX)
    module.load_state_dict({n.partition("/")[2]: t for n, t in tensors.items() if n.startswith(prefixes)}, strict=False)
    return losses, module


def judge_module(subject: Subject, module: nn.Module) -> float:
    """Loss on the held-out batch, by plain PyTorch."""
    import torch

    with torch.no_grad():
        batch = {name: torch.from_numpy(array) for name, array in subject.held_out.items()}
        return float(subject.loss(module.eval(), batch))


def run_one(name: str, kind: str, number: int, steps: int, file: Path) -> None:
    """One run to its file: ``kind`` f32 with a seed, nudged with a nudge, or exact with bits."""
    started = time.perf_counter()
    subject = load_subject(name)
    if kind == "exact":
        losses, module = train_exact(subject, number, steps)
    elif kind == "nudged":
        losses, module = train_f32(subject, SEEDS[0], steps, number)
    else:
        losses, module = train_f32(subject, number, steps)
    result = {
        "model": name, "kind": kind, "number": number, "steps": steps, "held_out": judge_module(subject, module),
        "curve": [round(float(np.mean(losses[i : i + WINDOW])), 5) for i in range(0, steps, WINDOW)],
        "seconds": round(time.perf_counter() - started, 1), "cpu_seconds": round(time.process_time(), 1),
    }  # fmt: skip
    part = file.with_suffix(".part")
    part.write_text(json.dumps(result))
    part.replace(file)


def iterate_runs(name: str) -> Iterator[tuple[str, int]]:
    """(kind, number) of all runs of a model; what says most comes first."""
    yield from (("f32", SEEDS[0]), ("exact", DEFAULT_BITS))
    yield from (("f32", seed) for seed in SEEDS[1:])
    yield from (("exact", bits) for bits in BITS if bits != DEFAULT_BITS)
    yield from (("nudged", number) for number in NUDGES)


def run_missing(models: list[str], steps: int, folder: Path, jobs: int) -> None:
    """Every run that has no file yet, a process each."""
    folder.mkdir(parents=True, exist_ok=True)

    def run(job: tuple[str, str, int]) -> None:
        name, kind, number = job
        file = folder / f"{name}-{kind}-{number}-{steps}.json"
        if not file.exists():
            command = [sys.executable, "-m", "benchmarks.quality", "--one", name, kind, str(number), str(file)]
            subprocess.run(
                [*command, "--steps", str(steps)], check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, cwd=ROOT
            )
        print(f"{name}: {kind} {number} done", flush=True)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(run, [(name, kind, number) for name in models for kind, number in iterate_runs(name)]))


@dataclass(frozen=True)
class Verdict:
    """How one exact run stands to the three f32 seeds."""

    bits: int
    held_out: float
    difference: float
    """From f32's run of the same seed."""
    is_within: bool
    """Not above the worst seed."""


def judge(results: list[dict[str, Any]]) -> tuple[list[float], list[Verdict]]:
    """Held-out losses of the seeds, and the verdicts by bits."""
    seeds = [r["held_out"] for r in sorted(results, key=lambda r: r["number"]) if r["kind"] == "f32"]
    exact = sorted((r for r in results if r["kind"] == "exact"), key=lambda r: r["number"])
    return seeds, [
        Verdict(r["number"], r["held_out"], r["held_out"] - seeds[0], r["held_out"] <= max(seeds)) for r in exact
    ]


def load_results(folder: Path, name: str, steps: int) -> list[dict[str, Any]]:
    """All finished runs of a model."""
    return [json.loads(file.read_text()) for file in sorted(folder.glob(f"{name}-*-{steps}.json"))]


def print_table(name: str, results: list[dict[str, Any]]) -> bool:
    """The verdicts as Markdown; whether every grid was run, against all seeds, and is within."""
    found = {(r["kind"], r["number"]) for r in results}
    missing = [f"{kind} {number}" for kind, number in iterate_runs(name) if (kind, number) not in found]
    if missing:
        print(f"\n{name}: no verdict yet, these runs are missing: {', '.join(missing)}")
        return False
    seeds, verdicts = judge(results)
    spread = max(seeds) - min(seeds)
    print(f"\n{name}: held-out loss of f32 with seeds {', '.join(f'{s:.4f}' for s in seeds)}, spread {spread:.4f}\n")
    print("| bits | held-out loss | against f32, same seed | share of the spread | verdict |\n|---|---|---|---|---|")
    for v in verdicts:
        verdict = "within the spread" if v.is_within else "above the worst seed"
        print(f"| {v.bits} | {v.held_out:.4f} | {v.difference:+.4f} | {abs(v.difference) / spread:.2f} | {verdict} |")
    nudged = [r["held_out"] for r in sorted(results, key=lambda r: r["number"]) if r["kind"] == "nudged"]
    losses, differences = (", ".join(f"{v:{form}}" for v in values) for values, form in (
        (nudged, ".4f"), ([n - seeds[0] for n in nudged], "+.4f")
    ))  # fmt: skip
    print(f"\nControl: f32, seed {SEEDS[0]}, first weights changed by {NUDGE:g}: {losses}, so {differences}.")
    return all(v.is_within for v in verdicts)


def plot(all_results: dict[str, list[dict[str, Any]]], target: Path) -> None:
    """Loss curves and, below, their distance from f32's first seed, for each model; of the runs that there are."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    size = (6.5 * len(all_results), 7)
    figure, axes = pyplot.subplots(2, len(all_results), figsize=size, squeeze=False, sharex="col")
    for column, (name, results) in enumerate(all_results.items()):
        curves = {(r["kind"], r["number"]): np.array(r["curve"]) for r in results}
        top, bottom = axes[0][column], axes[1][column]
        for run, style in _get_styles().items():
            if run in curves:
                steps = (np.arange(len(curves[run])) + 0.5) * WINDOW
                top.plot(steps, curves[run], **style)
                if ("f32", SEEDS[0]) in curves:
                    bottom.plot(steps, curves[run] - curves["f32", SEEDS[0]], **style)
        top.set(title=f"{name}: training loss, means of {WINDOW} steps", ylabel="cross-entropy, nats")
        bottom.set(title=f"distance from f32, seed {SEEDS[0]}", xlabel="step", ylabel="nats")
        top.legend(fontsize=8)
    figure.tight_layout()
    matplotlib.rcParams["svg.hashsalt"] = "aipow"
    for suffix in (".png", ".svg"):
        figure.savefig(target.with_suffix(suffix), dpi=110, metadata={"Date": None} if suffix == ".svg" else None)


def _get_styles() -> dict[tuple[str, int], dict[str, Any]]:
    """How each run's curves look."""
    styles: dict[tuple[str, int], dict[str, Any]] = {}
    for i, seed in enumerate(SEEDS):
        styles["f32", seed] = {"color": "black", "linewidth": 0.7, "alpha": 0.9 - 0.3 * i, "label": f"f32, seed {seed}"}
    for number in NUDGES:
        label = f"f32, seed {SEEDS[0]}, nudged by {NUDGE:g}"
        styles["nudged", number] = {"color": "tab:purple", "linewidth": 0.8, "linestyle": ":", "label": label}
    for bits in BITS:
        label = f"exact, {bits} bits, seed {SEEDS[0]}"
        styles["exact", bits] = {"color": PALETTE[bits], "linewidth": 1.0, "label": label}
    return styles


def main() -> int:
    """The command line. Exit code 0: every grid is within the spread, 1: one is not, or runs are missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["gpt2-10m", "digits-cnn"])
    parser.add_argument("--steps", type=int, default=STEPS, help=f"steps of a run (default {STEPS})")
    parser.add_argument("--jobs", type=int, default=1, help="runs at the same time (default 1)")
    parser.add_argument("--folder", type=Path, default=ROOT / "benchmarks" / "quality_runs", help="folder of the runs")
    parser.add_argument("--target", type=Path, default=ROOT / "docs" / "quality", help="plot's path without its suffix")
    parser.add_argument("--plot", action="store_true", help="plot what is there, run nothing")
    parser.add_argument("--one", nargs=4, metavar=("MODEL", "KIND", "NUMBER", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        name, kind, number, file = arguments.one
        run_one(name, kind, int(number), arguments.steps, Path(file))
        return 0
    if not arguments.plot:
        run_missing(arguments.models, arguments.steps, arguments.folder, arguments.jobs)
    results = {name: load_results(arguments.folder, name, arguments.steps) for name in arguments.models}
    plot(results, arguments.target)
    return int(not all([print_table(name, found) for name, found in results.items()]))


if __name__ == "__main__":
    sys.exit(main())
