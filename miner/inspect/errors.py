"""Errors of inspecting.

    InspectError
    ├── NoSuchGraph       neither a model nor a file has this name
    ├── FileTooLarge      a file above the bound of its kind
    ├── MissingInputs     a graph from a file was to be executed without a state or a batch
    ├── UnusableBackend   a backend that is unknown, absent here, or failed its self-test
    ├── BadDump           a file that is no dump of node digests, or one of another graph
    ├── RefusedNode       a backend that refuses to compute a node
    └── MachineUnsound    a known-answer test failed here: nothing that this machine computes may be told to others
"""

from __future__ import annotations

from collections.abc import Sequence


class InspectError(Exception):
    """Base of what the inspecting commands refuse."""


class NoSuchGraph(InspectError):
    """The name is no model and no file."""

    def __init__(self, name: str, models: Sequence[str]) -> None:
        self.name = name
        super().__init__(
            f"no model is called {name!r} and there is no such file; give a graph's JSON or one of {', '.join(models)}"
        )


class FileTooLarge(InspectError):
    """The file has more bytes than are read."""

    def __init__(self, file: str, size: int, limit: int) -> None:
        self.file, self.size, self.limit = file, size, limit
        super().__init__(f"{file} has {size:,} bytes, at most {limit:,} are read; is it the right file?")


class MissingInputs(InspectError):
    """A graph from a file has no state and batch of its own."""

    def __init__(self, missing: str) -> None:
        self.missing = missing
        super().__init__(f"a graph from a file needs its {missing}; give --{missing} FILE (safetensors)")


class UnusableBackend(InspectError):
    """The backend cannot execute here."""

    def __init__(self, backend: str, reason: str) -> None:
        self.backend, self.reason = backend, reason
        super().__init__(f"backend {backend!r} cannot be used here: {reason}; `aipow-miner selftest` shows which can")


class BadDump(InspectError):
    """The file is not a dump of this graph's node digests."""

    def __init__(self, file: str, reason: str) -> None:
        self.file, self.reason = file, reason
        super().__init__(f"{file}: {reason}; make it with `aipow graph diff MODEL --a BACKEND --dump FILE`")


class RefusedNode(InspectError):
    """A backend raised at a node instead of giving its value."""

    def __init__(self, backend: str, index: int, op: str, reason: str) -> None:
        self.backend, self.index, self.op, self.reason = backend, index, op, reason
        super().__init__(f"node {index} ({op}): backend {backend!r} refuses it: {reason}")


class MachineUnsound(InspectError):
    """This machine does not compute exactly."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"this machine failed its self-test: {reason}; see `aipow-miner selftest`")
