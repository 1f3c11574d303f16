"""The committed graph of one step (training, evaluation, inference): bytes, root, validation, cost, signature."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from consensus.commit.merkle import compute_root
from consensus.exact import VERSION
from consensus.graph.errors import (
    BadAttributes,
    CyclicGraph,
    GraphError,
    HugeShape,
    MalformedGraph,
    TooManyMacs,
    TooManyNodes,
    UnknownOp,
    WrongShape,
    WrongSignature,
)
from consensus.graph.node import DTYPES, Node, canonical_json
from consensus.graph.ops import INPUT_KINDS, OPS, OUTPUT_KINDS, infer
from consensus.graph.order import check_order

MAX_NODES = 2**16
"""Most nodes of a graph (= 65,536)."""
MAX_ELEMENTS = 2**28
"""Most elements of one tensor (= 268,435,456, a GiB of f32)."""
MAX_TOTAL_ELEMENTS = 2**33
"""Most elements of all nodes together (= 8,589,934,592): a small file must not ask for unbounded memory."""
MAX_RANK = 8
"""Most dimensions of a tensor."""
MAX_BYTES = 2**24
"""Most bytes of a graph's canonical JSON (= 16 MiB); more is refused before parsing."""
MAX_BRACKETS = 8 * MAX_NODES
"""Most opening brackets in a graph's JSON (= 524,288; a node has at most 7), counted before parsing."""
MAX_COMMAS = 16 * MAX_NODES
"""Most commas in a graph's JSON (= 1,048,576; a real node has about 7), counted before parsing: they bound the time."""
MAX_INPUTS = 2**8
"""Most inputs of a node (= 256; ``concat`` has any number up to it), so that it can be arbitrated."""
MAX_MACS = 2**50
"""Most MACs of a step (= 1,125,899,906,842,624): the cost of a unit of 10,000 such steps fits u64."""


@dataclass(frozen=True)
class TensorSpec:
    """What a named input or output holds."""

    dtype: str
    """One of `consensus.graph.node.DTYPES`."""
    shape: tuple[int, ...]
    """Its shape."""


@dataclass(frozen=True)
class Signature:
    """Named inputs and outputs of a graph. A training step's new state has the names, dtypes and shapes of the old."""

    purpose: str
    """``train``: reads and writes state, gives loss and gradient norm; ``evaluate``: a loss and maybe results of a
    state and a batch; ``infer``: results only."""

    state: Mapping[str, TensorSpec]
    """Parameters, optimiser moments and scalars, sorted by name; read and written by the step."""
    batch: Mapping[str, TensorSpec]
    """Tensors of a batch, sorted by name; a first dimension is the batch size."""
    needs_seed: bool
    """Whether the step draws random numbers, so that it needs the unit seed and the step number."""
    results: Mapping[str, TensorSpec]
    """Outputs of kind ``result``, sorted by name."""


