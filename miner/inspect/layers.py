"""Which layer and which pass of a training step a node belongs to, and what each costs.

A committed graph has no modules: it is told from what is there. A node that meets a parameter belongs to the
parameter's layer; one without takes the layer of its newest operand (forward), of the gradient it helps to make or of
the forward value it reads (backward), of the parameter whose new value it makes (optimiser). Only the report rests on
this, never a root.

Passes: ``forward`` is what the loss, the results and the buffers need, ``backward`` what the gradients need besides,
``optimiser`` all the rest: the gradient norm, clipping, moments, new parameters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from consensus.graph import Graph
from consensus.graph.node import Node
from consensus.graph.ops import OPS

from miner.trace.names import BUFFER_PREFIX, PARAMETER_PREFIX

FORWARD, BACKWARD, OPTIMISER = "forward", "backward", "optimiser"
PASSES = (FORWARD, BACKWARD, OPTIMISER)
SHARED = "(shared)"
"""Layer of what serves several layers or belongs to none, such as a clipping factor or a mask made of the batch."""
INTERFACE = "(inputs and outputs)"
"""Layer of the input and output nodes that are no parameters' own; they cost nothing."""


@dataclass(frozen=True)
class Place:
    """Where a node belongs."""

    layer: str
    """Module path such as ``blocks.0.attention.qkv``; a parameter of the model itself is a layer of its own."""
    step_pass: str
    """One of `PASSES`."""


@dataclass
class LayerCost:
    """Nodes and MACs of one layer."""

    layer: str
    nodes: int = 0
    macs: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PASSES, 0))
    """By pass."""

    @property
    def total(self) -> int:
        """MACs of all passes."""
        return sum(self.macs.values())


@dataclass(frozen=True)
class GraphCost:
    """A graph's cost; ``macs`` equals `Graph.macs`, and so does the sum of each table."""

    nodes: int
    macs: int
    layers: tuple[LayerCost, ...]
    """In the order in which the forward pass meets them."""
    ops: tuple[tuple[str, int, int], ...]
    """(op, nodes, MACs), the dearest first."""


def get_layer(parameter: str) -> str:
    """Module path of a parameter's name: ``blocks.0.attention.qkv.weight`` belongs to ``blocks.0.attention.qkv``."""
    module, _, _ = parameter.rpartition(".")
    return module or parameter


def compute_node_macs(graph: Graph, node: Node) -> int:
    """MACs of one node by its op's rule."""
    return OPS[node.op].macs(node, [graph.nodes[i] for i in node.inputs])


def compute_cost(graph: Graph) -> GraphCost:
    """Nodes and MACs by layer and pass, and by op."""
    layers: dict[str, LayerCost] = {}
    counts: Counter[str] = Counter()
    op_macs: Counter[str] = Counter()
    for node, place in zip(graph.nodes, compute_places(graph), strict=True):
        cost = layers.setdefault(place.layer, LayerCost(place.layer))
        macs = compute_node_macs(graph, node)
        cost.nodes += 1
        cost.macs[place.step_pass] += macs
        counts[node.op] += 1
        op_macs[node.op] += macs
    ops = sorted(counts, key=lambda op: (-op_macs[op], -counts[op], op))
    return GraphCost(
        len(graph.nodes), graph.macs(), tuple(layers[name] for name in _order_layers(graph, layers)),
        tuple((op, counts[op], op_macs[op]) for op in ops),
    )  # fmt: skip


def compute_places(graph: Graph) -> list[Place]:
    """The place of every node, by index."""
    return _Placer(graph).run()


def _order_layers(graph: Graph, layers: Iterable[str]) -> list[str]:
    """Layers by the depth at which the loss first meets them, then those that it never meets; what is no layer last."""
    depths, first = _compute_depths(graph), dict[str, int]()
    placer = _Placer(graph)
    for index, place in enumerate(placer.run()):
        if place.step_pass == FORWARD and graph.nodes[index].op not in ("input", "output") and placer.on_data[index]:
            first[place.layer] = min(first.get(place.layer, depths[index]), depths[index])
    return sorted(layers, key=lambda name: (name in (INTERFACE, SHARED), first.get(name, len(graph.nodes)), name))


def _compute_depths(graph: Graph) -> list[int]:
    depths: list[int] = []
    for node in graph.nodes:
        depths.append(1 + max((depths[i] for i in node.inputs), default=0))
    return depths


def _is_output(node: Node, *kinds: str) -> bool:
    return node.op == "output" and node.attrs["kind"] in kinds


