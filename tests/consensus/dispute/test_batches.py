"""The data rule element by element against the batches that miners make."""

from __future__ import annotations

import numpy as np
import pytest

from consensus.arbiter.evaluate import read_tile
from consensus.arbiter.geometry import locate
from consensus.arbiter.operands import write
from consensus.commit.hashing import blake2_256
from consensus.commit.tensor import TensorForm, compute_form
from consensus.dispute.batches import array_of, find_element, read_element
from consensus.dispute.errors import BadArray
from miner.work.data import make_dataset
from miner.work.task import DataOrder
from tests.consensus.exact.vectors import adversarial, indices

SEED = blake2_256(b"a unit")


def check_batches(arrays: dict[str, np.ndarray], order: DataOrder, steps: range) -> None:
    """Every element of every array of some batches."""
    dataset = make_dataset(arrays, order)
    windows = order.rule == "windows"
    for step in steps:
        for name, value in dataset.batch(SEED, step).items():
            array = arrays[array_of(name, windows)]
            form, batch = compute_form(array), compute_form(value)
            for element in range(value.size):
                source = find_element(SEED, step, name, batch, element, form, windows)
                tile = read_tile(array, form, locate(form, source)[0])
                assert read_element(tile, form, source, windows) == write(value.reshape(-1)[element : element + 1])


@pytest.mark.parametrize("dtype", ["u1", "i1", "<u2", "<i2", "<u4", "<i4", "<i8", "<u8"])
def test_windows_of_tokens_of_any_integer_dtype(dtype: str) -> None:
    tokens = indices((3000,), 400, 120).astype(dtype)
    check_batches({"tokens": tokens}, DataOrder("windows", 3, 7), range(5, 8))


def test_rows_of_several_arrays() -> None:
    images = adversarial((50, 2, 5, 7), 401).copy()
    images[::3, 0, 0, 0] = -np.nan
    arrays = {"image": images, "label": indices((50,), 402, 9), "mask": adversarial((50, 40), 403) > 0}
    check_batches(arrays, DataOrder("rows", 4, 0), range(3))


@pytest.mark.parametrize(
    ("name", "batch", "array", "windows"),
    [
        ("inputs", TensorForm("i64", (2, 8)), TensorForm("u16", (8,)), True),
        ("inputs", TensorForm("i64", (2, 8)), TensorForm("f32", (800,)), True),
        ("words", TensorForm("i64", (2, 8)), TensorForm("u16", (800,)), True),
        ("inputs", TensorForm("i64", (2, 8)), TensorForm("u16", (800, 1)), True),
        ("inputs", TensorForm("i64", (16,)), TensorForm("u16", (800,)), True),
        ("image", TensorForm("f32", (2, 8)), TensorForm("f32", (9, 7)), False),
        ("image", TensorForm("f32", (2, 8)), TensorForm("i64", (9, 8)), False),
        ("image", TensorForm("f32", ()), TensorForm("f32", ()), False),
        ("image", TensorForm("f32", (2, 8)), TensorForm("f32", (0, 8)), False),
    ],
)
def test_arrays_that_the_rule_does_not_fit(name: str, batch: TensorForm, array: TensorForm, windows: bool) -> None:
    with pytest.raises(BadArray):
        find_element(SEED, 0, name, batch, 0, array, windows)
