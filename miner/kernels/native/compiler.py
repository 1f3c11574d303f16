"""C to a loaded library: finds a compiler, compiles, and keeps the result in a cache addressed by content.

A cached library (`miner.kernels.native.cache`) is named by the digest of everything that decides its bytes: sources,
flags, the compiler's identity and the CPU. Beside it stands the digest of name and file; a damaged or exchanged file is
compiled anew.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import logging
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path

from filelock import FileLock
from miner.kernels.native.cache import BUILD, LIBRARY, compute_name, evict, is_own, open_cache
from miner.kernels.native.errors import CompilationFailed, CompilerMissing

log = logging.getLogger(__name__)

FLAGS = (
    "-O3", "-march=native", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fno-sanitize=all", "-w",
    "-fPIC", "-pthread", "--param=max-completely-peel-times=8",
)  # fmt: skip
"""Exactness needs ``-ffp-contract=off``, and nothing of ``-ffast-math``; the two math flags only allow vectors.
Unrolled 16 times, a loop that stores every second element takes gcc 14 s instead of 0.05 (the default is 16)."""
CANDIDATES = ("cc", "gcc", "clang")
"""Compilers looked for on the PATH, before the ``ziglang`` wheel."""
TIME_LIMIT = 600.0
"""Seconds that a compilation may take."""
LINK_FLAGS = ("-shared", "-pthread", "-lm")
"""What makes a library of the compiled files."""
FENV_BYTES = 512
"""At least the size of C's ``fenv_t`` (32 bytes on x86-64, 8 on AArch64)."""


class CompiledLibrary(ctypes.CDLL):
    """A loaded library."""

    digest: str
    """Of its name and bytes."""


@cache
def find_compiler() -> tuple[str, ...]:
    """The command of the machine's C compiler: ``AIPOW_CC`` (words as in a shell), else cc, gcc, clang, ziglang.

    Raises `CompilerMissing`.
    """
    named = os.environ.get("AIPOW_CC")
    if named is not None:
        words = shlex.split(named)
        path = shutil.which(words[0]) if words else None
        if path is None:
            raise CompilerMissing([f"AIPOW_CC={named}"])
        return (path, *words[1:])
    for name in CANDIDATES:
        path = shutil.which(name)
        if path is not None:
            return (path,)
    if importlib.util.find_spec("ziglang") is not None:
        return (sys.executable, "-m", "ziglang", "cc")
    raise CompilerMissing([*CANDIDATES, "ziglang"])


def compile_library(sources: Mapping[str, str]) -> CompiledLibrary:
    """Load the library of C files (name to text; headers among them are found by ``#include "name"``).

    Compiled once a machine. Raises `CompilerMissing`, `CompilationFailed`, `CacheUnusable`.
    """
    compiler = find_compiler()
    folder = open_cache()
    key = compute_key(sources, compiler)
    library, digest = folder / f"{key}{LIBRARY}", folder / f"{key}.digest"
    if (found := _read_digest(library, digest)) is not None:
        os.utime(library)
        return _load(library, found, compiler)
    with FileLock(folder / "lock", timeout=2 * TIME_LIMIT):
        if (found := _read_digest(library, digest)) is None:
            found = _compile(sources, compiler, library, digest)
            evict(folder, library.name)
        return _load(library, found, compiler)


def compute_key(sources: Mapping[str, str], compiler: tuple[str, ...]) -> str:
    """Hex name of the library: of sources, flags, compiler and CPU."""
    texts = (t for item in sorted(sources.items()) for t in item)
    parts = (*FLAGS, *LINK_FLAGS, identify_compiler(compiler), identify_cpu(), *texts)
    return compute_name(*(part.encode() for part in parts))


@cache
def identify_compiler(compiler: tuple[str, ...]) -> str:
    """Command and version of a compiler. Raises `CompilationFailed` when it does not even tell its version."""
    command = [*compiler, "--version"]
    code, output = _call(command, None, 60.0)
    if code != 0:
        raise CompilationFailed(command, f"exit code {code}", output)
    return f"{' '.join(compiler)}\n{output}"


