"""The real command lines in real processes: a server imports them once and forks for each, which saves seconds.

    python -m tests.miner.cli.forked        requests and answers as JSON lines on stdin and stdout

A request has `name` (of a console script), `arguments`, `constants` (dotted name -> value, for shorter waits), `output`
and `errors` (files), and `until` (a text in `errors` after which it gets SIGTERM). The child runs `main()` as
`python -m` would.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAMS = ("miner.cli.miner", "miner.cli.validator", "miner.cli.aipow", "devnet.cli")
NAMES = {
    "aipow": "miner.cli.aipow", "aipow-miner": "miner.cli.miner", "aipow-validator": "miner.cli.validator",
    "aipow-devnet": "devnet.cli",
}  # fmt: skip
LIMIT_SECONDS = 60.0
"""What a command gets to end before it is killed; busy machines are slow."""


@dataclass(frozen=True)
class Ended:
    """How a command ended; `code` is negative for a signal, as in subprocess."""

    code: int
    output: str
    errors: str


class CommandServer:
    """Runs commands; `with CommandServer(folder) as commands: commands.run("aipow-miner", "--help")`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def __enter__(self) -> CommandServer:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "200"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.miner.cli.forked"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env=environment, cwd=Path(__file__).resolve().parents[3],
        )  # fmt: skip
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.communicate()

    def run(
        self, name: str, *arguments: object, constants: Mapping[str, object] | None = None, until: str = ""
    ) -> Ended:
        """Runs one command to its end; gives it SIGTERM once its stderr holds `until` (if not empty)."""
        self._count += 1
        output, errors = (self._folder / f"{self._count}.{kind}" for kind in ("out", "err"))
        request = {
            "name": name, "arguments": [str(argument) for argument in arguments], "constants": dict(constants or {}),
            "output": str(output), "errors": str(errors), "until": until,
        }  # fmt: skip
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("enter the server first")
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        return Ended(code, output.read_text(), errors.read_text())


def serve() -> dict[str, Any] | None:
    """Answers requests; in each child it returns the request that the child is to run."""
    for name in PROGRAMS:
        importlib.import_module(name)
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        child = os.fork()
        if child == 0:
            return request
        print(_wait(child, Path(request["errors"]), request["until"]), flush=True)
    return None


def _wait(child: int, errors: Path, until: str) -> int:
    end = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if until and errors.exists() and until in errors.read_text():
            os.kill(child, signal.SIGTERM)
            until = ""
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def become(
    name: str, arguments: Sequence[str], constants: Mapping[str, object], output: str, errors: str, until: str
) -> None:
    """Turns this process into the command (`until` is its watcher's)."""
    for path, number in ((os.devnull, 0), (output, 1), (errors, 2)):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(descriptor, number)
    sys.argv = [name, *arguments]
    for dotted, value in constants.items():
        module, _, constant = dotted.rpartition(".")
        setattr(importlib.import_module(module), constant, value)
    importlib.import_module(NAMES[name]).main()


if __name__ == "__main__":
    wanted = serve()
    if wanted is not None:
        become(**wanted)
