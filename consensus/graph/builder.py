"""Builds graphs: common subexpressions are shared as nodes are added, dead ones dropped when the graph is finished."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from consensus.exact.matmul import DEFAULT_BITS
from consensus.graph.graph import Graph
from consensus.graph.node import Attribute, Node
from consensus.graph.ops import infer
from consensus.graph.order import compute_order, name_key

Shape = tuple[int, ...]


class GraphBuilder:
    """Collects nodes; values are the integers that its methods return.

    Every method raises a `GraphError` at once when the op's rule refuses its operands.
    """

    def __init__(self) -> None:
        self._nodes: list[Node] = []
        self._known: dict[bytes, int] = {}
        self._outputs: list[Node] = []

    def node(self, value: int) -> Node:
        """The node behind a value."""
        return self._nodes[value]

    def shape(self, value: int) -> Shape:
        """Shape of a value."""
        return self._nodes[value].shape

    def dtype(self, value: int) -> str:
        """Dtype of a value."""
        return self._nodes[value].dtype

    def add(
        self,
        op: str,
        *inputs: int,
        attrs: dict[str, Attribute] | None = None,
        dtype: str | None = None,
        shape: Shape | None = None,
    ) -> int:
        """Add an op, or find the same one; dtype and shape are given only where the op's rule needs them."""
        draft = Node(op, inputs, dtype or "", shape if shape is not None else (), attrs or {})
        found_dtype, found_shape = infer(draft, [self._nodes[i] for i in inputs])
        return self._intern(Node(op, inputs, found_dtype, found_shape, attrs or {}))

    def _intern(self, node: Node) -> int:
        key = node.to_bytes()
        if key not in self._known:
            self._known[key] = len(self._nodes)
            self._nodes.append(node)
        return self._known[key]

    def input(self, kind: str, name: str, dtype: str, shape: Shape) -> int:
        """A named input of kind state, batch, seed or step."""
        return self.add("input", attrs={"kind": kind, "name": name}, dtype=dtype, shape=shape)

    def output(self, kind: str, name: str, value: int) -> None:
        """Name a value as an output of kind state, loss, grad_norm or result."""
        node = self._nodes[value]
        self._outputs.append(Node("output", (value,), node.dtype, node.shape, {"kind": kind, "name": name}))

    def f32(self, value: float) -> int:
        """A scalar constant, rounded to f32."""
        bits = int(np.array(value, dtype=np.float32).view(np.uint32))
        return self.add("const", attrs={"value": f"{bits:08x}"}, dtype="f32")

    def i64(self, value: int) -> int:
        """An integer scalar constant."""
        return self.add("const", attrs={"value": str(value)}, dtype="i64")

    def reshape(self, value: int, shape: Shape) -> int:
        """Row-major reshape; nothing when the shape is the same."""
        if shape == self.shape(value):
            return value
        source = self._nodes[value]
        return self.add("reshape", source.inputs[0] if source.op == "reshape" else value, shape=shape)

    def expand(self, value: int, shape: Shape) -> int:
        """Broadcast to a shape; nothing when the shape is the same."""
        return value if shape == self.shape(value) else self.add("expand", value, shape=shape)

    def transpose(self, value: int, perm: Sequence[int]) -> int:
        """Permute the axes; nothing for the identity."""
        if list(perm) == list(range(len(perm))):
            return value
        return self.add("transpose", value, attrs={"perm": tuple(perm)})

    def slice(self, value: int, axis: int, start: int, stop: int, step: int = 1) -> int:
        """value[start:stop:step] along one axis; nothing when that is all of it."""
        if (start, stop, step) == (0, self.shape(value)[axis], 1):
            return value
        return self.add("slice", value, attrs={"axis": axis, "start": start, "stop": stop, "step": step})

    def reduce(self, op: str, value: int, axes: Sequence[int], keepdims: bool = True) -> int:
        """``sum`` or ``amax`` over axes (negative ones count from the end); over none: the value itself."""
        rank = len(self.shape(value))
        positive = tuple(sorted({a % rank for a in axes})) if rank else ()
        if not positive:
            return value
        result = self.add(op, value, attrs={"axes": positive})
        if keepdims:
            return result
        return self.reshape(result, tuple(n for a, n in enumerate(self.shape(value)) if a not in positive))

    def matmul(self, a: int, b: int, bits: int = DEFAULT_BITS) -> int:
        """Exact matrix product."""
        return self.add("matmul", a, b, attrs={"bits": bits})

    def cast(self, value: int, dtype: str) -> int:
        """Convert; nothing when the dtype is the same."""
        return value if self.dtype(value) == dtype else self.add("cast", value, dtype=dtype)

    def finish(self) -> Graph:
        """The graph in canonical order (`consensus.graph.order`). Raises a `GraphError` when that is no legal step."""
        outputs = sorted(self._outputs, key=name_key)
        order = compute_order(self._nodes, outputs)
        place = {old: new for new, old in enumerate(order)}
        nodes = [*(self._nodes[old] for old in order), *outputs]
        renamed = [Node(n.op, tuple(place[i] for i in n.inputs), n.dtype, n.shape, n.attrs) for n in nodes]
        return Graph.from_nodes(tuple(renamed))
