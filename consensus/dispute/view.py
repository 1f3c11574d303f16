"""A game as the chain's storage has it: what is disputed, what was committed on the way down, the stage, the clocks.

A stage says who has to move (``turn``) and carries what its moves are checked against. Agreed is what the challenger
has passed over: by picking one part it accepts all parts before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from consensus.arbiter.statement import Place, Statement
from consensus.commit.hashing import AccountId, Hash32
from consensus.commit.records import SegmentRecord
from consensus.commit.tensor import TensorForm, compute_tensor_root_of_hashes
from consensus.dispute.execution import StepLeaf
from consensus.dispute.moves import Way
from consensus.dispute.narrowing import Cursor
from consensus.graph.node import Node


class Side(IntEnum):
    """Who stands by the claim, and who doubts it."""

    DEFENDER = 0
    CHALLENGER = 1

    @property
    def other(self) -> Side:
        """The opponent."""
        return Side(1 - self)


class Reason(IntEnum):
    """What ended a game."""

    PROVED = 0
    """The defender has proved what was picked."""
    REFUTED = 1
    """The chain has found what was picked to be wrong."""
    CLOCK = 2
    """A clock ran out."""


@dataclass(frozen=True)
class Verdict:
    """The end of a game."""

    winner: Side
    reason: Reason


class Level(IntEnum):
    """A tree in which the game narrows."""

    HISTORY = 0
    """Leaves: steps."""
    TRACE = 1
    """Leaves: nodes."""
    STATE = 2
    """Leaves: tensors of the state after the step."""
    TILES = 3
    """Leaves: tiles of the node's value."""


@dataclass(frozen=True)
class DataRule:
    """How the chain knows batches."""

    root: Hash32
    """State root of the data set's arrays."""
    arrays: int
    """Their number."""
    windows: bool
    """Rule windows; otherwise rows."""


@dataclass(frozen=True)
class Unit:
    """What the chain knows of the disputed unit, from its task, assignment and submission."""

    graph_root: Hash32
    node_count: int
    state_count: int
    """Tensors of a state."""
    data: DataRule
    steps: int
    """Steps a segment."""
    segments: int
    seed: Hash32
    start: Hash32
    """The state root in which segment 0 starts."""
    transcript_root: Hash32
    solver: AccountId
    end: Hash32 | None = None
    """The state root that was submitted as the unit's end, for whoever opens a game; a game has its own."""


@dataclass(frozen=True)
class StepClaim:
    """What the defender has committed to about the disputed step."""

    index: int
    """In the segment."""
    start: Hash32
    """S_i, on which both agree."""
    after: StepLeaf
    trace_root: Hash32


@dataclass(frozen=True)
class NodeClaim:
    """What the defender has opened of the disputed node."""

    index: int
    node: Node
    inner_root: Hash32
    """Over the tiles of its value."""
    input_roots: tuple[Hash32, ...]
    input_forms: tuple[TensorForm, ...]
    accepted: tuple[tuple[Place, Hash32], ...] = ()
    """Claims that the challenger has passed over at the output tile or element (the roots of maxima, at most 2): they
    stand for the rest of the game."""

    @property
    def form(self) -> TensorForm:
        """Of its value."""
        return TensorForm(self.node.dtype, self.node.shape)

    @property
    def root(self) -> Hash32:
        """The tensor root of its value."""
        return compute_tensor_root_of_hashes(self.form, [self.inner_root])

    @property
    def is_batch(self) -> bool:
        """Whether it is an array of the batch, which the data rule gives."""
        return self.node.op == "input" and self.node.attrs["kind"] == "batch"

    def state(self, place: Place) -> Statement:
        """The statement about a place."""
        return Statement(self.node, self.input_forms, place)


# --- stages, in the order of the way down ------------------------------------------------------------------------


@dataclass(frozen=True)
class Stage:
    """Base of the stages."""

    turn: ClassVar[Side]


class DefenderStage(Stage):
    """The defender has to move."""

    turn = Side.DEFENDER


class ChallengerStage(Stage):
    """The challenger has to move."""

    turn = Side.CHALLENGER


@dataclass(frozen=True)
class HistoryStage(DefenderStage):
    """`CommitHistory`."""


@dataclass(frozen=True)
class HistoryPick(ChallengerStage):
    """`Choose` DESCEND or WITNESS."""


@dataclass(frozen=True)
class WitnessStage(DefenderStage):
    """`ProveWitness`."""


@dataclass(frozen=True)
class Narrowing(DefenderStage):
    """`Narrow`."""

    level: Level
    cursor: Cursor


@dataclass(frozen=True)
class Picking(ChallengerStage):
    """`Pick`."""

    level: Level
    cursor: Cursor
    children: tuple[Hash32, ...]


@dataclass(frozen=True)
class StepStage(DefenderStage):
    """`CommitTrace` for the leaf of the history."""

    index: int
    hash: Hash32


