"""The machine under one node: a disk that is full or slow, a clock that is wrong, as `shim.c` makes them."""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")
FORMAT = struct.Struct("<qii")  # clock_seconds, disk_full, slow_us


def build_shim(folder: Path) -> Path:
    """The shim as a library, by the system's C compiler or by Zig's."""
    library = folder / "shim.so"
    compiler = [shutil.which("cc")] if shutil.which("cc") else [sys.executable, "-m", "ziglang", "cc"]
    options = ["-O1", "-shared", "-fPIC", "-Wall", "-Werror", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run([*compiler, *options], check=True)  # type: ignore[list-item]
    return library


class Machine:
    """Faults of one machine; `environment` is for the processes that run on it."""

    def __init__(self, folder: Path, shim: Path) -> None:
        path = folder / "faults"
        path.write_bytes(FORMAT.pack(0, 0, 0))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), FORMAT.size)
        self.environment = {"LD_PRELOAD": str(shim), "AIPOW_TEST_FAULTS": str(path)}

    def set(self, clock_seconds: int = 0, disk_full: bool = False, slow_us: int = 0) -> None:
        """From now on the machine is as bad as that; without arguments it is good."""
        self._map[:] = FORMAT.pack(clock_seconds, disk_full, slow_us)
