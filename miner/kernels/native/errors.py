"""Errors of the native backend.

KernelError (miner.kernels.errors)
└── NativeError
    ├── CompilerMissing       no C compiler on this machine
    ├── CompilationFailed     the compiler refused, crashed, hung, or what it made cannot be loaded
    └── CacheUnusable         the kernel cache's folder cannot be written, or belongs to somebody else
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from miner.kernels.errors import KernelError

SHOWN_LINES = 12
"""Last lines of a compiler's output that a message repeats."""


class NativeError(KernelError):
    """The native backend cannot be used on this machine as it is; the NumPy backend can."""


class CompilerMissing(NativeError):
    """No C compiler was found."""

    def __init__(self, tried: Sequence[str]) -> None:
        self.tried = tuple(tried)
        super().__init__(
            f"no C compiler (tried {', '.join(tried)}): install gcc or clang, or `pip install ziglang`, or name one in "
            "AIPOW_CC; without one the slower NumPy backend gives the same bytes"
        )


class CompilationFailed(NativeError):
    """The compiler did not make a library that can be loaded."""

    def __init__(self, command: Sequence[str], problem: str, output: str = "") -> None:
        self.command, self.problem, self.output = tuple(command), problem, output
        shown = "\n".join(output.strip().splitlines()[-SHOWN_LINES:])
        super().__init__(
            f"{' '.join(command)}: {problem}; name another compiler in AIPOW_CC" + (f"\n{shown}" if shown else "")
        )


class CacheUnusable(NativeError):
    """The folder of compiled kernels cannot be used."""

    def __init__(self, folder: Path, problem: str) -> None:
        self.folder, self.problem = folder, problem
        super().__init__(f"kernel cache {folder}: {problem}; name another folder in AIPOW_KERNEL_CACHE")
