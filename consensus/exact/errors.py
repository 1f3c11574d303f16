"""Errors of the exact numerics.

    ExactError
    ├── NonFiniteState      a NaN or an infinity reached a grid or a committed tensor (rule E8)
    ├── InexactBound        the operands could leave the range in which the result is exact
    └── IndexOutOfRange     a gather or scatter index points outside its table
"""

from __future__ import annotations


class ExactError(Exception):
    """Base of every error that an exact operation raises."""


class NonFiniteState(ExactError):
    """A NaN or an infinity reached a grid or a committed tensor: the unit ends here (rule E8)."""

    def __init__(self, where: str) -> None:
        self.where = where
        super().__init__(
            f"{where}: a NaN or an infinity appeared; the training diverged (lower the learning rate) "
            "or the input data are not finite"
        )


class InexactBound(ExactError):
    """The integers of an operation could pass the bound below which they are exact."""

    def __init__(self, what: str, value: int, bound: int) -> None:
        self.what, self.value, self.bound = what, value, bound
        super().__init__(f"{what} is {value:,}, allowed is at most {bound:,}: split the reduction or use fewer bits")


class IndexOutOfRange(ExactError):
    """An index of a gather or scatter lies outside 0 ≤ index < size."""

    def __init__(self, what: str, size: int) -> None:
        self.what, self.size = what, size
        super().__init__(f"{what}: an index is outside 0 ≤ index < {size}; check the data set against the model")
