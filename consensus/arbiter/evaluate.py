"""One node of an execution, place by place: what a player of a dispute claims, and the operands that it opens.

Trees of partials are made on demand and kept, so that a walk from a tile to a leaf costs one row of tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from consensus.arbiter.compute import check_node, compute_place
from consensus.arbiter.geometry import elements_of, tile_region
from consensus.arbiter.opening import Opened, Opening, compute_claim_hash
from consensus.arbiter.operands import Operands, UnitEnds, write, write_tile
from consensus.arbiter.statement import Element, Input, Operand, Outcome, Place, Source, Statement, Tile
from consensus.commit.hashing import Hash32
from consensus.commit.merkle import compute_proof_of_hashes, compute_root_of_hashes
from consensus.commit.tensor import TensorForm, compute_form, compute_tensor_root_of_hashes, compute_tile_hashes
from consensus.exact.values import with_one_nan
from consensus.graph.node import Node

Array = npt.NDArray[Any]
Compute = Callable[[Statement, Operands], bytes]
"""How a place is computed: `consensus.arbiter.compute.compute_place`, or the same on another machine."""


def read_tile(array: Array, form: TensorForm, tile: int) -> bytes:
    """A tile as it is committed in a trace: padded with zeros, NaNs canonical."""
    return write_tile(array.reshape(-1)[elements_of(form, tile_region(form, tile))])


class _Recorder:
    """Passes operands on and remembers them."""

    def __init__(self, operands: Operands) -> None:
        self._operands = operands
        self.taken: list[Operand] = []

    def take(self, source: Source, size: int) -> bytes:
        self.taken.append(Operand(source, self._operands.take(source, size)))
        return self.taken[-1].data


class Evaluation:
    """A node with the whole tensors that it reads. Raises `BadNode`.

    With its ``output``, tiles and elements are read off that, so that only the partials of what is asked are computed.
    """

    def __init__(
        self, node: Node, inputs: Sequence[Array], compute: Compute = compute_place, output: Array | None = None
    ) -> None:
        self.node = node
        self.output = None if output is None else np.asarray(output, order="C")
        self.inputs = [np.asarray(array, order="C") for array in inputs]
        self.forms = tuple(compute_form(array) for array in self.inputs)
        check_node(node, self.forms)
        self._compute = compute
        self._known: dict[Place, bytes] = {}
        self._hashes: dict[int, list[Hash32]] = {}

    def state(self, place: Place) -> Statement:
        """The statement about a place."""
        return Statement(self.node, self.forms, place)

    def value(self, place: Place) -> Outcome:
        """The right bytes of a place, or how the unit ends there. Raises an `ArbiterError`."""
        try:
            return self._value(place)
        except UnitEnds as end:
            return end.ending

    def operands(self, place: Place) -> list[Operand]:
        """What `compute` needs for a place, as this execution has it; up to the operand that ends the unit."""
        recorder = _Recorder(self)
        with suppress(UnitEnds):
            compute_place(self.state(place), recorder)
        return recorder.taken

    def roots(self) -> tuple[Hash32, ...]:
        """Tensor roots of the inputs, NaNs canonical: those of a trace."""
        hashes = (self._tile_hashes(number) for number in range(len(self.inputs)))
        return tuple(map(compute_tensor_root_of_hashes, self.forms, hashes))

    def claims(self, place: Place) -> tuple[Hash32, ...]:
        """This execution's word on every claim that a place needs, in order."""
        operands = self.operands(place)
        return tuple(compute_claim_hash(o.source, o.data) for o in operands if not isinstance(o.source, Input))

    def open(self, place: Place, node_siblings: Sequence[Hash32]) -> Opening:
        """The opening of a place; ``node_siblings`` lead from the node to the graph root."""
        inner = tuple(compute_root_of_hashes(self._tile_hashes(number)) for number in range(len(self.inputs)))
        operands = tuple(Opened(o.source, o.data, self._siblings(o.source)) for o in self.operands(place))
        return Opening(self.state(place), tuple(node_siblings), inner, operands)

    def _siblings(self, source: Source) -> tuple[Hash32, ...]:
        if not isinstance(source, Input):
            return ()
        return compute_proof_of_hashes(self._tile_hashes(source.input), source.tile).siblings

    def _tile_hashes(self, number: int) -> list[Hash32]:
        if number not in self._hashes:
            self._hashes[number] = compute_tile_hashes(with_one_nan(self.inputs[number]))
        return self._hashes[number]

    def take(self, source: Source, size: int) -> bytes:
        """An operand (`Operands`)."""
        if isinstance(source, Input):
            return read_tile(self.inputs[source.input], self.forms[source.input], source.tile)
        return self._value(source)

    def _value(self, place: Place) -> bytes:
        if self.output is not None and isinstance(place, Tile):
            return read_tile(self.output, compute_form(self.output), place.tile)
        if self.output is not None and isinstance(place, Element):
            return write(self.output.reshape(-1)[place.element : place.element + 1])
        if place not in self._known:
            self._known[place] = self._compute(self.state(place), self)
        return self._known[place]
