"""Openings that must be refused: an honest one with one thing wrong, and the error that it deserves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from consensus.arbiter import errors
from consensus.arbiter.codec import (
    MAX_OPENING_BYTES,
    encode_compact,
    encode_form,
    encode_list,
    encode_node,
    encode_place,
)
from consensus.arbiter.compute import is_by_element
from consensus.arbiter.elements import MOVEMENT
from consensus.arbiter.errors import ArbiterError
from consensus.arbiter.opening import Agreed, Opened, Opening, compute_claim_hash, encode_opening
from consensus.arbiter.reductions import QUANTITIES, count_levels, count_sets
from consensus.arbiter.statement import Check, Element, Input, Partial, Place, Quantity, Tile
from consensus.commit.hashing import Hash32
from consensus.commit.tensor import TensorForm
from consensus.graph.node import Attribute
from tests.consensus.arbiter.nodes import Question


@dataclass(frozen=True)
class Lie:
    """A wrong opening."""

    name: str
    error: type[ArbiterError]
    agreed: Agreed
    opening: bytes


def flip(data: bytes) -> Hash32:
    """The same with its last bit turned."""
    return Hash32(data[:-1] + bytes([data[-1] ^ 1]))


def make_lies(question: Question, place: Place) -> Iterator[Lie]:
    """All lies about a place of an honest execution."""
    agreed, opening = question.agree(place), question.open(place)
    for name, error, data in _bytes(question, opening):
        yield Lie(name, error, agreed, data)
    for name, error, changed in (*_nodes(opening), *_places(question, opening), *_operands(opening), *_proofs(opening)):
        yield Lie(name, error, agreed, encode_opening(changed))
    yield from _agreements(agreed, opening)
    yield from _agreed_lies(agreed, opening)


Bytes = Iterator[tuple[str, type[ArbiterError], bytes]]
Changed = Iterator[tuple[str, type[ArbiterError], Opening]]


def _bytes(question: Question, opening: Opening) -> Bytes:
    """Wrong encodings."""
    data, node, forms = encode_opening(opening), encode_node(opening.statement.node), opening.statement.inputs
    form = encode_form(question.form)
    start = len(node) + len(encode_list(forms, encode_form))
    stop = start + len(encode_place(opening.statement.place))
    if question.node.op == "matmul":
        yield "too large", errors.TooLarge, data + bytes(MAX_OPENING_BYTES + 1 - len(data))
        yield "large", errors.Malformed, data + bytes(MAX_OPENING_BYTES - len(data))
    yield "no bytes", errors.Malformed, b""
    for size in (1, 33):
        yield f"{size} bytes short", errors.Malformed, data[:-size]
    yield "a byte too many", errors.Malformed, data + b"\x00"
    yield "unknown dtype", errors.Malformed, b"\x01" + data[1:]
    yield "unknown op", errors.Malformed, form + b"\x2a" + data[len(form) + 1 :]
    yield "a length in two bytes", errors.Malformed, form[:1] + bytes([form[1] | 1, 0]) + data[2:]
    yield "a length in four bytes", errors.Malformed, form[:1] + bytes([form[1] | 2, 0, 0, 0]) + data[2:]
    yield "a length of big-integer mode", errors.Malformed, form[:1] + b"\x03" + data[2:]
    yield "rank 9", errors.Malformed, form[:1] + encode_compact(9) + b"\x01\x00\x00\x00" * 9 + data[len(form) :]
    yield "a dimension of 0", errors.Malformed, form[:1] + encode_compact(1) + bytes(4) + data[len(form) :]
    yield "too many elements", errors.Malformed, form[:1] + encode_compact(1) + b"\x01\x00\x00\x10" + data[len(form) :]
    yield "unknown place", errors.Malformed, data[:start] + b"\x04" + data[start + 1 :]
    yield "unknown quantity", errors.Malformed, data[:start] + b"\x02\x03" + bytes(9) + data[stop:]
    if opening.operands:
        at = len(data) - sum(_opened_bytes(opened) for opened in opening.operands)
        yield "unknown source", errors.Malformed, data[:at] + b"\x02" + data[at + 1 :]
        yield "more operands than bytes", errors.Malformed, data[: at - 1] + b"\xfe\xff\xff\xff" + data[at:]


def _opened_bytes(opened: Opened) -> int:
    """Length of an operand's encoding."""
    head = 7 if isinstance(opened.source, Input) else 1 + len(encode_place(opened.source))
    lengths = len(encode_compact(len(opened.data))) + len(encode_compact(len(opened.siblings)))
    return head + lengths + len(opened.data) + 32 * len(opened.siblings)


