"""The plan of a graph: which kernels and products are called in which order, and where their buffers lie.

A plan is made once (`miner.kernels.native.planner`) and kept beside the compiled kernels, so that a later process only
reads it. Buffers lie in blocks: one arena that lives in the executor, the folded constants, one block for a step's
outputs, and one for each input tensor.
"""

from __future__ import annotations

import json
import logging
from dataclasses import astuple, dataclass
from math import prod
from typing import Any

from consensus.graph import Graph
from consensus.graph.node import Node
from consensus.graph.ops import NUMPY_DTYPES
from miner.kernels.native.cache import PLAN, compute_code_digest, compute_name, load_entry, store_entry

log = logging.getLogger(__name__)

ERROR, ARENA, CONSTANTS, OUTPUTS, FIRST_INPUT = 0, 1, 2, 3, 4
"""Numbers of the blocks; input i of `Plan.inputs` is block `FIRST_INPUT` + i."""
PRODUCT_ADDRESSES = 5
"""Of a product, behind the error's."""
MAX_NUMBER = 2**62
"""Largest number of a plan."""
HEAD_BYTES = 8
"""Of an encoded plan's first field, the length of its JSON."""

Place = tuple[int, int]
"""(block, byte offset)."""


class PlanDamaged(ValueError):
    """Bytes that are no plan of the graph: they are dropped and the plan is made again."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"these bytes are no plan of the graph: {problem}")


@dataclass(frozen=True)
class Product:
    """A batch of integer products, see aipow_gemm of c/gemm.h; strides in elements."""

    batch: int
    m: int
    n: int
    k: int
    bits: int
    a_row: int
    a_k: int
    a_batch: int
    b_col: int
    b_k: int
    b_batch: int
    ea_batch: int
    eb_batch: int


@dataclass(frozen=True)
class Call:
    """One operation, see aipow_op of c/runtime.h: a generated kernel, or a product with or without an epilogue."""

    kernel: str
    """Name of the function; '' for a product."""
    total: int
    """Units of work of a kernel."""
    grain: int
    """Fewest units worth a thread."""
    product: Product | None
    epilogue: str
    """Name of the function that takes the product's rows, or ''."""
    first: int
    """Number of its first address, the error's; then those of a kernel's arguments, or of a product's left operand and
    exponents, right operand and exponents, and result."""
    epilogue_first: int
    """Number of the epilogue's first address."""
    failures: tuple[tuple[int, str], ...]
    """Failure codes from 1 on, as (node, ``non-finite`` or ``index``)."""


@dataclass(frozen=True)
class Plan:
    """All that a run needs besides the inputs' addresses."""

    calls: tuple[Call, ...]
    bases: list[int]
    """Block of each address."""
    offsets: list[int]
    """Byte offset of each address there."""
    sources: dict[str, str]
    """Name of each function to its text."""
    inputs: tuple[tuple[str, str], ...]
    """(kind, name) of each input block."""
    outputs: dict[tuple[str, str], Place]
    """(kind, name) to its place; an input's block for state that is passed on."""
    arena_bytes: int
    output_bytes: int
    scratch_bytes: int
    """For one thread."""
    index_bounds: dict[int, int]
    """Node of a gather or scatter to the size that its indices must stay below."""
    constants: bytes


def get_plan(graph: Graph, checked: bool = True) -> Plan:
    """The plan of a graph, from the kernel cache or made and put there; ``checked`` as in `lower`.

    Raises `CacheUnusable`.
    """
    name = compute_name(compute_code_digest(), bytes([checked]), graph.to_bytes()) + PLAN
    data = load_entry(name)
    if data is not None:
        try:
            return decode_plan(data, graph)
        except PlanDamaged as error:
            log.warning("%s: %s", name, error)
    from miner.kernels.native.planner import make_plan

    plan = make_plan(graph, checked)
    store_entry(name, encode_plan(plan))
    return plan


