"""The kernel cache: a folder of what a later process need not make again. Libraries (``.so`` with a ``.digest`` beside
it, see `miner.kernels.native.compiler`) and entries: plans and results of tests, one file each.

An entry's file holds a digest over name and data, then the data, so that a damaged, cut or renamed one is made again.
Whoever can write into the folder runs code in this process, so it has to be the user's own and closed to others.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import stat
import tempfile
from functools import cache
from pathlib import Path

import consensus.exact
import consensus.graph
import numpy as np
import platformdirs
from filelock import FileLock, Timeout
from miner.kernels.native.errors import CacheUnusable

log = logging.getLogger(__name__)

MAX_CACHE_BYTES = 2**29
"""Most bytes of the cache (= 536,870,912); what was longest unused goes first."""
MAX_ENTRY_BYTES = 2**25
"""Largest entry that is kept (= 33,554,432): a plan has that much only when its constants are, and others' graphs must
not fill the disk."""
STORE_SECONDS = 1.0
"""How long to wait for another process before an entry is not stored."""
LIBRARY, PLAN, TEST = ".so", ".plan", ".test"
"""Suffixes of what is kept: compiled kernels, plans, passed tests."""
BUILD = "build-"
"""How the folders begin in which things are made."""
DIGEST_BYTES = 32
NATIVE = Path(__file__).parent
CODE = (NATIVE, NATIVE.parent / "lowering", *(Path(str(m.__file__)).parent for m in (consensus.exact, consensus.graph)))
"""Folders whose Python files decide plans and known answers."""


def get_cache_folder() -> Path:
    """``AIPOW_KERNEL_CACHE``, else the user's cache folder."""
    named = os.environ.get("AIPOW_KERNEL_CACHE")
    return Path(named) if named else platformdirs.user_cache_path("aipow") / "kernels"


def open_cache() -> Path:
    """The folder, made if need be. Raises `CacheUnusable`."""
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


def compute_name(*parts: bytes) -> str:
    """Hex BLAKE2b-160 over parts, each with its length: the name of what follows from them."""
    hasher = hashlib.blake2b(digest_size=20)
    for part in parts:
        hasher.update(len(part).to_bytes(8, "little") + part)
    return hasher.hexdigest()


def is_own(file: Path) -> bool:
    """Whether a file is the user's and no link. Raises OSError."""
    return file.stat().st_uid == os.geteuid() and not file.is_symlink()


def load_entry(name: str) -> bytes | None:
    """An entry's data; None when there is none, or one that is damaged or not ours. Raises `CacheUnusable`."""
    file = open_cache() / name
    try:
        content, own = file.read_bytes(), is_own(file)
        os.utime(file)
    except FileNotFoundError:
        return None
    except OSError as error:
        log.warning("%s cannot be read and is made anew: %s", file, error)
        return None
    if own and content[:DIGEST_BYTES] == _digest(name, content[DIGEST_BYTES:]):
        return content[DIGEST_BYTES:]
    log.warning("%s is damaged or not ours: it is made anew", file)
    return None


def store_entry(name: str, data: bytes) -> None:
    """Put an entry in place at once, or, when it is too large, the disk full or the cache held by others, not at all.

    Raises `CacheUnusable`.
    """
    folder = open_cache()
    if len(data) > MAX_ENTRY_BYTES:
        log.info("%s is not kept: it has %d bytes", folder / name, len(data))
        return
    try:
        with FileLock(folder / "lock", timeout=STORE_SECONDS):
            with tempfile.TemporaryDirectory(prefix=BUILD, dir=folder) as build:
                made = Path(build) / name
                made.touch(mode=0o600)
                made.write_bytes(_digest(name, data) + data)
                made.replace(folder / name)
            evict(folder, name)
    except (OSError, Timeout) as error:
        log.warning("%s is not kept: %s", folder / name, error)


def _digest(name: str, data: bytes) -> bytes:
    return hashlib.blake2b(name.encode() + data, digest_size=DIGEST_BYTES).digest()


def evict(folder: Path, kept: str) -> None:
    """Drop what was longest unused beyond `MAX_CACHE_BYTES`, but ``kept``, and what killed processes left behind.

    The caller holds the lock: nobody else is making anything.
    """
    for build in folder.glob(f"{BUILD}*"):
        shutil.rmtree(build, ignore_errors=True)
    found = []
    for file in folder.iterdir():
        try:
            status = file.stat()
        except OSError:
            continue
        if file.suffix in (LIBRARY, PLAN, TEST):
            found.append((status.st_mtime, status.st_size, file))
    total = sum(size for _, size, _ in found)
    for _, size, file in sorted(found):
        if total <= MAX_CACHE_BYTES:
            return
        if file.name != kept:
            file.with_suffix(".digest").unlink(missing_ok=True)
            file.unlink(missing_ok=True)
            total -= size


@cache
def compute_code_digest() -> bytes:
    """Digest of the code that plans are made and answers are computed by; raises OSError where its text is not kept."""
    files = sorted(file for folder in CODE for file in folder.glob("*.py"))
    parts = [part for file in files for part in (file.name.encode(), file.read_bytes())]
    return compute_name(np.__version__.encode(), *parts).encode()
