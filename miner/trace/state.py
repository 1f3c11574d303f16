"""From PyTorch's objects: the first state of a step, and the recipe of a `torch.optim` optimiser."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from miner.trace.errors import UnsupportedOptimiser
from miner.trace.names import BUFFER_PREFIX, PARAMETER_PREFIX
from miner.trace.optimisers import AdamW, Optimiser, Sgd
from miner.trace.recipe import Group, Recipe

Array = npt.NDArray[Any]


def initial_state(
    module: nn.Module, optimiser: Optimiser | Recipe, needed: Mapping[str, Any] | None = None
) -> dict[str, Array]:
    """The first state of a traced training step: the module's parameters and buffers, and the recipe's first values.

    ``needed``: names of the graph's state (`Graph.signature().state`). A parameter that its loss does not need has no
    optimiser state there; without it every parameter with ``requires_grad`` is taken for needed. For an evaluation or
    inference graph its names leave parameters and buffers.
    """
    recipe = optimiser if isinstance(optimiser, Recipe) else Recipe(optimiser)
    state: dict[str, Array] = {}
    for prefix, tensors in ((PARAMETER_PREFIX, module.named_parameters()), (BUFFER_PREFIX, module.named_buffers())):
        state |= {prefix + name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors}
    trained = {n: tuple(p.shape) for n, p in module.named_parameters() if p.requires_grad}
    state |= {name: np.array(array) for name, array in recipe.make_state(trained).items()}
    return state if needed is None else {name: array for name, array in state.items() if name in needed}


def from_torch(optimiser: torch.optim.Optimizer, module: nn.Module) -> Recipe:
    """The recipe of a `torch.optim.SGD`, `AdamW` or `Adam` without weight decay, its groups by parameter names.

    Options that have no exact form (amsgrad, maximize, dampening, a closure's state) raise `UnsupportedOptimiser`; so
    does an optimiser that has already made steps, for its moments would be lost.
    """
    convert = _CONVERSIONS.get(type(optimiser))
    if convert is None:
        known = ", ".join(sorted(kind.__name__ for kind in _CONVERSIONS))
        raise UnsupportedOptimiser(f"{type(optimiser).__name__} has no exact form; choose one of {known}, or Lion")
    if optimiser.state:
        raise UnsupportedOptimiser("the optimiser has made steps already; trace with a fresh one")
    names = {parameter: name for name, parameter in module.named_parameters()}
    groups = []
    for group in optimiser.param_groups:
        if any(p not in names for p in group["params"]):
            raise UnsupportedOptimiser("the optimiser has parameters that the module has not")
        groups.append(Group(tuple(_escape(names[p]) for p in group["params"]), convert(group)))
    first, *rest = groups
    return Recipe(first.optimiser, tuple(rest))


def _escape(name: str) -> str:
    """A shell pattern that matches this name only."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _refuse(group: Mapping[str, Any], **plain: Any) -> None:
    for option, value in plain.items():
        if group.get(option, value) != value:
            raise UnsupportedOptimiser(f"the option {option}={group[option]} has no exact form; leave it at {value}")


def _convert_sgd(group: Mapping[str, Any]) -> Optimiser:
    _refuse(group, dampening=0, maximize=False)
    return Sgd(float(group["lr"]), float(group["momentum"]), float(group["weight_decay"]), bool(group["nesterov"]))


def _convert_adamw(group: Mapping[str, Any]) -> Optimiser:
    _refuse(group, amsgrad=False, maximize=False)
    beta1, beta2 = group["betas"]
    return AdamW(float(group["lr"]), float(beta1), float(beta2), float(group["eps"]), float(group["weight_decay"]))


def _convert_adam(group: Mapping[str, Any]) -> Optimiser:
    if not group.get("decoupled_weight_decay", False):
        _refuse(group, weight_decay=0)
    return _convert_adamw(group)


_CONVERSIONS: dict[type, Callable[[Mapping[str, Any]], Optimiser]] = {
    torch.optim.SGD: _convert_sgd,
    torch.optim.AdamW: _convert_adamw,
    torch.optim.Adam: _convert_adam,
}
