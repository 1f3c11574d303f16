"""Whether this machine computes exactly, and how fast: known-answer tests of every backend, kernel and hasher.

`run_self_test` looks at all of it. `verify_own_machine` asks a fresh process, before a verifier tells the chain that
somebody else's result is wrong.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
from consensus.exact.errors import ExactError

from miner.inspect.backends import ALL_BACKENDS, make_executor, verify_any_backend
from miner.inspect.errors import MachineUnsound, UnusableBackend
from miner.inspect.machine import Machine, look_at_machine
from miner.kernels import KernelError, SelfTestFailed
from miner.kernels.selftest import adversarial

Array = npt.NDArray[Any]
Tell = Callable[[str], None]

STEP_MODEL = "byte-gpt-tiny"
"""Built-in model whose whole step every backend must give with the reference's bytes."""
GEMM_SIZE = 512
"""Rows, columns and terms of the product that is timed (2^27 = 134,217,728 MACs)."""
GEMM_BITS = 12
HASH_BYTES = 2**24
"""Bytes that the hashers are timed with (= 16 MiB)."""
REPEATS = 3
"""The fastest counts."""
FRESH_TEST_SECONDS = 300.0
"""What a fresh process gets for its test: its kernels may have to be compiled."""
FRESH_SECONDS = 600.0
"""So long a passed test counts."""
NICENESS = 5
"""Of the fresh process: it runs beside a node and a worker."""
SEED = bytes(32)


