"""SCALE encoding of questions and answers, as `parity-scale-codec` derives it for the types of `devnet/runtime/exact`.

Integers are little-endian; ``[x]`` is a compact length, then the items; H is 32 bytes; a list of fields is a struct.

    Node       form Form, op u8, inputs [u32], attributes     inputs: indices of nodes of the graph
    Form       dtype u8, shape [u32]     at most 8 dimensions, each ≥ 1, together at most 2^28 elements
    Statement  node Node, inputs [Form], place Place
    Place      0 Tile: tile u32 · 1 Element: element u32 ·
               2 Partial: quantity u8, of u32, level u8, index u32 · 3 Check: input u16, tile u32
    Source     0 Input: input u16, tile u32 · 1 Claim: place Place
    Operand    source Source, data [u8]
    Opened     source Source, data [u8], siblings [H]
    Opening    statement Statement, node_siblings [H], inner_roots [H], operands [Opened]
    Agreed     graph_root H, node_count u32, node_index u32, input_roots [H], claims [H]
    Outcome    0 Value: [u8] · 1 Ends: u8 (an `Ending`)
    Answer     0 Outcome · 1 error u8 (the ``code`` of an `ArbiterError`): a Rust Result<Outcome, Error>

op is the position in `consensus.arbiter.statement.ATTRIBUTES`, dtype the code in tensor roots (f32 0, i64 3, u32 4,
bool 6). Attributes follow in the order of that table:

    value                                  u64: bits of an f32, two's complement of an i64, 0 or 1 for a bool
    axes, perm                             [u8]
    axis, bits                             u8
    start, stop, step, stream              u32
    low, high, interior, kernel, stride, dilation   [u32]
    kind                                   u8: input state 0, batch 1, seed 2, step 3; output state 0, loss 1,
                                           grad_norm 2, result 3
    name                                   [u8]: UTF-8

A decoder takes only what an encoder gives: shortest compact lengths, known codes, nothing after the end. So the bytes
of a question are as good as the question.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TypeVar

from consensus.arbiter.errors import ArbiterError, BadNode, Malformed, TooLarge
from consensus.arbiter.statement import (
    ATTRIBUTES,
    OP_CODES,
    Check,
    Element,
    Ending,
    Input,
    Operand,
    Outcome,
    Partial,
    Place,
    Quantity,
    Source,
    Statement,
    Tile,
)
from consensus.commit.hashing import (
    HASH_BYTES,
    FieldRangeError,
    Hash32,
    encode_hash,
    encode_u8,
    encode_u16,
    encode_u32,
    encode_u64,
)
from consensus.commit.tensor import DTYPES as TENSOR_DTYPES
from consensus.commit.tensor import TensorForm
from consensus.graph.graph import MAX_ELEMENTS, MAX_RANK
from consensus.graph.node import DTYPES, Attribute, Node
from consensus.graph.ops import INPUT_KINDS, OUTPUT_KINDS

MAX_OPENING_BYTES = 2**16
"""Most bytes of an opening, statement and proofs included (= 65,536); also of a statement or of operands alone."""

DTYPE_CODES = {name: TENSOR_DTYPES[name][0] for name in DTYPES}
_NAMES_OF_DTYPES = {code: name for name, code in DTYPE_CODES.items()}
_OPS = tuple(ATTRIBUTES)
_NARROW = {"axes", "perm", "axis", "bits"}
_LISTS = {"axes", "perm", "low", "high", "interior", "kernel", "stride", "dilation"}

Item = TypeVar("Item")


def encode_compact(value: int) -> bytes:
    """SCALE's compact form of 0 ≤ value < 2^30."""
    if value < 1 << 6:
        return encode_u8(value << 2)
    if value < 1 << 14:
        return encode_u16(value << 2 | 1)
    return encode_u32(value << 2 | 2)


def encode_list(items: Sequence[Item], encode: Callable[[Item], bytes]) -> bytes:
    """``[x]``."""
    return encode_compact(len(items)) + b"".join(encode(item) for item in items)


def encode_bytes(data: bytes) -> bytes:
    """``[u8]``."""
    return encode_compact(len(data)) + data


def encode_hashes(hashes: Sequence[bytes]) -> bytes:
    """``[H]``."""
    return encode_list(hashes, encode_hash)


