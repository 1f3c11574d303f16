"""Errors of graphs.

    GraphError
    ├── MalformedGraph      not canonical JSON of the documented form
    ├── UnknownOp           an op outside exact/v1
    ├── CyclicGraph         a node reads itself or a later node
    ├── WrongShape          a shape or dtype that the op's rule does not give
    ├── BadAttributes       a missing, unknown or illegal attribute
    ├── HugeShape           a tensor beyond the limits
    ├── TooManyNodes        more nodes than a graph may have
    ├── InexactNode         a reduction whose integers could pass 2^53
    └── WrongSignature      inputs and outputs that make no training step
"""

from __future__ import annotations


class GraphError(Exception):
    """Base of every refusal of a graph. ``node`` is the index of the offending node, or None."""

    def __init__(self, message: str, node: int | None = None) -> None:
        self.node = node
        super().__init__(message if node is None else f"node {node}: {message}")


class MalformedGraph(GraphError):
    """The bytes are not the canonical JSON of a graph; make them with `Graph.to_bytes`."""


class UnknownOp(GraphError):
    """The op is not in exact/v1."""


class CyclicGraph(GraphError):
    """A node reads itself or a later node; nodes must come after their inputs."""


class WrongShape(GraphError):
    """The operands or the declared result have a shape or dtype that the op's rule refuses."""


class BadAttributes(GraphError):
    """An attribute is missing, unknown or outside its range."""


class HugeShape(GraphError):
    """A tensor has more elements, or more dimensions, than the limits allow."""


class TooManyNodes(GraphError):
    """The graph has more nodes than the limit."""


class InexactNode(GraphError):
    """A reduction is so long that its integers could pass 2^53."""


class WrongSignature(GraphError):
    """Inputs and outputs do not make a training step."""
