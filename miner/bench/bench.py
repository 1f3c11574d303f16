"""Runs the comparison: processes for the sides, which take turns, so that a busy machine bends all alike.

The least time of each side over all its turns counts: what else runs on the machine can only make a step slower.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from miner.bench.errors import DifferentWork, SideFailed

TURN_SECONDS = 0.5
"""About so long is a turn, but at least one step."""
MAX_TURN_STEPS = 64
END_SECONDS = 5.0
"""What a process gets to end by itself."""
SHOWN_LINES = 6
"""Last lines of a failed process's stderr that a message repeats."""
SEGMENT_STEPS = 32
"""Steps between two checkpoints for the commit share."""
LOSS_TOLERANCE = 0.02
"""Relative difference of the first losses, exact and eager, above which they are not of the same step."""
CACHE_VARIABLE = "AIPOW_KERNEL_CACHE"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """How to measure."""

    runs: int = 5
    """Turns of each side."""
    is_compiled: bool = False
    """Whether `torch.compile` is measured too."""
    is_fused: bool = False
    """Whether PyTorch's optimisers are taken in their fused form."""
    backend: str | None = None
    """Backend of the exact side; None for the executor's own choice."""


@dataclass(frozen=True)
class Row:
    """One model with one number of threads. Seconds are of the fastest step, bytes are peaks above the start."""

    model: str
    threads: int
    parameters: int
    nodes: int
    macs: int
    """Of a step."""
    backend: str
    eager_seconds: float
    compiled_seconds: float | None
    exact_seconds: float
    eager_cpu_seconds: float
    exact_cpu_seconds: float
    """CPU time of all threads; what a busy machine bends least."""
    loss_eager: float
    loss_exact: float
    """Loss of the first step."""
    record_seconds: float
    """CPU time of a step's record: digests of batch and outcome."""
    checkpoint_seconds: float
    """CPU time of one checkpoint: roots, file, store."""
    state_bytes: int
    eager_memory: int
    exact_memory: int
    exact_memory_committing: int
    """With a checkpoint always on its way."""
    first_step_seconds: float
    """From the graph to the end of the first step with an empty kernel cache."""
    first_step_cached_seconds: float
    trace_seconds: float
    compile_seconds: float | None
    """First step of `torch.compile`."""
    note: str = ""

    @property
    def ratio(self) -> float:
        """Exact over eager; under 1 the exact step is faster."""
        return self.exact_seconds / self.eager_seconds

    @property
    def cpu_ratio(self) -> float:
        """Exact over eager, by CPU time."""
        return self.exact_cpu_seconds / self.eager_cpu_seconds

    @property
    def compiled_ratio(self) -> float | None:
        """Exact over compiled."""
        return None if self.compiled_seconds is None else self.exact_seconds / self.compiled_seconds

    @property
    def macs_per_second(self) -> float:
        """Of the exact step."""
        return self.macs / self.exact_seconds

    @property
    def memory_ratio(self) -> float:
        """Peak of exact training over that of eager training."""
        return self.exact_memory / max(1, self.eager_memory)

    @property
    def committing_memory_ratio(self) -> float:
        """Peak of exact training with committing over that of eager training; the bar is 1.3."""
        return self.exact_memory_committing / max(1, self.eager_memory)

    @property
    def first_step_more_seconds(self) -> float:
        """What a first step takes above a later one when the kernel cache is full; negative on a busy machine."""
        return self.first_step_cached_seconds - self.exact_seconds

    @property
    def commit_share(self) -> float:
        """Share of a miner's CPU time that committing takes, with a checkpoint every `SEGMENT_STEPS` steps."""
        commit = SEGMENT_STEPS * self.record_seconds + self.checkpoint_seconds
        return commit / (SEGMENT_STEPS * self.exact_cpu_seconds + commit)

    def to_json(self) -> dict[str, Any]:
        """All of it with what follows from it."""
        names = (
            "ratio", "cpu_ratio", "compiled_ratio", "macs_per_second", "memory_ratio", "committing_memory_ratio",
            "first_step_more_seconds", "commit_share",
        )  # fmt: skip
        return asdict(self) | {name: getattr(self, name) for name in names}


