"""Errors of the work.

WorkError
├── TaskSpecError            a task's document is malformed, out of bounds or not the one on chain
├── DatasetError             a data set does not fit its task
├── JobError                 a job cannot run as asked
│   └── JournalError           what a killed run left behind is not usable
├── RecoveryError           a dropped checkpoint cannot be made again
└── WorkerError              the worker process
    ├── WorkerCrashedError     it ended in the middle of a job
    └── WorkerFailedError      the job raised in there; carries that error's class name
"""

from __future__ import annotations


class WorkError(Exception):
    """Root of this package's errors."""


class TaskSpecError(WorkError):
    """A task's specification is refused."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"task specification, {field}: {reason}")
        self.field = field
        self.reason = reason


class DatasetError(WorkError):
    """A data set does not fit the task that names it."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"data set refused: {reason}")
        self.reason = reason


class JobError(WorkError):
    """A job's arguments contradict each other."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"job refused: {reason}")
        self.reason = reason


class JournalError(JobError):
    """A journal in the store cannot be resumed; delete its record to begin the unit anew."""


class RecoveryError(WorkError):
    """A dropped checkpoint does not come out of a re-execution."""

    def __init__(self, root: bytes, reason: str) -> None:
        super().__init__(f"state {root.hex()} cannot be made again: {reason}; run aipow-miner selftest")
        self.root = root
        self.reason = reason


class WorkerError(WorkError):
    """Something about the worker process."""


class WorkerCrashedError(WorkerError):
    """The worker ended (killed, out of memory, broken frame) in the middle of a job; the next job starts a new one."""

    def __init__(self, returncode: int | None, stderr: str) -> None:
        tail = stderr.strip().splitlines()[-1:] or ["nothing on stderr"]
        super().__init__(f"worker ended with {returncode}: {tail[0]}; the unit resumes from its last checkpoint")
        self.returncode = returncode
        self.stderr = stderr


class WorkerFailedError(WorkerError):
    """The job raised inside the worker; `error_type` names the class there (NonFiniteState, DatasetError, …)."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(f"{error_type}: {message}")
        self.error_type = error_type
        self.message = message
