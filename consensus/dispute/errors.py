"""Refused moves. A refused move changes nothing, and the clock of whoever has to move runs on.

    DisputeError
    ├── NotYourTurn      the other side has to move
    ├── OutOfTime        the clock of whoever has to move has run out
    ├── WrongStage       the stage takes other moves
    ├── NoSuchPart       a choice outside of what the stage offers
    ├── NothingToRefute  the trace says what the defender says
    ├── SameHash         a pick whose counter is the defender's own hash
    ├── WrongChildren    children that do not combine to the hash above them
    ├── WrongProof       something that is not under the root that it should be under
    ├── WrongNode        the node is not the one that the move needs
    ├── WrongForm        a form that is not under its tensor root
    ├── BadTile          a tile of another length or hash, with padding or NaNs not as committed
    ├── WrongClaims      another number of claims than the place needs
    ├── TooLarge         more bytes or items than a move may have
    └── Refused          by the arbiter, with the code of its error
"""

from __future__ import annotations


class DisputeError(Exception):
    """Base of every refusal."""


class NotYourTurn(DisputeError):
    """The other side has to move; wait for its move or for the end of its clock."""


class OutOfTime(DisputeError):
    """The clock has run out: the game is lost for whoever had to move."""

    def __init__(self, used: int, left: int) -> None:
        self.used, self.left = used, left
        super().__init__(f"{used} blocks since the turn began, {left} were left; the game is over")


class WrongStage(DisputeError):
    """The stage takes other moves; look at the game again."""

    def __init__(self, stage: str, move: str) -> None:
        self.stage, self.move = stage, move
        super().__init__(f"{move} is no move in stage {stage}; read the game's stage again")


class NoSuchPart(DisputeError):
    """A choice outside of what the stage offers; take it from the game's children, inputs or claims."""


class NothingToRefute(DisputeError):
    """The trace has the value that the defender claims; there is nothing to refute here."""


class SameHash(DisputeError):
    """A pick must be countered with another hash than the defender's."""


class WrongChildren(DisputeError):
    """Children that do not combine to the hash above them, or too few or many; post the tree's nodes in order."""


class WrongProof(DisputeError):
    """Something that is not under its root; prove the leaf that the stage names, from the leaf up."""


class WrongNode(DisputeError):
    """Not the node that the move needs: take the graph's output or input of the right kind and name."""


class WrongForm(DisputeError):
    """A form that is not under its tensor root; post dtype, shape and inner root of the tensor of the trace."""


class BadTile(DisputeError):
    """Not the tile: its length or hash is another, its padding is not zero, or a NaN is not canonical."""


class WrongClaims(DisputeError):
    """Another number of claims than the place needs; take them from `consensus.arbiter.required`."""


class TooLarge(DisputeError):
    """More bytes or items than a move may have."""

    def __init__(self, what: str, size: int, bound: int) -> None:
        self.what, self.size, self.bound = what, size, bound
        super().__init__(f"{what}: {size:,}, at most {bound:,} are allowed")


class Refused(DisputeError):
    """The arbiter refused; ``code`` is that of its `ArbiterError`."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        super().__init__(f"the arbiter refused: {reason}")
