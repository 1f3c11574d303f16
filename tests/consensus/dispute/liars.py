"""Liars: executions that differ from the honest one somewhere, and go on consistently from there if they can.

Each class says what it lies about; ``step`` counts in the segment. A liar's record, history, traces and tiles all
follow from its lie, so that it has an answer to every pick until the one that no answer saves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from consensus.arbiter.evaluate import Evaluation
from consensus.arbiter.geometry import elements_of, tile_region
from consensus.arbiter.operands import read_array
from consensus.arbiter.statement import Partial, Quantity, Tile
from consensus.commit.hashing import Hash32, blake2_256
from consensus.commit.records import StepOutcome
from consensus.commit.tensor import compute_form
from consensus.dispute.defender import answer
from consensus.dispute.execution import StepLeaf
from consensus.dispute.moves import Move
from consensus.dispute.proofs import is_useful
from consensus.dispute.view import GameView, Side
from consensus.exact.errors import ExactError
from consensus.graph import Graph, Node
from tests.consensus.arbiter.test_disputes import Liar
from tests.consensus.dispute.memory import Array, MemoryExecution, State, Task


def find(graph: Graph, op: str, number: int = 0) -> int:
    """The number-th node of an op."""
    return [index for index, node in enumerate(graph.nodes) if node.op == op][number]


def turn_bit(array: Array) -> Array:
    """The array with one bit turned in its element of largest magnitude: of an f32 one of the exponent.

    It is a bit that leaves indices within their tables.
    """
    turned = np.array(array, order="C", copy=True)
    largest = int(np.abs(turned.astype(np.float64)).argmax())
    view = turned.reshape(-1)[largest:][:1].view(np.uint8)
    view[3 if turned.dtype == np.float32 else 0] ^= 1 if turned.dtype in (np.float32, np.bool_) else 2
    return turned


class BitLiar(MemoryExecution):
    """One turned bit in one element of a node's value.

    Grids round many a bit away; so that the segment is wrong in any case, the step's loss is another one too.
    """

    where: tuple[int, int]

    def __init__(self, task: Task, segment: int, start: State | None, step: int, node: int) -> None:
        self.where = (step, node)
        super().__init__(task, segment, start)

    def compute(self, step: int, index: int, node: Node, operands: list[Array]) -> Array:
        value = super().compute(step, index, node, operands)
        return turn_bit(value) if (step, index) == self.where else value

    def outcome(self, step: int) -> StepOutcome:
        right = super().outcome(step)
        wrong = float(np.nextafter(np.float32(right.loss), np.float32(0.5)))
        return replace(right, loss=wrong) if step == self.where[0] else right


class PlaceLiar(BitLiar):
    """One turned bit in a partial of a reduction or product, from which the tile above it is computed."""

    def __init__(
        self, task: Task, segment: int, start: State | None, step: int, node: int, place: Partial, tile: int
    ) -> None:
        self.place, self.tile = place, tile
        self.liar: Evaluation | None = None
        super().__init__(task, segment, start, step, node)

    def compute(self, step: int, index: int, node: Node, operands: list[Array]) -> Array:
        value = MemoryExecution.compute(self, step, index, node, operands)
        if (step, index) != self.where:
            return value
        wrong, form = np.array(value, order="C"), compute_form(value)
        self.liar = Liar(Evaluation(node, operands), self._lie)
        data = self.liar.value(Tile(self.tile))
        region = tile_region(form, self.tile)
        assert isinstance(data, bytes)
        tile = read_array(data, form).reshape(32, 32)[: region.height, : region.width]
        wrong.reshape(-1)[elements_of(form, region)] = tile
        return wrong

    def _lie(self, place: object, value: bytes) -> bytes:
        if place != self.place:
            return value
        if self.place.quantity is not Quantity.SUM:  # one that no value exceeds, so that it only makes grids coarser
            factor = np.float32(4 if self.liar and self.liar.node.op == "amax" else 1024)
            return np.asarray(np.frombuffer(value, np.float32) * factor).tobytes()
        return value[:2] + bytes([value[2] ^ 0x40]) + value[3:]

    def evaluation(self, step: int, node: int) -> Evaluation:
        if (step, node) == self.where and self.liar is not None:
            return self.liar
        return super().evaluation(step, node)


class InputLiar(MemoryExecution):
    """One turned bit in what an input is fed with: a state tensor, a batch, the seed, the step's number."""

    def __init__(self, task: Task, segment: int, start: State | None, step: int, kind: str, name: str) -> None:
        self.where = (step, kind, name)
        super().__init__(task, segment, start)

    def fed(self, number: int) -> Mapping[tuple[str, str], Array]:
        inputs = dict(super().fed(number))
        step, kind, name = self.where
        if number == step:
            inputs[(kind, name)] = turn_bit(inputs[(kind, name)])
        return inputs


