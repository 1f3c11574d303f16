"""One hash for the GPT of 10 million parameters: threads, backends, sums in any order, a run killed and resumed.

A step sees one sequence of 16 tokens, so that a thousand steps are minutes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from miner.kernels import set_blas_threads
from miner.store.blobs import BlobStore
from miner.work.unit import load_progress, load_result
from tests.miner.kernels.agreement import (
    SHAPE,
    Work,
    digest,
    make_job,
    read_work,
    run_native,
    run_shuffled,
    run_steps,
    write_work,
)

MARKS = frozenset({1, 2, 5, 10, 20, 50, 100, 200, 500})
"""Steps after which states are compared too, so that a difference is found near where it began."""
CI_STEPS, SLOW_STEPS = 200, 1000
REFERENCE_STEPS = 2
LIMIT_SECONDS = 1800
"""For a machine that is busy with other things; alone the 200 steps take one to two minutes."""

SPAWN = get_context("spawn")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("agreement")
    write_work(path)
    return path


@pytest.fixture(scope="module")
def work(folder: Path) -> Work:
    return read_work(folder)


@pytest.fixture(autouse=True)
def one_thread_afterwards() -> Iterator[None]:
    yield
    set_blas_threads(1)


def check_agreement(folder: Path, steps: int) -> None:
    """Two processes: in one the NumPy backend takes the first half of its steps, in the other the second half, from the
    native backend's state, which is the first half's end as its digest says."""
    half = steps // 2
    assert half in MARKS
    with ProcessPoolExecutor(1, SPAWN) as here, ProcessPoolExecutor(1, SPAWN) as there:
        first = here.submit(run_shuffled, folder, 0, half, MARKS)
        two = here.submit(run_native, folder, 2, steps, MARKS)
        one = there.submit(run_native, folder, 1, steps, MARKS)
        second = there.submit(run_shuffled, folder, half, steps, MARKS)
        expected = one.result()
        found = first.result()[0] | second.result()[0]
        counts = [*first.result()[1].values(), *second.result()[1].values()]
        assert two.result() == expected
    assert len(set(expected.values())) == len(expected) == len([m for m in MARKS if m < steps]) + 1
    assert found == expected
    assert all(counts), "sums were not shuffled"


@pytest.mark.timeout(LIMIT_SECONDS)
def test_one_hash_over_200_steps(folder: Path) -> None:
    """The native backend with one and with two threads, and the NumPy backend with every sum shuffled."""
    check_agreement(folder, CI_STEPS)


@pytest.mark.slow
@pytest.mark.timeout(4 * LIMIT_SECONDS)
def test_one_hash_over_1000_steps(folder: Path) -> None:
    check_agreement(folder, SLOW_STEPS)


def test_the_definitions_give_the_same_hash(work: Work) -> None:
    expected = run_steps(work, "native", 2, REFERENCE_STEPS, MARKS)
    assert run_steps(work, "reference", 1, REFERENCE_STEPS, MARKS) == expected


def test_another_seed_gives_another_hash(work: Work) -> None:
    """The digest does see what it should."""
    name = next(n for n in work.state if n.startswith("param/"))
    other = work.state[name].copy()
    other.flat[0] += np.float32(0.125)
    changed = Work(work.graph, work.state | {name: other})
    assert run_steps(changed, "native", 1, 1, MARKS) != run_steps(work, "native", 1, 1, MARKS)


def kill_in_the_middle(folder: Path) -> None:
    """Runs the unit's process and kills it and its worker in the second segment or later."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.miner.kernels.agreement", str(folder)], stdout=subprocess.PIPE, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.startswith("segment") and not line.startswith("segment 0"):
                break
        else:
            raise AssertionError(f"the unit ended before it could be killed ({process.wait()})")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert process.returncode == -signal.SIGKILL


def test_killed_and_resumed_run_gives_the_same_bytes(folder: Path, work: Work) -> None:
    """The daemon is killed with -9 and its worker with it; a fresh one finishes the unit."""
    steps = SHAPE.segments_per_unit * SHAPE.steps_per_segment
    kill_in_the_middle(folder)
    with BlobStore(folder / "blobs") as store:
        done = len(load_progress(store, make_job(work, store)).records)
    assert done < SHAPE.segments_per_unit
    ended = subprocess.run(
        [sys.executable, "-m", "tests.miner.kernels.agreement", str(folder)], capture_output=True, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "2"}, check=True,
    )  # fmt: skip
    assert "done" in ended.stdout
    if done:
        assert "segment 0" not in ended.stdout, "it began anew instead of going on"
    with BlobStore(folder / "blobs") as store:
        result = load_result(store, make_job(work, store))
        assert result is not None
        state = store.get_state(result.end_state_root)
        losses, norms = (np.float32(v[-1]) for v in (result.progress.losses, result.progress.grad_norms))
    assert digest(state, losses, norms) == run_steps(work, "native", 1, steps, frozenset())[steps]