def _with_node(opening: Opening, **changes: object) -> Opening:
    node = replace(opening.statement.node, **changes)  # type: ignore[arg-type]
    return replace(opening, statement=replace(opening.statement, node=node))


_WRONG_ATTRIBUTES: dict[str, tuple[dict[str, Attribute], ...]] = {
    "const": ({"value": "7fc00001"}, {"value": "ff800001"}),
    "sum": ({"axes": ()}, {"axes": (7,)}, {"axes": (0, 0)}),
    "amax": ({"axes": ()}, {"axes": (7,)}, {"axes": (0, 0)}),
    "matmul": ({"bits": 0}, {"bits": 15}),
    "transpose": ({"perm": (0, 0)}, {"perm": ()}),
    "slice": ({"axis": 7}, {"start": 2**32 - 1}, {"stop": 2**32 - 1}, {"step": 0}, {"step": 2**20 + 1}),
    "concat": ({"axis": 8},),
    "pad": ({"low": ()}, {"high": (2**20 + 1,) * 2}, {"interior": (2**32 - 1,) * 2}),
    "windows": ({"kernel": (0, 1)}, {"stride": (1,)}, {"dilation": (2**20 + 1, 1)}),
    "output": ({"name": ""}, {"name": "a" * 257}, {"name": "tab\t"}, {"name": "\x85"}, {"name": "é" * 129}),
}


def _nodes(opening: Opening) -> Changed:
    """Nodes that no graph holds, and valid ones that this graph does not hold."""
    statement, node = opening.statement, opening.statement.node
    several = replace(statement, inputs=(*statement.inputs, TensorForm("f32", ())))
    yield "a form too many", errors.BadNode, replace(opening, statement=several)
    yield "an input too many", errors.BadNode, _with_node(opening, inputs=(*node.inputs, 0))
    if node.op not in ("const", "uniform", "expand"):
        yield "another shape", errors.BadNode, _with_node(opening, shape=(*node.shape, 3))
    if node.op not in ("const", "cast"):
        other = "i64" if node.dtype != "i64" else "bool"
        yield "another dtype", errors.BadNode, _with_node(opening, dtype=other)
    named = {"kind": "state", "name": "x"}
    yield "an input node", errors.BadNode, _with_node(opening, op="input", attrs=named)
    for changes in _WRONG_ATTRIBUTES.get(node.op, ()):
        wrong = _with_node(opening, attrs={**node.attrs, **changes})
        yield f"attribute {changes}", errors.BadNode, wrong
    if node.inputs:
        renamed = tuple(number + 1 for number in node.inputs)
        yield "a node with other inputs", errors.BadProof, _with_node(opening, inputs=renamed)
        seed = TensorForm("u32", (2,))
        forms = replace(statement, inputs=(*statement.inputs[:-1], seed))
        yield "an input of the seed's dtype", errors.BadNode, replace(opening, statement=forms)
    if node.op == "uniform":
        yield "another stream", errors.BadProof, _with_node(opening, attrs={"stream": 99})
    if node.op == "output":
        yield "another name", errors.BadProof, _with_node(opening, attrs={**node.attrs, "name": 'other "\\ 🦆'})


