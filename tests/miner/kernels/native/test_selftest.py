"""The known-answer test passes here, and notices a compiler that takes liberties."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from miner.kernels.native import compiler
from miner.kernels.native.selftest import (
    ANSWERS,
    compute_answers,
    compute_digest,
    make_graph,
    make_inputs,
    verify_native,
)

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")

PROGRAM = """
import numpy as np
from miner.kernels import Executor, find_backend
from miner.kernels.errors import SelfTestFailed
from miner.kernels.selftest import verify_backend
try:
    verify_backend("native")
except SelfTestFailed as error:
    print("noticed", error.kernel)
assert np.float32(1e-40) * np.float32(1.0) > 0, "this process flushes subnormals"
verify_backend("numpy")
print(find_backend())
"""


def run_with(flags: str, folder: Path) -> list[str]:
    """Output lines of a process whose compiler adds flags."""
    wrapper = folder / "cc"
    wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("gcc")} "$@" {flags}\n')
    wrapper.chmod(0o700)
    environment = os.environ | {"AIPOW_CC": str(wrapper), "AIPOW_KERNEL_CACHE": str(folder / "kernels")}
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()


def test_passes_here() -> None:
    verify_native()


@pytest.mark.parametrize("flags", ["-ffast-math", "-ffinite-math-only", "-fno-signed-zeros -freciprocal-math"])
def test_compiler_that_takes_liberties_is_noticed(flags: str, tmp_path: Path) -> None:
    noticed, backend = run_with(flags, tmp_path)
    assert noticed.startswith("noticed")
    assert backend == "numpy"


def test_contraction_is_noticed(tmp_path: Path) -> None:
    if "fma" not in compiler.identify_cpu():
        pytest.skip("this processor contracts nothing")
    assert run_with("-ffp-contract=fast", tmp_path)[0].startswith("noticed")


def test_stored_answers_are_the_definitions() -> None:
    graph = make_graph()
    assert compute_digest(graph, compute_answers(graph, make_inputs())) == ANSWERS


def test_process_that_flushes_subnormals_is_noticed(tmp_path: Path) -> None:
    """A library that somebody else loads, linked with -ffast-math, sets the mode: kernels and NumPy flush alike."""
    (tmp_path / "careless.c").write_text("int nothing;\n")
    command = ["gcc", "-shared", "-fPIC", "-ffast-math", "-o", tmp_path / "careless.so", tmp_path / "careless.c"]
    subprocess.run(command, check=True)
    code = (
        f"import ctypes\nctypes.CDLL({str(tmp_path / 'careless.so')!r})\n"
        "import numpy as np\nprint(np.float32(1e-40) * np.float32(1))\n"
        "from miner.kernels import find_backend\nfrom miner.kernels.native.selftest import verify_native\n"
        "from miner.kernels.errors import SelfTestFailed\n"
        "try:\n    verify_native()\nexcept SelfTestFailed:\n    print('noticed')\n"
    )
    flushed, *noticed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    if float(flushed) != 0:
        pytest.skip("this compiler's -ffast-math libraries do not set the mode")
    assert noticed == ["noticed"]


def test_same_compiler_passes(tmp_path: Path) -> None:
    assert run_with("", tmp_path) == ["native"]
