"""The golden vectors are what the references give today, and cover every op."""

import json

from consensus.graph.ops import OPS
from tests.consensus.exact.vectors import FILE, make_cases


def test_vectors_are_regenerated_exactly() -> None:
    """When this fails the protocol changed: `python -m tests.consensus.exact.vectors` only with a new version."""
    assert json.loads(FILE.read_text()) == json.loads(json.dumps(make_cases()))


def test_vectors_cover_every_op() -> None:
    assert {case["op"] for case in json.loads(FILE.read_text())} == set(OPS) - {"input", "output"}
