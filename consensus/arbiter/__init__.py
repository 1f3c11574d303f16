"""The arbiter of exact/v1 (DESIGN §6, level 4): one place of one node, from an opening of at most 64 KiB.

    statement    what is asked, where operands come from, the SCALE encoding
    compute      the answer; `required`: what it needs
    tiles        elementwise ops, expand, output, const, iota, uniform: by output tile
    elements     movement: by output element
    reductions   sum, amax, add_rows, matmul: by trees of partials
    evaluate     the same for a player who has the whole tensors
    table        how each op is arbitrated, and its largest opening
"""

from consensus.arbiter.compute import compute, required
from consensus.arbiter.errors import ArbiterError
from consensus.arbiter.evaluate import Evaluation
from consensus.arbiter.statement import Check, Element, Ending, Input, Operand, Partial, Quantity, Statement, Tile

__all__ = [
    "ArbiterError", "Check", "Element", "Ending", "Evaluation", "Input", "Operand", "Partial", "Quantity", "Statement",
    "Tile", "compute", "required",
]  # fmt: skip
