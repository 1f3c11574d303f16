"""What this machine is: CPU and its features that matter to our kernels, cores, memory, C compiler, GPUs."""

from __future__ import annotations

import ctypes
import os
import platform
from dataclasses import dataclass
from pathlib import Path

FEATURES = (
    "avx2", "fma", "avx512f", "avx512bw", "avx512_vnni", "avx_vnni", "amx_int8", "sha_ni", "neon", "asimd", "asimddp",
    "i8mm", "sve",
)  # fmt: skip
"""CPU features that some kernel of ours is made for, in the kernel's (Linux) names."""
GPU_NAME_BYTES = 256


@dataclass(frozen=True)
class Machine:
    """One computer, as far as speed depends on it; no bytes ever do."""

    cpu: str
    """The CPU's own name, else its architecture."""
    architecture: str
    features: tuple[str, ...]
    """Those of `FEATURES` that it has."""
    cores: int
    """Cores that this process may use."""
    memory_bytes: int | None
    """Of the whole machine; None where it is not told."""
    gpus: tuple[str, ...]
    """Names of the NVIDIA GPUs that the driver shows."""
    system: str
    """Operating system and Python."""

    def describe(self) -> str:
        """One line."""
        parts = [self.cpu, f"{self.cores} core{'s' if self.cores != 1 else ''}", " ".join(self.features), *self.gpus]
        return ", ".join(part for part in parts if part)


def look_at_machine() -> Machine:
    """This machine."""
    information = _read_cpu_information()
    flags = set((information.get("flags") or information.get("Features") or "").split())
    cpu = information.get("model name") or platform.processor() or platform.machine()
    return Machine(
        cpu, platform.machine(), tuple(f for f in FEATURES if f in flags), len(os.sched_getaffinity(0)),
        _read_memory(), find_gpus(), f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
    )  # fmt: skip


def describe_machine() -> str:
    """One line on this machine."""
    return look_at_machine().describe()


def _read_cpu_information() -> dict[str, str]:
    """The first processor of /proc/cpuinfo; empty where there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return {}
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _read_memory() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None


def find_gpus() -> tuple[str, ...]:
    """Names of the NVIDIA GPUs, asked of the driver itself; empty without one."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return ()
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return ()
    names = []
    for number in range(count.value):
        name = ctypes.create_string_buffer(GPU_NAME_BYTES)
        device = ctypes.c_int(0)
        if driver.cuDeviceGet(ctypes.byref(device), number) == 0 and (
            driver.cuDeviceGetName(name, GPU_NAME_BYTES, device) == 0
        ):
            names.append(name.value.decode(errors="replace"))
    return tuple(names)