def _places(question: Question, opening: Opening) -> Changed:
    """Places that the node has not."""
    node, forms, count = question.node, question.evaluation.forms, question.form.tile_count
    elements = int(np.prod(node.shape, dtype=np.int64))
    places: list[Place] = [Tile(count), Tile(2**32 - 1), Check(len(forms), 0)]
    places += [Check(number, form.tile_count) for number, form in enumerate(forms)]
    if is_by_element(node):
        places += [Element(elements), Element(2**32 - 1)]
    else:
        places.append(Element(0))
    if node.op in MOVEMENT or node.op in ("add", "where", "exp"):
        places += [Partial(Quantity.MAXIMUM, 0, 0, 0), Check(0, 0)]
    for quantity in QUANTITIES.get(node.op, ()):
        statement = opening.statement
        levels = count_levels(statement, quantity)
        places += [Partial(quantity, count_sets(statement, quantity), 0, 0), Partial(quantity, 0, len(levels), 0)]
        places += [Partial(quantity, 0, level, size) for level, size in enumerate(levels)]
    if node.op in QUANTITIES and node.op != "matmul":
        places.append(Partial(Quantity.RIGHT_MAXIMUM, 0, 0, 0))
    for place in places:
        yield f"{place}", errors.BadPlace, replace(opening, statement=replace(opening.statement, place=place))


def _with_operands(opening: Opening, operands: list[Opened]) -> Opening:
    return replace(opening, operands=tuple(operands))


def _operands(opening: Opening) -> Changed:
    """Operands that are not those of the place, each with a proof of its own."""
    operands = list(opening.operands)
    if not operands:
        return
    last = operands[-1]
    again = errors.BadOperands
    yield "an operand too few", again, _with_operands(opening, operands[:-1])
    yield "the last operand twice", again, _with_operands(opening, [*operands, last])
    yield "no operands", again, _with_operands(opening, [])
    if isinstance(last.source, Input):
        nowhere = replace(last, source=Input(0xFFFF, 0))
        yield "an input that is not there", again, _with_operands(opening, [*operands[:-1], nowhere])
        swapped = operands[::-1]
        if len({opened.source for opened in operands}) > 1 and all(isinstance(o.source, Input) for o in operands):
            yield "operands in another order", again, _with_operands(opening, swapped)
    else:
        proven = replace(last, siblings=(Hash32(bytes(32)),))
        yield "a claim with a proof", again, _with_operands(opening, [*operands[:-1], proven])


def _proofs(opening: Opening) -> Changed:
    """Data and hashes that are not under the agreed roots."""
    yield "a node's sibling too many", errors.BadProof, replace(
        opening, node_siblings=(*opening.node_siblings, Hash32(bytes(32)))
    )
    if opening.node_siblings:
        yield "a node's sibling too few", errors.BadProof, replace(opening, node_siblings=opening.node_siblings[:-1])
        wrong = (*opening.node_siblings[:-1], flip(opening.node_siblings[-1]))
        yield "another node's sibling", errors.BadProof, replace(opening, node_siblings=wrong)
    yield "an inner root too many", errors.BadForm, replace(
        opening, inner_roots=(*opening.inner_roots, Hash32(bytes(32)))
    )
    if opening.inner_roots:
        yield "an inner root too few", errors.BadForm, replace(opening, inner_roots=opening.inner_roots[:-1])
        changed = (*opening.inner_roots[:-1], flip(opening.inner_roots[-1]))
        yield "another inner root", errors.BadForm, replace(opening, inner_roots=changed)
    for number, opened in enumerate(opening.operands):
        before, after = opening.operands[:number], opening.operands[number + 1 :]
        if number not in (0, len(opening.operands) - 1):
            continue

        def put(
            changed: Opened, before: tuple[Opened, ...] = before, after: tuple[Opened, ...] = after
        ) -> Opening:
            return replace(opening, operands=(*before, changed, *after))

        error = errors.BadProof if isinstance(opened.source, Input) else errors.NotAgreed
        yield f"operand {number} with a bit turned", error, put(replace(opened, data=flip(opened.data)))
        yield f"operand {number} cut", error, put(replace(opened, data=opened.data[:-1]))
        if isinstance(opened.source, Input):
            longer = replace(opened, siblings=(*opened.siblings, Hash32(bytes(32))))
            yield f"operand {number} with a sibling too many", error, put(longer)
            beyond = opening.statement.inputs[opened.source.input].tile_count
            yield f"operand {number} beyond the tensor", error, put(
                replace(opened, source=Input(opened.source.input, beyond))
            )
        if opened.siblings:
            yield f"operand {number} with a sibling too few", error, put(replace(opened, siblings=opened.siblings[:-1]))
            other = replace(opened, siblings=(flip(opened.siblings[0]), *opened.siblings[1:]))
            yield f"operand {number} with another sibling", error, put(other)


