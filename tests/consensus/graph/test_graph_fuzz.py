"""Whatever a stranger sends as a graph, the answer is that very graph or a GraphError, soon; nothing else is raised."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.graph import Graph
from consensus.graph.errors import GraphError
from consensus.graph.node import canonical_json
from tests.consensus.exact.graph_vectors import make_graph

GOOD = make_graph().to_bytes()  # has an op of nearly every kind
DOCUMENT: dict[str, Any] = json.loads(GOOD)

HOSTILE = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 12), st.sampled_from([2**31, 2**53, 2**63, 2**64, 10**30, -(10**30)]),
    st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8),
    st.sampled_from(["matmul", "sum", "input", "const", "view", "gather", "f32", "i64", "bool", "state", "\x00", "🦆"]),
    st.lists(st.integers(-2, 2**40), max_size=10), st.lists(st.text(max_size=3), max_size=3),
    st.dictionaries(st.sampled_from(["bits", "axes", "value", "name", "kind", "x"]), st.integers(-1, 70), max_size=3),
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of everything inside a JSON value."""
    if isinstance(value, dict):
        return [path] + [found for key in value for found in places(value[key], (*path, key))]
    if isinstance(value, list):
        return [path] + [found for index, item in enumerate(value) for found in places(item, (*path, index))]
    return [path]


PLACES = [path for path in places(DOCUMENT) if path]
NODES = len(DOCUMENT["nodes"])
FIELDS = sorted(DOCUMENT["nodes"][0])


def parse(data: bytes) -> None:
    """Accepts exactly the graphs whose bytes come back."""
    started = time.monotonic()
    with suppress(GraphError):
        graph = Graph.from_bytes(data)
        assert graph.to_bytes() == data
        graph.macs()
        graph.root()
        with suppress(GraphError):
            graph.signature()
    assert time.monotonic() - started < 5


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(PLACES), HOSTILE, st.sampled_from(["replace", "delete", "repeat"]))
def test_hostile_values_anywhere(path: tuple[Any, ...], value: Any, how: str) -> None:
    document = json.loads(GOOD)
    place = document
    for key in path[:-1]:
        place = place[key]
    if how == "delete":
        del place[path[-1]]
    elif how == "repeat" and isinstance(place, list):
        place.insert(path[-1], place[path[-1]])
    else:
        place[path[-1]] = value
    parse(canonical_json(document))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, NODES - 1), st.integers(0, NODES - 1), st.sampled_from(FIELDS)), min_size=1, max_size=4
    )
)
def test_nodes_with_fields_of_other_nodes(swaps: list[tuple[int, int, str]]) -> None:
    """All fields are legal somewhere: the rules that relate them decide."""
    document = json.loads(GOOD)
    for here, there, name in swaps:
        document["nodes"][here][name] = DOCUMENT["nodes"][there][name]
    parse(canonical_json(document))


@settings(max_examples=100, deadline=None)
@given(st.permutations(range(NODES)), st.integers(0, NODES))
def test_nodes_in_another_order_or_fewer(order: list[int], count: int) -> None:
    chosen = sorted(order[:count])
    place = {old: new for new, old in enumerate(chosen)}
    nodes = [DOCUMENT["nodes"][old] for old in chosen]
    nodes = [{**node, "in": [place.get(i, i) for i in node["in"]]} for node in nodes]
    parse(canonical_json({**DOCUMENT, "nodes": nodes}))
    parse(canonical_json({**DOCUMENT, "nodes": [DOCUMENT["nodes"][old] for old in order]}))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=100), st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=4))
def test_hostile_bytes(junk: bytes, position: int, replacement: bytes) -> None:
    parse(junk)
    parse(GOOD[:position] + replacement + GOOD[position + len(replacement) :])
    parse(GOOD[:position])


def test_deep_and_long_documents() -> None:
    for data in (
        b"[" * 10**6,
        b'{"a":' * 10**5,
        b'{"nodes":[' + b"{}," * 10**6 + b"{}]}",
        b"1" * 10**5,
        b'"' + b"a" * 10**7 + b'"',
    ):
        parse(data)
