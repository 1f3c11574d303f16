"""The Triton backend's tests, in Triton's interpreter everywhere and on the GPU where there is one."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from miner.kernels.triton import is_available

FILE = Path(__file__).with_name("device_tests.py")
ROOT = Path(__file__).parents[4]
TIMEOUT = 800
"""Seconds: under a minute on an idle machine, minutes on a busy one."""


LONGEST = "training or self_test or products"
"""Tests that take half of the interpreter's time: they run beside the others."""


def run_device_tests(selection: str = "", **environment: str) -> None:
    """Runs the tests that pytest's `-k` selects, all by default."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-c", os.devnull, f"--rootdir={ROOT}", "-k", selection]
    command += ["-p", "no:cacheprovider", str(FILE)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


@pytest.mark.timeout(TIMEOUT + 30)
def test_in_the_interpreter() -> None:
    def run(selection: str) -> None:
        run_device_tests(selection, TRITON_INTERPRET="1", OMP_NUM_THREADS="1")

    with ThreadPoolExecutor() as pool:
        list(pool.map(run, (LONGEST, f"not ({LONGEST})")))


@pytest.mark.timeout(TIMEOUT + 30)
@pytest.mark.skipif(not is_available(), reason="there is no GPU here")
def test_on_the_gpu() -> None:
    run_device_tests()


def test_importing_the_package_imports_neither_triton_nor_torch() -> None:
    code = "import sys, miner.kernels.triton; print('torch' in sys.modules, 'triton' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False False"
