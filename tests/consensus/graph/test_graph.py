"""Graphs: canonical bytes, root, cost, and one refusal for each broken rule."""

import json
from typing import Any

import pytest

from consensus.graph import Graph, GraphBuilder, errors
from consensus.graph.graph import MAX_ELEMENTS, MAX_NODES, MAX_TOTAL_ELEMENTS, validate
from consensus.graph.node import Node, canonical_json


def small_graph() -> Graph:
    """w ← w − 0.5·Σₙ(x·w); loss = Σ(x·w)."""
    b = GraphBuilder()
    x, w = b.input("batch", "x", "f32", (4, 3)), b.input("state", "w", "f32", (3, 2))
    product = b.matmul(x, w)
    loss = b.reduce("sum", product, (0, 1), keepdims=False)
    gradient = b.matmul(b.transpose(x, (1, 0)), b.expand(b.f32(1.0), (4, 2)))
    b.output("loss", "loss", loss)
    b.output("grad_norm", "grad_norm", b.add("sqrt", b.reduce("sum", b.add("mul", gradient, gradient), (0, 1), False)))
    b.output("state", "w", b.add("sub", w, b.add("mul", gradient, b.f32(0.5))))
    return b.finish()


GRAPH = small_graph()


def changed(index: int, **fields: Any) -> bytes:
    """The small graph's JSON with fields of one node replaced."""
    value = json.loads(GRAPH.to_bytes())
    value["nodes"][index].update(fields)
    return canonical_json(value)


def index_of(op: str) -> int:
    return next(i for i, n in enumerate(GRAPH.nodes) if n.op == op)


def test_bytes_and_root_round_trip() -> None:
    again = Graph.from_bytes(GRAPH.to_bytes())
    assert again == GRAPH and again.root() == GRAPH.root() and len(GRAPH.root()) == 32


def test_root_depends_on_every_node() -> None:
    other = Graph.from_bytes(changed(index_of("const"), attrs={"value": "3f000001"}))
    assert other.root() != GRAPH.root()


def test_macs_are_products_elements_and_terms() -> None:
    matmuls, squares, sums = 4 * 3 * 2 + 3 * 4 * 2, 6, 8 + 6
    assert GRAPH.macs() == matmuls + squares + sums + 1 + 6 + 6  # and the root, the scaling, the difference


def test_signature_names_state_and_batch() -> None:
    signature = GRAPH.signature()
    assert list(signature.state) == ["w"] and signature.batch["x"].shape == (4, 3) and not signature.needs_seed


def test_common_subexpressions_are_shared_and_dead_nodes_dropped() -> None:
    b = GraphBuilder()
    w = b.input("state", "w", "f32", ())
    assert b.add("mul", w, w) == b.add("mul", w, w)
    b.add("exp", w)
    for kind in ("loss", "grad_norm"):
        b.output(kind, kind, w)
    b.output("state", "w", w)
    assert [n.op for n in b.finish().nodes] == ["input", "output", "output", "output"]


def test_canonical_form_does_not_depend_on_the_order_of_building() -> None:
    roots = set()
    for names in (("a", "b"), ("b", "a")):
        b = GraphBuilder()
        inputs = {n: b.input("state", n, "f32", ()) for n in names}
        for name in names:
            b.output("state", name, b.add("exp", inputs[name]))
        b.output("loss", "loss", b.add("add", inputs["a"], inputs["b"]))
        b.output("grad_norm", "grad_norm", inputs["a"])
        roots.add(b.finish().root())
    assert len(roots) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xff", b"[]", b"{}", b'{"nodes":{},"version":"exact/v1"}', b'{"nodes":[1],"version":"exact/v1"}',
        b"[" * 9999,
    ],
)
def test_invalid_json(data: bytes) -> None:
    with pytest.raises(errors.MalformedGraph):
        Graph.from_bytes(data)


def test_invalid_version_blank_or_huge_bytes() -> None:
    good = GRAPH.to_bytes()
    for data in (
        good.replace(b"exact/v1", b"exact/v2"),
        good + b" ",
        good.replace(b"[4,3]", b"[4.0,3]", 1),
        good.replace(b"[4,3]", b"[4,03]", 1),
        good.replace(b'{"bits":12}', b'{"bits":1.5}', 1),
        b" " * (2**24 + 1),
    ):
        with pytest.raises(errors.MalformedGraph):
            Graph.from_bytes(data)


def test_invalid_op() -> None:
    with pytest.raises(errors.UnknownOp, match="convolution"):
        Graph.from_bytes(changed(index_of("sqrt"), op="convolution"))


def test_invalid_cycle_and_reference() -> None:
    place = index_of("sqrt")
    for inputs in ([place], [place + 1], [10**9], [-1]):
        with pytest.raises(errors.CyclicGraph):
            Graph.from_bytes(changed(place, **{"in": inputs}))


