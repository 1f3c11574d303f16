"""E8: which values may stand where.

A NaN or an infinity that reaches a grid (matmul, sum, add_rows), a NaN or +inf that reaches ``amax``, and a NaN or an
infinity in an output of the graph end the unit with `NonFiniteState`; everywhere else they follow IEEE-754. −inf is
thus legal as a mask (through ``where``, ``pad``, ``sub`` and ``exp`` into ``amax`` and sums of +0), and a value that a
``where`` drops does no harm.

The payload and sign of a NaN are the one thing that IEEE-754 leaves to the hardware. No op reads them into another
value, so that they show only when the bytes of an intermediate tensor are compared or hashed: there every NaN counts
as `NAN_BITS`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from consensus.exact.errors import NonFiniteState

Array = npt.NDArray[Any]

NAN_BITS = 0x7FC00000
"""The bits of every NaN wherever bytes count: quiet, positive, no payload."""


def with_one_nan(values: Array) -> Array:
    """The array itself, or, if it is f32 and holds NaNs, a copy with each of them as `NAN_BITS`."""
    if values.dtype != np.float32 or not (wrong := np.isnan(values)).any():
        return values
    return np.where(wrong, np.uint32(NAN_BITS).view(np.float32), values).astype(np.float32)


def check_finite(values: Array, where: str) -> None:
    """Raise `NonFiniteState` when an f32 array holds a NaN or an infinity; other dtypes always pass."""
    if values.dtype == np.float32 and not np.isfinite(values).all():
        raise NonFiniteState(where)
