"""C source of a group: loops over the digits of the element index, one statement a member.

Equal groups (the layers of a model) give equal text and share one compiled function.
"""

from __future__ import annotations

from miner.kernels.lowering import Group, Lowered
from miner.kernels.native.columns import ColumnKernel, make_add_rows_kernel
from miner.kernels.native.long_rows import make_long_row_kernels
from miner.kernels.native.rows import RowKernel
from miner.kernels.native.writer import Kernel


def generate(group: Group, lowered: Lowered, stored: frozenset[int]) -> list[Kernel]:
    """Kernels of a loop, column, big or add_rows group, to be run one after another.

    ``stored``: roots that need a buffer. A big reduction adds roots of its own to ``lowered`` for what its passes hand
    on.
    """
    if group.kind == "column":
        return [ColumnKernel(group, lowered, stored).kernel()]
    if group.kind == "big":
        return make_long_row_kernels(group, lowered, stored)
    if group.kind == "add_rows":
        return [make_add_rows_kernel(group, lowered)]
    return [RowKernel(group, lowered, stored).kernel()]
