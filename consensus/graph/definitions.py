"""What each op of exact/v1 computes, in words: the text of `docs/exact-v1.md` that no code can say.

The code beside it: attributes, shape rules, costs and references in `consensus.graph.ops`; how a tile of the op is
arbitrated in `consensus.arbiter`. Tests hold the names here against those there, and measure the errors.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from consensus.exact.grid import MAX_MATMUL_BITS, MIN_EXPONENT, SUM_BITS
from consensus.exact.sums import MAX_TERMS
from consensus.exact.transcendental import ANGLE_MAX, EXP_MAX, EXP_MIN, ULP_BOUND, ULP_WORST
from consensus.graph.graph import MAX_ELEMENTS, MAX_INPUTS
from consensus.graph.ops import INPUT_KINDS, MAX_PAD, OUTPUT_KINDS


@dataclass(frozen=True)
class Definition:
    """An op in words."""

    rule: str
    """The rule it follows, E1 to E8."""
    inputs: str
    """What it reads, in order."""
    result: str
    """Dtype and shape of what it gives."""
    meaning: str
    """The value of each element."""
    error: str
    """Largest distance from the real function of the same operands."""
    reference: str
    """Dotted name of the NumPy function that decides."""
    attributes: dict[str, str] = field(default_factory=dict)
    """Meaning and bounds of each attribute."""


HALF_ULP = "½ ulp (correctly rounded)"
NONE = "none"
BROADCAST = "the operands' shapes broadcast"
_E, _T, _M, _X = "consensus.exact.elementwise", "consensus.exact.transcendental", "consensus.exact.movement", "numpy"
_ELEMENTWISE_IEEE = "Infinities, NaN, signed zeros and subnormals as IEEE-754 says."


def _binary(name: str, sign: str, extra: str = "") -> Definition:
    division = name == "div"
    operands = "a, b: f32" if division else "a, b: both f32 or both i64"
    meaning = f"a {sign} b, rounded once. {_ELEMENTWISE_IEEE}{extra}"
    integers = "" if division else "; i64: exact modulo 2^64, as two's complement"
    return Definition("E1", operands, f"their dtype; {BROADCAST}", meaning, HALF_ULP + integers, f"{_E}.BINARY[{name}]")


def _compare(name: str, sign: str) -> Definition:
    meaning = f"Whether a {sign} b. −0 equals +0; a NaN differs from everything, itself included, and has no order."
    return Definition("E1", "a, b: both f32 or both i64", f"bool; {BROADCAST}", meaning, NONE, f"{_E}.COMPARE[{name}]")


def _transcendental(name: str, meaning: str, where: str = "") -> Definition:
    bits, worst = ULP_WORST[name]
    at = np.array(bits, dtype=np.uint32).view(np.float32)
    error = f"{ULP_BOUND[name]} ulp{where}; the largest found is {worst} ulp, at {bits:08x} = {at!s}"
    return Definition("E5", "a: f32", "f32 of a's shape", f"{meaning} A NaN stays a NaN.", error, f"{_T}.{name}")


def _reduction(name: str, rule: str, meaning: str, error: str, reference: str) -> Definition:
    axes = {"axes": "the reduced axes, at least one, rising, each 0 ≤ axis < rank"}
    return Definition(rule, "a: f32", "f32 of a's shape with the reduced axes 1", meaning, error, reference, axes)


DEFINITIONS: dict[str, Definition] = {
    "input": Definition(
        "E8", "none", "any dtype and shape; kind `seed`: u32 (2,), kind `step`: i64 (), no other u32",
        "The named tensor that the step is given: state, batch, the unit's seed, or the number of the step.",
        NONE, "none: the caller's array",
        {"kind": " | ".join(INPUT_KINDS), "name": "unique within its kind; see Names"},
    ),
    "const": Definition(
        "E8", "none", "f32, i64 or bool, shape ()",
        "The scalar. An f32 may be infinite (masks) and is no NaN; an i64 is within ±2^63, a bool is 0 or 1.",
        NONE, "consensus.graph.ops.constant_value",
        {"value": "f32: 8 lower-case hex digits of its bits; i64, bool: decimal, no sign but −, no leading zeros"},
    ),
    "iota": Definition(
        "E6", "none", "i64 (n,)", "Element i is i.", NONE, f"{_X}.arange", {"n": f"1 … {MAX_ELEMENTS:,}"}
    ),
    "add": _binary("add", "+"),
    "sub": _binary("sub", "−"),
    "mul": _binary("mul", "·"),
    "div": _binary("div", "/", " A division, never a multiplication by a reciprocal."),
    "eq": _compare("eq", "="), "ne": _compare("ne", "≠"), "lt": _compare("lt", "<"),
    "le": _compare("le", "≤"), "gt": _compare("gt", ">"), "ge": _compare("ge", "≥"),
    "and": Definition("E1", "a, b: bool", f"bool; {BROADCAST}", "Both.", NONE, f"{_E}.LOGIC[and]"),
    "or": Definition("E1", "a, b: bool", f"bool; {BROADCAST}", "Either or both.", NONE, f"{_E}.LOGIC[or]"),
    "not": Definition("E1", "a: bool", "bool of a's shape", "The other truth value.", NONE, f"{_E}.UNARY[not]"),
    "neg": Definition(
        "E1", "a: f32 or i64", "a's dtype and shape",
        "f32: the sign bit flipped, of zeros, infinities and NaNs too; i64: −a modulo 2^64.", NONE, f"{_E}.UNARY[neg]",
    ),
    "abs": Definition(
        "E1", "a: f32 or i64", "a's dtype and shape",
        "f32: the sign bit cleared; i64: a or −a modulo 2^64, so that −2^63 stays.", NONE, f"{_E}.UNARY[abs]",
    ),
    "sqrt": Definition(
        "E1", "a: f32", "f32 of a's shape", "√a, rounded once. √−0 = −0; of a negative number NaN.", HALF_ULP,
        f"{_E}.UNARY[sqrt]",
    ),
    "exp": _transcendental(
        "exp", f"e^a. Over {EXP_MAX!s} it is +inf, under {EXP_MIN!s} +0 (also of −inf).", " where the result is normal"
    ),
    "log": _transcendental("log", "Natural logarithm. Of ±0 −inf, of +inf +inf, of a negative number NaN."),
    "tanh": _transcendental("tanh", "Hyperbolic tangent. Odd, zeros keep their sign; ±1 from |a| ≥ 10."),
    "erf": _transcendental("erf", "Error function. Odd, zeros keep their sign; ±1 from |a| ≥ 4."),
    "sin": _transcendental(
        "sin", f"Sine of radians. Odd, zeros keep their sign; NaN where |a| > {ANGLE_MAX:,.0f}, so for ±inf too."
    ),
    "cos": _transcendental("cos", f"Cosine of radians. Of ±0 1; NaN where |a| > {ANGLE_MAX:,.0f}, so for ±inf too."),
    "where": Definition(
        "E1", "condition: bool; a, b: one dtype, f32, i64 or bool", f"a's dtype; {BROADCAST}",
        "a where the condition holds, else b; the other one does no harm, whatever it is.", NONE, f"{_E}.where",
    ),
    "cast": Definition(
        "E1", "a: bool (to f32 or i64) or i64 (to f32)", "the node's dtype, a's shape",
        "bool: 0 or 1; i64 to f32: rounded once, ties to even.", HALF_ULP, f"{_E}.cast",
    ),
    "sum": _reduction(
        "sum", "E4",
        f"The grid of {SUM_BITS} bits over the summed set (E2), the exact sum of the integers, one rounding, a zero "
        f"being +0. At most {MAX_TERMS:,} terms. A NaN or an infinity ends the unit.",
        f"n · 2^(e−{SUM_BITS + 1}) + ½ ulp of n terms, e being the grid's exponent (2^e ≤ 2 · max |a|, unless that is "
        f"under 2^{MIN_EXPONENT})",
        "consensus.exact.sums.reduce_sum",
    ),
    "amax": _reduction(
        "amax", "E6", "The largest value, with −0 < +0. −inf is legal; a NaN or +inf ends the unit.", NONE, f"{_M}.amax"
    ),
    "matmul": Definition(
        "E3", "a: f32 (… × M × K); b: f32 (… × K × N), of one rank ≥ 2 and the same leading dimensions",
        "f32 (… × M × N)",
        "Each row of a and each column of b on its grid of `bits` (E2); S, the exact product of the integers; "
        "S · 2^(e_a + e_b − 2·bits), rounded once, a zero being +0. A NaN or an infinity in either operand ends the "
        "unit; a result beyond f32 is an infinity.",
        "K · 2^(e_a+e_b) · (2^−bits + 2^−(2·bits+2)) + ½ ulp, e_a and e_b being the exponents of row and column",
        "consensus.exact.matmul.matmul",
        {"bits": f"1 … {MAX_MATMUL_BITS}, and K · 2^(2·bits) < 2^53"},
    ),
    "reshape": Definition(
        "E6", "a: f32, i64 or bool", "a's dtype, the node's shape, of as many elements", "Row-major reinterpretation.",
        NONE, f"{_X}.reshape",
    ),
    "expand": Definition(
        "E6", "a: f32, i64 or bool", "a's dtype, the node's shape, to which a's broadcasts",
        "Axes of size 1 repeated, axes added in front.", NONE, f"{_X}.broadcast_to",
    ),
    "transpose": Definition(
        "E6", "a: f32, i64 or bool", "a's dtype; axis i has the size of a's axis perm[i]",
        "Element (x_0, x_1, …) is a's whose coordinate perm[i] is x_i.", NONE, f"{_X}.transpose",
        {"perm": "a permutation of the axes"},
    ),
    "slice": Definition(
        "E6", "a: f32, i64 or bool", "a's dtype; ⌈(stop − start) / step⌉ along the axis",
        "Element i along the axis is a's element start + i · step.", NONE, f"{_M}.slice_axis",
        {"axis": "0 ≤ axis < rank", "start": "0 ≤ start < stop", "stop": "at most the size of the axis",
         "step": f"1 … {MAX_PAD:,}"},
    ),
    "concat": Definition(
        "E6", f"1 to {MAX_INPUTS} arrays of one dtype (f32, i64 or bool) and, but for the axis, one shape",
        "their dtype; along the axis the sum of their sizes",
        "The arrays one after another along the axis.", NONE, f"{_X}.concatenate", {"axis": "0 ≤ axis < rank"},
    ),
    "pad": Definition(
        "E6", "a: f32, i64 or bool; fill: a scalar of a's dtype",
        "a's dtype; low + (n − 1) · (interior + 1) + 1 + high along an axis of n",
        "a's element x stands at low + x · (interior + 1) along each axis; everywhere else the fill.",
        NONE, f"{_M}.pad",
        {name: f"a list: for each axis 0 … {MAX_PAD:,}" for name in ("low", "high", "interior")},
    ),
    "windows": Definition(
        "E6", "a: f32, i64 or bool (… × H × W)",
        "a's dtype (… × OH × OW × KH × KW) with OH = ⌊(H − dilation_0 · (KH − 1) − 1) / stride_0⌋ + 1, OW likewise; a "
        "window is no larger than the image",
        "Element (…, y, x, i, j) is a's (…, y · stride_0 + i · dilation_0, x · stride_1 + j · dilation_1).",
        NONE, f"{_M}.windows",
        {"kernel": f"[KH, KW], each 1 … {MAX_PAD:,}", "stride": f"two numbers, each 1 … {MAX_PAD:,}",
         "dilation": f"two numbers, each 1 … {MAX_PAD:,}"},
    ),
    "take_rows": Definition(
        "E6", "table: f32, i64 or bool (R × …); index: i64 of any shape",
        "the table's dtype; the index's shape, then a row's",
        "Row index[i] of the table. An index outside 0 ≤ index < R ends the unit (IndexOutOfRange).",
        NONE, f"{_M}.take_rows",
    ),
    "pick": Definition(
        "E6", "a: f32, i64 or bool (… × C); index: i64 (… × J), the leading dimensions being the same",
        "a's dtype, the index's shape",
        "Element (…, j) is a's (…, index[…, j]). An index outside 0 ≤ index < C ends the unit (IndexOutOfRange).",
        NONE, f"{_M}.pick",
    ),
    "add_rows": Definition(
        "E4", "a: f32 (N × D); index: i64 (N,)", "f32 (rows × D)",
        f"Element (r, d) is the sum of a's (i, d) over all i with index[i] = r, on the grid of {SUM_BITS} bits over "
        f"the whole column d of a, whatever the index; one rounding, a zero being +0. At most {MAX_TERMS:,} rows N. An "
        "index outside 0 ≤ index < rows ends the unit (IndexOutOfRange), as does a NaN or an infinity.",
        f"n · 2^(e−{SUM_BITS + 1}) + ½ ulp for n rows of that index, e being the exponent of the column's grid",
        "consensus.exact.sums.add_rows",
        {"rows": f"1 … {MAX_ELEMENTS:,}"},
    ),
    "uniform": Definition(
        "E7", "seed: u32 (2,), the unit's; step: i64 ()", "f32 of the node's shape",
        "Element i, in row-major order, is the top 24 bits of word i of the stream times 2^−24: in [0, 1). The key is "
        "the seed; word i is lane i mod 4 of the counter (⌊i/4⌋ mod 2^32, ⌊i/2^34⌋, step mod 2^32, stream).",
        NONE, "consensus.exact.random.uniform",
        {"stream": "0 … 2^32 − 1; one for each purpose in a graph"},
    ),
    "output": Definition(
        "E8", "a: f32, i64 or bool; kinds `loss` and `grad_norm`: f32 ()", "a's dtype and shape",
        "a, under a name. A NaN or an infinity ends the unit.", NONE, "consensus.exact.values.check_finite",
        {"kind": " | ".join(OUTPUT_KINDS), "name": "unique within its kind; see Names"},
    ),
}  # fmt: skip
"""Every op, in the order of the document."""
