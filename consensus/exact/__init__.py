"""``exact/v1``: arithmetic whose results depend only on its inputs (DESIGN §2, rules E1–E8).

One module per rule; each gives the definition, a plain NumPy reference, the bounds under which it is exact and its
cost in MACs. The references are the protocol: a faster kernel is right when it gives the same bytes.

    E1  elementwise      one IEEE-754 rounding per operation
    E2  grid             integers on a power-of-two grid over a reduced set
    E3  matmul           exact integer dot products on such grids, one rounding
    E4  sums             exact integer sums on a 28-bit grid, one rounding
    E5  transcendental   fixed programs of single-rounded f32 operations
    E6  movement         gathers, scatters by compare, maxima, reshapes
    E7  random           Philox4x32-10
    E8  values           which values may stand where, NonFiniteState
"""

VERSION = "exact/v1"
"""The name that a graph carries to say by which rules its numbers are made."""
