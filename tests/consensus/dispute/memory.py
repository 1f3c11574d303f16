"""Executions in memory by the reference, honest and lying, and the units that they are of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from consensus.arbiter.evaluate import Evaluation
from consensus.commit.hashing import AccountId, Hash32, blake2_256
from consensus.commit.merkle import compute_root
from consensus.commit.records import (
    SegmentRecord,
    StepOutcome,
    compute_transcript_root,
    compute_witness,
    make_record,
)
from consensus.commit.state import StateEntry, compute_state_commitment
from consensus.commit.tensor import compute_form, compute_tensor_root_of_hashes, compute_tile_hashes
from consensus.dispute.execution import DataSet, StepLeaf
from consensus.dispute.view import DataRule, Unit
from consensus.exact.errors import ExactError
from consensus.exact.random import below, derive_key
from consensus.exact.values import with_one_nan
from consensus.graph import Graph, Node
from consensus.graph.ops import OPS

Array = npt.NDArray[Any]
State = dict[str, Array]
SOLVER = AccountId(bytes(range(32)))
SEED = blake2_256(b"unit seed of the dispute tests")


@dataclass(frozen=True, eq=False)
class Task:
    """A task's graph and data with the size of its segments."""

    graph: Graph
    data: DataSet
    start: State
    steps: int
    """Steps of a segment."""

    def batch(self, seed: bytes, step: int) -> dict[str, Array]:
        """The batch of a step of the unit, by the data rule."""
        specs, key = self.graph.signature().batch, derive_key(seed, "data order/v1")
        if not self.data.windows:
            arrays = {name: self.data.arrays[name] for name in specs}
            return {n: a[below(key, 0, step, specs[n].shape[0], len(a))] for n, a in arrays.items()}
        tokens, (size, length) = self.data.arrays["tokens"], specs["inputs"].shape
        drawn = below(key, 0, step, size, len(tokens) - length)
        window = tokens[drawn[:, None] + np.arange(length + 1)].astype(np.int64)
        return {"inputs": window[:, :-1].copy(), "targets": window[:, 1:].copy()}


@dataclass
class Step:
    """What a step has computed."""

    values: list[Array]
    outputs: dict[tuple[str, str], Array]
    ended: bool
    tiles: dict[int, list[Hash32]] = field(default_factory=dict)


