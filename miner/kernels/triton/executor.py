"""The executor on a GPU: as `miner.kernels.Executor`, with a state that stays on the device until somebody reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from consensus.graph import Graph

from miner.kernels.errors import WrongPurpose
from miner.kernels.inputs import check_tensors, collect_others
from miner.kernels.triton.layout import DeviceState
from miner.kernels.triton.program import TritonProgram
from miner.kernels.triton.selftest import verify_triton

Array = npt.NDArray[Any]


class TritonExecutor:
    """Executes one graph of a training step. Same bytes as any other backend."""

    def __init__(self, graph: Graph) -> None:
        """Plan the graph; kernels are compiled in the first step.

        Raises `SelfTestFailed` when this device's kernels give other bytes, `WrongPurpose` for another graph.
        """
        self.graph = graph
        self.signature = graph.signature()
        if self.signature.purpose != "train":
            raise WrongPurpose("train", self.signature.purpose)
        verify_triton()
        self._program = TritonProgram(graph)

    def step(
        self, state: Mapping[str, Array], batch: Mapping[str, Array], seed: tuple[int, int] | None = None, step: int = 0
    ) -> tuple[DeviceState, np.float32, np.float32]:
        """New state, loss and gradient norm.

        The state maps names to arrays, which are brought to the host when first asked for; it stays valid and unchanged
        for as long as it is held. Given back as the next step's state, nothing is copied. Raises `WrongInput`,
        `NonFiniteState`, `IndexOutOfRange`; what was given is never changed.
        """
        if not self._program.owns(state):
            check_tensors("state", self.signature.state, state)
        inputs = collect_others(self.signature, batch, seed, step)
        new, results = self._program.advance(state, inputs)
        return new, np.float32(results[("loss", "loss")]), np.float32(results[("grad_norm", "grad_norm")])
