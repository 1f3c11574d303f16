"""No place of any op, at any legal size, needs an opening of more than 64 KiB."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from consensus.arbiter import required
from consensus.arbiter.bounds import count_siblings, largest_opening, measure_opening
from consensus.arbiter.codec import MAX_OPENING_BYTES
from consensus.arbiter.compute import FINITE, INDEXED, is_by_element
from consensus.arbiter.errors import BadNode
from consensus.arbiter.opening import encode_opening
from consensus.arbiter.reductions import QUANTITIES, count_levels, count_sets
from consensus.arbiter.statement import Check, Element, Input, Partial, Place, Statement, Tile
from consensus.commit.tensor import TensorForm
from consensus.exact.matmul import check_bound
from consensus.exact.sums import MAX_TERMS
from consensus.graph.errors import GraphError
from consensus.graph.graph import MAX_ELEMENTS, MAX_INPUTS, MAX_RANK
from consensus.graph.node import Attribute, Node
from consensus.graph.ops import MAX_PAD, OPS, infer
from tests.consensus.arbiter.nodes import CASES, ask

Shape = tuple[int, ...]
N = MAX_ELEMENTS
MATRICES = N // 33
COLUMN: Shape = (MATRICES, 1, 1, 1, 1, 1, 33, 1)
"""Highest rank, most tiles: two for each 33 elements."""
WIDE: Shape = (1, 1, 1, 1, 1, 1, 2**14, 2**14)
MAX_PLACES = 14
"""Of a walk: a tile of matmul, then the 13 levels of the tree over 2^23 tiles of K."""


def pose(op: str, *forms: tuple[str, Shape], attrs: dict[str, Attribute] | None = None, shape: Shape = (),
         dtype: str = "") -> Statement:  # fmt: skip
    """The statement about tile 0 of a node; dtype and shape are given where the op's rule needs them."""
    inputs = tuple(TensorForm(*form) for form in forms)
    node = Node(op, tuple(range(2**16 - 1 - len(forms), 2**16 - 1)), dtype, shape, attrs or {})
    found = infer(node, [Node("input", (), form.dtype, form.shape) for form in inputs])
    return Statement(Node(op, node.inputs, *found, node.attrs), inputs, Tile(0))


def elementwise(op: str) -> Iterator[Statement]:
    """Largest operands of the widest dtype that the op takes."""
    arity = OPS[op].arity or 0
    for shape in (COLUMN, WIDE, (N,), ()):
        for dtype in ("i64", "f32", "bool"):
            forms = [(dtype, shape)] * arity
            if op == "where":
                forms[0] = ("bool", shape)
            try:
                yield pose(op, *forms, dtype="f32" if op == "cast" else dtype, shape=shape)
            except GraphError:
                continue  # the op does not take the dtype


