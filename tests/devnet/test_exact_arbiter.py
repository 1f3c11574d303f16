"""The arbiter inside the runtime's Wasm, on our host, answers as the Python one: golden vectors, bounds, any bytes."""

from __future__ import annotations

import random
from contextlib import suppress
from math import prod
from pathlib import Path

import pytest

from chain.runtime.executor import Executor, default_cache_folder
from chain.state.overlay import Overlay
from chain.state.view import StateView
from chain.trie import EMPTY_ROOT, Trie
from consensus.arbiter import Ending, Operand, Statement, Tile, compute, errors, required
from consensus.arbiter.codec import (
    MAX_OPENING_BYTES,
    decode_operands,
    decode_statement,
    encode_answer,
    encode_bytes,
    encode_operands,
    encode_statement,
)
from consensus.arbiter.compute import compute_place, is_by_element
from consensus.arbiter.errors import ArbiterError, Malformed, TooLarge
from consensus.arbiter.evaluate import read_tile
from consensus.arbiter.opening import answer, decode_agreed, decode_opening
from consensus.arbiter.operands import Operands, UnitEnds
from consensus.arbiter.statement import Source
from tests.consensus.arbiter.nodes import CASES, REFUSED, Question
from tests.consensus.arbiter.test_bounds import at, extremes, places
from tests.consensus.arbiter.vectors import apply_edit, read
from tests.consensus.exact.vectors import Case, parse, parse_node

RUNTIME = Path(__file__).resolve().parents[2] / "devnet" / "runtime"
OPS = sorted({case["op"] for case in CASES})


class WasmArbiter:
    """The runtime API `ExactApi` of the committed blob."""

    def __init__(self) -> None:
        blob = (RUNTIME / "blob" / "aipow_runtime.compact.compressed.wasm").read_bytes()
        self._executor = Executor(blob, default_cache_folder())
        self._state = Overlay(StateView(Trie({}), EMPTY_ROOT))

    def _call(self, method: str, *arguments: bytes) -> bytes:
        return self._executor.call(f"ExactApi_{method}", b"".join(map(encode_bytes, arguments)), self._state)

    def arbitrate(self, agreed: bytes, opening: bytes) -> bytes:
        """The encoded answer to an encoded opening."""
        return self._call("arbitrate", agreed, opening)

    def compute(self, statement: bytes, operands: bytes) -> bytes:
        """The encoded answer to an encoded statement."""
        return self._call("compute", statement, operands)

    def compute_place(self, statement: Statement, operands: Operands) -> bytes:
        """For `Evaluation`: Python only says which operands there are, Wasm computes the value and those below."""
        taken = _Recorder(operands)
        with suppress(UnitEnds):
            compute_place(statement, taken)
        if taken.below is not None:
            raise taken.below
        given = self.compute(encode_statement(statement), encode_operands(taken.operands))
        for ending in Ending:
            if given == encode_answer(ending):
                raise UnitEnds(ending)
        assert given[:2] == b"\x00\x00", given[:4].hex()
        value = given[2 + (1, 2, 4)[given[2] & 3] :]
        assert encode_answer(value) == given
        return value


class _Recorder:
    """Passes operands on and remembers them, and the end of the unit at a place below."""

    def __init__(self, operands: Operands) -> None:
        self._operands = operands
        self.operands: list[Operand] = []
        self.below: UnitEnds | None = None

    def take(self, source: Source, size: int) -> bytes:
        """`Operands`."""
        try:
            self.operands.append(Operand(source, self._operands.take(source, size)))
        except UnitEnds as end:
            self.below = end
            raise
        return self.operands[-1].data


@pytest.fixture(scope="module")
def wasm() -> WasmArbiter:
    return WasmArbiter()


def verify_tiles(wasm: WasmArbiter, case: Case) -> None:
    """Every tile of a golden vector of exact/v1, each of its places computed in Wasm."""
    output = parse(case["output"])
    question = Question(parse_node(case), [parse(tensor) for tensor in case["inputs"]], wasm.compute_place)
    for tile in range(question.form.tile_count):
        assert question.evaluation.value(Tile(tile)) == read_tile(output, question.form, tile), (case["attrs"], tile)


def is_quick(case: Case) -> bool:
    """Whether its tiles have few elements of their own to compute."""
    return not is_by_element(parse_node(case)) or prod(case["shape"]) <= 16


@pytest.mark.parametrize("op", OPS)
def test_golden_vectors_of_exact(wasm: WasmArbiter, op: str) -> None:
    cases = [case for case in CASES if case["op"] == op and is_quick(case)]
    assert cases
    for case in cases:
        verify_tiles(wasm, case)


