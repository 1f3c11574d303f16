"""Low-rank adapters (LoRA, Hu et al., 2021): a model learns a small correction of its frozen weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.nn import functional


class NothingToAdapt(ValueError):
    """No linear layer of the module has a name that the patterns match."""


class LoraLinear(nn.Module):  # type: ignore[misc]
    """A frozen linear layer plus ``scale`` · up · down, of rank ``rank``; at first the correction is zero."""

    def __init__(self, base: nn.Linear, rank: int, alpha: float) -> None:
        """``scale`` = alpha / rank."""
        super().__init__()
        self.base, self.scale = base, alpha / rank
        self.down = nn.Parameter(torch.empty(rank, base.in_features))
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """Of any shape ending in the layer's inputs."""
        return self.base(x) + functional.linear(functional.linear(x, self.down), self.up) * self.scale


def add_lora(module: nn.Module, rank: int, alpha: float, patterns: Sequence[str] = ("*",)) -> list[str]:
    """Freeze a module and adapt, in place, its linear layers whose names match a shell pattern; gives their names.

    Raises `NothingToAdapt`, and then has changed nothing.
    """
    found = [
        name
        for name, part in module.named_modules()
        if name and isinstance(part, nn.Linear) and any(fnmatchcase(name, pattern) for pattern in patterns)
    ]
    if not found:
        raise NothingToAdapt(f"no linear layer matches {', '.join(patterns)}")
    module.requires_grad_(False)
    for name in found:
        parent, _, own = name.rpartition(".")
        setattr(module.get_submodule(parent), own, LoraLinear(module.get_submodule(name), rank, alpha))
    return found
