"""A party's execution of one disputed segment, by exact re-execution: `consensus.dispute.execution.Execution`.

Executing the segment once gives the history and the roots of every state. One step's trace costs that step node by
node, and a node's values the nodes that it depends on; what was asked last is kept, for a game asks for it in several
moves. A liar's execution is the same with the lie (`Cheat`), so that it plays as well as it can.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import numpy as np
from consensus.arbiter import Evaluation
from consensus.commit.hashing import Hash32
from consensus.commit.records import StepOutcome
from consensus.commit.state import State, StateEntry
from consensus.commit.tensor import Array
from consensus.dispute.execution import DataSet, StepLeaf
from consensus.exact.errors import ExactError
from consensus.exact.random import derive_key
from consensus.exact.values import with_one_nan
from consensus.graph import Graph

from miner.kernels.native.hashing import get_hasher
from miner.work.cheat import HONEST, Cheat
from miner.work.commitment import StateCommitter
from miner.work.data import Dataset
from miner.work.nodes import Inputs, NodeRunner
from miner.work.segment import STEP_PURPOSE, SegmentJob, StepExecutor, Training

KEPT_STATE_BYTES = 2**28
"""States of a segment that are kept, together (= 268,435,456), so that no step is far from one; the start always is."""

KEPT_TRACES = 4
"""Steps whose traces are kept: 32 bytes a node each."""

KEPT_NODES = 4
"""Nodes whose inputs and value are kept."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Cache(OrderedDict[K, V]):
    """The last few results by key."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def find(self, key: K, make: Callable[[], V]) -> V:
        """The result, made when it is not there."""
        if key not in self:
            while len(self) >= self._size:
                self.popitem(last=False)
            self[key] = make()
        self.move_to_end(key)
        return self[key]


class ReplayedSegment:
    """One segment of a unit from its start state; an `Execution`.

    Not for several threads at once. Methods raise `WrongInput` for a start state that is not the graph's, and
    `SelfTestFailed`.
    """

    def __init__(
        self, graph: Graph, executor: StepExecutor, dataset: Dataset, job: SegmentJob, start: State,
        cheat: Cheat = HONEST,
    ) -> None:  # fmt: skip
        """`executor` is one of `graph`; `job.previous_record` is not used."""
        self.graph, self.steps, self.first_step = graph, job.steps, job.first_step
        self._executor, self._dataset, self._job, self._cheat = executor, dataset, job, cheat
        self._committer = StateCommitter()
        self._entries: list[Sequence[StateEntry]] = [self._committer.commit(start).entries]
        self._states: dict[int, dict[str, Array]] = {0: dict(start)}
        size = sum(array.nbytes for array in start.values())
        self._spacing = -(-self.steps * size // KEPT_STATE_BYTES)
        self._leaves: list[StepLeaf] | None = None
        self._outcomes: list[StepOutcome] = []
        self._data = DataSet(dataset.arrays, dataset.order.rule == "windows")
        self._last: tuple[int, dict[str, Array]] = (0, dict(start))
        self._traces: Cache[int, list[Hash32]] = Cache(KEPT_TRACES)
        self._values: Cache[tuple[int, int], list[Array]] = Cache(KEPT_NODES)
        self._tiles: Cache[tuple[int, int], list[Hash32]] = Cache(KEPT_NODES)

    def history(self) -> Sequence[StepLeaf]:
        """One leaf a step; fewer where the unit ends."""
        if self._leaves is None:
            self._leaves = self._execute()
        return self._leaves

    def state(self, step: int) -> Sequence[StateEntry]:
        """Entries of S_step, ascending by the name's bytes."""
        if step:
            self.history()
        return self._entries[step]

    def trace(self, step: int) -> Sequence[Hash32]:
        """Tensor root of every node's value in order, NaNs canonical; shorter where the unit ends."""
        return self._traces.find(step, lambda: self._trace(step))

    def value(self, step: int, node: int) -> Array:
        """A node's value."""
        return self._compute(step, node)[-1]

    def tiles(self, step: int, node: int) -> Sequence[Hash32]:
        """Leaf hashes of that value's tiles, NaNs canonical."""
        hasher = get_hasher()
        return self._tiles.find((step, node), lambda: hasher.compute_tile_hashes(with_one_nan(self.value(step, node))))

    def evaluation(self, step: int, node: int) -> Evaluation:
        """A node that is no input with the values that it reads and, unless the unit ends there, its own."""
        read = len(self.graph.nodes[node].inputs)
        values = self._compute(step, node)
        output = values[read] if len(values) > read else None
        return Evaluation(self.graph.nodes[node], values[:read], output=output)

    def data(self) -> DataSet:
        """The task's data set."""
        return self._data

    def _execute(self) -> list[StepLeaf]:
        """The whole segment, keeping states as far as they fit."""
        training, leaves = Training(self._executor, self._dataset, self._states[0]), []
        for position in range(self.steps):
            try:
                self._take_step(training, position)
                commitment = self._committer.commit(training.state)
            except ExactError:
                break
            outcome = self._outcomes[position]
            leaves.append(StepLeaf.of(commitment.root, outcome.loss, outcome.grad_norm))
            self._entries.append(commitment.entries)
            if (position + 1) % self._spacing == 0 and position + 1 < self.steps:
                self._states[position + 1] = training.state
        return leaves

    def _take_step(self, training: Training, position: int) -> None:
        before = self._outcomes[position - 1] if position else None
        outcome = training.take_step(self._job, position, before, self._cheat)[1]
        if position == len(self._outcomes):
            self._outcomes.append(outcome)

    def _get_state(self, step: int) -> dict[str, Array]:
        """S_step itself, from the nearest state that is kept."""
        self.history()
        near = max((kept for kept in self._states if kept <= step), default=0)
        first, state = self._last if near < self._last[0] <= step else (near, self._states[near])
        training = Training(self._executor, self._dataset, state)
        for position in range(first, step):
            self._take_step(training, position)
        self._last = (step, training.state)
        return training.state

    def _get_inputs(self, runner: NodeRunner, step: int) -> Inputs:
        number = self.first_step + step
        batch = self._cheat.bend_batch(self._dataset.batch(self._job.unit_seed, number), step, self.steps)
        key = derive_key(self._job.unit_seed, STEP_PURPOSE)
        return runner.collect(self._get_state(step), batch, key, number)

    def _make_runner(self, step: int) -> NodeRunner:
        return NodeRunner(self.graph, self._cheat.find_flipped(self.graph, step, self.steps))

    def _trace(self, step: int) -> list[Hash32]:
        runner, roots = self._make_runner(step), []
        compute_root = get_hasher().compute_tensor_root
        try:
            for _, value in runner.iterate(self._get_inputs(runner, step)):
                roots.append(compute_root(with_one_nan(value)))  # noqa: PERF401 - those before the unit's end count
        except ExactError:
            pass
        return roots

    def _compute(self, step: int, node: int) -> list[Array]:
        """The values that a node reads, and its own unless the unit ends there."""
        return self._values.find((step, node), lambda: self._compute_anew(step, node))

    def _compute_anew(self, step: int, node: int) -> list[Array]:
        runner, read = self._make_runner(step), self.graph.nodes[node].inputs
        inputs = self._get_inputs(runner, step)
        try:
            values = runner.compute(inputs, {*read, node})
        except ExactError:
            values = runner.compute(inputs, set(read))
        return [np.asarray(values[i]) for i in (*read, node) if i in values]