@dataclass(frozen=True)
class StepPick(ChallengerStage):
    """`Choose` DESCEND, LOSS, GRAD_NORM or STATE."""


@dataclass(frozen=True)
class OutputStage(DefenderStage):
    """`ProveOutput` for the loss or the gradient norm."""

    way: Way
    """LOSS or GRAD_NORM."""


@dataclass(frozen=True)
class OutputRefute(ChallengerStage):
    """`RefuteOutput`: the defender's gradient norm is +0, which is right where the graph has none."""


@dataclass(frozen=True)
class StateStage(DefenderStage):
    """`ProveState` for the leaf of the state after the step."""

    index: int
    hash: Hash32


@dataclass(frozen=True)
class StateRefute(ChallengerStage):
    """`RefuteState`: the defender has said that the tensor is unchanged."""

    name: str
    root: Hash32


@dataclass(frozen=True)
class NodeStage(DefenderStage):
    """`OpenNode` for the leaf of the trace."""

    index: int
    hash: Hash32


@dataclass(frozen=True)
class StateInput(DefenderStage):
    """`ProveStateInput`: the node is an input of kind state."""


@dataclass(frozen=True)
class NodePick(ChallengerStage):
    """`Choose` INPUT, DESCEND or ENDS; for a batch only DESCEND."""


@dataclass(frozen=True)
class LinkStage(DefenderStage):
    """`ProveLink` for an input."""

    input: int


@dataclass(frozen=True)
class EndsStage(ChallengerStage):
    """`Settle` of a `Check`."""


@dataclass(frozen=True)
class TileStage(DefenderStage):
    """`PostTile`: of a batch, or one that is made of elements."""

    tile: int
    hash: Hash32


@dataclass(frozen=True)
class TilePick(ChallengerStage):
    """`Choose` PART: an element."""

    tile: int
    data: bytes


@dataclass(frozen=True)
class ClaimsStage(DefenderStage):
    """`PostClaims` for a place."""

    place: Place
    hash: Hash32


@dataclass(frozen=True)
class ClaimsPick(ChallengerStage):
    """`Choose` PART or RESULT."""

    place: Place
    hash: Hash32
    claims: tuple[Hash32, ...]


@dataclass(frozen=True)
class Arbitration(DefenderStage):
    """`Settle`, by the challenger too."""

    place: Place
    hash: Hash32
    claims: tuple[Hash32, ...]


@dataclass(frozen=True)
class DataStage(DefenderStage):
    """`SettleData`, by the challenger too, about an element of a batch."""

    element: int
    hash: Hash32
    """`compute_claim_hash` of the element."""


# --- the game ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GameView:
    """An open game. Blocks are numbers of blocks of the chain."""

    unit: Unit
    record: SegmentRecord
    """Of the disputed segment; the last one's ends where the unit was submitted to end."""
    start: Hash32
    """The state root in which the segment starts: the end of the record before."""
    stage: Stage
    began: int
    """Block in which the turn began."""
    clocks: tuple[int, int]
    """Blocks that are left, of defender and challenger."""
    history_root: Hash32 | None = None
    step: StepClaim | None = None
    node: NodeClaim | None = None

    @property
    def turn(self) -> Side:
        """Who has to move."""
        return self.stage.turn

    @property
    def step_number(self) -> int:
        """Number of the disputed step over the unit; 0 where none is known yet."""
        return self.record.index * self.unit.steps + self.step.index if self.step else 0

    @property
    def deadline(self) -> int:
        """The last block in which the turn's move is in time."""
        return self.began + self.clocks[self.turn]


Next = GameView | Verdict
"""What a move leads to."""

PROVED = Verdict(Side.DEFENDER, Reason.PROVED)
REFUTED = Verdict(Side.CHALLENGER, Reason.REFUTED)


def history_of(view: GameView) -> Hash32:
    """The history's root, which every stage but the first has."""
    if view.history_root is None:
        raise ValueError("no history is committed to yet")
    return view.history_root


def step_of(view: GameView) -> StepClaim:
    """The disputed step, which every stage below the history has."""
    if view.step is None:
        raise ValueError("no step is disputed yet")
    return view.step


def node_of(view: GameView) -> NodeClaim:
    """The disputed node, which every stage below the trace has."""
    if view.node is None:
        raise ValueError("no node is disputed yet")
    return view.node


def name_of(node: Node) -> str:
    """Name of an input or output."""
    return str(node.attrs["name"])


def find_node(nodes: Sequence[Node], op: str, kind: str, name: str | None = None) -> int | None:
    """Index of the input or output of a kind, and of a name if given; None where the graph has none."""
    for index, node in enumerate(nodes):
        if node.op == op and node.attrs["kind"] == kind and name in (None, name_of(node)):
            return index
    return None