def _agreements(agreed: Agreed, opening: Opening) -> Iterator[Lie]:
    """An honest opening where something else is agreed."""
    data = encode_opening(opening)
    yield Lie("another graph", errors.BadProof, replace(agreed, graph_root=flip(agreed.graph_root)), data)
    yield Lie("a node beyond the graph", errors.BadProof, replace(agreed, node_index=agreed.node_count), data)
    yield Lie("a graph of no nodes", errors.BadProof, replace(agreed, node_count=0, node_index=0), data)
    if agreed.input_roots:
        roots = (*agreed.input_roots[:-1], flip(agreed.input_roots[-1]))
        yield Lie("another input root", errors.BadForm, replace(agreed, input_roots=roots), data)
        yield Lie("an input root too few", errors.BadForm, replace(agreed, input_roots=agreed.input_roots[:-1]), data)
    zero = Hash32(bytes(32))
    yield Lie("a claim not opened", errors.BadOperands, replace(agreed, claims=(*agreed.claims, zero)), data)
    if agreed.claims:
        yield Lie("a claim not agreed", errors.BadOperands, replace(agreed, claims=agreed.claims[:-1]), data)
        claims = (flip(agreed.claims[0]), *agreed.claims[1:])
        yield Lie("another claim", errors.NotAgreed, replace(agreed, claims=claims), data)


def _agreed_lies(agreed: Agreed, opening: Opening) -> Iterator[Lie]:
    """Claims on which both sides agree and that no execution has."""
    op = opening.statement.node.op
    for number, opened in enumerate(opening.operands):
        source, siblings = opened.source, ()
        if isinstance(source, Input):
            continue
        for name, error, changed in _impossible(op, source, opened.data):
            lied = replace(opened, source=changed[0], data=changed[1], siblings=siblings)
            operands = (*opening.operands[:number], lied, *opening.operands[number + 1 :])
            claims = list(agreed.claims)
            at = sum(not isinstance(o.source, Input) for o in opening.operands[:number])
            claims[at] = compute_claim_hash(*changed)
            data = encode_opening(replace(opening, operands=operands))
            yield Lie(f"operand {number}: {name}", error, replace(agreed, claims=tuple(claims)), data)
        if isinstance(source, Element):
            return  # one of a thousand is enough


_WORDS: dict[str, Callable[[], np.float32]] = {
    "a NaN as maximum": lambda: np.float32(np.nan),
    "+inf as maximum": lambda: np.float32(np.inf),
    "a negative maximum": lambda: np.float32(-1.0),
    "−0 as maximum": lambda: np.float32(-0.0),
}


def _impossible(
    op: str, source: Place, data: bytes
) -> Iterator[tuple[str, type[ArbiterError], tuple[Place, bytes]]]:
    yield "a claim cut", errors.BadOperands, (source, data[:-1])
    yield "another place's claim", errors.BadOperands, (Check(0, 0), data)
    if not isinstance(source, Partial):
        return
    if source.quantity is Quantity.SUM:
        for value, side in product((2**53, 2**63 - 1), (1, -1)):
            changed = np.frombuffer(data, "<i8").copy()
            changed[-1] = value * side
            yield f"a sum of {value * side}", errors.Inconsistent, (source, changed.tobytes())
    else:
        for name, word in _WORDS.items():
            if op == "amax" and name in ("a negative maximum", "−0 as maximum"):
                continue
            maxima = np.frombuffer(data, "<f4").copy()
            maxima[-1] = word()
            yield name, errors.Inconsistent, (source, maxima.tobytes())
