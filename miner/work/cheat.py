"""How to cheat: what a devnet's liar does, so that attacks are run by the very code that they attack.

    skip:0.75   does not execute the last 75 % of each segment's steps, and makes their outcomes up
    op          one flipped bit in a matmul of each segment's middle step; everything after it is computed from that
    data        one wrong element in the batch of that step
    withhold    executes honestly, serves nobody anything and answers no ask

`op` and `data` are consistent lies: a step lives up to its own trace, so that a dispute goes down to a single tile. A
solver cheats in its units; a validator with one of the first three attests what it would have got.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from consensus.commit.records import StepOutcome
from consensus.commit.state import State
from consensus.graph import Graph

from miner.kernels import Executor
from miner.work.errors import JobError
from miner.work.nodes import FLIPPED_BIT, NodeRunner

if TYPE_CHECKING:
    from miner.work.segment import StepExecutor


class CheatKind(StrEnum):
    """The lies that are known."""

    NONE = "none"
    SKIP = "skip"
    OP = "op"
    DATA = "data"
    WITHHOLD = "withhold"


@dataclass(frozen=True)
class Cheat:
    """A lie; `share` of a segment's steps is for `skip` (0 to 1). `str(cheat)` is what `parse_cheat` takes."""

    kind: CheatKind = CheatKind.NONE
    share: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0 or (self.share and self.kind is not CheatKind.SKIP):
            raise JobError(f"the share {self.share} must be from 0 to 1, and stands only with skip")

    def __str__(self) -> str:
        return f"{self.kind}:{self.share}" if self.kind is CheatKind.SKIP else str(self.kind)

    def is_skipped(self, position: int, steps: int) -> bool:
        """Whether a segment's step is not executed."""
        return self.kind is CheatKind.SKIP and position >= steps - round(steps * self.share)

    def is_bent(self, position: int, steps: int) -> bool:
        """Whether a segment's step is the one that goes wrong: the middle one."""
        return position == steps // 2

    def find_flipped(self, graph: Graph, position: int, steps: int) -> int | None:
        """The node whose value has a flipped bit in that step: the graph's last product, deep in the backward pass,
        where no activation hides it."""
        if self.kind is not CheatKind.OP or not self.is_bent(position, steps):
            return None
        products = [index for index, node in enumerate(graph.nodes) if node.op == "matmul"]
        if not products:
            raise JobError("the graph has no matmul to cheat in")
        return products[-1]

    def bend_executor(self, executor: StepExecutor, position: int, steps: int) -> StepExecutor:
        """What executes that step; raises `JobError` when the executor has no graph to cheat in."""
        if self.kind is not CheatKind.OP or not self.is_bent(position, steps):
            return executor
        if not isinstance(executor, Executor):
            raise JobError(f"{type(executor).__name__} has no graph to cheat in")
        return NodeRunner(executor.graph, self.find_flipped(executor.graph, position, steps))

    def bend_batch(self, batch: State, position: int, steps: int) -> State:
        """The batch of that step."""
        if self.kind is not CheatKind.DATA or not self.is_bent(position, steps):
            return batch
        name = min(batch, key=lambda name: (batch[name].dtype.kind != "i", name))
        spoiled = batch[name].copy()
        first = spoiled.reshape(-1)[:1]
        if spoiled.dtype.kind == "f":
            first.view(np.uint32)[:] ^= FLIPPED_BIT
        else:
            first[:] = np.where(first > 0, first - 1, 1)
        return {**batch, name: spoiled}


HONEST = Cheat()


def parse_cheat(text: str) -> Cheat:
    """`none`, `skip:SHARE`, `op`, `data` or `withhold`; raises `JobError`."""
    kind, _, share = text.partition(":")
    try:
        return Cheat(CheatKind(kind), float(share) if share else 0.0)
    except ValueError as error:
        raise JobError(f"there is no cheat {text!r}; take skip:SHARE, op, data or withhold") from error


def make_up_outcome(before: StepOutcome | None) -> StepOutcome:
    """A plausible next outcome without work: the last loss, a little smaller."""
    last = before or StepOutcome(1.0, 1.0)
    (loss,) = struct.unpack("<f", struct.pack("<f", last.loss * 0.999))
    return StepOutcome(loss, last.grad_norm)