def encode_form(form: TensorForm) -> bytes:
    """A dtype and shape; raises `BadNode` for a dtype that graphs do not have."""
    if form.dtype not in DTYPE_CODES:
        raise BadNode(f"dtype {form.dtype} does not occur in graphs")
    return encode_u8(DTYPE_CODES[form.dtype]) + encode_list(form.shape, encode_u32)


def encode_node(node: Node) -> bytes:
    """A node; raises `BadNode` for one that no graph holds and that has no encoding."""
    if node.op not in OP_CODES:
        raise BadNode(f"{node.op[:64]!r} is no op of exact/v1")
    try:
        attributes = b"".join(_encode_attribute(node, name) for name in ATTRIBUTES[node.op])
        form = encode_form(TensorForm(node.dtype, node.shape))
        return form + encode_u8(OP_CODES[node.op]) + encode_list(node.inputs, encode_u32) + attributes
    except (FieldRangeError, KeyError, ValueError) as error:
        raise BadNode(f"{node.op} has an attribute that does not fit: {error}") from error


def _encode_attribute(node: Node, name: str) -> bytes:
    value = node.attrs[name]
    if name == "value":
        return encode_u64(int(str(value), 16) if node.dtype == "f32" else int(str(value)) % 2**64)
    if name == "kind":
        return encode_u8((INPUT_KINDS if node.op == "input" else OUTPUT_KINDS).index(str(value)))
    if name == "name":
        return encode_bytes(str(value).encode())
    encode = encode_u8 if name in _NARROW else encode_u32
    if isinstance(value, tuple):
        return encode_list(value, encode)
    if not isinstance(value, int):
        raise BadNode(f"attribute {name} of {node.op} is no integer")
    return encode(value)


def encode_place(place: Place) -> bytes:
    """A place."""
    if isinstance(place, Tile):
        return encode_u8(0) + encode_u32(place.tile)
    if isinstance(place, Element):
        return encode_u8(1) + encode_u32(place.element)
    if isinstance(place, Partial):
        numbers = encode_u8(place.quantity) + encode_u32(place.of) + encode_u8(place.level) + encode_u32(place.index)
        return encode_u8(2) + numbers
    return encode_u8(3) + encode_u16(place.input) + encode_u32(place.tile)


def encode_source(source: Source) -> bytes:
    """A source."""
    if isinstance(source, Input):
        return encode_u8(0) + encode_u16(source.input) + encode_u32(source.tile)
    return encode_u8(1) + encode_place(source)


def encode_statement(statement: Statement) -> bytes:
    """A statement; raises `BadNode` when it cannot be put."""
    return encode_node(statement.node) + encode_list(statement.inputs, encode_form) + encode_place(statement.place)


def encode_operand(operand: Operand) -> bytes:
    """An operand."""
    return encode_source(operand.source) + encode_bytes(operand.data)


def encode_operands(operands: Sequence[Operand]) -> bytes:
    """``[Operand]``."""
    return encode_list(operands, encode_operand)


def encode_answer(answer: Outcome | ArbiterError) -> bytes:
    """What the runtime answers: an outcome or a refusal."""
    if isinstance(answer, ArbiterError):
        return encode_u8(1) + encode_u8(answer.code)
    if isinstance(answer, Ending):
        return encode_u8(0) + encode_u8(1) + encode_u8(answer)
    return encode_u8(0) + encode_u8(0) + encode_bytes(answer)