def test_invalid_shape_and_dtype() -> None:
    place = index_of("matmul")
    for fields in ({"shape": [2, 4]}, {"shape": [4, 2, 1]}, {"dtype": "i64"}, {"dtype": "f16"}, {"shape": [0, 2]}):
        with pytest.raises(errors.WrongShape):
            Graph.from_bytes(changed(place, **fields))


def test_invalid_operands() -> None:
    with pytest.raises(errors.WrongShape):
        Graph.from_bytes(changed(index_of("matmul"), **{"in": [0, 0]}))
    with pytest.raises(errors.WrongShape):
        Graph.from_bytes(changed(index_of("matmul"), **{"in": [0]}))


def test_invalid_huge_shape_and_rank() -> None:
    place = index_of("expand")
    with pytest.raises(errors.HugeShape):
        Graph.from_bytes(changed(place, shape=[MAX_ELEMENTS, 2]))
    with pytest.raises(errors.HugeShape):
        Graph.from_bytes(changed(place, shape=[1] * 9))


def test_total_size_at_and_over_the_bound() -> None:
    one = Node("const", (), "f32", (), {"value": "3f800000"})
    huge = Node("expand", (0,), "f32", (MAX_ELEMENTS,))
    rest = Node("expand", (0,), "f32", (MAX_ELEMENTS - 1,))
    most = (one, *[huge] * (MAX_TOTAL_ELEMENTS // MAX_ELEMENTS - 1), rest)
    with pytest.raises(errors.WrongSignature):  # the sizes pass, the next rule is broken
        validate(most)
    with pytest.raises(errors.HugeShape):
        validate((*most, one))


@pytest.mark.parametrize(
    "attrs",
    [{}, {"bits": 12, "b": 1}, {"bits": 0}, {"bits": 15}, {"bits": "9"}, {"bits": [9]}, {"bits": True}],
)
def test_invalid_attributes(attrs: dict[str, Any]) -> None:
    with pytest.raises(errors.BadAttributes):
        Graph.from_bytes(changed(index_of("matmul"), attrs=attrs))


@pytest.mark.parametrize("value", ["3F000000", "3f00000", "0x3f0000", "", "zzzzzzzz"])
def test_invalid_constant(value: str) -> None:
    with pytest.raises(errors.BadAttributes):
        Graph.from_bytes(changed(index_of("const"), attrs={"value": value}))


@pytest.mark.parametrize("axes", [[], [1, 0], [0, 0], [2], [-1]])
def test_invalid_axes(axes: list[int]) -> None:
    with pytest.raises(errors.BadAttributes):
        Graph.from_bytes(changed(index_of("sum"), attrs={"axes": axes}))


def test_too_many_nodes() -> None:
    node = Node("iota", (), "i64", (1,), {"n": 1})
    with pytest.raises(errors.TooManyNodes):
        validate((node,) * (MAX_NODES + 1))


def test_matmul_k_at_and_over_the_exact_bound() -> None:
    b = GraphBuilder()
    good, bad = 2**25 - 1, 2**25
    b.matmul(b.expand(b.f32(1.0), (1, good)), b.expand(b.f32(1.0), (good, 1)), bits=14)
    with pytest.raises(errors.InexactNode):
        b.matmul(b.expand(b.f32(1.0), (1, bad)), b.expand(b.f32(1.0), (bad, 1)), bits=14)


def test_sum_at_and_over_the_exact_bound() -> None:
    b = GraphBuilder()
    b.reduce("sum", b.expand(b.f32(1.0), (2**25 - 1,)), (0,))
    with pytest.raises(errors.InexactNode):
        b.reduce("sum", b.expand(b.f32(1.0), (2**25,)), (0,))


def test_invalid_signatures() -> None:
    nodes = GRAPH.nodes
    loss = next(i for i, n in enumerate(nodes) if n.attrs.get("kind") == "loss")
    new_state = next(i for i, n in enumerate(nodes) if n.op == "output" and n.attrs["kind"] == "state")
    for wrong in (
        nodes[:loss] + nodes[loss + 1 :],  # no loss
        (*nodes, nodes[loss]),  # two losses
        nodes[:new_state] + nodes[new_state + 1 :],  # a state entry that is not written
        (*nodes, Node("output", (0,), "f32", (4, 3), {"kind": "state", "name": "x"})),  # written, never read
    ):
        with pytest.raises(errors.WrongSignature):
            Graph.from_nodes(wrong)


def test_loss_must_be_a_scalar() -> None:
    loss = next(i for i, n in enumerate(GRAPH.nodes) if n.attrs.get("kind") == "loss")
    with pytest.raises(errors.WrongShape):
        Graph.from_bytes(changed(loss, **{"in": [index_of("matmul")]}))
