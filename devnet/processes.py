"""Real processes on loopback: started with free ports, waited for by condition, stopped by pid."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from prometheus_client.parser import text_string_to_metric_families

STOP_SECONDS = 2.0  # what a process gets after SIGINT before it is killed; the promise to the user is 3 s
POLL_SECONDS = 0.1
PORT_RANGE = (15_000, 32_000)  # below Linux's ephemeral ports, which begin at 32,768
PORT_ATTEMPTS = 100
_given_ports: set[int] = set()


class DevnetError(Exception):
    """A devnet could not be started or did not do what it was waited for."""


class ProcessDied(DevnetError):
    """A process ended by itself; the message carries the end of its log."""

    def __init__(self, name: str, code: int, log: Path) -> None:
        tail = log.read_text(errors="replace")[-1500:] if log.exists() else ""
        super().__init__(f"{name} ended with exit code {code}; the end of {log}:\n{tail}")
        self.name, self.code, self.log = name, code, log


class GroupStopped(DevnetError):
    """The devnet was stopped, by Ctrl-C for example."""

    def __init__(self) -> None:
        super().__init__("the devnet's processes were stopped; start it again")


class WaitTimeout(DevnetError):
    """A condition did not hold in time."""

    def __init__(self, what: str, seconds: float) -> None:
        super().__init__(f"waited {seconds:.0f} s in vain for {what}; look at the logs of the processes")
        self.what, self.seconds = what, seconds


def find_free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on, given out once.

    From below the range that the system takes ports of outgoing connections from, so that none of them can grab it
    before its daemon listens. Raises `DevnetError` when `PORT_ATTEMPTS` random ones were all taken.
    """
    for _ in range(PORT_ATTEMPTS):
        port = random.randrange(*PORT_RANGE)
        if port in _given_ports:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given_ports.add(port)
        return port
    raise DevnetError(f"found no free port in {PORT_RANGE[0]}..{PORT_RANGE[1]}; end other devnets on this machine")


def wait_until(predicate: Callable[[], bool], seconds: float, what: str) -> None:
    """Returns as soon as `predicate` holds; raises `WaitTimeout`. An OSError of the predicate counts as «not yet»."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if predicate():
                return
        time.sleep(POLL_SECONDS)
    raise WaitTimeout(what, seconds)


@dataclass
class ManagedProcess:
    """One daemon: `module` is run with this Python, its output goes to `log`; may be killed and started again."""

    name: str
    module: str
    arguments: list[str]
    folder: Path
    rpc_port: int
    blob_port: int = 0
    metrics_port: int = 0
    environment: dict[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """Where stdout and stderr go, across restarts."""
        return self.folder / f"{self.name}.log"

    @property
    def rpc_url(self) -> str:
        """WebSocket address of the embedded node."""
        return f"ws://127.0.0.1:{self.rpc_port}"

    @property
    def pid(self) -> int:
        """Process id; raises `DevnetError` when it was not started."""
        if self._process is None:
            raise DevnetError(f"{self.name} is not running")
        return self._process.pid

    def start(self) -> None:
        """Starts the daemon in a session of its own, so that the terminal's Ctrl-C reaches only the launcher."""
        self.folder.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **self.environment}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self.module, *self.arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True,
            )  # fmt: skip

    def check(self) -> None:
        """Raises `ProcessDied` when the daemon ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            raise ProcessDied(self.name, self._process.returncode, self.log)

    def is_healthy(self) -> bool:
        """Whether the embedded node answers on /health; raises `ProcessDied` instead of waiting for a dead one."""
        self.check()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.rpc_port}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, TimeoutError):
            return False

    def read_metrics(self) -> dict[str, float]:
        """The daemon's gauges by name, as Prometheus reads them. Raises OSError while it does not answer."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5) as answer:
            families = text_string_to_metric_families(answer.read().decode())
        return {sample.name: sample.value for family in families for sample in family.samples}

    def wait_healthy(self, seconds: float = 60.0) -> None:
        """Waits until the embedded node answers; raises `WaitTimeout` or `ProcessDied`."""
        wait_until(self.is_healthy, seconds, f"{self.name} to answer on {self.rpc_url}")

    def kill(self) -> None:
        """kill -9 of the daemon and of the workers in its session; returns when it is gone."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()

    def interrupt(self) -> None:
        """Asks for a clean end (SIGINT to the daemon alone)."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)

    def join(self, deadline: float) -> bool:
        """Waits until `deadline` (monotonic seconds), then kills; whether it ended by itself."""
        if self._process is None:
            return True
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        self._signal(signal.SIGKILL)  # workers that outlived their daemon
        return True

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)


class ProcessGroup:
    """Every process of a devnet; leaving the context stops them all within `STOP_SECONDS`.

    Another thread may stop the group: whoever starts or checks a process afterwards gets a `GroupStopped`.
    """

    def __init__(self) -> None:
        self.processes: list[ManagedProcess] = []
        self._is_stopped = False
        self._lock = threading.Lock()

    def __enter__(self) -> ProcessGroup:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, process: ManagedProcess) -> ManagedProcess:
        """Starts a process and takes charge of ending it. Raises `GroupStopped`."""
        with self._lock:
            self._check_going_on()
            self.processes.append(process)
            process.start()
        return process

    def check(self) -> None:
        """Raises `ProcessDied` for the first process that ended by itself, `GroupStopped` after `stop`."""
        self._check_going_on()
        for process in self.processes:
            process.check()

    def stop(self) -> list[str]:
        """Ends all processes together and lets no other start; names of those that had to be killed."""
        with self._lock:
            self._is_stopped = True
            processes, self.processes = self.processes, []
        for process in processes:
            process.interrupt()
        deadline = time.monotonic() + STOP_SECONDS
        return [process.name for process in processes if not process.join(deadline)]

    def _check_going_on(self) -> None:
        if self._is_stopped:
            raise GroupStopped
