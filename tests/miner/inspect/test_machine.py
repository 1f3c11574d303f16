"""What the machine says of itself, and what its self-test finds; unsound machines are real: a compiler that cheats."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from miner.inspect import selftest
from miner.inspect.backends import ALL_BACKENDS
from miner.inspect.errors import MachineUnsound
from miner.inspect.machine import FEATURES, describe_machine, look_at_machine
from miner.inspect.selftest import OwnMachine, Status, run_self_test, verify_own_machine
from miner.kernels import fast
from miner.kernels.selftest import verify_backend


def make_compiler(folder: Path, flags: str) -> Path:
    """A C compiler that adds flags of its own, as some distributions' wrappers do."""
    real = shutil.which("cc")
    if real is None:
        pytest.skip("no C compiler here")
    wrapper = folder / "cc"
    wrapper.write_text(f'#!/bin/sh\nexec {real} "$@" {flags}\n')
    wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
    return wrapper


def test_the_machine_describes_itself() -> None:
    machine = look_at_machine()
    assert machine.cores == len(os.sched_getaffinity(0)) and machine.cpu
    assert set(machine.features) <= set(FEATURES)
    assert str(machine.cores) in describe_machine() and "\n" not in describe_machine()


def test_a_sound_machine_passes_and_is_timed() -> None:
    told: list[str] = []
    found = run_self_test(told.append)
    assert found.is_sound and told
    status = {check.name: check.status for check in found.checks}
    assert status["backend numpy"] == status["backend reference"] == status["step numpy"] == Status.PASSED
    assert {f"backend {backend}" for backend in ALL_BACKENDS} <= set(status)
    assert (status["backend triton"] is Status.UNAVAILABLE) == (not found.machine.gpus)
    assert all(speed.amount > 0 for speed in found.speeds)
    assert any(speed.name.startswith("step numpy") and speed.unit == "MAC" for speed in found.speeds)


def test_a_kernel_with_other_bytes_makes_the_machine_unsound(monkeypatch: pytest.MonkeyPatch) -> None:
    right = fast.reduce_sum
    monkeypatch.setattr(fast, "reduce_sum", lambda values, axes: right(values, axes) * 1.0000002)
    verify_backend.cache_clear()
    try:
        found = run_self_test(with_speeds=False)
    finally:
        monkeypatch.undo()
        verify_backend.cache_clear()
    failed = {check.name for check in found.checks if check.status is Status.FAILED}
    assert "backend numpy" in failed and not found.is_sound
    assert "step numpy" not in {check.name for check in found.checks}, "a failed backend is not used any more"


async def test_a_fresh_process_finds_this_machine_sound() -> None:
    await verify_own_machine()


async def test_a_compiler_that_miscompiles_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIPOW_CC", str(make_compiler(tmp_path, "-ffast-math")))
    monkeypatch.setenv("AIPOW_KERNEL_CACHE", str(tmp_path / "cache"))
    with pytest.raises(MachineUnsound, match="aipow-miner selftest"):
        await verify_own_machine()


async def test_no_compiler_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIPOW_CC", str(tmp_path / "missing"))
    await verify_own_machine()


async def test_a_test_that_takes_too_long_is_no_pass() -> None:
    with pytest.raises(MachineUnsound, match="did not end"):
        await verify_own_machine(seconds=0.1)


async def test_a_pass_counts_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    tests = 0

    async def count() -> None:
        nonlocal tests
        tests += 1
        if tests == 3:
            raise MachineUnsound("it broke")

    monkeypatch.setattr(selftest, "verify_own_machine", count)
    patient, strict = OwnMachine(), OwnMachine(fresh_seconds=-1.0)
    for machine in (patient, patient, strict):
        await machine.verify()
    assert tests == 2
    with pytest.raises(MachineUnsound):
        await strict.verify()
