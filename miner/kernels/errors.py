"""Errors of the executor.

    KernelError
    ├── WrongInput        a state or batch tensor that the graph did not ask for
    ├── WrongPurpose      training asked of an evaluation graph, or the other way round
    ├── SelfTestFailed    this machine's kernels do not give the protocol's bytes
    └── NativeError       see miner.kernels.native.errors
"""

from __future__ import annotations


class KernelError(Exception):
    """Base of the executor's errors; the numbers' own are `consensus.exact.errors.ExactError`."""


class WrongInput(KernelError):
    """A named tensor is missing, unknown, or has another dtype or shape than the graph declares."""

    def __init__(self, kind: str, name: str, problem: str) -> None:
        self.kind, self.name, self.problem = kind, name, problem
        super().__init__(f"{kind} tensor {name!r}: {problem}")


class WrongPurpose(KernelError):
    """The graph makes a step of another kind than the one that was asked for."""

    def __init__(self, asked: str, purpose: str) -> None:
        self.asked, self.purpose = asked, purpose
        super().__init__(f"this graph's purpose is {purpose!r}, asked was {asked!r}")


class SelfTestFailed(KernelError):
    """A kernel's known-answer test gave other bytes: this backend must not be used here."""

    def __init__(self, kernel: str, backend: str) -> None:
        self.kernel, self.backend = kernel, backend
        super().__init__(
            f"kernel {kernel!r} of backend {backend!r} is not exact on this machine (flushed subnormals? a BLAS that "
            'drops bits?); use backend="reference"'
        )
