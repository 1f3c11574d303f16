"""Random small graphs, node by node: the arbiter agrees with the reference on tiles, walks and endings."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.arbiter import arbitrate
from consensus.arbiter.bounds import MAX_TILE_SIBLINGS
from consensus.arbiter.codec import MAX_OPENING_BYTES
from consensus.arbiter.compute import FINITE, INDEXED
from consensus.arbiter.evaluate import read_tile
from consensus.arbiter.opening import decode_opening, encode_opening
from consensus.arbiter.statement import Check, Ending, Tile
from consensus.exact.errors import ExactError, IndexOutOfRange
from consensus.graph.errors import GraphError
from consensus.graph.node import Attribute, Node
from consensus.graph.ops import OPS, infer
from tests.consensus.arbiter.nodes import Question
from tests.consensus.exact.vectors import NAMES, WITH_NAN

Array = npt.NDArray[Any]
Draw = Callable[..., Any]
SIZES = st.sampled_from([1, 2, 3, 5, 31, 32, 33, 40])
MAX_VALUES = 6_000
"""Most elements of a value, so that an example takes a second at most."""

FLOATS = st.one_of(
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.floats(-4, 4, width=32), st.sampled_from(WITH_NAN.tolist()),
)  # fmt: skip


@st.composite
def arrays(draw: Draw) -> Array:
    """An input: a few drawn values, repeated over a random shape."""
    shape = tuple(draw(st.lists(SIZES, max_size=4)))
    while prod(shape) > MAX_VALUES:
        shape = shape[1:]
    dtype = draw(st.sampled_from(["f32", "f32", "f32", "i64", "bool"]))
    if dtype == "f32":
        finite = draw(st.booleans())
        few: Array = np.array(draw(st.lists(FLOATS, min_size=1, max_size=5)), np.float32)
        few = np.where(np.isfinite(few), few, np.float32(1.5)) if finite else few
    elif dtype == "i64":
        few = np.array(draw(st.lists(st.integers(-1, 40), min_size=1, max_size=5)), np.int64)
    else:
        few = np.array(draw(st.lists(st.booleans(), min_size=1, max_size=5)), np.bool_)
    return np.resize(few, shape)


def draw_attributes(draw: Draw, op: str, inputs: list[Array]) -> dict[str, Attribute]:
    """Attributes that often fit the inputs."""
    shape = inputs[0].shape if inputs else ()
    axis = st.integers(0, max(0, len(shape) - 1))
    few = st.integers(0, 3)
    size = st.integers(1, 3)

    def each(strategy: st.SearchStrategy[int], count: int = len(shape)) -> tuple[int, ...]:
        return tuple(draw(strategy) for _ in range(count))

    found: dict[str, Attribute] = {}
    if op in ("sum", "amax"):
        found["axes"] = tuple(sorted(draw(st.sets(axis, min_size=1))))
    elif op == "matmul":
        found["bits"] = draw(st.integers(1, 14))
    elif op == "transpose":
        found["perm"] = tuple(draw(st.permutations(range(len(shape)))))
    elif op == "slice":
        chosen = draw(axis)
        start = draw(st.integers(0, 2))
        found = {"axis": chosen, "start": start, "stop": shape[chosen] if shape else 1, "step": draw(size)}
    elif op == "concat":
        found["axis"] = draw(axis)
    elif op == "pad":
        found = {"low": each(few), "high": each(few), "interior": each(st.integers(0, 1))}
    elif op == "windows":
        found = {"kernel": each(size, 2), "stride": each(size, 2), "dilation": each(size, 2)}
    elif op == "add_rows":
        found["rows"] = draw(st.integers(1, 41))
    elif op == "output":
        found = {"kind": draw(st.sampled_from(["state", "result"])), "name": "x"}
    elif op == "const":
        found["value"] = draw(st.sampled_from(["3f800000", "80000000", "ff800000"]))
    elif op == "iota":
        found["n"] = draw(SIZES)
    elif op == "uniform":
        found["stream"] = draw(st.integers(0, 2**32 - 1))
    return found


def draw_shape(draw: Draw, op: str, inputs: list[Array]) -> tuple[int, ...]:
    """The shape that reshape, expand and uniform are given."""
    shape = inputs[0].shape if inputs else ()
    if op == "reshape":
        flat = prod(shape)
        return tuple(draw(st.sampled_from([(flat,), (flat, 1), (1, flat), shape[::-1], (*shape, 1)])))
    if op == "expand":
        wide = tuple(draw(SIZES) if n == 1 else n for n in shape)
        return tuple(draw(st.sampled_from([wide, (3, *wide), (2, 1, *wide)])))
    return tuple(draw(st.lists(SIZES, max_size=3)))


def adapt(op: str, inputs: list[Array]) -> list[Array]:
    """Operands bent to what the op takes, so that most draws are valid nodes."""
    if op in ("take_rows", "pick", "add_rows"):
        values, index = inputs[0], inputs[1].ravel()[:64]
        index = index.astype(np.int64) if index.dtype != np.float32 else np.arange(len(index), dtype=np.int64)
        if index.sum() % 4:  # mostly legal
            index = index % (values.shape or (1,))[-1 if op == "pick" else 0]
        if op == "add_rows":
            values = values.reshape(-1, values.shape[-1] if values.ndim else 1)
            index = np.resize(index, len(values))
        if op == "pick":
            index = np.resize(index, (*values.shape[:-1], 2))
        return [values, index]
    if op == "matmul":
        a = inputs[0].reshape(-1, inputs[0].shape[-1]) if inputs[0].ndim else inputs[0].reshape(1, 1)
        return [a, np.resize(inputs[1], (a.shape[1], 33))]
    if op == "pad":
        return [inputs[0], inputs[0].ravel()[0]]
    if op == "where":
        return [inputs[0] != 0, inputs[1], inputs[1].ravel()[0]]
    if op in ("and", "or", "not"):
        return [values.astype(np.bool_) for values in inputs]
    if op == "uniform":
        return [np.array([7, 9], np.uint32), np.array(3, np.int64)]
    if len(inputs) == 2 and op != "concat":
        return [inputs[0], inputs[0][..., :1] if inputs[0].ndim else inputs[0]]
    return [values if op != "concat" else inputs[0] for values in inputs]


def check(question: Question, draw: Draw) -> Array | None:
    """Compare one node; its value, or None where the unit ends."""
    node, inputs = question.node, question.evaluation.inputs
    run = OPS[node.op].run
    assert run is not None
    tiles = {0, question.form.tile_count - 1, draw(st.integers(0, question.form.tile_count - 1))}
    try:
        with np.errstate(all="ignore"):
            value = np.asarray(run(node, inputs))
    except ExactError as error:
        ending = Ending.INDEX_OUT_OF_RANGE if isinstance(error, IndexOutOfRange) else Ending.NON_FINITE
        assert ending in endings(question)
        return None
    for tile in tiles:
        assert question.evaluation.value(Tile(tile)) == read_tile(value, question.form, tile)
        for place in question.path(tile, draw(st.booleans())):
            opening = question.open(place)
            data = encode_opening(opening)
            assert len(data) <= MAX_OPENING_BYTES
            assert all(len(opened.siblings) <= MAX_TILE_SIBLINGS for opened in opening.operands)
            assert arbitrate(question.agree(place), decode_opening(data)) == question.evaluation.value(place)
    assert not endings(question)
    return value


def endings(question: Question) -> set[object]:
    """What the checks of all input tiles say."""
    op = question.node.op
    found: set[object] = set()
    for number, form in enumerate(question.evaluation.forms):
        indexed = op in INDEXED and number == 1
        if indexed or (number in FINITE.get(op, ()) and form.dtype == "f32"):
            found |= {question.evaluation.value(Check(number, tile)) for tile in range(form.tile_count)}
    return found - {b""}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_random_graphs(data: st.DataObject) -> None:
    values: list[Array] = data.draw(st.lists(arrays(), min_size=1, max_size=3))
    for _ in range(data.draw(st.integers(1, 8))):
        op = data.draw(st.sampled_from(sorted(set(OPS) - {"input"})))
        arity = OPS[op].arity
        count = data.draw(st.integers(1, 3)) if arity is None else arity
        inputs = adapt(op, [data.draw(st.sampled_from(values)) for _ in range(count)])
        forms = [Node("input", (), NAMES[i.dtype.name], i.shape) for i in inputs]
        attrs, shape = draw_attributes(data.draw, op, inputs), draw_shape(data.draw, op, inputs)
        dtype = "f32" if op in ("const", "cast") else ""
        draft = Node(op, tuple(range(len(inputs))), dtype, shape, attrs)
        with suppress(GraphError):
            dtype, shape = infer(draft, forms)
            if prod(shape) > MAX_VALUES:
                continue
            value = check(Question(Node(op, draft.inputs, dtype, shape, attrs), inputs), data.draw)
            if value is not None and dtype != "u32":
                values.append(value)
