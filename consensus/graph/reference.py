"""The slow, obvious execution of a graph: each node by its NumPy definition. Fast executors must give these bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from consensus.graph.graph import Graph
from consensus.graph.ops import OPS

Array = npt.NDArray[Any]


def run_reference(graph: Graph, inputs: Mapping[tuple[str, str], Array]) -> dict[tuple[str, str], Array]:
    """Execute one step.

    ``inputs`` by (kind, name), of the declared dtypes and shapes (the caller has checked them); so is the result.
    Raises an `ExactError` such as `NonFiniteState`.
    """
    values: list[Array] = []
    results: dict[tuple[str, str], Array] = {}
    for node in graph.nodes:
        run = OPS[node.op].run
        if run is None:
            value = inputs[(str(node.attrs["kind"]), str(node.attrs["name"]))]
        else:
            value = np.asarray(run(node, [values[i] for i in node.inputs]))
        values.append(value)
        if node.op == "output":
            results[(str(node.attrs["kind"]), str(node.attrs["name"]))] = np.asarray(value, order="C")
    return results
