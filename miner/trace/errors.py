"""Errors of tracing.

    TraceError
    ├── UnsupportedOperator   the model uses an operator outside exact/v1
    └── UntraceableModel      the model, its loss or the batch do not make a static training step
"""

from __future__ import annotations


class TraceError(Exception):
    """Base of the refusals of a model."""


class UnsupportedOperator(TraceError):
    """An operator, or a use of one, outside exact/v1; ``line`` is where the model calls it, if PyTorch knows."""

    def __init__(self, operator: str, line: str, reason: str = "is not in exact/v1") -> None:
        self.operator, self.line, self.reason = operator, line, reason
        super().__init__(f"operator {operator} {reason} ({line}); write this line with supported operators")


class UntraceableModel(TraceError):
    """The training step is not static, or has no f32 parameters, or its loss is no scalar."""
