"""C to a loaded library: finds a compiler, compiles, and keeps the result in a cache addressed by content.

A cached library is named by the digest of everything that decides its bytes: sources, flags, the compiler's identity
and the CPU. Beside it stands the digest of name and file; a damaged or exchanged file is compiled anew. Whoever can
write into the cache runs code in this process, so the folder has to be the user's own and closed to others.
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
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path

import platformdirs
from filelock import FileLock
from miner.kernels.native.errors import CacheUnusable, CompilationFailed, CompilerMissing

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
MAX_CACHE_BYTES = 2**29
"""Most bytes of cached libraries (= 536,870,912); the longest unused go first."""


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


def compile_library(sources: Mapping[str, str]) -> ctypes.CDLL:
    """Load the library of C files (name to text; headers among them are found by ``#include "name"``).

    Compiled once a machine. Raises `CompilerMissing`, `CompilationFailed`, `CacheUnusable`.
    """
    compiler = find_compiler()
    folder = _open_cache()
    key = compute_key(sources, compiler)
    library, digest = folder / f"{key}.so", folder / f"{key}.digest"
    if _is_intact(library, digest):
        os.utime(library)
        return _load(library, compiler)
    with FileLock(folder / "lock", timeout=2 * TIME_LIMIT):
        if not _is_intact(library, digest):
            _compile(sources, compiler, library, digest)
            _evict(folder, library)
        return _load(library, compiler)


def compute_key(sources: Mapping[str, str], compiler: tuple[str, ...]) -> str:
    """Hex name of the library: BLAKE2b-160 of sources, flags, compiler and CPU."""
    hasher = hashlib.blake2b(digest_size=20)
    parts = (t for item in sorted(sources.items()) for t in item)
    for part in (*FLAGS, *LINK_FLAGS, identify_compiler(compiler), identify_cpu(), *parts):
        data = part.encode()
        hasher.update(len(data).to_bytes(8, "little") + data)
    return hasher.hexdigest()


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


def get_cache_folder() -> Path:
    """``AIPOW_KERNEL_CACHE``, else the user's cache folder."""
    named = os.environ.get("AIPOW_KERNEL_CACHE")
    return Path(named) if named else platformdirs.user_cache_path("aipow") / "kernels"


def _open_cache() -> Path:
    folder = get_cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = folder.stat()
    except OSError as error:
        raise CacheUnusable(folder, error.strerror or str(error)) from error
    if not stat.S_ISDIR(status.st_mode):
        raise CacheUnusable(folder, "is no folder")
    if status.st_uid != os.geteuid():
        raise CacheUnusable(folder, f"belongs to user {status.st_uid}")
    if status.st_mode & 0o022:
        raise CacheUnusable(folder, "others may write into it (chmod go-w)")
    return folder


def _is_intact(library: Path, digest: Path) -> bool:
    """Whether a cached file is the one that was stored, and ours."""
    try:
        data, expected = library.read_bytes(), digest.read_text()
        own = library.stat().st_uid == os.geteuid() and not library.is_symlink()
    except (OSError, UnicodeDecodeError):
        return False
    if own and compute_digest(library.stem, data) == expected:
        return True
    log.warning("%s is damaged or not ours: it is compiled anew", library)
    return False


def compute_digest(key: str, data: bytes) -> str:
    """Hex BLAKE2b-256 of a library's name and bytes."""
    return hashlib.blake2b(key.encode() + data, digest_size=32).hexdigest()


def _compile(sources: Mapping[str, str], compiler: tuple[str, ...], library: Path, digest: Path) -> None:
    """Compile into a folder of its own, then put library and digest in place."""
    with tempfile.TemporaryDirectory(prefix="build-", dir=library.parent) as name:
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
        (build / "digest").write_text(compute_digest(library.stem, made.read_bytes()))
        digest.unlink(missing_ok=True)
        made.replace(library)  # a new file: another process may have the old one mapped
        (build / "digest").replace(digest)


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


def _load(library: Path, compiler: tuple[str, ...]) -> ctypes.CDLL:
    """Load a library and keep the floating-point mode: one that was linked with ``-ffast-math`` sets it while it is
    loaded, and would make the whole process flush subnormals."""
    mode = ctypes.create_string_buffer(FENV_BYTES)
    fenv = ctypes.CDLL(None)
    fenv.fegetenv(mode)
    try:
        return ctypes.CDLL(str(library))
    except OSError as error:
        raise CompilationFailed(compiler, f"the library cannot be loaded: {error}") from error
    finally:
        fenv.fesetenv(mode)


def _evict(folder: Path, kept: Path) -> None:
    """Drop the longest unused libraries beyond `MAX_CACHE_BYTES`, and what killed compilations left behind."""
    for build in folder.glob("build-*"):
        shutil.rmtree(build, ignore_errors=True)  # the lock is held: no other compilation runs
    found = []
    for library in folder.glob("*.so"):
        try:
            status = library.stat()
        except OSError:
            continue
        found.append((status.st_mtime, status.st_size, library))
    total = sum(size for _, size, _ in found)
    for _, size, library in sorted(found):
        if total <= MAX_CACHE_BYTES:
            return
        if library != kept:
            library.with_suffix(".digest").unlink(missing_ok=True)
            library.unlink(missing_ok=True)
            total -= size
