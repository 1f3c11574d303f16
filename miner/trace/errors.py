"""Errors of tracing.

    TraceError
    ├── UnsupportedOperator       the model uses an operator outside exact/v1
    └── UntraceableModel          the model, its loss or the batch do not make a static step
        ├── DataDependentBranch   Python asks for the value of a tensor
        └── UnsupportedOptimiser  an optimiser, or an option of one, that has no exact form
    ShapeBranchWarning            Python asks for the size of a batch tensor: the graph holds for this size only
"""

from __future__ import annotations

from collections.abc import Sequence


class TraceError(Exception):
    """Base of the refusals of a model."""


class UnsupportedOperator(TraceError):
    """An operator, or a use of one, outside exact/v1.

    ``line``: where the model calls it, or calls what it is the backward of. ``shapes``: of its tensors, with dtypes.
    """

    def __init__(
        self, operator: str, line: str, shapes: Sequence[str] = (), reason: str = "is not in exact/v1"
    ) -> None:
        self.operator, self.line, self.shapes, self.reason = operator, line, tuple(shapes), reason
        super().__init__(
            f"operator {operator} of {', '.join(shapes) or 'no tensors'} {reason} ({line}); "
            "write this line with supported operators"
        )


class UntraceableModel(TraceError):
    """The step is not static, or has no f32 parameters to train, or its loss is no scalar."""


class DataDependentBranch(UntraceableModel):
    """Python reads the value of a tensor, on which a static graph cannot depend; ``line`` is where."""

    def __init__(self, line: str) -> None:
        self.line = line
        super().__init__(
            f"the value of a tensor is asked for ({line}); a graph is static: choose with torch.where, "
            "or compute the number before the step"
        )


class UnsupportedOptimiser(UntraceableModel):
    """A `torch.optim` optimiser, or one of its options, that has no exact form here."""


class ShapeBranchWarning(UserWarning):
    """Python compares the size of a batch tensor: the traced graph holds for this size only."""
