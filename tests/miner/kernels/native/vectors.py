"""The golden vectors of one op as one graph, so that a backend compiles once an op."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from consensus.graph import Graph, GraphBuilder
from tests.consensus.exact.vectors import Case, parse, parse_node

Array = npt.NDArray[Any]
Inputs = dict[tuple[str, str], Array]


def make_graph(cases: list[Case]) -> Graph:
    """Case i reads the inputs ``x{i}_{j}`` and gives the result ``y{i}``."""
    builder = GraphBuilder()
    for i, case in enumerate(cases):
        node, operands = parse_node(case), []
        for j, tensor in enumerate(case["inputs"]):
            kind, name, dtype, shape = "batch", f"x{i}_{j}", tensor["dtype"], tuple(tensor["shape"])
            if node.op == "uniform":
                kind, name = ("seed", "seed") if j == 0 else ("step", "step")
            operands.append(builder.input(kind, name, dtype, shape))
        value = builder.add(node.op, *operands, attrs=dict(node.attrs), dtype=node.dtype, shape=node.shape)
        builder.output("result", f"y{i}", value)
    return builder.finish()


def make_inputs(cases: list[Case], only: int | None = None) -> Inputs:
    """Operands of all cases; with ``only``, those of the others are zeros, which no op refuses."""
    inputs: Inputs = {}
    for i, case in enumerate(cases):
        for j, tensor in enumerate(case["inputs"]):
            values = parse(tensor)
            inputs[("batch", f"x{i}_{j}")] = values if only in (None, i) else np.zeros_like(values)
    return inputs