class Reader:
    """Takes value after value off some bytes; raises `TooLarge` at once, `Malformed` at the first wrong byte."""

    def __init__(self, data: bytes, what: str) -> None:
        if len(data) > MAX_OPENING_BYTES:
            raise TooLarge(what, len(data), MAX_OPENING_BYTES)
        self._data, self._what, self._at = data, what, 0

    def refuse(self, reason: str) -> Malformed:
        """The error to raise."""
        return Malformed(f"{self._what}, byte {self._at}: {reason}")

    def raw(self, size: int) -> bytes:
        """The next bytes."""
        if size > len(self._data) - self._at:
            raise self.refuse(f"{size} bytes are missing")
        self._at += size
        return self._data[self._at - size : self._at]

    def integer(self, size: int) -> int:
        """An unsigned integer of some bytes."""
        return int.from_bytes(self.raw(size), "little")

    def u8(self) -> int:
        """One byte."""
        return self.integer(1)

    def u32(self) -> int:
        """Four bytes."""
        return self.integer(4)

    def compact(self) -> int:
        """A length under 2^30 in its shortest form."""
        first = self.u8()
        if first & 3 == 3:
            raise self.refuse("a length of 2^30 or more")
        rest = (0, 1, 3)[first & 3]
        value = (self.integer(rest) << 8 | first) >> 2
        if rest and value < (0, 1 << 6, 0, 1 << 14)[rest]:
            raise self.refuse("a length in more bytes than it needs")
        return value

    def many(self, read: Callable[[], Item]) -> list[Item]:
        """``[x]``: at most as many items as bytes are left, so that no length asks for memory."""
        count = self.compact()
        if count > len(self._data) - self._at:
            raise self.refuse(f"{count} items do not fit")
        return [read() for _ in range(count)]

    def blob(self) -> bytes:
        """``[u8]``."""
        return self.raw(self.compact())

    def hash(self) -> Hash32:
        """H."""
        return Hash32(self.raw(HASH_BYTES))

    def hashes(self) -> tuple[Hash32, ...]:
        """``[H]``."""
        return tuple(self.many(self.hash))

    def one_of(self, names: Sequence[Item]) -> Item:
        """A code with its meaning."""
        code = self.u8()
        if code >= len(names):
            raise self.refuse(f"unknown code {code}")
        return names[code]

    def finish(self) -> None:
        """Raises `Malformed` when bytes are left."""
        if self._at != len(self._data):
            raise self.refuse(f"{len(self._data) - self._at} bytes too many")

    def form(self) -> TensorForm:
        """A form that a tensor of a graph may have."""
        code = self.u8()
        if code not in _NAMES_OF_DTYPES:
            raise self.refuse(f"no dtype of graphs has the code {code}")
        shape = tuple(self.many(self.u32))
        if len(shape) > MAX_RANK or any(n < 1 for n in shape) or prod(shape) > MAX_ELEMENTS:
            raise self.refuse(f"over {MAX_RANK} dimensions, a dimension under 1, or over {MAX_ELEMENTS:,} elements")
        return TensorForm(_NAMES_OF_DTYPES[code], shape)

    def node(self) -> Node:
        """A node."""
        form = self.form()
        op = self.one_of(_OPS)
        inputs = tuple(self.many(self.u32))
        attributes = {name: self._attribute(op, form, name) for name in ATTRIBUTES[op]}
        first = form.shape[0] if form.shape else 0
        attributes |= {"iota": {"n": first}, "add_rows": {"rows": first}}.get(op, {})
        return Node(op, inputs, form.dtype, form.shape, attributes)

    def _attribute(self, op: str, form: TensorForm, name: str) -> Attribute:
        if name == "value":
            bits = self.integer(8)
            return f"{bits:08x}" if form.dtype == "f32" else str(bits - (bits >> 63 << 64))
        if name == "kind":
            return self.one_of(INPUT_KINDS if op == "input" else OUTPUT_KINDS)
        if name == "name":
            try:
                return self.blob().decode()
            except UnicodeDecodeError as error:
                raise self.refuse("the name is no UTF-8") from error
        read = self.u8 if name in _NARROW else self.u32
        return tuple(self.many(read)) if name in _LISTS else read()

    def place(self) -> Place:
        """A place."""
        kind = self.one_of((Tile, Element, Partial, Check))
        if kind is Partial:
            return Partial(self.one_of(tuple(Quantity)), self.u32(), self.u8(), self.u32())
        if kind is Check:
            return Check(self.integer(2), self.u32())
        return Tile(self.u32()) if kind is Tile else Element(self.u32())

    def source(self) -> Source:
        """A source."""
        return self.place() if self.one_of((False, True)) else Input(self.integer(2), self.u32())

    def operand(self) -> Operand:
        """An operand."""
        return Operand(self.source(), self.blob())

    def statement(self) -> Statement:
        """A statement."""
        return Statement(self.node(), tuple(self.many(self.form)), self.place())


def decode_statement(data: bytes) -> Statement:
    """A statement; raises `TooLarge`, `Malformed`."""
    reader = Reader(data, "statement")
    statement = reader.statement()
    reader.finish()
    return statement


def decode_operands(data: bytes) -> list[Operand]:
    """``[Operand]``; raises `TooLarge`, `Malformed`."""
    reader = Reader(data, "operands")
    operands = reader.many(reader.operand)
    reader.finish()
    return operands