class Status(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    """It gave other bytes: the machine, its compiler or a library is broken."""
    UNAVAILABLE = "unavailable"
    """It cannot be had here; nothing is wrong."""


@dataclass(frozen=True)
class Check:
    """One known-answer test."""

    name: str
    status: Status
    reason: str
    """Why not, or ''."""
    seconds: float


@dataclass(frozen=True)
class Speed:
    """How fast one thing is; the fastest of `REPEATS`."""

    name: str
    threads: int
    amount: float
    """A second."""
    unit: str
    """``MAC`` or ``B``."""


@dataclass(frozen=True)
class SelfTest:
    """All that was found."""

    machine: Machine
    compiler: str
    """The C compiler's first line about itself, or why there is none."""
    checks: tuple[Check, ...]
    speeds: tuple[Speed, ...]

    @property
    def is_sound(self) -> bool:
        """Whether nothing gave wrong bytes."""
        return all(check.status is not Status.FAILED for check in self.checks)


def run_self_test(tell: Tell = lambda text: None, with_speeds: bool = True) -> SelfTest:
    """Tests everything that this machine has; ``with_speeds``: and times it."""
    checks, speeds = [], []
    for backend in ALL_BACKENDS:
        tell(f"known answers of backend {backend}")
        checks.append(_check(f"backend {backend}", lambda backend=backend: verify_any_backend(backend)))  # type: ignore[misc]
    usable = [b for b, check in zip(ALL_BACKENDS, checks, strict=True) if check.status is Status.PASSED]
    gemms, gemm_checks = _check_gemm_kernels(tell)
    checks += gemm_checks
    tell("known answers of the tile hasher")
    checks.append(_check("tile hasher native", _verify_hasher))
    for backend in tuple(usable):
        if backend != "reference":
            tell(f"a whole step of {STEP_MODEL} by {backend} and by the reference")
            checks.append(_check(f"step {backend}", lambda backend=backend: _verify_step(backend)))  # type: ignore[misc]
            if checks[-1].status is not Status.PASSED:
                usable.remove(backend)
    machine = look_at_machine()
    if with_speeds:
        speeds = _measure_speeds(usable, gemms, sorted({1, machine.cores}), tell)
    return SelfTest(machine, _describe_compiler(), tuple(checks), tuple(speeds))


def _check(name: str, verify: Callable[[], None]) -> Check:
    started = time.perf_counter()
    status, reason = Status.PASSED, ""
    try:
        verify()
    except (SelfTestFailed, ExactError) as error:
        status, reason = Status.FAILED, str(error)
    except UnusableBackend as error:
        status, reason = Status.UNAVAILABLE, error.reason
    except (KernelError, ImportError, OSError) as error:
        status, reason = Status.UNAVAILABLE, str(error)
    return Check(name, status, reason, time.perf_counter() - started)


def _check_gemm_kernels(tell: Tell) -> tuple[dict[str, int], list[Check]]:
    """Sound product kernels of the native backend by name, and the checks of those that this processor can run."""
    from miner.kernels.native.gemm import verify_gemm_kernel
    from miner.kernels.native.library import load_library

    try:
        library = load_library()
    except (KernelError, OSError):
        return {}, []  # the native backend's check says why
    sound, checks = {}, []
    for number, name in enumerate(library.gemm_kernels()):
        tell(f"known answers of product kernel {name}")
        if library.is_kernel_usable(number):
            checks.append(_check(f"gemm {name}", lambda number=number: verify_gemm_kernel(number)))  # type: ignore[misc]
            if checks[-1].status is Status.PASSED:
                sound[name] = number
        else:
            checks.append(Check(f"gemm {name}", Status.UNAVAILABLE, "this processor lacks its instructions", 0.0))
    return sound, checks


def _verify_hasher() -> None:
    from miner.kernels.native.hashing import load_native_hasher

    load_native_hasher()


def _make_step(backend: str, threads: int | None = None) -> Callable[[], dict[str, Array]]:
    """One step of `STEP_MODEL`: its new state."""
    from miner.models import build_task_graph, initial_state, load_dataset

    state, batch = initial_state(STEP_MODEL, SEED), load_dataset(STEP_MODEL).batch(SEED, 0)
    executor = make_executor(build_task_graph(STEP_MODEL), backend, threads)
    return lambda: dict(executor.step(state, batch)[0])


def _verify_step(backend: str) -> None:
    """Raises `SelfTestFailed` unless the step gives the reference's bytes."""
    found, expected = _make_step(backend)(), _make_step("reference")()
    for name, tensor in expected.items():
        if found[name].tobytes() != tensor.tobytes():
            raise SelfTestFailed(f"step of {STEP_MODEL}, state tensor {name}", backend)


def _measure_speeds(backends: list[str], gemms: dict[str, int], threads: list[int], tell: Tell) -> list[Speed]:
    speeds = []
    for count in threads:
        for name, number in gemms.items():
            tell(f"timing product kernel {name}")
            speeds.append(Speed(f"gemm {name}", count, GEMM_SIZE**3 / _time_gemm(number, count), "MAC"))
        tell("timing NumPy's product")
        speeds.append(Speed("gemm numpy (float64)", count, GEMM_SIZE**3 / _time_numpy_gemm(count), "MAC"))
        for backend in backends:
            tell(f"timing a step by {backend}")
            speeds.append(_time_step(backend, count))
    tell("timing the hasher")
    speeds.append(_time_hasher())
    return speeds


def _time_gemm(number: int, threads: int) -> float:
    from miner.kernels.native.gemm import exact_matmul

    random, limit = np.random.default_rng(0), 2**GEMM_BITS
    a, b = (random.integers(-limit, limit, (GEMM_SIZE, GEMM_SIZE), np.int16) for _ in range(2))
    exponents = np.zeros(GEMM_SIZE, np.int32)
    return _fastest(lambda: exact_matmul(a, b, exponents, exponents, GEMM_BITS, number, threads))


def _time_numpy_gemm(threads: int) -> float:
    from miner.kernels import fast, set_blas_threads

    set_blas_threads(threads)
    a, b = (adversarial(GEMM_SIZE, GEMM_SIZE, stream) for stream in (1, 2))
    with np.errstate(all="ignore"):
        return _fastest(lambda: fast.matmul(a, b, GEMM_BITS))


def _time_step(backend: str, threads: int) -> Speed:
    from miner.models import build_task_graph

    seconds = _fastest(_make_step(backend, threads))
    return Speed(f"step {backend} ({STEP_MODEL})", threads, build_task_graph(STEP_MODEL).macs() / seconds, "MAC")


def _time_hasher() -> Speed:
    from miner.kernels.native.hashing import get_hasher

    hasher, tensor = get_hasher(), np.zeros((HASH_BYTES // 4096, 1024), np.float32)
    seconds = _fastest(lambda: hasher.compute_tensor_root(tensor))
    return Speed(f"tile hasher {hasher.backend}", 1, HASH_BYTES / seconds, "B")


def _fastest(work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(REPEATS + 1):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best


def _describe_compiler() -> str:
    from miner.kernels.native.compiler import find_compiler, identify_compiler

    try:
        return identify_compiler(find_compiler()).splitlines()[1]
    except (KernelError, OSError, IndexError) as error:
        return str(error)


async def verify_own_machine(seconds: float = FRESH_TEST_SECONDS) -> None:
    """Raises `MachineUnsound` unless all known-answer tests pass in a fresh process, where no earlier answer counts."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "miner.inspect.selftest", stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        output, _ = await asyncio.wait_for(process.communicate(), seconds)
    except TimeoutError as error:
        raise MachineUnsound(f"the self-test did not end within {seconds:g} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        lines = output.decode(errors="replace").strip().splitlines()
        raise MachineUnsound(lines[-1] if lines else f"the self-test ended with {process.returncode}")


class OwnMachine:
    """Remembers when this machine last passed, so that a verifier with a deadline need not wait for every test."""

    def __init__(self, fresh_seconds: float = FRESH_SECONDS) -> None:
        self._fresh_seconds = fresh_seconds
        self._lock = asyncio.Lock()
        self._passed: float | None = None

    async def verify(self) -> None:
        """`verify_own_machine`, unless it passed not long ago. Raises `MachineUnsound`."""
        async with self._lock:
            if self._passed is None or time.monotonic() - self._passed > self._fresh_seconds:
                await verify_own_machine()
                self._passed = time.monotonic()


def main() -> int:
    """Known-answer tests only, politely; prints what failed. Exit code 0: sound, 1: not."""
    os.nice(NICENESS)
    found = run_self_test(with_speeds=False)
    for check in found.checks:
        if check.status is Status.FAILED:
            print(f"{check.name}: {check.reason}")
    return int(not found.is_sound)


if __name__ == "__main__":
    sys.exit(main())