@dataclass(frozen=True)
class Graph:
    """A validated graph; make one with `Graph.from_nodes` or `Graph.from_bytes`."""

    nodes: tuple[Node, ...]
    """Nodes in order of execution: inputs, operations, outputs."""

    @classmethod
    def from_nodes(cls, nodes: tuple[Node, ...]) -> Graph:
        """Validate nodes (see `validate`); raises a `GraphError`."""
        validate(nodes)
        return cls(nodes)

    @classmethod
    def from_bytes(cls, data: bytes) -> Graph:
        """Parse and validate canonical JSON. Any other bytes of the same meaning are refused: blanks, other escapes,
        keys twice or in another order, nodes in another order than the canonical one. Raises `GraphError`, whatever
        the bytes; time and memory are bounded by `MAX_BYTES`.
        """
        if len(data) > MAX_BYTES:
            raise MalformedGraph(f"{len(data):,} bytes, at most {MAX_BYTES:,} are allowed")
        if data.count(b"{") + data.count(b"[") > MAX_BRACKETS:
            raise TooManyNodes(f"more than {MAX_BRACKETS:,} brackets")
        if data.count(b",") > MAX_COMMAS:
            raise TooManyNodes(f"more than {MAX_COMMAS:,} commas")
        try:
            value = json.loads(
                data.decode(), parse_int=_parse_integer, parse_float=_refuse_number, parse_constant=_refuse_number
            )
        except (ValueError, RecursionError) as error:
            raise MalformedGraph(f"not JSON: {error}") from error
        if not isinstance(value, dict) or set(value) != {"nodes", "version"} or not isinstance(value["nodes"], list):
            raise MalformedGraph('a graph is {"nodes": [...], "version": "exact/v1"}')
        if value["version"] != VERSION:
            raise MalformedGraph(f"the version is not {VERSION!r}")
        if len(value["nodes"]) > MAX_NODES:
            raise TooManyNodes(f"{len(value['nodes']):,} nodes, at most {MAX_NODES:,} are allowed")
        graph = cls.from_nodes(tuple(_parse_node(i, v) for i, v in enumerate(value["nodes"])))
        if graph.to_bytes() != data:
            raise MalformedGraph("the bytes are not in canonical form (sorted keys, no blanks, plain integers)")
        return graph

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return canonical_json({"version": VERSION, "nodes": [node.to_json() for node in self.nodes]})

    def root(self) -> bytes:
        """Merkle root (32 bytes) over the canonical JSON of the nodes, in order."""
        return compute_root([node.to_bytes() for node in self.nodes])

    def macs(self) -> int:
        """MACs of one step: the sum over nodes of the cost that their rule documents."""
        return sum(OPS[n.op].macs(n, [self.nodes[i] for i in n.inputs]) for n in self.nodes)

    def signature(self) -> Signature:
        """The named inputs of the step."""
        inputs: dict[str, dict[str, TensorSpec]] = {kind: {} for kind in INPUT_KINDS}
        outputs: dict[str, dict[str, TensorSpec]] = {kind: {} for kind in OUTPUT_KINDS}
        for node in self.nodes:
            if node.op in ("input", "output"):
                table = inputs if node.op == "input" else outputs
                table[str(node.attrs["kind"])][str(node.attrs["name"])] = TensorSpec(node.dtype, node.shape)
        return Signature(
            "train" if outputs["state"] else "evaluate" if outputs["loss"] else "infer",
            dict(sorted(inputs["state"].items())),
            dict(sorted(inputs["batch"].items())),
            bool(inputs["seed"]),
            dict(sorted(outputs["result"].items())),
        )


def _parse_integer(text: str) -> int:
    if len(text) > 17:  # a sign and the 16 digits of 2^53
        raise ValueError("an integer of 2^53 or more")
    return int(text)


def _refuse_number(text: str) -> int:
    raise ValueError(f"{text[:32]} is no integer")


def _parse_node(index: int, value: Any) -> Node:
    if not isinstance(value, dict) or set(value) != {"op", "in", "dtype", "shape", "attrs"}:
        raise MalformedGraph("a node has exactly the fields attrs, dtype, in, op, shape", index)
    op, inputs, dtype, shape, attrs = (value[k] for k in ("op", "in", "dtype", "shape", "attrs"))
    if not (isinstance(op, str) and isinstance(dtype, str) and _is_ints(inputs) and _is_ints(shape)):
        raise MalformedGraph("op and dtype are strings, in and shape are lists of integers", index)
    if not isinstance(attrs, dict):
        raise MalformedGraph("attrs is an object", index)
    parsed: dict[str, int | str | tuple[int, ...]] = {}
    for name, attribute in attrs.items():
        if type(attribute) in (int, str):
            parsed[name] = attribute
        elif _is_ints(attribute):
            parsed[name] = tuple(attribute)
        else:
            raise BadAttributes(f"attribute {name[:64]!r} is no integer, string or list of integers", index)
    return Node(op, tuple(inputs), dtype, tuple(shape), parsed)


def _is_ints(value: Any) -> bool:
    return isinstance(value, list) and all(type(v) is int for v in value)


