"""The canonical order of a graph's nodes: one graph of a computation's nodes, hence one root.

1. Nodes ``input`` come first, ascending by (kind, name). An input that nobody reads may stand.
2. Then the operations as a depth-first walk finds them: for each output, ascending by (kind, name), what it names; an
   operation stands after all that it reads, first input first, and is written down when it is first complete.
   An operation that no output needs is dead and does not stand.
3. Nodes ``output`` come last, ascending by (kind, name).
4. No two nodes are equal in op, inputs, dtype, shape and attributes.

Strings ascend by Unicode code point, which is the order of their UTF-8 bytes. Another order of the same nodes would
compute the same, but it is refused: nobody may be paid twice for a node, or for one that has no effect.
"""

from __future__ import annotations

from collections.abc import Sequence

from consensus.graph.errors import NotCanonical
from consensus.graph.node import Node


def compute_order(nodes: Sequence[Node], outputs: Sequence[Node]) -> list[int]:
    """Indices of the live nodes (inputs and operations, no outputs) of ``nodes`` in canonical order.

    ``outputs`` are the output nodes in any order; every node reads only earlier ones. Time linear in all inputs.
    """
    inputs = [index for index, node in enumerate(nodes) if node.op == "input"]
    order = sorted(inputs, key=lambda index: name_key(nodes[index]))
    done = set(order)
    stack = [node.inputs[0] for node in sorted(outputs, key=name_key, reverse=True)]
    while stack:
        index = stack[-1]
        waiting = [i for i in reversed(nodes[index].inputs) if i not in done]
        if index in done or not waiting:
            if index not in done:
                done.add(index)
                order.append(index)
            stack.pop()
        else:
            stack.extend(waiting)
    return order


def name_key(node: Node) -> tuple[str, str]:
    """(kind, name) of an input or output, by which they ascend."""
    return str(node.attrs["kind"]), str(node.attrs["name"])


def check_order(nodes: Sequence[Node]) -> None:
    """Raise `NotCanonical` unless the nodes of a graph (whose other rules hold) stand in canonical order."""
    outputs = [node for node in nodes if node.op == "output"]
    body = len(nodes) - len(outputs)
    for index, node in enumerate(nodes):
        if (node.op == "output") != (index >= body):
            raise NotCanonical("outputs must come last, and nothing else after them", index)
    order = compute_order(nodes[:body], outputs)
    for index, place in enumerate(order):
        if place != index:
            raise NotCanonical(f"node {place} belongs here, or this one is dead", index)
    if len(order) < body:
        raise NotCanonical("no output needs this node", len(order))
    names = [name_key(node) for node in outputs]
    if names != sorted(names):
        raise NotCanonical("outputs must ascend by kind and name", body)
    seen: dict[object, int] = {}
    for index, node in enumerate(nodes):
        key = (node.op, node.inputs, node.dtype, node.shape, tuple(sorted(node.attrs.items())))
        if seen.setdefault(key, index) != index:
            raise NotCanonical(f"the same as node {seen[key]}", index)
