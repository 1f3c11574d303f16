"""Ctrl-C in the middle of the demo ends all of its processes within 3 s, with exit code 130.

The demo is started as a script starts it in the background, with SIGINT ignored: what hears it then hears it always.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from devnet.processes import wait_until

pytestmark = pytest.mark.alone

STOP_SECONDS = 3.0
SPARE_SECONDS = 2.0  # for a machine that is busy with other tests


def list_children(folder: Path) -> list[int]:
    """Process ids whose command line names the demo's folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(folder).encode() in command:
                found.append(int(entry.name))
    return found


def test_interrupt_ends_every_process(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    demo = subprocess.Popen(
        [sys.executable, "-m", "devnet.cli", "demo", "--folder", str(folder), "--preset", "test"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),  # noqa: PLW1509 - this process has no threads
    )  # fmt: skip
    try:
        wait_until(lambda: (folder / "slow-miner.log").exists(), 180, "the miners to start")
        assert len(list_children(folder)) > 2
        interrupted = time.monotonic()
        demo.send_signal(signal.SIGINT)
        assert demo.wait(timeout=30) == 130
        assert time.monotonic() - interrupted < STOP_SECONDS + SPARE_SECONDS
        assert list_children(folder) == []
    finally:
        demo.kill()
        for process in list_children(folder):  # none, unless the test has failed
            os.kill(process, signal.SIGKILL)
