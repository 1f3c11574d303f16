"""The arbiter: the only right value of a place, from its operands. `devnet/runtime/exact` is the same in Rust.

`compute` never trusts the statement: a node that no valid graph holds, a place that it has not, and operands other than
those needed are refused. What is still trusted is where operands come from: the caller has checked that input tiles
open under the agreed roots of the inputs, and that claims are those on which both sides agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from consensus.arbiter.elements import MOVEMENT, compute_element
from consensus.arbiter.errors import BadNode, BadOperands, BadPlace
from consensus.arbiter.geometry import elements_of, locate, tile_region
from consensus.arbiter.operands import (
    BlankOperands,
    GivenOperands,
    Operands,
    UnitEnds,
    check_finite,
    check_index,
    check_no_top,
    read_array,
    take_tile,
    write_tile,
)
from consensus.arbiter.reductions import QUANTITIES, compute_partial, compute_product_element, compute_top
from consensus.arbiter.statement import Check, Element, Operand, Outcome, Partial, Statement, Tile
from consensus.arbiter.tiles import TILE_OPS, compute_tile
from consensus.commit.tensor import TensorForm
from consensus.exact.errors import ExactError
from consensus.graph.errors import GraphError
from consensus.graph.graph import MAX_ELEMENTS, MAX_INPUTS, MAX_RANK
from consensus.graph.node import Node
from consensus.graph.ops import OPS, infer

FINITE = {"sum": (0,), "amax": (0,), "matmul": (0, 1), "add_rows": (0,), "output": (0,)}
"""Inputs in which a NaN or an infinity ends the unit (amax: a NaN or +inf; output: of f32)."""
INDEXED = {"take_rows": 0, "pick": -1, "add_rows": 0}
"""Ops whose second input holds indices, with the axis of the table (add_rows: of the result) that they count."""


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
    return compute_place(statement, operands)


def compute_place(statement: Statement, operands: Operands) -> bytes:
    """`compute_from` for a node that `check_node` has accepted."""
    node, place = statement.node, statement.place
    form = TensorForm(node.dtype, node.shape)
    if isinstance(place, Tile) and place.tile < form.tile_count:
        if node.op in TILE_OPS:
            return compute_tile(statement, place.tile, operands)
        if not is_by_element(node):
            return compute_top(statement, place.tile, operands)
        return _collect_elements(form, place.tile, operands)
    if isinstance(place, Element) and is_by_element(node) and place.element < prod(node.shape):
        by_op = {"matmul": compute_product_element} | dict.fromkeys(MOVEMENT, compute_element)
        return by_op.get(node.op, compute_top)(statement, place.element, operands)
    if isinstance(place, Partial) and node.op in QUANTITIES:
        return compute_partial(statement, place, operands)
    if isinstance(place, Check) and place.input < len(statement.inputs):
        return _check_input(statement, place, operands)
    raise BadPlace(f"{node.op} of {node.shape} has no {place}")


def is_by_element(node: Node) -> bool:
    """Whether the node's tiles are made of elements, each a place of its own.

    Those of a matmul are where its matrices are so small that tiles do not end with them.
    """
    form = TensorForm(node.dtype, node.shape)
    return node.op in MOVEMENT or (node.op in QUANTITIES and (node.op != "matmul" or form.grid != form.matrices))


def check_node(node: Node, inputs: tuple[TensorForm, ...]) -> None:
    """Raises `BadNode` unless a valid graph may hold the node with inputs of these forms."""
    if node.op not in OPS or node.op == "input":
        raise BadNode(f"{node.op[:64]!r} computes nothing: compare an input with the step's start state or batch")
    if not len(node.inputs) == len(inputs) <= MAX_INPUTS:
        raise BadNode(f"{len(inputs)} forms for {len(node.inputs)} inputs, of which at most {MAX_INPUTS} are allowed")
    for shape in (node.shape, *(form.shape for form in inputs)):
        if len(shape) > MAX_RANK or any(n < 1 for n in shape) or prod(shape) > MAX_ELEMENTS:
            raise BadNode(f"shape {shape}: a rank over {MAX_RANK}, a dimension under 1 or too many elements")
    try:
        result = infer(node, [Node("input", (), form.dtype, form.shape) for form in inputs])
    except (GraphError, ExactError) as error:
        raise BadNode(str(error)) from error
    if result != (node.dtype, node.shape):
        raise BadNode(f"{node.op} gives {result}, the statement says {(node.dtype, node.shape)}")


def split_tile(statement: Statement, data: bytes) -> list[Operand]:
    """The operands of a tile that is made of elements, read off a side's bytes of it.

    Two sides' tiles so yield the first element on which they differ; where none does, `compute` of either's operands
    gives the right padding. Raises `BadPlace` for other places, `BadOperands` for another length.
    """
    node, place, form = statement.node, statement.place, TensorForm(statement.node.dtype, statement.node.shape)
    if not isinstance(place, Tile) or not is_by_element(node) or place.tile >= form.tile_count:
        raise BadPlace(f"{node.op} has no {place} that is made of elements")
    if len(data) != form.tile_bytes:
        raise BadOperands(f"a tile of {form.dtype} has {form.tile_bytes} bytes, not {len(data)}")
    size = form.numpy_dtype.itemsize
    operands = []
    for element in elements_of(form, tile_region(form, place.tile)).ravel().tolist():
        at = locate(form, element)[1] * size
        operands.append(Operand(Element(element), data[at : at + size]))
    return operands


def _collect_elements(form: TensorForm, tile: int, operands: Operands) -> bytes:
    """An output tile from its agreed elements."""
    region = tile_region(form, tile)
    places = elements_of(form, region).ravel().tolist()
    data = b"".join(operands.take(Element(place), form.numpy_dtype.itemsize) for place in places)
    return write_tile(read_array(data, form).reshape(region.height, region.width))


def _check_input(statement: Statement, place: Check, operands: Operands) -> bytes:
    """Empty unless the input tile ends the unit at this node; `BadPlace` for an input that never does."""
    node, form = statement.node, statement.inputs[place.input]
    by_index = node.op in INDEXED and place.input == 1
    finite = node.op in FINITE and place.input in FINITE[node.op] and form.dtype == "f32"
    if place.tile >= form.tile_count or not (finite or by_index):
        raise BadPlace(f"{node.op} checks no {place}")
    region = tile_region(form, place.tile)
    values = take_tile(statement, operands, place.input, place.tile)[: region.height, : region.width]
    if by_index:
        sizes = node.shape if node.op == "add_rows" else statement.inputs[0].shape
        check_index(values, sizes[INDEXED[node.op]])
    elif node.op == "amax":
        check_no_top(values)
    else:
        check_finite(values)
    return b""