def validate(nodes: tuple[Node, ...]) -> None:
    """Check every rule of a graph: known ops, attributes, dtypes, shapes, limits, exactness, cost, signature, order.

    What an op's own rule says is in `consensus.graph.ops`, what the order is in `consensus.graph.order`; limits and the
    signature are here. Nothing of the size of a tensor is allocated, and time is linear in the nodes and their inputs.
    Raises the `GraphError` of the first broken rule.
    """
    if len(nodes) > MAX_NODES:
        raise TooManyNodes(f"{len(nodes):,} nodes, at most {MAX_NODES:,} are allowed")
    elements = macs = 0
    for index, node in enumerate(nodes):
        if node.op not in OPS:
            raise UnknownOp(f"unknown op {node.op[:64]!r}; exact/v1 has {', '.join(sorted(OPS))}", index)
        _check_size(index, node)
        elements += prod(node.shape)
        if elements > MAX_TOTAL_ELEMENTS:
            raise HugeShape(f"more than {MAX_TOTAL_ELEMENTS:,} elements in all nodes together", index)
        _check_inputs(index, node, nodes)
        inputs = [nodes[i] for i in node.inputs]
        try:
            result = infer(node, inputs)
        except GraphError as error:
            raise type(error)(str(error), index) from error
        if result != (node.dtype, node.shape):
            raise WrongShape(f"{node.op} gives {result}, declared is {(node.dtype, node.shape)}", index)
        macs += OPS[node.op].macs(node, inputs)
        if macs > MAX_MACS:
            raise TooManyMacs(f"more than {MAX_MACS:,} MACs in a step", index)
    _check_signature(nodes)
    check_order(nodes)


def _check_size(index: int, node: Node) -> None:
    if node.dtype not in DTYPES:
        raise WrongShape(f"unknown dtype {node.dtype[:64]!r}", index)
    if len(node.shape) > MAX_RANK:
        raise HugeShape(f"{len(node.shape)} dimensions, at most {MAX_RANK} are allowed", index)
    if any(n < 1 for n in node.shape):
        raise WrongShape(f"shape {node.shape} has a dimension under 1", index)
    if prod(node.shape) > MAX_ELEMENTS:
        raise HugeShape(f"{prod(node.shape):,} elements, at most {MAX_ELEMENTS:,} are allowed", index)


def _check_inputs(index: int, node: Node, nodes: tuple[Node, ...]) -> None:
    if len(node.inputs) > MAX_INPUTS:
        raise TooManyNodes(f"{len(node.inputs):,} inputs, at most {MAX_INPUTS} are allowed", index)
    if any(not 0 <= i < index for i in node.inputs):
        raise CyclicGraph(f"inputs {node.inputs} are not all earlier nodes", index)
    if any(nodes[i].op == "output" for i in node.inputs):
        raise WrongSignature("an output cannot be read", index)


def _check_signature(nodes: tuple[Node, ...]) -> None:
    inputs: dict[tuple[str, str], Node] = {}
    outputs: dict[tuple[str, str], Node] = {}
    for index, node in enumerate(nodes):
        if node.op in ("input", "output"):
            table = inputs if node.op == "input" else outputs
            key = (str(node.attrs["kind"]), str(node.attrs["name"]))
            if key in table:
                raise WrongSignature(f"two {node.op}s are called {key}", index)
            table[key] = node
    count = {kind: sum(k == kind for k, _ in outputs) for kind in OUTPUT_KINDS}
    for kind in ("seed", "step"):
        if sum(k == kind for k, _ in inputs) > 1:
            raise WrongSignature(f"a graph has at most one input of kind {kind}")
    if not count["state"]:
        if count["grad_norm"] or count["loss"] > 1 or not count["loss"] + count["result"]:
            raise WrongSignature("a graph without new state has one loss or some results, and no gradient norm")
        return
    for kind in ("loss", "grad_norm"):
        if count[kind] != 1:
            raise WrongSignature(f"a training step has one output of kind {kind}")
    old = {name: (n.dtype, n.shape) for (kind, name), n in inputs.items() if kind == "state"}
    new = {name: (n.dtype, n.shape) for (kind, name), n in outputs.items() if kind == "state"}
    if not old or old != new:
        wrong = sorted(set(old.items()) ^ set(new.items()))
        raise WrongSignature(f"old and new state must have the same names, dtypes and shapes; differing: {wrong[:4]}")