class _Placer:
    """Walks one graph; `run` gives the places."""

    def __init__(self, graph: Graph) -> None:
        self._nodes = graph.nodes
        self._depths = _compute_depths(graph)
        self._own = self._find_parameters()
        self.on_data = self._find_data()
        """By node: whether it depends on the batch or on the random seed."""

    def run(self) -> list[Place]:
        passes = self._find_passes()
        gradients = self._find_gradient_layers(passes)
        updates = self._find_update_layers()
        layers: list[str] = []
        for index, node in enumerate(self._nodes):
            if node.op == "output":
                layers.append(layers[node.inputs[0]] if node.attrs["kind"] == "state" else INTERFACE)
            elif passes[index] == OPTIMISER:
                layers.append(updates[index])
            elif passes[index] == BACKWARD:
                layers.append(gradients[index] or self._from_operands(index, layers, passes))
            else:
                layers.append(self._from_operands(index, layers, passes))
        return [Place(layer, step_pass) for layer, step_pass in zip(layers, passes, strict=True)]

    def _find_parameters(self) -> list[str]:
        """By node: the layer of the parameters that it is made of alone (a weight, its transpose), or ''."""
        own: list[str] = []
        for node in self._nodes:
            if node.op == "input":
                name = str(node.attrs["name"])
                prefix = next((p for p in (PARAMETER_PREFIX, BUFFER_PREFIX) if name.startswith(p)), None)
                is_state = node.attrs["kind"] == "state" and prefix is not None
                own.append(get_layer(name.removeprefix(prefix or "")) if is_state else "")
            else:
                sources = [own[i] for i in node.inputs if self._nodes[i].op != "const"]
                own.append(sources[0] if sources and len(set(sources)) == 1 else "")
        return own

    def _find_data(self) -> list[bool]:
        found: list[bool] = []
        for node in self._nodes:
            is_data = node.op == "input" and node.attrs["kind"] in ("batch", "seed", "step")
            found.append(is_data or any(found[i] for i in node.inputs))
        return found

    def _find_ancestors(self, roots: Iterable[int], barrier: Sequence[bool] | None = None) -> list[bool]:
        reached = [False] * len(self._nodes)
        stack = list(roots)
        while stack:
            index = stack.pop()
            if not reached[index] and not (barrier and barrier[index]):
                reached[index] = True
                stack.extend(self._nodes[index].inputs)
        return reached

    def _find_passes(self) -> list[str]:
        nodes = self._nodes
        losses = [i for i, n in enumerate(nodes) if _is_output(n, "loss", "result")]
        forward = self._find_ancestors(losses)
        backward = self._find_ancestors(self._find_gradients())
        buffers = self._find_ancestors(
            i for i, n in enumerate(nodes) if _is_output(n, "state") and str(n.attrs["name"]).startswith(BUFFER_PREFIX)
        )
        passes = []
        for index in range(len(nodes)):
            if forward[index] or nodes[index].op == "input":
                passes.append(FORWARD)
            elif backward[index]:
                passes.append(BACKWARD)
            else:
                passes.append(FORWARD if buffers[index] else OPTIMISER)
        return passes

    def _find_gradients(self) -> list[int]:
        """The gradients: what is squared on the way to their norm; where nothing is squared, what is met instead."""
        found: list[int] = []
        stack = [n.inputs[0] for n in self._nodes if _is_output(n, "grad_norm")]
        seen: set[int] = set()
        while stack:
            index = stack.pop()
            node = self._nodes[index]
            if index in seen:
                continue
            seen.add(index)
            if node.op == "mul" and node.inputs[0] == node.inputs[1]:
                found.append(node.inputs[0])
            elif node.op in ("sqrt", "sum", "concat", "reshape", "add", "expand", "transpose"):
                stack.extend(node.inputs)
            else:
                found.append(index)
        return found

    def _find_update_layers(self) -> list[str]:
        """By node: the layer of the only parameter (with its moments) whose new value needs it, else `SHARED`."""
        reach: list[set[str]] = [set() for _ in self._nodes]
        for index in range(len(self._nodes) - 1, -1, -1):
            node = self._nodes[index]
            if _is_output(node, "state"):
                _, _, name = str(node.attrs["name"]).partition("/")
                reach[index].add(get_layer(name))
            elif _is_output(node, "grad_norm", "loss"):
                reach[index] |= {SHARED, INTERFACE}
            for i in node.inputs:
                reach[i] |= reach[index]
        return [next(iter(found)) if len(found) == 1 else SHARED for found in reach]

    def _find_gradient_layers(self, passes: list[str]) -> list[str]:
        """By node: the layer of the only parameter whose gradient needs it, or ''."""
        owners: dict[int, set[str]] = {index: set() for index in self._find_gradients()}
        stop = [p != OPTIMISER for p in passes]
        for node in self._nodes:
            name = str(node.attrs.get("name", ""))
            if not _is_output(node, "state") or not name.startswith(PARAMETER_PREFIX):
                continue
            for index in self._find_borders(node.inputs[0], stop):
                if index in owners and self._nodes[index].shape == node.shape:
                    owners[index].add(get_layer(name.removeprefix(PARAMETER_PREFIX)))
        reach: list[set[str]] = [owners.get(i, set()) for i in range(len(self._nodes))]
        for index in range(len(self._nodes) - 1, -1, -1):
            if passes[index] == BACKWARD:
                for i in self._nodes[index].inputs:
                    reach[i] = reach[i] | reach[index]
        return [next(iter(found)) if len(found) == 1 else "" for found in reach]

    def _find_borders(self, start: int, stop: list[bool]) -> set[int]:
        """Nodes at which a walk up from ``start`` leaves the optimiser; the norm's squares are not walked through."""
        found, seen, stack = set(), set(), [start]
        while stack:
            index = stack.pop()
            if index in seen:
                continue
            seen.add(index)
            node = self._nodes[index]
            if stop[index]:
                found.add(index)
            elif not (node.op == "sum" and node.shape != self._nodes[start].shape):
                stack.extend(node.inputs)
        return found

    def _from_operands(self, index: int, layers: list[str], passes: list[str]) -> str:
        """The layer of a parameter that the node meets; else, backward, of a forward value; else of the newest."""
        node = self._nodes[index]
        if node.op == "input":
            return self._own[index] or INTERFACE
        real = [i for i in node.inputs if self._nodes[i].op != "const"]
        met = [i for i in real if self._own[i]]
        if passes[index] == BACKWARD and not met:
            met = [i for i in real if passes[i] == FORWARD and layers[i] not in (INTERFACE, SHARED)]
        candidates = met or [i for i in real if layers[i] not in (INTERFACE, SHARED)] or real
        found = layers[max(candidates, key=lambda i: (self._depths[i], i))] if candidates else SHARED
        return SHARED if found == INTERFACE else found
