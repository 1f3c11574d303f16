"""The arbiter: the only right value of a place, from its operands. `devnet/runtime/exact` is the same in Rust.

`compute` never trusts the statement: a node that no valid graph holds, a place that it has not, and operands other than
those needed are refused. What is still trusted is where operands come from: the caller has checked that input tiles
open under the agreed roots of the inputs, and that claims are those on which both sides agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from consensus.arbiter.elements import MOVEMENT, compute_element
from consensus.arbiter.errors import BadNode, BadPlace
from consensus.arbiter.geometry import tile_region
from consensus.arbiter.operands import (
    BlankOperands,
    GivenOperands,
    Operands,
    UnitEnds,
    check_finite,
    check_index,
    read_array,
    take_tile,
    write_tile,
)
from consensus.arbiter.reductions import QUANTITIES, compute_partial, compute_top
from consensus.arbiter.statement import (
    MAX_INPUTS,
    OP_CODES,
    Check,
    Element,
    Ending,
    Operand,
    Outcome,
    Partial,
    Statement,
    Tile,
)
from consensus.arbiter.tiles import TILE_OPS, compute_tile
from consensus.commit.tensor import TensorForm
from consensus.exact.errors import ExactError
from consensus.graph.errors import GraphError
from consensus.graph.graph import MAX_ELEMENTS, MAX_RANK
from consensus.graph.node import Node
from consensus.graph.ops import infer

BY_ELEMENT = MOVEMENT | (QUANTITIES.keys() - {"matmul"})
"""Ops whose tiles are made of elements, each a place of its own."""


def compute(statement: Statement, operands: Sequence[Operand]) -> Outcome:
    """The bytes of the statement's place, or the `Ending` that an operand brings. Raises an `ArbiterError`."""
    given = GivenOperands(operands)
    try:
        outcome: Outcome = compute_from(statement, given)
    except UnitEnds as end:
        outcome = end.ending
    given.finish()
    return outcome


def required(statement: Statement) -> list[Operand]:
    """What `compute` will ask for, in order, with zeros for data; raises an `ArbiterError`.

    For take_rows and pick the second source is right only for an index of 0: see `consensus.arbiter.evaluate`.
    """
    blank = BlankOperands()
    compute_from(statement, blank)
    return blank.taken


def compute_from(statement: Statement, operands: Operands) -> bytes:
    """`compute` with operands on demand; raises an `ArbiterError` or `UnitEnds`."""
    check_node(statement.node, statement.inputs)
    node, place = statement.node, statement.place
    form = TensorForm(node.dtype, node.shape)
    if isinstance(place, Tile) and place.tile < form.tile_count:
        if node.op in TILE_OPS:
            return compute_tile(statement, place.tile, operands)
        if node.op == "matmul":
            return compute_top(statement, place.tile, operands)
        return _collect_elements(form, place.tile, operands)
    if isinstance(place, Element) and node.op in BY_ELEMENT and place.element < prod(node.shape):
        return (compute_element if node.op in MOVEMENT else compute_top)(statement, place.element, operands)
    if isinstance(place, Partial) and node.op in QUANTITIES:
        return compute_partial(statement, place, operands)
    if isinstance(place, Check) and place.input < len(statement.inputs):
        return _check_input(statement, place, operands)
    raise BadPlace(f"{node.op} of {node.shape} has no {place}")


def check_node(node: Node, inputs: tuple[TensorForm, ...]) -> None:
    """Raises `BadNode` unless a valid graph may hold the node with inputs of these forms."""
    if node.op not in OP_CODES:
        raise BadNode(f"{node.op!r} is not arbitrated")
    if len(inputs) > MAX_INPUTS:
        raise BadNode(f"{len(inputs)} inputs, at most {MAX_INPUTS} can be arbitrated")
    for shape in (node.shape, *(form.shape for form in inputs)):
        if len(shape) > MAX_RANK or any(n < 1 for n in shape) or prod(shape) > MAX_ELEMENTS:
            raise BadNode(f"shape {shape}: a rank over {MAX_RANK}, a dimension under 1 or too many elements")
    try:
        result = infer(node, [Node("input", (), form.dtype, form.shape) for form in inputs])
    except (GraphError, ExactError) as error:
        raise BadNode(str(error)) from error
    if result != (node.dtype, node.shape):
        raise BadNode(f"{node.op} gives {result}, the statement says {(node.dtype, node.shape)}")


def _collect_elements(form: TensorForm, tile: int, operands: Operands) -> bytes:
    """An output tile from its agreed elements."""
    region = tile_region(form, tile)
    _, rows, columns = form.grid
    data = b""
    for y in range(region.row, region.row + region.height):
        first = (region.batch * rows + y) * columns + region.column
        data += b"".join(operands.take(Element(first + x), form.numpy_dtype.itemsize) for x in range(region.width))
    return write_tile(read_array(data, form).reshape(region.height, region.width))


def _check_input(statement: Statement, place: Check, operands: Operands) -> bytes:
    """Empty unless the input tile ends the unit at this node; `BadPlace` for an input that never does."""
    node, form = statement.node, statement.inputs[place.input]
    indexed = {"take_rows": statement.inputs[0].shape[:1], "pick": statement.inputs[0].shape[-1:], "add_rows": node.shape}
    finite = node.op in ("sum", "matmul") or (node.op == "add_rows" and place.input == 0)
    finite = finite or (node.op == "output" and node.dtype == "f32" and node.attrs["kind"] != "result")
    by_index = node.op in indexed and place.input == 1
    if place.tile >= form.tile_count or not (finite or by_index or node.op == "amax"):
        raise BadPlace(f"{node.op} checks no {place}")
    values = take_tile(statement, operands, place.input, place.tile)
    region = tile_region(form, place.tile)
    values = values[: region.height, : region.width]
    if by_index:
        check_index(values, indexed[node.op][0])
    elif node.op == "amax":
        if np.isnan(values).any() or np.isposinf(values).any():
            raise UnitEnds(Ending.NON_FINITE)
    else:
        check_finite(values)
    return b""
