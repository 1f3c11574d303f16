"""The table of rules: how each ATen operator is lowered to exact nodes. What has no rule is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from miner.trace.emit import Value

Rule = Callable[..., Any]
"""Called with the emitter and the operator's own arguments, `Value`s in place of tensors."""

F = TypeVar("F", bound=Rule)

RULES: dict[str, Rule] = {}
"""Rules by operator name."""

BLANK_ALLOWED: dict[str, frozenset[int]] = {}
"""Arguments, by operator and position, that may be a `Blank`; the rule gets None for it."""


class RuleRefusal(Exception):
    """A rule cannot lower this use of its operator; the message says why."""


@dataclass(frozen=True)
class Blank:
    """A result that no rule reads and that has no exact form."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Written:
    """Results of an operator that also writes into arguments which its schema does not mark as written."""

    results: tuple[Any, ...]
    arguments: dict[int, Value]
    """New values by position."""


def rule(*names: str, blank: frozenset[int] = frozenset()) -> Callable[[F], F]:
    """Register a rule for operators ``aten.<name>``; ``blank``: positions of arguments that may be a `Blank`."""

    def register(function: F) -> F:
        RULES.update({f"aten.{name}": function for name in names})
        BLANK_ALLOWED.update({f"aten.{name}": blank for name in names if blank})
        return function

    return register


def require(condition: bool, reason: str) -> None:
    """Raise `RuleRefusal` unless the condition holds."""
    if not condition:
        raise RuleRefusal(reason)


def our_dtype(dtype: Any, default: str) -> str:
    """Our name of a PyTorch dtype; ``default`` for None."""
    names = {torch.float32: "f32", torch.int64: "i64", torch.bool: "bool", None: default}
    require(dtype in names, f"has the dtype {dtype}, only float32, int64 and bool are exact")
    return names[dtype]


def positive_axes(dims: int | list[int] | None, rank: int) -> list[int]:
    """Axes counted from the front, rising; all for None or an empty list."""
    given = list(range(rank)) if dims is None or dims == [] else [dims] if isinstance(dims, int) else dims
    return sorted({d % rank for d in given}) if rank else []
