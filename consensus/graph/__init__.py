"""The committed graph: a unit of work is a static graph, not a program (DESIGN §2).

`Graph.from_bytes` is the only way in for bytes of others; `Graph.root` stands on chain; `Graph.macs` is the price's
measure; `reference.run_reference` executes node by node with the definitions of `consensus.exact`.
"""

from consensus.graph.builder import GraphBuilder
from consensus.graph.errors import GraphError
from consensus.graph.graph import Graph, Signature, TensorSpec
from consensus.graph.node import Node

__all__ = ["Graph", "GraphBuilder", "GraphError", "Node", "Signature", "TensorSpec"]
