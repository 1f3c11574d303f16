"""Errors of graphs.

    GraphError
    ├── MalformedGraph      not canonical JSON of the documented form
    ├── UnknownOp           an op outside exact/v1
    ├── CyclicGraph         a node reads itself or a later node
    ├── NotCanonical        nodes in another order than the canonical one, dead or repeated nodes
    ├── WrongShape          a shape or dtype that the op's rule does not give
    ├── BadAttributes       a missing, unknown or illegal attribute
    ├── HugeShape           a tensor beyond the limits
    ├── TooManyNodes        more nodes than a graph may have, or more inputs than a node
    ├── TooManyMacs         a step of a higher cost than the limit
    ├── InexactNode         a reduction whose integers could pass 2^53
    └── WrongSignature      inputs and outputs that make no step of a known purpose
"""

from __future__ import annotations

MESSAGE_LENGTH = 400
"""Most characters of a message: what a stranger sent is not repeated at any length."""


class GraphError(Exception):
    """Base of every refusal of a graph. ``node`` is the index of the offending node, or None."""

    def __init__(self, message: str, node: int | None = None) -> None:
        self.node = node
        shown = message if len(message) <= MESSAGE_LENGTH else message[:MESSAGE_LENGTH] + " …"
        super().__init__(shown if node is None else f"node {node}: {shown}")


class MalformedGraph(GraphError):
    """The bytes are not the canonical JSON of a graph; make them with `Graph.to_bytes`."""


class UnknownOp(GraphError):
    """The op is not in exact/v1."""


class CyclicGraph(GraphError):
    """A node reads itself or a later node; nodes must come after their inputs."""


class NotCanonical(GraphError):
    """Nodes stand in another order than the canonical one, or are dead or repeated; see `GraphBuilder.finish`."""


class WrongShape(GraphError):
    """The operands or the declared result have a shape or dtype that the op's rule refuses."""


class BadAttributes(GraphError):
    """An attribute is missing, unknown or outside its range."""


class HugeShape(GraphError):
    """A tensor has more elements, or more dimensions, than the limits allow."""


class TooManyNodes(GraphError):
    """The graph has more nodes, or a node more inputs, than the limit."""


class TooManyMacs(GraphError):
    """A step costs more MACs than the limit; split it into smaller steps (batch, accumulation)."""


class InexactNode(GraphError):
    """A reduction is so long that its integers could pass 2^53."""


class WrongSignature(GraphError):
    """Inputs and outputs do not make a training, evaluation or inference step."""
