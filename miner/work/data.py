"""Data order: step k's batch of a unit is drawn by Philox keyed with the unit seed, so that nobody knows it earlier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from consensus.commit.tensor import Array
from consensus.dispute.batches import INPUTS, MAX_ROWS, TARGETS, TOKENS, draw_rows

from miner.store.errors import TensorFileError
from miner.store.tensor_file import decode_tensors
from miner.work.errors import DatasetError
from miner.work.task import DataOrder


@dataclass(frozen=True)
class Dataset:
    """Named arrays in memory with the rule that makes batches of them; make it by `load_dataset`."""

    arrays: dict[str, Array]
    order: DataOrder
    rows: int

    def batch(self, unit_seed: bytes, step: int) -> dict[str, Array]:
        """Arrays of step `step` (counted from 0 over the unit); int64 tokens for `windows`."""
        picked = draw_rows(unit_seed, step, self.order.batch, self.rows)
        if self.order.rule == "rows":
            return {name: array[picked] for name, array in self.arrays.items()}
        window = picked[:, None] + np.arange(self.order.length + 1)
        tokens = self.arrays[TOKENS][window].astype(np.int64)
        return {INPUTS: np.ascontiguousarray(tokens[:, :-1]), TARGETS: np.ascontiguousarray(tokens[:, 1:])}


def load_dataset(data: bytes, order: DataOrder) -> Dataset:
    """Data set from its safetensors blob; raises `DatasetError` when it is malformed or too small for the rule."""
    try:
        arrays = decode_tensors(data)
    except TensorFileError as error:
        raise DatasetError(error.reason) from error
    return make_dataset(arrays, order)


def make_dataset(arrays: dict[str, Array], order: DataOrder) -> Dataset:
    """Data set from arrays; raises `DatasetError`."""
    if order.rule == "rows":
        lengths = {array.shape[0] if array.ndim else 0 for array in arrays.values()}
        if len(lengths) != 1:
            raise DatasetError(f"arrays of rule rows must have one common number of rows, not {sorted(lengths)}")
        rows = lengths.pop()
    else:
        if set(arrays) != {TOKENS} or arrays[TOKENS].ndim != 1 or arrays[TOKENS].dtype.kind not in "iu":
            raise DatasetError(f"rule windows needs exactly one array, {TOKENS!r}, of integers and rank 1")
        rows = arrays[TOKENS].shape[0] - order.length
    if not 1 <= rows <= MAX_ROWS:
        raise DatasetError(f"{rows} rows or windows to draw from, must be 1 to {MAX_ROWS}")
    return Dataset(arrays, order, rows)