@cache
def identify_cpu() -> str:
    """What ``-march=native`` depends on: architecture, model and feature flags."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        lines = []
    wanted = ("model name", "model", "cpu family", "flags", "Features", "CPU part", "CPU implementer")
    found = [line for line in lines if line.split("\t")[0].strip() in wanted]
    return "\n".join([platform.machine(), platform.processor(), *found])


def _read_digest(library: Path, digest: Path) -> str | None:
    """The digest of a cached file that is the one that was stored, and ours; else None."""
    try:
        data, expected = library.read_bytes(), digest.read_text()
        own = is_own(library)
    except (OSError, UnicodeDecodeError):
        return None
    if own and compute_digest(library.stem, data) == expected:
        return expected
    log.warning("%s is damaged or not ours: it is compiled anew", library)
    return None


def compute_digest(key: str, data: bytes) -> str:
    """Hex BLAKE2b-256 of a library's name and bytes."""
    return hashlib.blake2b(key.encode() + data, digest_size=32).hexdigest()


def _compile(sources: Mapping[str, str], compiler: tuple[str, ...], library: Path, digest: Path) -> str:
    """Compile into a folder of its own, then put library and digest in place; returns the digest."""
    with tempfile.TemporaryDirectory(prefix=BUILD, dir=library.parent) as name:
        build = Path(name)
        for file, text in sources.items():
            (build / file).write_text(text)
        made = build / "made.so"
        units = sorted((file for file in sources if file.endswith(".c")), key=lambda file: -len(sources[file]))
        _call_together([[*compiler, *FLAGS, "-c", unit, "-o", f"{unit}.o"] for unit in units], build)
        command = [*compiler, "-o", made.name, *(f"{unit}.o" for unit in units), *LINK_FLAGS]
        _call_together([command], build)
        if not made.is_file():
            raise CompilationFailed(command, "no library was made", "")
        made.chmod(0o600)
        found = compute_digest(library.stem, made.read_bytes())
        (build / "digest").write_text(found)
        digest.unlink(missing_ok=True)
        made.replace(library)  # a new file: another process may have the old one mapped
        (build / "digest").replace(digest)
    return found


def _call_together(commands: list[list[str]], folder: Path) -> None:
    """Run commands side by side, as many as there are cores. Raises `CompilationFailed`; none is left running then."""
    started: list[subprocess.Popen[bytes]] = []
    is_over = threading.Event()

    def note(process: subprocess.Popen[bytes]) -> None:
        started.append(process)
        if is_over.is_set():
            _end(process)

    with ThreadPoolExecutor(len(os.sched_getaffinity(0)), "cc") as threads:
        calls = [threads.submit(_call, command, folder, TIME_LIMIT, note) for command in commands]
        try:
            for command, call in zip(commands, calls, strict=True):
                code, output = call.result()
                if code != 0:
                    raise CompilationFailed(command, f"exit code {code}", output)
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            is_over.set()
            for process in started:
                _end(process)
            raise


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process group whose leader has not been waited for."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _call(
    command: list[str],
    folder: Path | None,
    limit: float,
    on_start: Callable[[subprocess.Popen[bytes]], None] = lambda _: None,
) -> tuple[int, str]:
    """Exit code and output of a command in a process group of its own, which is ended when it takes too long."""
    environment = os.environ | {"LC_ALL": "C"}
    try:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise CompilationFailed(command, error.strerror or str(error)) from error
    on_start(process)
    try:
        output, _ = process.communicate(timeout=limit)
    except BaseException as error:
        _end(process)
        process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise CompilationFailed(command, f"not done after {limit:g} s, ended") from error
        raise
    return process.returncode, output.decode(errors="replace")


def _load(library: Path, digest: str, compiler: tuple[str, ...]) -> CompiledLibrary:
    """Load a library and keep the floating-point mode: one that was linked with ``-ffast-math`` sets it while it is
    loaded, and would make the whole process flush subnormals."""
    mode = ctypes.create_string_buffer(FENV_BYTES)
    fenv = ctypes.CDLL(None)
    fenv.fegetenv(mode)
    try:
        loaded = CompiledLibrary(str(library))
    except OSError as error:
        raise CompilationFailed(compiler, f"the library cannot be loaded: {error}") from error
    finally:
        fenv.fesetenv(mode)
    loaded.digest = digest
    return loaded
