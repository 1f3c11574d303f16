"""What a party of a dispute knows: its own execution of one segment (a cheater's: what it says that it executed).

Players ask for what the game needs and for nothing else, so that an implementation may keep little and execute again
on demand: first the history, then one step, its trace, one node of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from consensus.arbiter.evaluate import Evaluation
from consensus.commit.hashing import Hash32, encode_f32, encode_hash, encode_u32
from consensus.commit.state import StateCommitment, StateEntry, compute_state_commitment
from consensus.commit.tensor import Array
from consensus.graph import Graph


@dataclass(frozen=True)
class StepLeaf:
    """What a step gives: a leaf of the segment's history."""

    state: Hash32
    """S_{i+1}, the root of the state after the step."""
    loss: int
    """The f32 bits (u32) of the loss."""
    grad_norm: int
    """The f32 bits (u32) of the gradient norm; 0, the bits of +0, where the graph has none."""

    @classmethod
    def of(cls, state: Hash32, loss: float, grad_norm: float) -> StepLeaf:
        """From floats that hold exact f32 values."""
        return cls(state, int.from_bytes(encode_f32(loss), "little"), int.from_bytes(encode_f32(grad_norm), "little"))

    def encode(self) -> bytes:
        """State root ‖ loss bits ‖ gradient norm bits (40 bytes): the leaf's data, and its SCALE."""
        return encode_hash(self.state) + encode_u32(self.loss, "loss") + encode_u32(self.grad_norm, "gradient norm")


@dataclass(frozen=True)
class DataSet:
    """The task's data set: what batches are drawn from."""

    arrays: Mapping[str, Array]
    """As they stand in the blob, whatever dtype of `consensus.commit.tensor.DTYPES` they have."""
    windows: bool
    """Rule: windows of the one array ``tokens``, or rows of every array."""

    @cached_property
    def commitment(self) -> StateCommitment:
        """Root and entries (ascending by name) of the arrays, committed like a state: `DataRule.root`."""
        return compute_state_commitment(self.arrays)


class Execution(Protocol):
    """One party's execution of one segment. Steps count from 0 in the segment, nodes as the graph has them.

    Where the unit ends (rule E8) in step i at node e, ``history`` has only the i steps before, ``trace(i)`` only the e
    nodes before, and ``evaluation(i, e)`` has no output.
    """

    graph: Graph
    """The committed graph of a step."""
    steps: int
    """Steps of the segment."""
    first_step: int
    """Number of the segment's first step over the unit."""

    def history(self) -> Sequence[StepLeaf]:
        """One leaf a step."""
        ...

    def state(self, step: int) -> Sequence[StateEntry]:
        """Entries of S_step, ascending by the name's bytes; step 0 is the segment's start, ``steps`` its end."""
        ...

    def trace(self, step: int) -> Sequence[Hash32]:
        """Tensor root of every node's value, inputs and outputs included, in order, NaNs canonical."""
        ...

    def value(self, step: int, node: int) -> Array:
        """A node's value; of an input what was fed to it. Only for nodes that ``trace`` has."""
        ...

    def tiles(self, step: int, node: int) -> Sequence[Hash32]:
        """Leaf hashes of that value's tiles, NaNs canonical: ``compute_tile_hashes(with_one_nan(value))``."""
        ...

    def evaluation(self, step: int, node: int) -> Evaluation:
        """A node that is no input, with the values that it reads, and with its own as ``output``."""
        ...

    def data(self) -> DataSet:
        """The task's data set."""
        ...
