"""Errors of the bench.

    BenchError
    ├── UnknownWorkload    no benchmark or built-in model has this name
    ├── SideFailed         a measuring process ended or raised
    └── DifferentWork      exact and eager losses of the first step are too far apart to be of the same work
"""

from __future__ import annotations

from collections.abc import Sequence


class BenchError(Exception):
    """Base of what the bench refuses."""


class UnknownWorkload(BenchError):
    """The name is no model of ours."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        self.name = name
        super().__init__(f"no model is called {name!r}; there are {', '.join(known)}")


class SideFailed(BenchError):
    """A process that measures one side of the comparison did not answer."""

    def __init__(self, side: str, model: str, reason: str) -> None:
        self.side, self.model, self.reason = side, model, reason
        super().__init__(f"{side} of {model}: {reason}")


class DifferentWork(BenchError):
    """The two sides do not compute the same step."""

    def __init__(self, model: str, eager: float, exact: float) -> None:
        self.model, self.eager, self.exact = model, eager, exact
        super().__init__(
            f"{model}: the first loss is {exact:.6f} exactly and {eager:.6f} in f32; these are not the same step, "
            f"so their times say nothing; run `aipow graph diff {model} --a numpy --b reference`"
        )