def encode_plan(plan: Plan) -> bytes:
    """The length of the JSON, the JSON, the constants."""
    document = {
        "calls": [astuple(call) for call in plan.calls],
        "bases": plan.bases,
        "offsets": plan.offsets,
        "sources": plan.sources,
        "inputs": plan.inputs,
        "outputs": list(plan.outputs.items()),
        "bytes": [plan.arena_bytes, plan.output_bytes, plan.scratch_bytes],
        "index_bounds": list(plan.index_bounds.items()),
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    return len(text).to_bytes(HEAD_BYTES, "little") + text + plan.constants


def decode_plan(data: bytes, graph: Graph) -> Plan:
    """The plan that `encode_plan` wrote. Raises `PlanDamaged`, whatever the bytes.

    A plan that passes calls functions of its own text with places inside the graph's blocks. How far a function reads
    and writes from there is not checked: who can write into the cache is trusted with the process, as with its
    libraries.
    """
    end = HEAD_BYTES + int.from_bytes(data[:HEAD_BYTES], "little")
    try:
        document = json.loads(data[HEAD_BYTES:end])
        arena_bytes, output_bytes, scratch_bytes = _naturals(document["bytes"], 3)
        plan = Plan(
            tuple(_decode_call(*fields) for fields in document["calls"]),
            _naturals(document["bases"]), _naturals(document["offsets"]),
            {str(name): str(text) for name, text in document["sources"].items()},
            tuple((str(kind), str(name)) for kind, name in document["inputs"]),
            {(str(kind), str(name)): _pair(place) for (kind, name), place in document["outputs"]},
            arena_bytes, output_bytes, scratch_bytes,
            dict(map(_pair, document["index_bounds"])), data[end:],
        )  # fmt: skip
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise PlanDamaged(f"{type(error).__name__}: {error}") from error
    _verify(plan, graph)
    return plan


def _decode_call(
    kernel: Any, total: Any, grain: Any, product: Any, epilogue: Any, first: Any, epilogue_first: Any, failures: Any
) -> Call:
    total, grain, first, epilogue_first = _naturals([total, grain, first, epilogue_first], 4)
    return Call(
        str(kernel), total, grain, None if product is None else Product(*_naturals(product, 13)), str(epilogue),
        first, epilogue_first, tuple((_naturals([node], 1)[0], str(what)) for node, what in failures),
    )  # fmt: skip


def _naturals(values: list[Any], count: int | None = None) -> list[int]:
    """So many integers from 0 to 2^62, or any number of them; raises ValueError."""
    right = set(map(type, values)) <= {int} and (not values or (min(values) >= 0 and max(values) <= MAX_NUMBER))
    if not right or len(values) != (len(values) if count is None else count):
        raise ValueError(f"natural numbers are wanted, not {str(values)[:80]}")
    return values


def _pair(values: list[Any]) -> tuple[int, int]:
    first, second = _naturals(values, 2)
    return first, second


def _verify(plan: Plan, graph: Graph) -> None:
    """Raise `PlanDamaged` unless names are known, inputs and outputs the graph's, and places inside their blocks."""
    given, wanted = (
        {(str(node.attrs["kind"]), str(node.attrs["name"])): node for node in graph.nodes if node.op == op}
        for op in ("input", "output")
    )
    if not given.keys() >= set(plan.inputs) or plan.outputs.keys() != wanted.keys():
        raise PlanDamaged("its inputs or outputs are not the graph's")
    sizes = [1, plan.arena_bytes, len(plan.constants), plan.output_bytes, *(_bytes(given[key]) for key in plan.inputs)]
    ends = [(block, offset + _bytes(wanted[key])) for key, (block, offset) in plan.outputs.items()]
    if any(block >= len(sizes) or end > sizes[block] for block, end in ends):
        raise PlanDamaged("an output lies outside its block")
    if len(plan.bases) != len(plan.offsets) or max(plan.bases, default=0) >= len(sizes):
        raise PlanDamaged("an address lies in no block")
    if any(offset and offset >= sizes[block] for block, offset in zip(plan.bases, plan.offsets, strict=True)):
        raise PlanDamaged("an address lies outside its block")
    for call in plan.calls:
        if {call.kernel, call.epilogue} - {"", *plan.sources} or (call.product is None) == (call.kernel == ""):
            raise PlanDamaged("it calls what it does not have")
        if max(call.first, call.epilogue_first) + (call.product is not None) * PRODUCT_ADDRESSES >= len(plan.bases):
            raise PlanDamaged("a call's addresses are missing")
        if any(node >= len(graph.nodes) for node, _ in call.failures):
            raise PlanDamaged("a failure names no node")


def _bytes(node: Node) -> int:
    return prod(node.shape) * NUMPY_DTYPES[node.dtype].itemsize
