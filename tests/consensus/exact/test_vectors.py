"""The golden vectors are what the references give today, cover every op, and are what the NumPy kernels give."""

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from consensus.exact import errors
from consensus.exact.values import with_one_nan
from consensus.graph.ops import OPS
from miner.kernels.fast import make_kernel
from tests.consensus.exact.vectors import (
    FILE,
    REFUSALS,
    Case,
    make_cases,
    make_refusals,
    parse,
    parse_node,
)

Array = npt.NDArray[Any]
CASES: list[Case] = json.loads(FILE.read_text())
REFUSED: list[Case] = json.loads(REFUSALS.read_text())


def call(kernels: str, case: Case, operands: list[Array]) -> Array:
    """The case's op of the reference or of the NumPy kernels."""
    node = parse_node(case)
    with np.errstate(all="ignore"):
        if kernels == "numpy":
            return np.asarray(make_kernel(node)(*operands))
        run = OPS[node.op].run
        assert run is not None
        return np.asarray(run(node, operands))


def strided(values: Array) -> Array:
    """The same values with strides that are not row-major; zero strides where an axis repeats itself."""
    for axis, size in enumerate(values.shape):
        first = values.take([0], axis=axis)
        if size > 1 and first.tobytes() * size == np.moveaxis(values, axis, 0).tobytes():
            return np.broadcast_to(first, values.shape)
    if values.ndim == 0:
        return values
    spread = np.zeros(tuple(2 * n for n in values.shape[::-1]), dtype=values.dtype).T
    view = spread[tuple(slice(None, None, 2) for _ in values.shape)]
    view[...] = values
    return view


def test_vectors_are_regenerated_exactly() -> None:
    """When this fails the protocol changed: `python -m tests.consensus.exact.vectors` only with a new version."""
    assert json.loads(json.dumps(make_cases())) == CASES


def test_refusals_are_regenerated_exactly() -> None:
    assert json.loads(json.dumps(make_refusals())) == REFUSED


def test_vectors_cover_every_op() -> None:
    assert {case["op"] for case in CASES} == set(OPS) - {"input", "output"}


def test_the_files_stay_small() -> None:
    assert FILE.stat().st_size + REFUSALS.stat().st_size < 3_000_000


@pytest.mark.parametrize("op", sorted({case["op"] for case in CASES}))
@pytest.mark.parametrize("kernels", ["reference", "numpy"])
def test_kernels_give_the_vectors_bytes_from_any_layout(kernels: str, op: str) -> None:
    for number, case in enumerate(CASES):
        if case["op"] != op:
            continue
        inputs, expected = [parse(i) for i in case["inputs"]], parse(case["output"])
        for operands in (inputs, [strided(i) for i in inputs]):
            found = with_one_nan(call(kernels, case, operands))
            assert (found.dtype, found.shape) == (expected.dtype, expected.shape), number
            assert found.tobytes() == expected.tobytes(), number


@pytest.mark.parametrize("kernels", ["reference", "numpy"])
def test_kernels_refuse_what_the_vectors_refuse(kernels: str) -> None:
    for case in REFUSED:
        with pytest.raises(getattr(errors, case["error"])):
            call(kernels, case, [parse(i) for i in case["inputs"]])
