"""Tests run side by side, a file at a time in a process per core; those marked `alone` have the machine to themselves.

Each test holds a lock that the worker processes of a run share: most of them together with others, one that is marked
`alone` by itself. `-n 0` runs all in one process.
"""

from __future__ import annotations

import fcntl
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest


class RunLock:
    """Read–write lock of one test run's processes; whoever waits to write holds back later readers."""

    def __init__(self, name: str) -> None:
        path = Path(tempfile.gettempdir()) / f"aipow-tests-{name}"
        self._gate, self._lock = (Path(f"{path}.{part}").open("w") for part in ("gate", "lock"))  # noqa: SIM115

    def acquire(self, is_alone: bool) -> None:
        """Waits until no other test runs (`is_alone`), or none that must be alone."""
        fcntl.flock(self._gate, fcntl.LOCK_EX)
        fcntl.flock(self._lock, fcntl.LOCK_EX if is_alone else fcntl.LOCK_SH)
        fcntl.flock(self._gate, fcntl.LOCK_UN)

    def release(self) -> None:
        """Lets others go on."""
        fcntl.flock(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        """Removes the files; workers that still have them open keep their lock."""
        for file in (self._gate, self._lock):
            file.close()
            Path(file.name).unlink(missing_ok=True)


LOCK = pytest.StashKey[RunLock]()


def pytest_configure(config: pytest.Config) -> None:
    """A worker process opens the run's lock."""
    if hasattr(config, "workerinput"):
        config.stash[LOCK] = RunLock(config.workerinput["testrunuid"])


def pytest_unconfigure(config: pytest.Config) -> None:
    """A worker process closes it."""
    if LOCK in config.stash:
        config.stash[LOCK].close()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Holds the lock from a test's first fixture to its last, outside of what its time limit counts."""
    lock = item.config.stash.get(LOCK, None)
    if lock is None:
        return (yield)
    lock.acquire(item.get_closest_marker("alone") is not None)
    try:
        return (yield)
    finally:
        lock.release()