class _Process:
    """One measuring process."""

    def __init__(self, options: dict[str, Any], environment: dict[str, str]) -> None:
        self._side, self._model = str(options["side"]), str(options["model"])
        self._errors = Path(options["folder"]) / f"{self._side}.log"
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "miner.bench.worker", json.dumps(options)], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=errors, text=True, env=os.environ | environment, start_new_session=True,
            )  # fmt: skip

    def ask(self, *request: object) -> dict[str, Any]:
        """Sends a request, if any, and waits for an answer; raises `SideFailed`."""
        if self._process.stdin is None or self._process.stdout is None:
            raise SideFailed(self._side, self._model, "has no pipes")
        try:
            if request:
                self._process.stdin.write(json.dumps(request) + "\n")
                self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = ""
        if not line:
            raise SideFailed(self._side, self._model, self._describe_end())
        return dict(json.loads(line))

    def _describe_end(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS)
        lines = self._errors.read_text(errors="replace").strip().splitlines()[-SHOWN_LINES:]
        return f"the measuring process ended with {self._process.returncode}" + "".join(f"\n  {x}" for x in lines)

    def kill(self) -> None:
        """Ends the process at once; whoever waits for its answer gets `SideFailed`."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Ends the process, gently first; harmless when repeated."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


class _Running:
    """The measuring processes of this process."""

    def __init__(self) -> None:
        self._processes: set[_Process] = set()
        self._is_ended = False
        self._lock = threading.Lock()

    def start(self, environment: dict[str, str], options: dict[str, Any]) -> _Process:
        with self._lock:
            if self._is_ended:
                raise SideFailed(str(options["side"]), str(options["model"]), "is not started any more")
            process = _Process(options, environment)
            self._processes.add(process)
        return process

    def close(self, process: _Process) -> None:
        process.close()
        self._processes.discard(process)

    def end(self) -> None:
        with self._lock:
            self._is_ended = True
            for process in list(self._processes):
                process.kill()


_running = _Running()


def end_all() -> None:
    """Kills all measuring processes, from another thread, and lets no other start: `measure` raises `SideFailed`."""
    _running.end()


@contextmanager
def start(environment: dict[str, str], **options: Any) -> Iterator[_Process]:
    """A measuring process (`miner.bench.worker`), ended with the block."""
    process = _running.start(environment, options)
    try:
        yield process
    finally:
        _running.close(process)


def measure(model: str, threads: int, options: Options, tell: Tell) -> Row:
    """One row; raises `SideFailed`, `DifferentWork`."""
    environment = dict.fromkeys(THREAD_VARIABLES, str(threads))
    label = f"{model}, {threads} thread{'s' if threads > 1 else ''}"
    folder = Path(tempfile.mkdtemp(prefix="aipow-bench-"))
    try:
        tell(f"{label}: tracing")
        with start(environment, side="trace", model=model, folder=str(folder)) as process:
            traced = process.ask()
        environment |= {CACHE_VARIABLE: str(folder / "kernels")}
        common: dict[str, Any] = {
            "model": model, "threads": threads, "folder": str(folder), "backend": options.backend,
            "fused": options.is_fused,
        }  # fmt: skip
        tell(f"{label}: first exact step, kernels compiled")
        with start(environment, side="exact", **common) as process:
            cold = process.ask()
        return _compare(traced, cold, common, environment, options, lambda text: tell(f"{label}: {text}"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _compare(
    traced: dict[str, Any], cold: dict[str, Any], common: dict[str, Any], environment: dict[str, str],
    options: Options, tell: Tell,
) -> Row:  # fmt: skip
    """The sides take turns."""
    names = ["eager", "exact", *(["compiled"] if options.is_compiled else [])]
    note = ""
    with ExitStack() as stack:
        sides, first = {}, {}
        for name in names:
            tell(f"first step, {name}")
            process = stack.enter_context(start(environment, side=name, **common))
            try:
                first[name] = process.ask()
            except SideFailed as error:
                if name != "compiled":
                    raise
                note = str(error).splitlines()[-1].strip()
            else:
                sides[name] = process
        losses = first["eager"]["loss"], first["exact"]["loss"]
        if abs(losses[0] - losses[1]) > LOSS_TOLERANCE * abs(losses[0]):
            raise DifferentWork(common["model"], *losses)
        best = _take_turns(sides, options.runs, tell)
        ends = {name: sides[name].ask("finish") for name in ("eager", "exact")}
    return _make_row(traced, cold, common, first, best, ends, note)


def _take_turns(sides: dict[str, _Process], runs: int, tell: Tell) -> dict[str, tuple[float, float]]:
    """Least seconds and least CPU seconds of a step by side."""
    best = {name: (float("inf"), float("inf")) for name in sides}
    for run in range(-1, runs):  # the turn before the first is of one step and says how many fill a turn
        for name, process in sides.items():
            tell(f"run {max(run, 0) + 1} of {runs}, {name}")
            count = 1 if run < 0 else max(1, min(MAX_TURN_STEPS, int(TURN_SECONDS / best[name][0])))
            wall, cpu = process.ask("steps", count)["seconds"]
            best[name] = min(best[name][0], wall), min(best[name][1], cpu)
    return best


def _make_row(
    traced: dict[str, Any], cold: dict[str, Any], common: dict[str, Any], first: dict[str, dict[str, Any]],
    best: dict[str, tuple[float, float]], ends: dict[str, dict[str, Any]], note: str,
) -> Row:  # fmt: skip
    exact = ends["exact"]
    row = Row(
        model=common["model"], threads=common["threads"], parameters=traced["parameters"], nodes=traced["nodes"],
        macs=traced["macs"], backend=first["exact"]["backend"], eager_seconds=best["eager"][0],
        compiled_seconds=best["compiled"][0] if "compiled" in best else None, exact_seconds=best["exact"][0],
        eager_cpu_seconds=best["eager"][1], exact_cpu_seconds=best["exact"][1], loss_eager=first["eager"]["loss"],
        loss_exact=first["exact"]["loss"], record_seconds=exact["record_seconds"],
        checkpoint_seconds=exact["checkpoint_seconds"], state_bytes=exact["state_bytes"],
        eager_memory=ends["eager"]["memory"], exact_memory=exact["memory"],
        exact_memory_committing=exact["memory_committing"], first_step_seconds=cold["seconds"],
        first_step_cached_seconds=first["exact"]["seconds"], trace_seconds=traced["trace_seconds"],
        compile_seconds=first["compiled"]["seconds"] if "compiled" in first else None,
    )  # fmt: skip
    return replace(row, note=note)
