"""`docs/exact-v1.md` is what the code says, names what is there, and its programs alone pass the vectors."""

from __future__ import annotations

import hashlib
import importlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from consensus.graph.definitions import DEFINITIONS
from consensus.graph.document import LIMITS, describe_arbitration, write_document
from consensus.graph.node import Node
from consensus.graph.ops import ATTRIBUTE_KINDS, OPS
from tests.consensus.exact.replay import verify_results

FILE = Path(__file__).parents[3] / "docs" / "exact-v1.md"

Array = npt.NDArray[Any]
TEXT = FILE.read_text()


def test_document_is_regenerated_exactly() -> None:
    """After a change of the code: `python -m consensus.graph.document > docs/exact-v1.md`."""
    assert write_document() == TEXT


def test_every_op_has_its_section() -> None:
    assert set(DEFINITIONS) == set(OPS)
    sections = re.findall(r"^### (\w+)$", TEXT.partition("## Ops")[2], re.MULTILINE)
    assert sections == list(DEFINITIONS)


@pytest.mark.parametrize("op", DEFINITIONS)
def test_attributes_are_those_of_the_op(op: str) -> None:
    assert set(DEFINITIONS[op].attributes) == set(OPS[op].attrs)
    assert set(OPS[op].attrs.values()) <= set(ATTRIBUTE_KINDS)


def resolve(name: str) -> Any:
    """The object behind a dotted name, an item of a table in brackets."""
    path, _, item = name.partition("[")
    parts = path.split(".")
    found: Any = importlib.import_module(parts[0] if parts[0] == "numpy" else ".".join(parts[:3]))
    for part in parts[1 if parts[0] == "numpy" else 3 :]:
        found = getattr(found, part)
    return found[item[:-1]] if item else found


@pytest.mark.parametrize("op", sorted(set(DEFINITIONS) - {"input"}))
def test_reference_and_tile_function_exist(op: str) -> None:
    assert callable(resolve(DEFINITIONS[op].reference))
    named = re.findall(r"`(consensus\.[\w.]+)`", describe_arbitration(op))
    assert named and all(callable(resolve(name)) for name in named)


def test_openings_stay_under_their_limit() -> None:
    most = [int(number.replace(",", "")) for number in re.findall(r"an opening has at most ([\d,]+) bytes", TEXT)]
    limit = next(most for what, most, _ in LIMITS if what == "bytes of an arbiter's opening")
    assert len(most) == len(OPS) - 1 and max(most) <= limit


def read_programs() -> dict[str, Any]:
    """The document's programs, run with the constants of its table and nothing else of ours."""
    names: dict[str, Any] = {"np": np, "hashlib": hashlib, "Array": Any, "Any": Any}
    for name, words in re.findall(r"^\| `(\w+)` \| ([0-9a-f ]+) \|", TEXT, re.MULTILINE):
        values = tuple(np.array([int(w, 16) for w in words.split()], dtype=np.uint32).view(np.float32))
        single = len(values) == 1
        names[name] = values[0] if single else values
    for pair, values_of in re.findall(r"`(_\w0)`, `_\w1` = (0x[0-9a-f]+, 0x[0-9a-f]+)", TEXT):
        kind = np.uint64 if pair == "_M0" else int
        names[pair], names[pair[:2] + "1"] = (kind(int(word, 16)) for word in values_of.split(", "))
    names["ROUNDS"] = int(re.findall(r"`ROUNDS` = (\d+)", TEXT)[0])
    names["_MASK"], names["_SHIFT"] = np.uint64(0xFFFFFFFF), np.uint64(32)
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(compile(block, str(FILE), "exec"), names)
    return names


@pytest.mark.parametrize("op", ["exp", "log", "tanh", "erf", "sin", "cos"])
def test_programs_of_the_document_alone_pass_the_vectors(op: str) -> None:
    program = read_programs()[op]
    verify_results(op, lambda node, operands: program(*operands))


def test_randomness_of_the_document_alone_passes_the_vectors() -> None:
    program = read_programs()["uniform"]

    def compute(node: Node, operands: list[Array]) -> Array:
        seed, step = operands
        return np.asarray(program((int(seed[0]), int(seed[1])), node.attrs["stream"], int(step), node.shape))

    verify_results("uniform", compute)
