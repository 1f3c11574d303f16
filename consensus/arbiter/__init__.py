"""The arbiter of exact/v1 (DESIGN §6, level 4): one place of one node, from an opening of at most 64 KiB.

`devnet/runtime/exact` is the same in Rust, for the runtime; `tests/vectors/arbiter` holds both to the same bytes.

The question. `statement.Statement` is a node as the committed graph has it, the dtype and shape of each input, and a
*place* in the node's computation. Places, and the *operands* from which the value of each is computed:

    Tile(t)                     an output tile of 1,024 places, padded with zeros: a leaf of the tensor root
        elementwise ops,        the one tile of each input that the tile reads       `tiles`
        expand, output          (const and iota: none; uniform: seed and step)
        matmul, but where small MAXIMUM and RIGHT_MAXIMUM roots, then the SUM root   `reductions`
        last axes count as one
        every other op          the tile's Elements, row by row without padding      `compute`
    Element(i)                  an output element (row-major index), where tiles are made of them
        movement                the input tile that holds it; take_rows, pick: the   `elements`
                                index tile, then the tile that the index names
        sum, add_rows, matmul   the roots of maxima, then the SUM root               `reductions`
        amax                    the MAXIMUM root
    Partial(quantity, of,       a node of the tree of partials of a reduced set      `reductions`
            level, index)
        level 0                 the input tiles of the leaf; for SUM then the MAXIMUM roots that fix the grid
        above                   its children: 16, for sums of matmul 4 (fewer at the end of a level)
    Check(input, tile)          that input tile; the value is empty                  `compute`

    MAXIMUM                     largest magnitude of the set (amax: largest value, −0 < +0): f32; matmul: 32, one for
                                each row of a band of the left operand
    RIGHT_MAXIMUM               matmul: 32, one for each column of a band of the right operand
    SUM                         sum of the integers on the grid of the agreed maxima: i64; matmul: 32×32 of them

The answer. ``compute(statement, operands)`` gives the place's bytes (elements little-endian, every NaN 7fc00000), or an
`Ending` where an operand ends the unit (NaN or infinity at a grid or an output, rule E8; an index outside its table),
or raises an `ArbiterError`: the question was badly put, nothing is settled. Operands are exactly those of the table, in
order, up to the one that ends the unit. The order of checks, which decides the error, is: node, place; then for each
operand as it is taken its source and length, and for a claim whether any execution has it (`Inconsistent`: a NaN, +inf
or a negative magnitude as a maximum; |sum| ≥ 2^53); then, with all operands of the table row taken, finiteness
(`Ending`), indices (`Ending`; an index before the tile that it names is taken), values against agreed maxima
(`Inconsistent`), a sum's 2^53 (`Inconsistent`); at last operands left over (`BadOperands`). ``required(statement)``
lists the operands with blank data.

`Check` is for whoever says that the unit ends at the node: it points at the tile. A legal place is input 0 of sum,
amax, add_rows and of an output of f32, both inputs of matmul, input 1 of take_rows, pick and add_rows.

The opening. `opening.arbitrate(agreed, opening)` checks the node's Merkle path in the graph root, each input's form
under its tensor root, each input tile's path, the hash of each claim, and computes. `codec` has the SCALE bytes of all
of it; `bounds` gives the largest opening of every op.

A dispute. Both sides give the hashes of the claims that the disputed place requires; the first on which they differ
is the next disputed place; where all agree, `arbitrate` settles: a side whose claim is not the outcome's has lied.
Places are acyclic: a walk has at most 14 (a tile of matmul and the 13 levels of its largest tree). A tile
of elements need not be claimed element by element: `compute.split_tile` reads them off either side's tile.

    statement    types                     tiles        elementwise ops, expand, output, const, iota, uniform
    codec        SCALE encoding            elements     movement
    compute      the answer                reductions   sum, amax, add_rows, matmul: trees of partials
    opening      proofs, claims            operands     how operands are handed over
    errors       refusals                  geometry     where elements lie in tiles
    evaluate     a player's whole tensors  bounds       largest opening of every op
"""

from consensus.arbiter.compute import compute, required
from consensus.arbiter.errors import ArbiterError
from consensus.arbiter.evaluate import Evaluation
from consensus.arbiter.opening import Agreed, Opened, Opening, arbitrate
from consensus.arbiter.statement import Check, Element, Ending, Input, Operand, Partial, Quantity, Statement, Tile

__all__ = [
    "Agreed", "ArbiterError", "Check", "Element", "Ending", "Evaluation", "Input", "Opened", "Opening", "Operand",
    "Partial", "Quantity", "Statement", "Tile", "arbitrate", "compute", "required",
]  # fmt: skip
