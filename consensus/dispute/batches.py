"""Where an element of a batch comes from: the data rule as the chain applies it, one element at a time.

Row r of step k's batch of B rows is number draw[r] of what there is to draw, with
draw = below(derive_key(unit seed, "data order/v1"), stream 0, step k, B, rows).

Rule rows: it is that row of the array of the same name, and ``rows`` the array's first dimension. Rule windows: there
is one array ``tokens`` of rank 1; ``inputs`` and ``targets`` of shape [B, length] are tokens[draw[r] + c] and
tokens[draw[r] + c + 1] as i64, and ``rows`` is the number of tokens minus length.
"""

from __future__ import annotations

from math import prod

import numpy as np
import numpy.typing as npt

from consensus.arbiter.geometry import locate
from consensus.arbiter.operands import read_array, write
from consensus.commit.tensor import TensorForm
from consensus.dispute.errors import BadArray
from consensus.exact.random import below, derive_key

PURPOSE = "data order/v1"
STREAM = 0
TOKENS, INPUTS, TARGETS = "tokens", "inputs", "targets"
MAX_ROWS = 2**31 - 1
"""Most rows or windows to draw from (= 2,147,483,647), of `consensus.exact.random.below`."""


def draw_rows(seed: bytes, step: int, count: int, rows: int) -> npt.NDArray[np.int64]:
    """Numbers below ``rows`` (at most `MAX_ROWS`) of the ``count`` rows or windows of a step's batch."""
    return below(derive_key(seed, PURPOSE), STREAM, step, count, rows)


def array_of(name: str, windows: bool) -> str:
    """The data set's array from which a batch's array is made."""
    return TOKENS if windows else name


def find_element(
    seed: bytes, step: int, name: str, batch: TensorForm, element: int, array: TensorForm, windows: bool
) -> int:
    """Row-major index in the data set's array of an element of the batch's; raises `BadArray` where the rule has none.

    ``step`` counts over the unit, ``batch`` is the form of the batch's array ``name``, ``array`` that of `array_of`.
    """
    if windows:
        fits = name in (INPUTS, TARGETS) and len(batch.shape) == 2 and len(array.shape) == 1 and batch.dtype == "i64"
        fits = fits and array.numpy_dtype.kind in "iu"
    else:
        fits = bool(array.shape) and batch.shape[1:] == array.shape[1:] and batch.dtype == array.dtype
        fits = fits and len(batch.shape) == len(array.shape)
    rows = array.shape[0] - (batch.shape[1] if windows else 0) if fits else 0
    if not 1 <= rows <= MAX_ROWS:
        raise BadArray(f"no batch {name!r} of {batch} is drawn from an array of {array}")
    width = prod(batch.shape[1:])
    row, column = divmod(element, width)
    drawn = int(draw_rows(seed, step, batch.shape[0], rows)[row])
    return drawn + column + (name == TARGETS) if windows else drawn * width + column


def read_element(tile: bytes, array: TensorForm, element: int, windows: bool) -> bytes:
    """The batch's element from the tile of the array that holds it: NaNs canonical, tokens as i64."""
    values = read_array(tile, array)[[locate(array, element)[1]]]
    return write(values.astype(np.int64) if windows else values)
