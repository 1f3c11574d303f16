"""One step node by node, by the NumPy backend's kernels: the values behind a trace, of which fused programs show none.

Same bytes as any backend. Values are dropped after their last use, so that memory stays that of a step.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
from consensus.commit.state import State
from consensus.commit.tensor import Array
from consensus.exact.values import check_finite
from consensus.graph import Graph

from miner.kernels.fast import Kernel, make_kernel
from miner.kernels.inputs import collect_inputs
from miner.kernels.selftest import verify_backend

FLIPPED_BIT = np.uint32(1 << 22)
"""The top bit of an f32's mantissa (= 4,194,304): no grid of exact/v1 rounds it away in a tensor's largest value."""

Inputs = Mapping[tuple[str, str], Array]
"""A step's tensors by (kind, name) of their input nodes."""


class NodeRunner:
    """A graph whose nodes are computed one by one. `flipped`: a node of f32 whose value has one wrong bit (devnets)."""

    def __init__(self, graph: Graph, flipped: int | None = None) -> None:
        """Raises `SelfTestFailed` when the kernels fail their known-answer test on this machine."""
        verify_backend("numpy")
        self.graph, self._flipped = graph, flipped
        self._signature = graph.signature()
        self._kernels: dict[int, Kernel] = {
            index: make_kernel(node) for index, node in enumerate(graph.nodes) if node.op not in ("input", "output")
        }

    def collect(self, state: State, batch: State, seed: tuple[int, int], step: int) -> Inputs:
        """Inputs of a step by (kind, name); raises `WrongInput`."""
        return collect_inputs(self._signature, state, batch, seed, step)

    def iterate(self, inputs: Inputs) -> Iterator[tuple[int, Array]]:
        """Every node's index and value in order; raises `NonFiniteState`, `IndexOutOfRange` at the node where the unit
        ends."""
        last = list(range(len(self.graph.nodes)))
        for index, node in enumerate(self.graph.nodes):
            for i in node.inputs:
                last[i] = index
        values: dict[int, Array] = {}
        for index, node in enumerate(self.graph.nodes):
            values[index] = self._compute(index, values, inputs)
            yield index, values[index]
            for i in {*node.inputs, index}:
                if last[i] <= index:
                    del values[i]

    def compute(self, inputs: Inputs, wanted: Collection[int]) -> dict[int, Array]:
        """Values of some nodes, for which only those are computed that they need; raises as `iterate`."""
        uses: dict[int, int] = dict.fromkeys(wanted, 1)
        for index in range(max(wanted, default=-1), -1, -1):
            if index in uses:
                for i in self.graph.nodes[index].inputs:
                    uses[i] = uses.get(i, 0) + 1
        values: dict[int, Array] = {}
        for index in sorted(uses):
            values[index] = self._compute(index, values, inputs)
            for i in self.graph.nodes[index].inputs:
                uses[i] -= 1
                if not uses[i]:
                    del values[i]
        return values

    def step(
        self, state: State, batch: State, seed: tuple[int, int], step: int
    ) -> tuple[dict[str, Array], np.float32, np.float32]:
        """A whole training step: new state, loss, gradient norm, as an executor gives them."""
        outputs: dict[tuple[str, str], Array] = {}
        for index, value in self.iterate(self.collect(state, batch, seed, step)):
            node = self.graph.nodes[index]
            if node.op == "output":
                outputs[str(node.attrs["kind"]), str(node.attrs["name"])] = value
        new_state = {name: outputs["state", name] for name in self._signature.state}
        return new_state, np.float32(outputs["loss", "loss"]), np.float32(outputs["grad_norm", "grad_norm"])

    def _compute(self, index: int, values: Mapping[int, Array], inputs: Inputs) -> Array:
        node = self.graph.nodes[index]
        if node.op == "input":
            value: Any = inputs[str(node.attrs["kind"]), str(node.attrs["name"])]
        elif node.op == "output":
            value = values[node.inputs[0]]
            check_finite(value, f"output {node.attrs['kind']} {node.attrs['name']}")
        else:
            with np.errstate(all="ignore"):
                value = self._kernels[index](*(values[i] for i in node.inputs))
        value = np.asarray(value, order="C")
        return flip_bit(value) if index == self._flipped else value


def flip_bit(value: Array) -> Array:
    """A copy of an f32 tensor with one bit of its largest value flipped, NaNs aside."""
    flipped = value.copy()
    place = int(np.nanargmax(np.abs(flipped)))
    flipped.reshape(-1).view(np.uint32)[place] ^= FLIPPED_BIT
    return flipped
