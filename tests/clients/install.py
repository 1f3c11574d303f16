"""Installs the clients that are not in our own environment, once per lock file: `python -m tests.clients.install`.

They go into a folder of the user's cache named after the lock files' digest, so that a changed lock installs anew and
nothing else does. Needs npm and Node 20, and uv.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "aipow-ci" / "clients"


def install_node_clients() -> Path:
    """The folder whose `node_modules` are those of package-lock.json."""
    return _installed("node", [HERE / "package.json", HERE / "package-lock.json"], _npm_ci)


def install_python_client() -> Path:
    """The Python whose environment is async-substrate-requirements.txt."""
    return _installed("python", [HERE / "async-substrate-requirements.txt"], _uv_venv) / "bin" / "python"


def _installed(name: str, locks: list[Path], install: Callable[[Path, list[Path]], None]) -> Path:
    digest = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()[:16]
    folder = CACHE / f"{name}-{digest}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            install(folder, locks)
            (folder / "complete").touch()
    return folder


def _npm_ci(folder: Path, locks: list[Path]) -> None:
    if shutil.which("npm") is None:
        raise FileNotFoundError("no npm here: install Node 20 with npm, then `python -m tests.clients.install`")
    for lock in locks:
        shutil.copy(lock, folder)
    subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, check=True)


def _uv_venv(folder: Path, locks: list[Path]) -> None:
    subprocess.run(["uv", "venv", "--quiet", "--allow-existing", "--python", "3.11", str(folder)], check=True)
    command = ["uv", "pip", "install", "--quiet", "--no-deps", "--python", str(folder / "bin" / "python")]
    requirements = [part for lock in locks for part in ("-r", str(lock))]
    subprocess.run([*command, *requirements], cwd=folder, check=True)  # elsewhere our own pins would count


if __name__ == "__main__":
    print(install_node_clients())
    print(install_python_client())
