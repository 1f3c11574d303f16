"""Sizes of tensors as integers that notice when Python code compares them: there the code takes one of two ways, and
the graph holds for this way only."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from miner.trace import source

Log = dict[source.Place, None]
"""Lines that compared a size, in order."""


class WatchedSize(int):
    """An integer whose comparisons by user code are logged; what is computed from it is watched too."""

    log: Log

    def __new__(cls, value: int, log: Log) -> WatchedSize:
        """``log`` collects the lines."""
        size = super().__new__(cls, value)
        size.log = log
        return size

    def __bool__(self) -> bool:
        self.note()
        return int.__bool__(self)

    __hash__ = int.__hash__

    def note(self) -> None:
        """Log the line that compares, two frames above, if it is the user's."""
        frame = sys._getframe(2)
        if not source.is_foreign(frame.f_code.co_filename):
            self.log[(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)] = None


def _compare(name: str) -> Callable[[WatchedSize, Any], Any]:
    plain = getattr(int, name)

    def compare(self: WatchedSize, other: Any) -> Any:
        self.note()
        return plain(self, other)

    return compare


def _compute(name: str) -> Callable[[WatchedSize, Any], Any]:
    plain = getattr(int, name)

    def compute(self: WatchedSize, other: Any) -> Any:
        result = plain(self, other)
        return WatchedSize(result, self.log) if type(result) is int else result

    return compute


for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(WatchedSize, f"__{_name}__", _compare(f"__{_name}__"))
for _name in ("add", "radd", "sub", "rsub", "mul", "rmul", "floordiv", "rfloordiv", "mod", "rmod"):
    setattr(WatchedSize, f"__{_name}__", _compute(f"__{_name}__"))


def watch(value: Any, log: Log) -> Any:
    """What one of `SIZE_FUNCTIONS` gave, watched."""
    if isinstance(value, torch.Size):
        return torch.Size([WatchedSize(n, log) for n in value])
    return WatchedSize(value, log)


SIZE_FUNCTIONS = frozenset({Tensor.shape.__get__, Tensor.size, Tensor.__len__})
"""PyTorch functions that give sizes of their first argument."""