@pytest.mark.slow
def test_the_golden_vectors_of_exact_that_take_longer(wasm: WasmArbiter) -> None:
    """Some 70,000 elements, each a call."""
    for case in CASES:
        if not is_quick(case):
            verify_tiles(wasm, case)


def test_golden_refusals_of_exact_end_the_unit(wasm: WasmArbiter) -> None:
    endings = {"NonFiniteState": Ending.NON_FINITE, "IndexOutOfRange": Ending.INDEX_OUT_OF_RANGE}
    for case in REFUSED:
        question = Question(parse_node(case), [parse(tensor) for tensor in case["inputs"]], wasm.compute_place)
        tiles = [question.evaluation.value(Tile(tile)) for tile in range(question.form.tile_count)]
        assert endings[case["error"]] in tiles, (case["op"], case["attrs"])


def test_answers(wasm: WasmArbiter) -> None:
    for vector in read("answers"):
        agreed, opening = (bytes.fromhex(vector[key]) for key in ("agreed", "opening"))
        assert wasm.arbitrate(agreed, opening).hex() == vector["answer"], (vector["op"], vector["place"])


def test_lies_are_refused_with_their_errors(wasm: WasmArbiter) -> None:
    for vector in read("refusals"):
        agreed, opening = (bytes.fromhex(vector[key]) for key in ("agreed", "opening"))
        for lie in vector["lies"]:
            given = wasm.arbitrate(apply_edit(agreed, lie["agreed"]), apply_edit(opening, lie["opening"]))
            expected = bytes([1, getattr(errors, lie["error"]).code])
            assert given == expected, (vector["op"], vector["place"], lie["lie"])


@pytest.mark.parametrize("op", OPS)
def test_every_bound_of_an_op(wasm: WasmArbiter, op: str) -> None:
    """The largest legal nodes, at the first and the last of each kind of place."""
    for extreme in extremes(op):
        for place in places(extreme):
            statement = at(extreme, place)
            operands = required(statement)
            given = wasm.compute(encode_statement(statement), encode_operands(operands))
            assert given == encode_answer(compute(statement, operands)), (statement.node, place)


def test_64_kib_are_read_and_one_more_byte_is_too_large(wasm: WasmArbiter) -> None:
    vector = read("answers")[0]
    agreed, opening = (bytes.fromhex(vector[key]) for key in ("agreed", "opening"))
    full = opening + bytes(MAX_OPENING_BYTES - len(opening))
    assert wasm.arbitrate(agreed, full) == encode_answer(Malformed())
    assert wasm.arbitrate(agreed, full + b"\x00") == encode_answer(TooLarge("opening", len(full) + 1, 0))
    assert wasm.compute(full + b"\x00", b"\x00") == encode_answer(TooLarge("statement", len(full) + 1, 0))


def test_any_bytes_are_answered_as_python_answers_them(wasm: WasmArbiter) -> None:
    """Never a trap: noise, and honest questions with damaged bytes."""
    noise = random.Random(4)
    for _ in range(300):
        agreed, opening = noise.randbytes(noise.randrange(120)), noise.randbytes(noise.randrange(400))
        assert wasm.arbitrate(agreed, opening) == encode_answer(Malformed())
    vectors = read("refusals")
    for _ in range(700):
        vector = noise.choice(vectors)
        agreed, opening = (bytes.fromhex(vector[key]) for key in ("agreed", "opening"))
        damaged = bytearray(opening)
        for _ in range(noise.randrange(1, 4)):
            damaged[noise.randrange(min(len(damaged), 120))] = noise.choice((0, 1, 2, 4, 8, 31, 32, 127, 128, 255))
        assert wasm.arbitrate(agreed, bytes(damaged)) == answer(decode_agreed(agreed), bytes(damaged))
        statement, operands = _read_statement(bytes(damaged), opening)
        assert wasm.compute(statement, operands) == compute_bytes(statement, operands), damaged.hex()


def _read_statement(damaged: bytes, opening: bytes) -> tuple[bytes, bytes]:
    """The damaged bytes as a statement, with the honest operands."""
    honest = decode_opening(opening)
    size = len(encode_statement(honest.statement))
    return damaged[:size], encode_operands([Operand(opened.source, opened.data) for opened in honest.operands])


def compute_bytes(statement: bytes, operands: bytes) -> bytes:
    """`compute` in bytes."""
    try:
        return encode_answer(compute(decode_statement(statement), decode_operands(operands)))
    except ArbiterError as error:
        return encode_answer(error)
