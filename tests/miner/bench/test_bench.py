"""The bench measures what it says: real processes, the same work on both sides, nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from consensus.commit.state import compute_state_root
from consensus.graph.builder import GraphBuilder
from miner.bench.bench import SEGMENT_STEPS, Options, Row, measure, start
from miner.bench.errors import DifferentWork, SideFailed, UnknownWorkload
from miner.bench.memory import MemoryWatch
from miner.bench.sides import BATCH, GRAPH, STATE, EagerSide, ExactSide
from miner.bench.table import COLUMNS, format_head, format_row
from miner.bench.worker import trace
from miner.bench.workload import SEED, compute_first_state, load_workload, make_optimiser, trace_workload
from miner.models import initial_state
from miner.store.tensor_file import encode_tensors
from miner.trace.optimisers import AdamW, Lion, Sgd
from miner.trace.state import from_torch
from miner.work.commitment import HELD_BYTES

TINY = "digits-mlp-tiny"

ROW = Row(
    model="m", threads=2, parameters=10_000_000, nodes=100, macs=4_000_000_000, backend="numpy", eager_seconds=1.0,
    compiled_seconds=0.8, exact_seconds=0.9, eager_cpu_seconds=0.8, exact_cpu_seconds=0.6, loss_eager=9.0,
    loss_exact=9.0, record_seconds=0.001, checkpoint_seconds=0.4, state_bytes=120_000_000, eager_memory=400_000_000,
    exact_memory=500_000_000, exact_memory_committing=620_000_000, first_step_seconds=15.0,
    first_step_cached_seconds=2.9, trace_seconds=6.0, compile_seconds=40.0,
)  # fmt: skip


def test_figures_of_a_row() -> None:
    assert (ROW.ratio, ROW.compiled_ratio, ROW.memory_ratio) == (0.9, 0.9 / 0.8, 1.25)
    assert ROW.cpu_ratio == 0.6 / 0.8
    assert ROW.committing_memory_ratio == 1.55
    assert ROW.first_step_more_seconds == 2.9 - 0.9
    assert ROW.macs_per_second == 4e9 / 0.9
    commit = SEGMENT_STEPS * 0.001 + 0.4
    assert ROW.commit_share == commit / (SEGMENT_STEPS * 0.6 + commit)
    assert json.loads(json.dumps(ROW.to_json()))["commit_share"] == ROW.commit_share


def test_the_table_has_a_cell_under_each_heading_and_a_line_of_details() -> None:
    head, (line, details) = format_head(), format_row(ROW).splitlines()
    assert len(head) == len(line) == sum(width for _, width in COLUMNS) + 2 * (len(COLUMNS) - 1) <= 120
    for text in ("10.0 M", "1000 ms", "800 ms", "900 ms", "0.90", "0.75", "1.12", "4.4 G"):
        assert text in line
    for text in ("2.2%", "400 MB eager, 500 MB exact (1.25), 620 MB committing (1.55)", "15.0 s", "40 s", "numpy"):
        assert text in details
    assert "2.90 s from the cache, 2.00 s above a later one" in details


def test_a_built_in_model_starts_from_its_own_state() -> None:
    model = load_workload(TINY)
    state = compute_first_state(model, trace_workload(model))
    assert compute_state_root(state) == compute_state_root(initial_state(TINY, SEED))


@pytest.mark.parametrize("name", ["gpt2-10m-tiny", "resnet18-64-tiny"])
def test_both_sides_do_the_same_step(name: str, tmp_path: Path) -> None:
    """First and second loss, so that the optimisers are compared too; the second carries the first step's roundings."""
    trace(name, tmp_path)
    exact, eager = ExactSide(tmp_path, 1, "numpy"), EagerSide(name, 1, False, False)
    for tolerance in (5e-3, 5e-2):
        losses = exact.first_step()["loss"], eager.first_step()["loss"]
        assert losses[0] == pytest.approx(losses[1], rel=tolerance)


