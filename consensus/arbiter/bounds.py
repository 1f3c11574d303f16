"""The largest opening of every op: no legal size of a node needs more than `codec.MAX_OPENING_BYTES`.

Two figures, which a test holds against each other: `measure_opening` encodes the opening of one place with blank data
(nothing of the size of a tensor is made), `largest_opening` adds up an op's worst parts, whatever the shapes: a form of
eight dimensions, tiles of 8-byte elements where the op takes them, two tiles for 33 of 2^28 elements, so 24 siblings.
"""

from __future__ import annotations

from collections.abc import Iterator

from consensus.arbiter.compute import FINITE, INDEXED, required
from consensus.arbiter.elements import MOVEMENT
from consensus.arbiter.opening import Opened, Opening, encode_opening
from consensus.arbiter.reductions import QUANTITIES, get_fan, value_size
from consensus.arbiter.statement import Input, Quantity, Statement
from consensus.arbiter.tiles import ELEMENTWISE
from consensus.commit.hashing import HASH_BYTES
from consensus.commit.merkle import EMPTY_ROOT
from consensus.commit.tensor import TILE_ELEMENTS, TILE_SIDE, TensorForm
from consensus.graph.graph import MAX_ELEMENTS, MAX_INPUTS, MAX_NODES, MAX_RANK
from consensus.graph.node import MAX_NAME_BYTES
from consensus.graph.ops import OPS

MAX_TILE_SIBLINGS = (MAX_ELEMENTS // (TILE_SIDE + 1) * 2 - 1).bit_length()
"""Longest way from a tile to its inner root (= 24): matrices of 33 elements have two tiles, smaller ones share one."""
NODE_SIBLINGS = (MAX_NODES - 1).bit_length()
"""Longest way from a node to the graph root (= 16)."""
FORM_BYTES = 2 + 4 * MAX_RANK
"""A form of the highest rank (= 34)."""
PLACE_BYTES = 11
"""A partial's place, the longest."""
F32_TILE, I64_TILE, BOOL_TILE = (TILE_ELEMENTS * size for size in (4, 8, 1))  # (= 4,096, 8,192, 1,024)

_ATTRIBUTE_BYTES = {
    "const": 8, "sum": 1 + MAX_RANK, "amax": 1 + MAX_RANK, "transpose": 1 + MAX_RANK, "matmul": 1, "slice": 13,
    "concat": 1, "pad": 3 * (1 + 4 * MAX_RANK), "windows": 27, "uniform": 4, "output": 3 + MAX_NAME_BYTES,
}  # fmt: skip
_F32_ONLY = {"div", "sqrt", "exp", "log", "tanh", "erf", "sin", "cos"}


def count_siblings(form: TensorForm) -> int:
    """Longest way from a tile to the inner root."""
    return (form.tile_count - 1).bit_length()


def measure_opening(statement: Statement, node_siblings: int = NODE_SIBLINGS) -> int:
    """Bytes of the statement's opening, with the longest proof that an input of that form may need.

    Data-dependent operands (take_rows, pick) are those of index 0. Raises an `ArbiterError`.
    """
    operands = []
    for operand in required(statement):
        source = operand.source
        siblings = count_siblings(statement.inputs[source.input]) if isinstance(source, Input) else 0
        operands.append(Opened(source, operand.data, (EMPTY_ROOT,) * siblings))
    blanks = (EMPTY_ROOT,) * node_siblings, (EMPTY_ROOT,) * len(statement.inputs)
    return len(encode_opening(Opening(statement, *blanks, tuple(operands))))


def largest_opening(op: str) -> int:
    """Bytes that no opening of a place of the op exceeds."""
    arity = OPS[op].arity
    inputs = MAX_INPUTS if arity is None else arity
    statement = FORM_BYTES + 1 + 2 + 4 * inputs + _ATTRIBUTE_BYTES.get(op, 0) + 2 + FORM_BYTES * inputs + PLACE_BYTES
    proofs = 2 + HASH_BYTES * NODE_SIBLINGS + 2 + HASH_BYTES * inputs
    return statement + proofs + max(map(sum, _operand_lists(op)), default=0) + 2


def _tile(size: int, siblings: int = MAX_TILE_SIBLINGS) -> int:
    """An operand that is an input tile: source, length, data, proof."""
    return 7 + 2 + size + 1 + HASH_BYTES * siblings


def _partial(op: str, quantity: Quantity) -> int:
    """An operand that is a claimed partial."""
    return 1 + PLACE_BYTES + 4 + value_size(op, quantity) + 1


def _operand_lists(op: str) -> Iterator[list[int]]:
    """For every kind of place of an op the sizes of its operands."""
    if op in ELEMENTWISE:
        tile = F32_TILE if op in _F32_ONLY else BOOL_TILE if op in ("and", "or", "not") else I64_TILE
        yield [_tile(BOOL_TILE), _tile(tile), _tile(tile)] if op == "where" else [_tile(tile)] * (OPS[op].arity or 0)
    if op == "uniform":
        yield [_tile(F32_TILE, 0), _tile(I64_TILE, 0)]
    if op in MOVEMENT or op in QUANTITIES:
        yield [1 + 5 + 1 + (8 if op in MOVEMENT else 4) + 1] * TILE_ELEMENTS
    if op in MOVEMENT:
        yield [_tile(I64_TILE)] * (2 if op in ("take_rows", "pick") else 1)
    if op in QUANTITIES:
        yield from _reduction_operands(op)
    if op in FINITE or op in INDEXED:
        yield [_tile(I64_TILE)]


def _reduction_operands(op: str) -> Iterator[list[int]]:
    quantities = QUANTITIES[op]
    roots = [_partial(op, quantity) for quantity in quantities if quantity is not Quantity.SUM]
    tiles = {"matmul": [_tile(F32_TILE)] * 2, "add_rows": [_tile(F32_TILE), _tile(I64_TILE)]}
    yield [_partial(op, quantity) for quantity in quantities]
    yield [*tiles.get(op, [_tile(F32_TILE)]), *roots]
    for quantity in quantities:
        yield [_partial(op, quantity)] * get_fan(op, quantity)
