"""A real node in a process of its own, for functional tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

START_SECONDS = 60.0


def wait_until(predicate: Callable[[], Any], seconds: float = 30.0, what: str = "") -> Any:
    """The predicate's first true value."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = predicate()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {what or predicate}")


class NodeProcess:
    """`python -m chain.node` on free ports. Its log is `<base path>.log`; `environment` is added to ours."""

    def __init__(
        self, base_path: Path, *options: str, chain: str = "dev", environment: dict[str, str] | None = None
    ) -> None:
        self.environment = environment or {}
        self.log = base_path.with_suffix(".log")
        self.arguments = [
            sys.executable, "-m", "chain.node", "--chain", chain,
            "--base-path", str(base_path), "--rpc-port", "0", *options,
        ]  # fmt: skip
        self.url = ""
        self.process: subprocess.Popen[bytes] | None = None
        self._start = 0  # where the present run's output begins in the log

    def start(self) -> NodeProcess:
        """Starts it and waits until it listens."""
        with self.log.open("ab") as log:
            self._start = log.tell()
            self.process = subprocess.Popen(
                self.arguments, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1", **self.environment}
            )
        line = wait_until(lambda: self._line("Listening on "), START_SECONDS, "node listens")
        self.url = line.replace("Listening on ", "")
        return self

    @property
    def http(self) -> str:
        """The same port over HTTP."""
        return self.url.replace("ws://", "http://")

    def bootnode(self) -> str:
        """Its multiaddress, once libp2p listens."""
        line: str = wait_until(lambda: self._line("Bootnode "), START_SECONDS, "libp2p listens")
        return line.replace("Bootnode ", "")

    def rpc(self, method: str, *params: Any) -> Any:
        """A request over HTTP; its whole answer."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        return requests.post(self.http, json=request, timeout=30).json()

    def best(self) -> int:
        """Number of its best block."""
        return int(self.rpc("chain_getHeader")["result"]["number"], 16)

    def finalized(self) -> int:
        """Number of its last finalised block."""
        block_hash = self.rpc("chain_getFinalizedHead")["result"]
        return int(self.rpc("chain_getHeader", block_hash)["result"]["number"], 16)

    def stop(self, how: int = signal.SIGTERM) -> int:
        """Ends it; its exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(20)
        self.process = None
        return code

    def _line(self, start: str) -> str | None:
        """The newest line that begins so, of the present run alone: a former one's ports are dead."""
        if self.process is not None and self.process.poll() is not None:
            raise AssertionError(f"node ended:\n{self.log.read_text()[-3000:]}")
        text = self.log.read_bytes()[self._start :].decode()
        return next((line for line in reversed(text.splitlines()) if line.startswith(start)), None)
