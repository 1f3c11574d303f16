"""Errors of the arbiter. None of them settles a dispute by itself: they say that the question was badly put.

    ArbiterError
    ├── TooLarge            more bytes than may be opened
    ├── Malformed           the bytes are no SCALE encoding of what they should be
    ├── BadNode             the node breaks its op's rule of dtypes, shapes and attributes, or a limit
    ├── BadPlace            the node has no such place
    ├── BadOperands         another operand, order, length or number than the place needs
    ├── Inconsistent        operands that contradict each other (a value above its set's agreed maximum)
    ├── BadForm             an input has another dtype or shape under its agreed root
    ├── BadProof            the node or a tile is not under its agreed root
    └── NotAgreed           a claim is not the one on which both sides agreed
"""

from __future__ import annotations

from typing import ClassVar


class ArbiterError(Exception):
    """Base of every refusal; ``code`` is its number in the SCALE encoding."""

    code: ClassVar[int]


class TooLarge(ArbiterError):
    """More bytes than an opening may have; open a smaller part of the tree."""

    code = 0

    def __init__(self, what: str, size: int, bound: int) -> None:
        self.what, self.size, self.bound = what, size, bound
        super().__init__(f"{what}: {size:,} bytes, at most {bound:,} are allowed; narrow the dispute further")


class Malformed(ArbiterError):
    """The bytes do not decode; encode as `consensus.arbiter.codec` says."""

    code = 1


class BadNode(ArbiterError):
    """The node is none that a valid graph holds; take op, attributes and shapes from the committed graph."""

    code = 2


class BadPlace(ArbiterError):
    """The node has no such place; walk down from a tile of its output with `required`."""

    code = 3


class BadOperands(ArbiterError):
    """The operands are not those that the place needs, in order; take them from `required`."""

    code = 4


class Inconsistent(ArbiterError):
    """The operands contradict each other: narrow to the partial that is wrong (both sides agreed on a false one)."""

    code = 5


class BadForm(ArbiterError):
    """A form that is not under the input's agreed root; take dtype, shape and inner root from the agreed tensor."""

    code = 6


class BadProof(ArbiterError):
    """A node or tile that is not under its agreed root; open it with its own siblings, from the leaf up."""

    code = 7


class NotAgreed(ArbiterError):
    """A claim with another hash than the agreed one; open the bytes that both sides hashed."""

    code = 8
