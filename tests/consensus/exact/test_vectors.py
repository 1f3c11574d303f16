"""The golden vectors are what the references give today, cover every op, and are what the NumPy kernels give."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from consensus.exact.errors import NonFiniteState
from consensus.graph.node import Node
from consensus.graph.ops import OPS
from miner.kernels.fast import make_kernel
from tests.consensus.exact.replay import (
    CASES,
    OPS_WITH_REFUSALS,
    OPS_WITH_VECTORS,
    REFUSED,
    compute_reference,
    verify_refusals,
    verify_results,
    verify_value,
)
from tests.consensus.exact.vectors import FILE, REFUSALS, make_cases, make_refusals, parse

Array = npt.NDArray[Any]


def compute_numpy(node: Node, operands: list[Array]) -> Array:
    """The NumPy kernels."""
    with np.errstate(all="ignore"):
        return np.asarray(make_kernel(node)(*operands))


COMPUTE = {"reference": compute_reference, "numpy": compute_numpy}


def test_vectors_are_regenerated_exactly() -> None:
    """When this fails the protocol changed: `python -m tests.consensus.exact.vectors` only with a new version."""
    assert json.loads(json.dumps(make_cases())) == CASES


def test_refusals_are_regenerated_exactly() -> None:
    assert json.loads(json.dumps(make_refusals())) == REFUSED


def test_vectors_cover_every_op() -> None:
    assert set(OPS_WITH_VECTORS) == set(OPS) - {"input"}


def test_the_files_stay_small() -> None:
    assert FILE.stat().st_size + REFUSALS.stat().st_size < 3_000_000


@pytest.mark.parametrize("op", OPS_WITH_VECTORS)
@pytest.mark.parametrize("kernels", COMPUTE)
def test_kernels_give_the_vectors_bytes_from_any_layout(kernels: str, op: str) -> None:
    verify_results(op, COMPUTE[kernels])


@pytest.mark.parametrize("op", OPS_WITH_REFUSALS)
@pytest.mark.parametrize("kernels", COMPUTE)
def test_kernels_refuse_what_the_vectors_refuse(kernels: str, op: str) -> None:
    verify_refusals(op, COMPUTE[kernels])


def test_replay_notices_one_wrong_bit_form_and_refusal() -> None:
    right = np.array([1.0, -0.0], dtype=np.float32)
    verify_value("same", right, right.copy())
    for wrong in (np.array([1.0, 0.0], dtype=np.float32), right.astype(np.float64), right[None]):
        with pytest.raises(AssertionError):
            verify_value("other", right, wrong)
    with pytest.raises(AssertionError, match="expected NonFiniteState"):
        verify_refusals("sum", lambda node, operands: operands[0])
    with pytest.raises(AssertionError, match="expected IndexOutOfRange"):
        verify_refusals("pick", raise_non_finite)


def raise_non_finite(node: Node, operands: list[Array]) -> Array:
    raise NonFiniteState(node.op)


BAD_VALUES: dict[str, Callable[[Array], Array]] = {
    "+0": lambda b: b == 0,
    "-0": lambda b: b == 0x80000000,
    "positive subnormal": lambda b: (b > 0) & (b < 0x00800000),
    "negative subnormal": lambda b: (b > 0x80000000) & (b < 0x80800000),
    "largest": lambda b: b == 0x7F7FFFFF,
    "least": lambda b: b == 0xFF7FFFFF,
    "+inf": lambda b: b == 0x7F800000,
    "-inf": lambda b: b == 0xFF800000,
    "NaN": lambda b: (b & 0x7FFFFFFF) > 0x7F800000,
}
"""Whether f32 bits are such a value."""


@pytest.mark.parametrize("op", OPS_WITH_VECTORS)
def test_every_f32_operand_of_every_op_meets_every_bad_value(op: str) -> None:
    """Among results or refusals, so that whoever passes the vectors knows what bad values do."""
    met: dict[int, set[str]] = {}
    for case in (*CASES, *REFUSED):
        for place, tensor in enumerate(case["inputs"]):
            if case["op"] == op and tensor["dtype"] == "f32":
                bits = parse(tensor).reshape(-1).view(np.uint32)
                found = {name for name, is_such in BAD_VALUES.items() if is_such(bits).any()}
                met.setdefault(min(place, 2), set()).update(found)
    assert all(names == set(BAD_VALUES) for names in met.values())
