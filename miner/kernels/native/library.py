"""The part of the native backend that is the same for every graph: plan walker, thread pool, exact products.

    library = load_library()              # compiled once a machine, loaded once a process
    pool = library.get_pool(2)
    library.run(plan, blocks, pool, error)

All calls run without the GIL.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from miner.kernels.errors import KernelError
from miner.kernels.native.compiler import CompiledLibrary, compile_library

C_FOLDER = Path(__file__).parent / "c"
HEADERS = (
    "exact.h", "pool.h", "gemm.h", "gemm_tile.h", "gemm_x86_tile.h", "gemm_x86_pack.h", "x86_features.h", "runtime.h",
)  # fmt: skip
SOURCES = ("pool.c", "gemm.c", "gemm_avx2.c", "gemm_avx512.c", "gemm_neon.c", "runtime.c")
MAX_THREADS = 1024
"""Most threads of a pool."""


class PoolNotMade(KernelError):
    """The system gave no more threads or memory."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        super().__init__(f"cannot make a pool of {threads} threads; use fewer (--threads)")


class Pool:
    """Threads that wait for work; `Library.get_pool` makes it. Jobs from several Python threads take turns."""

    def __init__(self, address: int, threads: int) -> None:
        self.address, self.threads = address, threads


class Library:
    """The compiled library with typed calls; make it by `load_library`."""

    def __init__(self, loaded: CompiledLibrary) -> None:
        pointer, number, size = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64

        def declare(name: str, result: type | None, *arguments: type) -> Callable[..., Any]:
            function = loaded[name]
            function.restype, function.argtypes = result, arguments
            return function

        self.loaded = loaded
        self._pool_create = declare("aipow_pool_create", pointer, number)
        self._gemm_scratch = declare("aipow_gemm_scratch", size, pointer, number)
        self._gemm_run = declare("aipow_gemm_run", None, pointer, number, pointer, pointer)
        self._kernels = declare("aipow_gemm_kernels", number)
        self._kernel_name = declare("aipow_gemm_kernel_name", ctypes.c_char_p, number)
        self._kernel_usable = declare("aipow_gemm_kernel_usable", number, number)
        self._run = declare("aipow_run", size, pointer, pointer, pointer, pointer)
        self._populate = declare("aipow_populate", size, pointer, size)
        self.digest = loaded.digest
        self._pools: dict[tuple[int, int], Pool] = {}
        self._lock = threading.Lock()

    def get_pool(self, threads: int) -> Pool:
        """The process's pool of so many threads, the caller being one; made at the first call.

        Raises `PoolNotMade`; ValueError unless 1 ≤ threads ≤ `MAX_THREADS`.
        """
        if not 1 <= threads <= MAX_THREADS:
            raise ValueError(f"a pool has 1 to {MAX_THREADS} threads, not {threads}")
        key = (os.getpid(), threads)  # a forked child has none of its parent's threads
        with self._lock:
            if key not in self._pools:
                address = self._pool_create(threads)
                if not address:
                    raise PoolNotMade(threads)
                self._pools[key] = Pool(address, threads)
            return self._pools[key]

    def run(
        self, plan: ctypes.Structure, blocks: ctypes.Array[ctypes.c_void_p], pool: Pool, error: ctypes.c_int32
    ) -> int:
        """Run a plan (c/runtime.h); the number of the operation that failed, its code being in ``error``, or −1."""
        return int(self._run(ctypes.byref(plan), blocks, pool.address, ctypes.byref(error)))

    def populate(self, address: int, size: int) -> int:
        """Put memory behind the whole pages of a buffer, as writing would, but keep what is there; bytes for which the
        system did that (Linux from 5.14 on)."""
        return int(self._populate(address, size))

    def gemm_scratch(self, gemm: ctypes.Structure, threads: int) -> int:
        """Bytes of scratch that a product needs with any kernel."""
        return int(self._gemm_scratch(ctypes.byref(gemm), threads))

    def gemm_run(self, gemm: ctypes.Structure, kernel: int, pool: Pool, scratch: int) -> None:
        """Compute a product with a usable kernel; ``scratch`` is an address at a multiple of 64."""
        self._gemm_run(ctypes.byref(gemm), kernel, pool.address, scratch)

    def gemm_kernels(self) -> list[str]:
        """Names of all kernels of this kind of processor, by number."""
        return [self._kernel_name(i).decode() for i in range(self._kernels())]

    def is_kernel_usable(self, kernel: int) -> bool:
        """Whether this processor has the kernel's instructions."""
        return bool(self._kernel_usable(kernel))


@cache
def load_library() -> Library:
    """Compile, or find in the cache, and load.

    Raises `CompilerMissing`, `CompilationFailed`, `CacheUnusable`.
    """
    return Library(compile_library(read_sources()))


def read_sources() -> dict[str, str]:
    """The library's files, name to text."""
    return {name: (C_FOLDER / name).read_text() for name in (*HEADERS, *SOURCES)}


__all__ = ["Library", "Pool", "PoolNotMade", "load_library", "read_sources"]