def extremes(op: str) -> Iterator[Statement]:
    """Statements about nodes at every bound that the op has."""
    scalar, row = ("i64", ()), ("i64", (N,))
    most: tuple[str, Shape] = ("i64", COLUMN)
    if op == "const":
        yield pose(op, attrs={"value": str(-(2**63))}, dtype="i64")
    elif op == "iota":
        yield pose(op, attrs={"n": N})
    elif op == "uniform":
        for shape in (COLUMN, (N,), ()):
            yield pose(op, ("u32", (2,)), scalar, attrs={"stream": 2**32 - 1}, shape=shape)
    elif op == "output":
        yield pose(op, most, attrs={"kind": "result", "name": "x" * 256})
        yield pose(op, ("f32", COLUMN), attrs={"kind": "state", "name": "x" * 256})
    elif op in ("sum", "amax"):
        for shape, axes in (
            ((8, 2**25 - 1, 1, 1, 1, 1, 1, 1), (1,)), ((2**25 - 1, 1, 1), (0, 1, 2)), ((2**25 - 1,), (0,)),
            ((2**14, 2**11 - 1, 8), (0, 1)), ((1,) * 8, tuple(range(8))), (COLUMN, (7,)),
            ((2, 2**13, 2**12 - 1), (1, 2)), ((2**8, 1, 1, 1, 1, 1, 2**10, 2**10), (0,)),
        ):  # fmt: skip
            yield pose(op, ("f32", shape), attrs={"axes": axes})
        if op == "amax":
            yield pose(op, ("f32", COLUMN), attrs={"axes": tuple(range(8))})
    elif op == "matmul":
        yield from matmuls()
    elif op == "add_rows":
        for n, d, rows in ((2**25 - 1, 8, 2**25), (1, N, 1), (2**14, 2**14, 2**14), (1, 1, N)):
            yield pose(op, ("f32", (n, d)), ("i64", (n,)), attrs={"rows": rows})
    elif op in ("take_rows", "pick"):
        yield pose(op, most, ("i64", (1,) if op == "take_rows" else COLUMN))
        yield pose(op, row, row)
        if op == "take_rows":
            yield pose(op, ("i64", (N, 1, 1)), ("i64", (2**20, 1, 1)))
            yield pose(op, ("i64", (1,)), ("i64", COLUMN))
    elif op == "concat":
        yield pose(op, *[("i64", (MATRICES // MAX_INPUTS, *COLUMN[1:]))] * MAX_INPUTS, attrs={"axis": 0})
        yield pose(op, *[("i64", (1, 1, 1, 1, 1, 1, 2**10, 2**10))] * MAX_INPUTS, attrs={"axis": 7})
        yield pose(op, most, attrs={"axis": 0})
    else:
        yield from movements(op, most, row)


def matmuls() -> Iterator[Statement]:
    """K at its bound for 14 bits, K and batch as large as tensors allow, whole tiles."""
    k = 2 ** (53 - 28) - 1
    for left, right, bits in (
        ((1,) * 7 + (k,), (1,) * 6 + (k, 1), 14), ((8, k), (k, 8), 14), ((1, N), (N, 1), 12),
        ((32, 2**23), (2**23, 32), 12), ((MATRICES, 1, 33), (MATRICES, 33, 1), 14),
        ((2, 1, N // 2), (2, N // 2, 1), 12), ((2**14, 2**14), (2**14, 2**14), 1), ((N, 1), (1, 1), 12),
    ):  # fmt: skip
        check_bound(left[-1], bits)
        yield pose("matmul", ("f32", left), ("f32", right), attrs={"bits": bits})


def movements(op: str, most: tuple[str, Shape], row: tuple[str, Shape]) -> Iterator[Statement]:
    """Ops with one large input."""
    zeros, ones = (0,) * 8, (1,) * 8
    if op == "reshape":
        yield pose(op, row, shape=WIDE)
        yield pose(op, most, shape=(33 * MATRICES,))
        yield pose(op, ("i64", (33 * MATRICES,)), shape=COLUMN)
    elif op == "transpose":
        yield pose(op, most, attrs={"perm": tuple(range(7, -1, -1))})
        yield pose(op, ("i64", WIDE), attrs={"perm": (0, 1, 2, 3, 4, 5, 7, 6)})
    elif op == "slice":
        yield pose(op, most, attrs={"axis": 0, "start": 1, "stop": MATRICES, "step": 1})
        yield pose(op, ("i64", WIDE), attrs={"axis": 6, "start": 0, "stop": 2**14, "step": 2})
        yield pose(op, row, attrs={"axis": 0, "start": N - 1, "stop": N, "step": MAX_PAD})
    elif op == "pad":
        yield pose(op, most, ("i64", ()), attrs={"low": zeros, "high": zeros, "interior": zeros})
        yield pose(op, ("i64", WIDE), ("i64", ()), attrs={"low": zeros, "high": zeros, "interior": zeros})
        far: dict[str, Attribute] = {"low": (MAX_PAD,), "high": (MAX_PAD,), "interior": (MAX_PAD,)}
        yield pose(op, ("i64", (2**7,)), ("i64", ()), attrs=far)
        yield pose(op, ("i64", ones), ("i64", ()), attrs={"low": ones, "high": ones, "interior": zeros})
    elif op == "windows":
        one: dict[str, Attribute] = {"kernel": (1, 1), "stride": (1, 1), "dilation": (1, 1)}
        yield pose(op, ("i64", (MATRICES, 1, 1, 1, 33, 1)), attrs=one)
        yield pose(op, ("i64", (2**14, 2**14)), attrs={**one, "stride": (MAX_PAD, MAX_PAD), "kernel": (2**14, 2**14)})
        yield pose(op, ("i64", (2, N // 2)), attrs={**one, "dilation": (MAX_PAD, MAX_PAD)})
    else:
        yield from elementwise(op)


def places(statement: Statement) -> Iterator[Place]:
    """First and last of every kind of place, every level of every tree."""
    node = statement.node
    form = TensorForm(node.dtype, node.shape)
    yield from (Tile(0), Tile(form.tile_count // 2), Tile(form.tile_count - 1))
    if is_by_element(node):
        yield from (Element(0), Element(form.byte_count // form.numpy_dtype.itemsize - 1))
    for quantity in QUANTITIES.get(node.op, ()):
        for level, count in enumerate(count_levels(statement, quantity)):
            for of in (0, count_sets(statement, quantity) - 1):
                yield from (Partial(quantity, of, level, 0), Partial(quantity, of, level, count - 1))
    for number, taken in enumerate(statement.inputs):
        if number in FINITE.get(node.op, ()) and taken.dtype == "f32" or node.op in INDEXED and number == 1:
            yield from (Check(number, 0), Check(number, taken.tile_count - 1))


def at(statement: Statement, place: Place) -> Statement:
    """The same node, another place."""
    return Statement(statement.node, statement.inputs, place)


@pytest.mark.parametrize("op", sorted(set(OPS) - {"input"}))
def test_every_opening_fits_at_every_bound(op: str) -> None:
    sizes = [
        measure_opening(at(statement, place)) for statement in extremes(op) for place in places(statement)
    ]
    assert len(sizes) > 2
    assert max(sizes) <= largest_opening(op) <= MAX_OPENING_BYTES
    assert max(sizes) >= 0.9 * largest_opening(op)


def test_largest_opening_of_all() -> None:
    """The figure that the documents name."""
    assert max(largest_opening(op) for op in set(OPS) - {"input"}) == largest_opening("concat") == 34_873


def test_measure_is_the_length_of_real_openings() -> None:
    """Real ones are shorter only by siblings that a promoted node does not need."""
    for case in CASES[::3]:
        question = ask(case)
        for place in question.path(question.form.tile_count - 1, True):
            opening = question.open(place)
            missing = sum(
                count_siblings(opening.statement.inputs[opened.source.input]) - len(opened.siblings)
                for opened in opening.operands
                if isinstance(opened.source, Input)
            )
            measured = measure_opening(opening.statement, len(opening.node_siblings))
            assert len(encode_opening(opening)) == measured - 32 * missing


@pytest.mark.parametrize("op", sorted(QUANTITIES))
def test_a_walk_has_at_most_14_places(op: str) -> None:
    longest = 0
    for statement in extremes(op):
        levels = [len(count_levels(statement, quantity)) for quantity in QUANTITIES[op]]
        longest = max(longest, max(levels) + (2 if is_by_element(statement.node) else 1))
    assert longest <= MAX_PLACES
    assert op != "matmul" or longest == MAX_PLACES


def refuse(op: str, *forms: tuple[str, Shape], shape: Shape, attrs: dict[str, Attribute] | None = None) -> None:
    """A node over a bound is refused before anything is computed."""
    inputs = tuple(TensorForm(*form) for form in forms)
    with pytest.raises(BadNode):
        required(Statement(Node(op, tuple(range(len(forms))), "f32", shape, attrs or {}), inputs, Tile(0)))


def test_nodes_over_the_bounds_are_refused() -> None:
    assert required(pose("neg", ("f32", (N,))))
    refuse("neg", ("f32", (N + 1,)), shape=(N + 1,))
    refuse("neg", ("f32", (0,)), shape=(0,))
    refuse("expand", ("f32", ()), shape=(1,) * (MAX_RANK + 1))
    refuse("sum", ("f32", (MAX_TERMS + 1,)), shape=(1,), attrs={"axes": (0,)})
    refuse("add_rows", ("f32", (MAX_TERMS + 1, 1)), ("i64", (MAX_TERMS + 1,)), shape=(1, 1), attrs={"rows": 1})
    k = 2**25
    refuse("matmul", ("f32", (1, k)), ("f32", (k, 1)), shape=(1, 1), attrs={"bits": 14})
    assert required(pose("concat", *[("f32", (1,))] * MAX_INPUTS, attrs={"axis": 0}))
    refuse("concat", *[("f32", (1,))] * (MAX_INPUTS + 1), shape=(MAX_INPUTS + 1,), attrs={"axis": 0})