def test_optimisers_are_those_of_the_graphs() -> None:
    """What the tracer reads off PyTorch's optimiser is what it was made of."""
    module = torch.nn.Linear(2, 2)
    for optimiser in (AdamW(0.1, 0.8, 0.95, 1e-6, 0.3), Sgd(0.2, 0.7, 0.01, nesterov=True), Sgd(0.3)):
        for is_fused in (False, True):
            found = from_torch(make_optimiser(optimiser, module.parameters(), is_fused), module)
            assert found.optimiser == optimiser
    assert make_optimiser(Sgd(0.3), module.parameters(), is_fused=True).param_groups[0]["fused"]
    with pytest.raises(TypeError, match="no Lion"):
        make_optimiser(Lion(1e-4), module.parameters())


def test_memory_watch_sees_the_peak_of_what_came_after_it() -> None:
    before = np.ones(2**23)
    watch = MemoryWatch()
    small = watch.read_peak()
    data = np.ones(2**23)
    del data
    assert 2**25 < watch.read_peak() - small < 2**28
    assert small < before.nbytes


def test_committing_adds_no_third_state(tmp_path: Path) -> None:
    """The peak with checkpoints on their way is that without, but for the hashes of tiles."""
    graph, shape = GraphBuilder(), (4096, 4096)
    graph.output("state", "w", graph.add("mul", graph.input("state", "w", "f32", shape), graph.f32(0.5)))
    total = graph.reduce("sum", graph.input("batch", "x", "f32", (3,)), (0,), False)
    for kind in ("loss", "grad_norm"):
        graph.output(kind, kind, total)
    (tmp_path / GRAPH).write_bytes(graph.finish().to_bytes())
    (tmp_path / STATE).write_bytes(encode_tensors({"w": np.ones(shape, np.float32)}))
    (tmp_path / BATCH).write_bytes(encode_tensors({"x": np.ones(3, np.float32)}))
    with start({}, side="exact", model="scale", folder=str(tmp_path), threads=1, backend="native") as process:
        process.ask()
        process.ask("steps", 3)
        end = process.ask("finish")
    assert end["state_bytes"] == 2**26 > HELD_BYTES
    assert 2 * end["state_bytes"] < end["memory"] <= end["memory_committing"]
    assert end["memory_committing"] - end["memory"] < end["state_bytes"] / 8


def test_a_whole_measurement(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    told: list[str] = []
    row = measure(TINY, 1, Options(runs=1, is_fused=True, backend="numpy"), told.append)
    assert row.loss_exact == pytest.approx(row.loss_eager, rel=1e-2)
    for name, value in row.to_json().items():
        if name == "first_step_more_seconds":
            continue  # steps of a millisecond on a busy machine
        assert value is None or isinstance(value, str) or value > 0, (name, value)
    assert (row.compiled_seconds, row.compiled_ratio, row.backend) == (None, None, "numpy")
    assert any("run 1 of 1" in text for text in told)
    assert not list(tmp_path.iterdir()), "the measurement's folder stays behind"


def test_unknown_model() -> None:
    with pytest.raises(UnknownWorkload, match="gpt2-10m"):
        load_workload("gpt5")


def test_a_side_that_fails_says_why(tmp_path: Path) -> None:
    trace(TINY, tmp_path)
    with start({}, side="exact", model=TINY, folder=str(tmp_path), threads=1, backend="abacus") as process:
        with pytest.raises(SideFailed, match="abacus"):
            process.ask()
        with pytest.raises(SideFailed, match="ended with 1"):
            process.ask("steps", 1)


def test_different_work_is_named() -> None:
    assert "2.5" in str(DifferentWork(TINY, 2.5, 3.5)) and "aipow graph diff" in str(DifferentWork(TINY, 2.5, 3.5))


def find_children(parent: int) -> list[int]:
    """Processes below another one."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                    found.append(int(entry.name))
            except (OSError, IndexError):
                continue
    return found


def wait_for_child(process: subprocess.Popen[str], seconds: float) -> int:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        for child in find_children(process.pid):
            return child
        time.sleep(0.05)
    raise AssertionError("no measuring process was started")


def test_ctrl_c_ends_the_measuring_processes() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "miner.cli.miner", "bench", "--models", TINY], text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        child = wait_for_child(process, 120)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert "stopped" in errors and "Traceback" not in errors
    assert not Path(f"/proc/{child}").exists()
