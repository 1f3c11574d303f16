"""Nodes to arbitrate, each in a small graph: its inputs as `input` nodes, then the node."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from consensus.arbiter import Agreed, Evaluation, Opening
from consensus.arbiter.compute import compute_place
from consensus.arbiter.evaluate import Compute
from consensus.arbiter.statement import Input, Operand, Place, Statement, Tile
from consensus.commit.merkle import MerkleProof, compute_proof, compute_root
from consensus.commit.tensor import TensorForm
from consensus.graph.node import Node
from tests.consensus.exact.vectors import FILE, NAMES, REFUSALS, Case, parse, parse_node

Array = npt.NDArray[Any]
CASES: list[Case] = json.loads(FILE.read_text())
REFUSED: list[Case] = json.loads(REFUSALS.read_text())


class Question:
    """A node that both sides agree to dispute, and its honest execution.

    It is node ``index`` of ``nodes``; without these it stands behind its inputs in a graph made up for it.
    """

    def __init__(
        self,
        node: Node,
        inputs: list[Array],
        compute: Compute = compute_place,
        nodes: Sequence[Node] | None = None,
        index: int | None = None,
    ) -> None:
        if nodes is None:
            nodes = [*(_input_node(node.op, number, values) for number, values in enumerate(inputs)), node]
        leaves = [other.to_bytes() for other in nodes]
        self.node = node
        self.evaluation = Evaluation(node, inputs, compute)
        self.graph_root = compute_root(leaves)
        self.proof: MerkleProof = compute_proof(leaves, len(leaves) - 1 if index is None else index)
        self.form = TensorForm(node.dtype, node.shape)

    def agree(self, place: Place) -> Agreed:
        """What the chain has stored when the honest side's claims are agreed."""
        roots, claims = self.evaluation.roots(), self.evaluation.claims(place)
        return Agreed(self.graph_root, self.proof.leaf_count, self.proof.index, roots, claims)

    def open(self, place: Place) -> Opening:
        """The honest opening."""
        return self.evaluation.open(place, self.proof.siblings)

    def walk(self) -> Iterator[Place]:
        """Every place of every tile, once, each tile's own after what it needs."""
        seen: set[Place] = set()
        for tile in range(self.form.tile_count):
            yield from self._below(Tile(tile), seen)

    def _below(self, place: Place, seen: set[Place]) -> Iterator[Place]:
        if place in seen:
            return
        seen.add(place)
        for operand in self.evaluation.operands(place):
            if not isinstance(operand.source, Input):
                yield from self._below(operand.source, seen)
        yield place

    def path(self, tile: int, last: bool) -> Iterator[Place]:
        """A tile and what is below it: at each place the first or the last claim."""
        place: Place | None = Tile(tile)
        while place is not None:
            yield place
            claims = [o.source for o in self.evaluation.operands(place) if not isinstance(o.source, Input)]
            place = claims[-1 if last else 0] if claims else None

    def put(self, place: Place) -> tuple[Statement, list[Operand]]:
        """Arguments of `compute`."""
        return self.evaluation.state(place), self.evaluation.operands(place)


def _input_node(op: str, number: int, values: Array) -> Node:
    kind = "seed" if values.dtype == np.uint32 else "step" if op == "uniform" else "batch"
    return Node("input", (), NAMES[values.dtype.name], values.shape, {"kind": kind, "name": f"x{number}"})


def ask(case: Case) -> Question:
    """The question of a golden vector."""
    return Question(parse_node(case), [parse(tensor) for tensor in case["inputs"]])
