"""The slow, obvious execution of a graph: each node by its NumPy definition. Fast executors must give these bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from consensus.commit.tensor import compute_tensor_root
from consensus.exact.values import with_one_nan
from consensus.graph.graph import Graph
from consensus.graph.ops import OPS

Array = npt.NDArray[Any]


def run_nodes(graph: Graph, inputs: Mapping[tuple[str, str], Array]) -> list[Array]:
    """The values of all nodes in one step, in order.

    ``inputs`` by (kind, name), of the declared dtypes and shapes (the caller has checked them).
    Raises an `ExactError` such as `NonFiniteState`.
    """
    values: list[Array] = []
    for node in graph.nodes:
        run = OPS[node.op].run
        if run is None:
            values.append(inputs[(str(node.attrs["kind"]), str(node.attrs["name"]))])
        else:
            values.append(np.asarray(run(node, [values[i] for i in node.inputs])))
    return values


def run_reference(graph: Graph, inputs: Mapping[tuple[str, str], Array]) -> dict[tuple[str, str], Array]:
    """The outputs of one step, by (kind, name); otherwise as `run_nodes`."""
    return {
        (str(node.attrs["kind"]), str(node.attrs["name"])): np.asarray(value, order="C")
        for node, value in zip(graph.nodes, run_nodes(graph, inputs), strict=True)
        if node.op == "output"
    }


def compute_value_root(value: Array) -> bytes:
    """The tensor root of a node's value, by which executions compare it; every NaN counts as the one of rule E8."""
    return compute_tensor_root(with_one_nan(value))