class MemoryExecution:
    """An execution by the NumPy reference. A liar overrides what it lies about; what depends on it follows."""

    def __init__(self, task: Task, segment: int = 0, start: State | None = None, seed: Hash32 = SEED) -> None:
        self.task, self.graph, self.steps, self.seed = task, task.graph, task.steps, seed
        self.first_step = segment * task.steps
        self._start = task.start if start is None else start
        self.done: list[Step] = []
        self.states: list[State] = [self._start]
        self._entries: dict[int, Sequence[StateEntry]] = {}
        self._traces: dict[int, list[Hash32]] = {}
        for number in range(task.steps):
            self._run(number)
            if self.done[-1].ended:
                break

    def _run(self, number: int) -> None:
        step = Step([], {}, False)
        self.done.append(step)
        for index, node in enumerate(self.graph.nodes):
            try:
                value = self.compute(number, index, node, [step.values[i] for i in node.inputs])
            except ExactError:
                step.ended = True
                return
            step.values.append(np.asarray(value, order="C"))
            if node.op == "output":
                step.outputs[(str(node.attrs["kind"]), str(node.attrs["name"]))] = step.values[-1]
        old = self.states[-1]
        new = {name: step.outputs.get(("state", name), old[name]) for name in old}
        self.states.append(self.next_state(number, new))

    def next_state(self, step: int, state: State) -> State:
        """The state after a step, made of the outputs and of what no output changes."""
        return state

    def fed(self, number: int) -> Mapping[tuple[str, str], Array]:
        """What a step's inputs hold."""
        inputs: dict[tuple[str, str], Array] = {("state", n): a for n, a in self.states[number].items()}
        inputs |= {("batch", n): a for n, a in self.task.batch(self.seed, self.first_step + number).items()}
        inputs[("seed", "seed")] = np.array(derive_key(self.seed, "step/v1"), np.uint32)
        inputs[("step", "step")] = np.array(self.first_step + number, np.int64)
        return inputs

    def compute(self, step: int, index: int, node: Node, operands: list[Array]) -> Array:
        """The value of a node; raises `ExactError` where the unit ends."""
        run = OPS[node.op].run
        if run is None:
            return self.fed(step)[(str(node.attrs["kind"]), str(node.attrs["name"]))]
        return np.asarray(run(node, operands))

    @cached_property
    def _history(self) -> list[StepLeaf]:
        return [self.leaf(number) for number in range(len(self.states) - 1)]

    def outcome(self, step: int) -> StepOutcome:
        """Loss and gradient norm."""
        outputs = self.done[step].outputs
        return StepOutcome(float(outputs[("loss", "loss")]), float(outputs[("grad_norm", "grad_norm")]))

    def leaf(self, step: int) -> StepLeaf:
        """The history's leaf of a step."""
        outcome = self.outcome(step)
        return StepLeaf.of(compute_root_of_entries(self.state(step + 1)), outcome.loss, outcome.grad_norm)

    def history(self) -> Sequence[StepLeaf]:
        """See `Execution`; so are the others."""
        return self._history

    def state(self, step: int) -> Sequence[StateEntry]:
        if step not in self._entries:
            self._entries[step] = compute_state_commitment(self.states[step]).entries
        return self._entries[step]

    def trace(self, step: int) -> Sequence[Hash32]:
        if step not in self._traces:
            nodes = range(len(self.done[step].values))
            forms = [compute_form(self.value(step, node)) for node in nodes]
            self._traces[step] = [compute_tensor_root_of_hashes(forms[i], self.tiles(step, i)) for i in nodes]
        return self._traces[step]

    def value(self, step: int, node: int) -> Array:
        return self.done[step].values[node]

    def tiles(self, step: int, node: int) -> list[Hash32]:
        known = self.done[step].tiles
        if node not in known:
            known[node] = compute_tile_hashes(with_one_nan(self.value(step, node)))
        return known[node]

    def evaluation(self, step: int, node: int) -> Evaluation:
        values = self.done[step].values
        inputs = [values[i] for i in self.graph.nodes[node].inputs]
        return Evaluation(self.graph.nodes[node], inputs, output=values[node] if node < len(values) else None)

    def data(self) -> DataSet:
        return self.task.data


def compute_root_of_entries(entries: Sequence[StateEntry]) -> Hash32:
    """The state root of entries."""
    return compute_root([entry.encode() for entry in entries])


Run = Callable[[int, State | None], MemoryExecution]
"""Executes a segment from a start state (None: the task's)."""


@dataclass(frozen=True)
class Transcript:
    """A unit as its solver committed to it."""

    unit: Unit
    records: list[SegmentRecord]
    executions: list[MemoryExecution]


def make_transcript(task: Task, runs: Sequence[Run], seed: Hash32 = SEED) -> Transcript:
    """A unit of as many segments as there are runs, each committed to as its run says."""
    records: list[SegmentRecord] = []
    executions: list[MemoryExecution] = []
    start: State | None = None
    for index, run in enumerate(runs):
        execution = run(index, start)
        executions.append(execution)
        records.append(record_segment(execution, index))
        start = execution.states[-1]
    count = len(compute_state_commitment(task.start).entries)
    rule = DataRule(task.data.commitment.root, len(task.data.arrays), task.data.windows)
    root = compute_state_commitment(task.start).root
    unit = Unit(
        Hash32(task.graph.root()), len(task.graph.nodes), count, rule, task.steps, len(runs), seed, root,
        compute_transcript_root(records), SOLVER, records[-1].end_state_root,
    )  # fmt: skip
    return Transcript(unit, records, executions)


def commit_to(transcript: Transcript, records: list[SegmentRecord]) -> Transcript:
    """The unit with other records than those of its executions."""
    root, end = compute_transcript_root(records), records[-1].end_state_root
    unit = replace(transcript.unit, transcript_root=root, end=end)
    return Transcript(unit, records, transcript.executions)


def record_segment(execution: MemoryExecution, index: int) -> SegmentRecord:
    """A segment's record; the step records at its ends, which disputes do not read, are of no execution."""
    history = execution.history()
    witness = compute_witness([execution.outcome(step) for step in range(len(history))])
    states = (compute_root_of_entries(execution.state(0)), history[-1].state)
    return make_record(SOLVER, index, states, (blake2_256(b"first"), blake2_256(b"last")), witness)