class OtherBatchLiar(MemoryExecution):
    """The batch of another step."""

    def fed(self, number: int) -> Mapping[tuple[str, str], Array]:
        other = self.task.batch(self.seed, self.first_step + number + 1)
        return {**super().fed(number), **{("batch", name): array for name, array in other.items()}}


class StateLiar(MemoryExecution):
    """A state after a step that the trace does not give: ``change`` makes it of the right one and the one before."""

    def __init__(
        self, task: Task, segment: int, start: State | None, step: int, change: Callable[[State, State], State]
    ) -> None:
        self.step, self.change = step, change
        super().__init__(task, segment, start)

    def next_state(self, step: int, state: State) -> State:
        return self.change(dict(state), self.states[-1]) if step == self.step else state


def turn_tensor(name: str, state: State, before: State) -> State:
    """One turned bit in a tensor."""
    return state | {name: turn_bit(state[name])}


def keep_tensor(name: str, state: State, before: State) -> State:
    """The tensor as it was, although the step has an output for it."""
    return state | {name: before[name]}


class OutcomeLiar(MemoryExecution):
    """Another loss or gradient norm than the trace has."""

    def __init__(self, task: Task, segment: int, start: State | None, step: int, **wrong: float) -> None:
        self.step, self.wrong = step, wrong
        super().__init__(task, segment, start)

    def outcome(self, step: int) -> StepOutcome:
        right = super().outcome(step)
        return replace(right, **self.wrong) if step == self.step else right


class EndlessLiar(MemoryExecution):
    """Goes on with zeros where the unit ends."""

    def compute(self, step: int, index: int, node: Node, operands: list[Array]) -> Array:
        try:
            return super().compute(step, index, node, operands)
        except ExactError:
            return np.zeros(node.shape, np.float32)


class MadeUpLeaf(MemoryExecution):
    """A leaf of the history that nobody computed."""

    def leaf(self, step: int) -> StepLeaf:
        return replace(super().leaf(step), state=blake2_256(b"made up")) if step == 1 else super().leaf(step)


class MadeUpTile(MemoryExecution):
    """A tile of a node's value of which only a hash exists: trees combine, but no tile hashes to it."""

    node, tile = 23, 7

    def tiles(self, step: int, node: int) -> list[Hash32]:
        hashes = list(super().tiles(step, node))
        if (step, node) == (2, self.node):
            hashes[self.tile] = blake2_256(b"made up")
        return hashes

    def leaf(self, step: int) -> StepLeaf:
        return replace(super().leaf(step), loss=0) if step == 2 else super().leaf(step)


class MadeUpNode(MadeUpTile):
    """A leaf of the trace that is no tensor root."""

    def tiles(self, step: int, node: int) -> list[Hash32]:
        return MemoryExecution.tiles(self, step, node)

    def trace(self, step: int) -> list[Hash32]:
        roots = list(super().trace(step))
        if step == 2:
            roots[self.node] = blake2_256(b"made up")
        return roots


def meddle(execution: MemoryExecution, **changes: Callable[[Any], Any]) -> Callable[[GameView], Move | None]:
    """A defender that changes fields of its moves: ``meddle(e, inner_root=f)`` gives ``f(inner_root)`` for it.

    What the chain would refuse it does not send.
    """

    def player(view: GameView) -> Move | None:
        move = answer(execution, view)
        found = {name: change for name, change in changes.items() if hasattr(move, name)}
        move = move and replace(move, **{name: change(getattr(move, name)) for name, change in found.items()})
        return move if move and is_useful(view, move, Side.DEFENDER) else None

    return player
