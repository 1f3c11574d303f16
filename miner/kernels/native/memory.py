"""Large buffers of a program: aligned, and given their memory before they are used.

The system hands out a page of zeros when it is first touched; for a gigabyte that takes up to a second, in the middle
of the first step. A thread beside it touches them earlier.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt
from miner.kernels.native.library import Library

Array = npt.NDArray[Any]

ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector."""
MIN_BYTES = 2**24
"""Smaller buffers (under 16 MiB) are not worth a thread."""


def allocate(size: int) -> Array:
    """Fresh bytes at a multiple of `ALIGNMENT`, with whatever is in them."""
    return align(allocate_owner(size))


def allocate_owner(size: int) -> Array:
    """A buffer that `align` makes ``size`` bytes of."""
    return np.empty(size + ALIGNMENT, dtype=np.uint8)


def align(owner: Array) -> Array:
    """The part of a buffer that starts at a multiple of `ALIGNMENT`."""
    start = -owner.ctypes.data % ALIGNMENT
    return owner[start : start + owner.size - ALIGNMENT]


def populate(library: Library, arena: Array, owners: list[Array]) -> None:
    """Have memory put behind the pages of large buffers, one after another, while the caller goes on.

    They may be used meanwhile: what is in them stays. ``owners`` is held as a list, because a reference to one of them
    would say that somebody uses its arrays.
    """
    spans = [(buffer.ctypes.data, buffer.nbytes) for buffer in (arena, *owners) if buffer.nbytes >= MIN_BYTES]

    def work(held: tuple[Array, list[Array]]) -> None:
        for address, size in spans:
            library.populate(address, size)

    if spans:
        threading.Thread(target=work, args=((arena, owners),), name="populate", daemon=True).start()
