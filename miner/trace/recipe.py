"""How a model is trained, apart from the model: optimiser, groups, schedule, clipping, accumulation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import numpy.typing as npt

from miner.trace import names
from miner.trace.errors import UntraceableModel
from miner.trace.optimisers import AdamW, Optimiser

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Group:
    """Parameters with an optimiser of their own: no weight decay, another rate, another rule."""

    patterns: tuple[str, ...]
    """Shell patterns of PyTorch's names: ``("*.bias", "*norm*")``."""
    optimiser: Optimiser


@dataclass(frozen=True)
class Recipe:
    """All that makes a step of gradients."""

    optimiser: Optimiser
    """Of parameters in no group."""
    groups: tuple[Group, ...] = ()
    """The first that matches a parameter's name counts."""
    schedule: tuple[float, ...] = ()
    """Factors of every learning rate at the 1st, 2nd, … update; the last one holds for all later ones. Empty: 1."""
    clip_norm: float | None = None
    """Largest norm of all gradients together; longer ones are scaled down, as `torch.nn.utils.clip_grad_norm_` does."""
    accumulate: int = 1
    """Steps whose mean gradient makes one update; steps between leave parameters and moments as they are."""

    def __post_init__(self) -> None:
        """Raise `UntraceableModel` for numbers that make no training."""
        if self.accumulate < 1:
            raise UntraceableModel(f"accumulate is {self.accumulate}; it counts steps, so it is at least 1")
        if self.clip_norm is not None and not (0 < self.clip_norm < math.inf):
            raise UntraceableModel(f"clip_norm is {self.clip_norm}; give a positive number, or None")
        if not all(math.isfinite(factor) for factor in self.schedule):
            raise UntraceableModel("a schedule has finite factors only")

    def get_optimiser(self, parameter: str) -> Optimiser:
        """The optimiser of a parameter, by PyTorch's name."""
        for group in self.groups:
            if any(fnmatchcase(parameter, pattern) for pattern in group.patterns):
                return group.optimiser
        return self.optimiser

    def get_scalar_prefix(self, optimiser: Optimiser) -> str:
        """Where an optimiser's scalars stand: ``scalar/``; with other betas than the first's ``scalar/1/``, …"""
        seen: list[tuple[float, float]] = []
        for known in (self.optimiser, *(group.optimiser for group in self.groups)):
            if isinstance(known, AdamW) and (known.beta1, known.beta2) not in seen:
                seen.append((known.beta1, known.beta2))
        index = seen.index((optimiser.beta1, optimiser.beta2)) if isinstance(optimiser, AdamW) else 0
        return f"{names.SCALAR_PREFIX}{index}/" if index else names.SCALAR_PREFIX

    def make_state(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
        """First values of all that the recipe keeps, for trained parameters of these shapes; views without copies."""
        state: dict[str, Array] = {}
        for parameter, shape in shapes.items():
            optimiser = self.get_optimiser(parameter)
            prefix = self.get_scalar_prefix(optimiser)
            state |= {prefix + name: np.array(value, dtype=np.float32) for name, value in optimiser.scalars().items()}
            state |= {
                f"{slot}/{parameter}": np.broadcast_to(np.float32(value), shape)
                for slot, value in optimiser.slots().items()
            }
            if self.accumulate > 1:
                state[names.ACCUMULATED_PREFIX + parameter] = np.broadcast_to(np.float32(0.0), shape)
        if self.accumulate > 1:
            state[names.ACCUMULATION_STEP] = np.array(0, dtype=np.int64)
        if self.schedule:
            state[names.SCHEDULE_FACTORS] = np.array(self.schedule, dtype=np.float32)
            state[names.SCHEDULE_STEP] = np.array(0, dtype=np.int64)
        return state


def cosine_schedule(updates: int, warmup: int = 0, floor: float = 0.0) -> tuple[float, ...]:
    """Factors that rise in a line from 1/warmup to 1, then fall along half a cosine to ``floor`` (SGDR, 2017)."""
    rising = [(i + 1) / warmup for i in range(warmup)]
    rest = max(1, updates - warmup - 1)
    falling = [floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * i / rest)) for i in range(updates - warmup)]
    return (*rising, *falling)
