"""Refused moves, by the names of the pallet's errors. A refused move changes nothing, and the clock of whoever has to
move runs on.

    DisputeError
    ├── NotYourTurn      the other side has to move
    ├── OutOfTime        the clock of whoever has to move has run out
    ├── WrongStage       the stage takes other moves
    ├── BadProof         something that is not under the root that it should be under
    ├── BadPrevious      what comes before the record or leaf is missing, or is not what comes before
    ├── WrongEnd         the history does not end where the claim does
    ├── BadWitness       the history's witness is not the one that was committed to
    ├── BadChildren      children that do not combine to the hash above them
    ├── BadPick          there is no such child
    ├── SameHash         a pick whose counter is the defender's own hash
    ├── BadChoice        the stage does not offer the choice
    ├── BadNode          the node is not of the kind that the move needs
    ├── NothingToRefute  the trace says what the defender says
    ├── BadTile          a tile of another length or hash, with padding or NaNs not as committed
    ├── BadClaims        another number of claims than the place needs
    ├── WrongPlace       the opening is of another place than the game is about
    ├── BadArray         the data rule does not make this batch of that array
    ├── TooLarge         more bytes or items than a move may have
    └── Refused          by the arbiter, with the code of its error
"""

from __future__ import annotations

from consensus.arbiter.errors import ArbiterError


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
        super().__init__(f"{move} is no move in {stage}; read the game's stage again")


class BadProof(DisputeError):
    """Something that is not under its root; prove the leaf that the stage names, from the leaf up."""


class BadPrevious(DisputeError):
    """Open the record or leaf just before; segment 0 and step 0 have none."""


class WrongEnd(DisputeError):
    """The history must end in the state in which the claim says that the segment ends."""


class BadWitness(DisputeError):
    """The losses and norms do not give the salted witness of the record."""


class BadChildren(DisputeError):
    """Children that do not combine to the hash above them, or too few or many; post the tree's nodes in order."""


class BadPick(DisputeError):
    """There is no such child; count from 0."""


class SameHash(DisputeError):
    """A pick must be countered with another hash than the defender's."""


class BadChoice(DisputeError):
    """A choice that the stage does not offer; take it from the game's inputs, elements or claims."""


class BadNode(DisputeError):
    """Not the node that the move needs: take the graph's output of the right kind and name."""


class NothingToRefute(DisputeError):
    """The trace has the value that the defender claims; there is nothing to refute here."""


class BadTile(DisputeError):
    """Not the tile: its length or hash is another, its padding is not zero, or a NaN is not canonical."""


class BadClaims(DisputeError):
    """Another number of claims than the place needs; take them from `consensus.arbiter.required`."""


class WrongPlace(DisputeError):
    """The opening is of another place than the game is about; after ENDS it is a `Check`."""


class BadArray(DisputeError):
    """The data rule does not make this batch of that array; open the array that it names."""


class TooLarge(DisputeError):
    """More bytes or items than a move may have."""

    def __init__(self, what: str, size: int, bound: int) -> None:
        self.what, self.size, self.bound = what, size, bound
        super().__init__(f"{what}: {size:,}, at most {bound:,} are allowed")


class Refused(DisputeError):
    """The arbiter refused; ``code`` is that of its `ArbiterError`."""

    def __init__(self, error: ArbiterError) -> None:
        self.code = error.code
        super().__init__(f"the arbiter refused: {error}")
