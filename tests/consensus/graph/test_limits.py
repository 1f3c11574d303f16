"""Limits of graphs: each at its bound and over it; what is over it is refused before anything of its size is made."""

import json
import tracemalloc
from typing import Any

import pytest

from consensus.graph import Graph, GraphBuilder, errors
from consensus.graph.errors import MESSAGE_LENGTH, GraphError
from consensus.graph.graph import (
    MAX_BRACKETS,
    MAX_BYTES,
    MAX_COMMAS,
    MAX_ELEMENTS,
    MAX_INPUTS,
    MAX_MACS,
    MAX_RANK,
    validate,
)
from consensus.graph.node import MAX_INTEGER, MAX_NAME_BYTES, Node, canonical_json
from consensus.graph.ops import MAX_PAD, infer

ONE = Node("const", (), "f32", (), {"value": "3f800000"})


def named(name: str) -> Graph:
    """A graph with an input and a result of a name."""
    b = GraphBuilder()
    b.output("result", name, b.input("batch", name, "f32", (2,)))
    return b.finish()


def document(**fields: Any) -> bytes:
    """The graph of a name, with fields of its input replaced."""
    value = json.loads(named("x").to_bytes())
    value["nodes"][0].update(fields)
    return canonical_json(value)


@pytest.mark.parametrize("name", ["x", "a" * MAX_NAME_BYTES, "é" * (MAX_NAME_BYTES // 2), "🦆", 'quote " \\ /', " "])
def test_valid_names(name: str) -> None:
    graph = named(name)
    assert Graph.from_bytes(graph.to_bytes()) == graph and list(graph.signature().batch) == [name]


@pytest.mark.parametrize(
    "name", ["", "a" * (MAX_NAME_BYTES + 1), "é" * (MAX_NAME_BYTES // 2 + 1), "\x00", "a\nb", "\x7f", "\x85", "\ud800"]
)
def test_invalid_names(name: str) -> None:
    with pytest.raises(errors.BadAttributes):
        named(name)


def test_a_lone_surrogate_written_as_an_escape_is_refused_everywhere() -> None:
    good = named("x").to_bytes()
    for old in (b'"x"', b'"batch"', b'"f32"', b'"input"', b'"name"', b'"version"', b'"exact/v1"'):
        with pytest.raises(GraphError):
            Graph.from_bytes(good.replace(old, rb'"\ud800"', 1))


def test_other_escapes_of_the_same_name_are_refused() -> None:
    assert Graph.from_bytes(named("é").to_bytes())
    for other in (rb'"\u0078"', rb'"x" '):
        with pytest.raises(errors.MalformedGraph):
            Graph.from_bytes(named("x").to_bytes().replace(b'"x"', other))
    with pytest.raises(errors.MalformedGraph):
        Graph.from_bytes(named("/").to_bytes().replace(b'"/"', rb'"\/"'))


def test_a_key_given_twice_is_refused() -> None:
    with pytest.raises(errors.MalformedGraph):
        Graph.from_bytes(named("x").to_bytes().replace(b'"dtype":"f32"', b'"dtype":"f32","dtype":"f32"'))


@pytest.mark.parametrize("dtype", ["u32", "f64", "bool8", ""])
def test_invalid_dtype_of_an_input(dtype: str) -> None:
    with pytest.raises(errors.WrongShape):
        Graph.from_bytes(document(dtype=dtype))


def test_the_seed_is_read_by_uniform_only() -> None:
    seed = Node("input", (), "u32", (2,), {"kind": "seed", "name": "seed"})
    for op, attrs in (("reshape", {}), ("slice", {"axis": 0, "start": 0, "stop": 1, "step": 1}), ("eq", {})):
        with pytest.raises(errors.WrongShape, match="only uniform"):
            infer(Node(op, (0, 0), "u32", (2,), attrs), [seed] * (2 if op == "eq" else 1))


def test_rank_at_and_over_the_bound() -> None:
    eight = document(shape=[1] * MAX_RANK).replace(b'"shape":[2]', b'"shape":' + str([1] * MAX_RANK).encode())
    assert Graph.from_bytes(eight.replace(b", ", b",")).nodes[0].shape == (1,) * MAX_RANK
    with pytest.raises(errors.HugeShape):
        Graph.from_bytes(document(shape=[1] * (MAX_RANK + 1)))


def test_elements_at_and_over_the_bound() -> None:
    most = document(shape=[MAX_ELEMENTS]).replace(b'"shape":[2]', f'"shape":[{MAX_ELEMENTS}]'.encode())
    assert Graph.from_bytes(most).nodes[0].shape == (MAX_ELEMENTS,)
    with pytest.raises(errors.HugeShape):
        Graph.from_bytes(document(shape=[2**14, 2**14 + 1]))


@pytest.mark.parametrize("digits", [1, 10, 16, 17, 18, 20, 4301, 10**6])
def test_sizes_of_any_number_of_digits_are_refused_at_once(digits: int) -> None:
    for text in ("9" * digits, "-" + "9" * digits, "1" + "0" * (digits - 1), "0"):
        data = document().replace(b'"shape":[2]', f'"shape":[{text},{text}]'.encode(), 1)
        with pytest.raises(GraphError):
            Graph.from_bytes(data)


def test_integers_of_attributes_at_and_over_two_to_the_53() -> None:
    attrs = {"axis": 0, "start": 0, "stop": 1, "step": 1}
    wide = Node("input", (), "f32", (4,), {"kind": "batch", "name": "x"})
    for value, what in ((MAX_INTEGER, "slice"), (MAX_INTEGER + 1, "magnitude under"), (-(2**53), "magnitude under")):
        with pytest.raises(errors.BadAttributes, match=what):
            infer(Node("slice", (0,), "f32", (1,), {**attrs, "stop": value}), [wide])
    with pytest.raises(errors.BadAttributes, match="magnitude under"):
        infer(Node("transpose", (0,), "f32", (4,), {"perm": (2**60,)}), [wide])


def test_inputs_of_a_node_at_and_over_the_bound() -> None:
    first = Node("input", (), "f32", (1,), {"kind": "batch", "name": "x"})

    def graph(count: int) -> Graph:
        joined = Node("concat", (0,) * count, "f32", (count,), {"axis": 0})
        return Graph.from_nodes((first, joined, Node("output", (1,), "f32", (count,), {"kind": "result", "name": "y"})))

    assert len(graph(MAX_INPUTS).nodes) == 3
    with pytest.raises(errors.TooManyNodes):
        graph(MAX_INPUTS + 1)


@pytest.mark.parametrize("shape", [(2,), (3, 2), (2, 3, 1), (1,), ()])
def test_concat_of_other_ranks_or_shapes_is_refused(shape: tuple[int, ...]) -> None:
    """Also of one that looks alike but for the axis: (2,) beside (2, 3)."""
    first = Node("input", (), "f32", (2, 3), {"kind": "batch", "name": "x"})
    other = Node("input", (), "f32", shape, {"kind": "batch", "name": "y"})
    assert infer(Node("concat", (0, 0), "f32", (), {"axis": 1}), [first, first]) == ("f32", (2, 6))
    with pytest.raises(errors.WrongShape):
        infer(Node("concat", (0, 1), "f32", (), {"axis": 1}), [first, other])


def test_macs_at_and_over_the_bound() -> None:
    """16,384 products of 2^36 MACs are the most; one elementwise result more is too much."""
    side, depth = 2**8, 2**20
    a, b = Node("expand", (0,), "f32", (side, depth)), Node("expand", (0,), "f32", (depth, side))
    products = [Node("matmul", (1, 2), "f32", (side, side), {"bits": 12})] * (MAX_MACS // (side * side * depth))
    with pytest.raises(errors.WrongSignature):  # the cost passes, the next rule is broken
        validate((ONE, a, b, *products))
    with pytest.raises(errors.TooManyMacs):
        validate((ONE, a, b, *products, Node("exp", (0,), "f32", ())))


@pytest.mark.parametrize("value", ["7fc00000", "ffc00000", "7f800001", "ffffffff"])
def test_a_constant_that_is_no_number_is_refused(value: str) -> None:
    with pytest.raises(errors.BadAttributes, match="NaN"):
        infer(Node("const", (), "f32", (), {"value": value}), [])


@pytest.mark.parametrize("value", ["7f800000", "ff800000", "80000000", "00000001", "7f7fffff"])
def test_valid_constants_at_the_edges(value: str) -> None:
    assert infer(Node("const", (), "f32", (), {"value": value}), []) == ("f32", ())


@pytest.mark.parametrize(
    ("dtype", "good", "bad"),
    [
        ("i64", ["0", "-9223372036854775808", "9223372036854775807"], ["-0", "00", "+1", "1e3", "9223372036854775808"]),
        ("bool", ["0", "1"], ["-1", "2", "true", ""]),
        ("u32", [], ["0"]),
    ],
)
def test_integer_constants(dtype: str, good: list[str], bad: list[str]) -> None:
    for value in good:
        assert infer(Node("const", (), dtype, (), {"value": value}), []) == (dtype, ())
    for value in [*bad, "٣", "1" * 10_000]:
        with pytest.raises((errors.BadAttributes, errors.WrongShape)):
            infer(Node("const", (), dtype, (), {"value": value}), [])


IMAGE = Node("input", (), "f32", (2, 5, 5), {"kind": "batch", "name": "x"})


@pytest.mark.parametrize("name", ["kernel", "stride", "dilation"])
@pytest.mark.parametrize("value", [(0, 1), (1,), (1, 1, 1), (-1, 1), (MAX_PAD + 1, 1), ()])
def test_invalid_windows(name: str, value: tuple[int, ...]) -> None:
    attrs = {"kernel": (3, 3), "stride": (1, 1), "dilation": (1, 1)}
    assert infer(Node("windows", (0,), "f32", (), attrs), [IMAGE]) == ("f32", (2, 3, 3, 3, 3))
    with pytest.raises(errors.BadAttributes):
        infer(Node("windows", (0,), "f32", (), {**attrs, name: value}), [IMAGE])


def test_windows_at_and_over_the_image() -> None:
    for kernel, dilation, fits in (((5, 5), (1, 1), True), ((6, 5), (1, 1), False), ((3, 3), (2, 2), True),
                                   ((3, 3), (2, 3), False), ((2, 2), (MAX_PAD, 1), False)):  # fmt: skip
        node = Node("windows", (0,), "f32", (), {"kernel": kernel, "stride": (MAX_PAD, 1), "dilation": dilation})
        if fits:
            assert infer(node, [IMAGE])[1][1] == 1
        else:
            with pytest.raises(errors.WrongShape):
                infer(node, [IMAGE])


@pytest.mark.parametrize("name", ["low", "high", "interior"])
def test_pad_at_and_over_the_bounds(name: str) -> None:
    attrs = {"low": (0, 0, 0), "high": (0, 0, 0), "interior": (0, 0, 0)}
    assert infer(Node("pad", (0, 0), "f32", (), {**attrs, name: (0, 0, MAX_PAD)}), [IMAGE, ONE])[1][:2] == (2, 5)
    for value in ((0, 0, MAX_PAD + 1), (0, 0, -1), (0, 0), (0, 0, 0, 0)):
        with pytest.raises(errors.BadAttributes):
            infer(Node("pad", (0, 0), "f32", (), {**attrs, name: value}), [IMAGE, ONE])


def test_a_small_file_that_asks_for_much_memory_gets_none() -> None:
    """Sizes of hundreds of GiB are refused with less than a MiB of our own."""
    tracemalloc.start()
    try:
        with pytest.raises(errors.HugeShape):
            validate((ONE, *[Node("expand", (0,), "f32", (MAX_ELEMENTS,))] * 40))
        with pytest.raises(errors.HugeShape):
            Graph.from_bytes(document(shape=[MAX_INTEGER] * 8))
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_messages_stay_short_whatever_was_sent() -> None:
    junk = "z" * 10**6
    for data in (
        document(op=junk), document(dtype=junk), document(attrs={junk: 1}), document(attrs={"kind": junk, "name": "x"}),
        document(attrs={"kind": "batch", "name": junk}), document(shape=[1] * 10**5), document(**{"in": [9] * 10**5}),
        document(attrs={"kind": "batch", "name": [1] * 10**5}), b'{"nodes":[],"version":"' + junk.encode() + b'"}',
        junk.encode(), b"1." + b"1" * 10**6, b"1" * 10**6,
    ):  # fmt: skip
        with pytest.raises(GraphError) as caught:
            Graph.from_bytes(data)
        assert len(str(caught.value)) < MESSAGE_LENGTH + 40


def test_bytes_at_and_over_the_bound() -> None:
    with pytest.raises(errors.MalformedGraph, match="not JSON"):
        Graph.from_bytes(b" " * MAX_BYTES)
    with pytest.raises(errors.MalformedGraph, match="bytes, at most"):
        Graph.from_bytes(b" " * (MAX_BYTES + 1))


def test_brackets_and_commas_at_and_over_the_bound() -> None:
    """Counted before parsing, so that a large file of small things takes little time."""
    for sign, bound in ((b"[", MAX_BRACKETS), (b",", MAX_COMMAS)):
        with pytest.raises(errors.MalformedGraph, match="not JSON"):
            Graph.from_bytes(sign * bound)
        with pytest.raises(errors.TooManyNodes):
            Graph.from_bytes(sign * (bound + 1))


def test_message_names_the_node() -> None:
    with pytest.raises(errors.WrongShape) as caught:
        Graph.from_bytes(document(dtype="f64"))
    assert caught.value.node == 0 and str(caught.value).startswith("node 0: ")
