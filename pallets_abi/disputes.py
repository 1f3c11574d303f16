"""Pallet Disputes (index 15).

Generated from the runtime's metadata by `python -m pallets_abi.generate`; do not edit.
"""

# ruff: noqa: E501, F401, I001 - the texts are those of the chain; every module has the same imports

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from pallets_abi.base import AccountId, Call, Constant, Event, Hash, RuntimeCall, StorageItem, Variant
from pallets_abi.verification import SegmentRecord


@dataclass(frozen=True)
class OpenedRecord:
    """pallet_disputes::types::OpenedRecord."""

    record: SegmentRecord
    proof: list[Hash]


@dataclass(frozen=True)
class OpenCall(Call):
    """Opens a game about a segment of a unit and holds the sender's bonds of all three levels. `opening`: its record;
    `previous`: the record before it, none for segment 0.
    """

    PALLET: ClassVar[str] = "Disputes"
    FUNCTION: ClassVar[str] = "open"

    task: int
    unit: int
    opening: OpenedRecord
    previous: OpenedRecord | None


@dataclass(frozen=True)
class StepLeaf:
    """pallet_disputes::types::StepLeaf."""

    state: Hash
    loss: int
    grad_norm: int


@dataclass(frozen=True)
class CommitHistoryCall(Call):
    """Defender: commits to the history of the segment and shows its last leaf."""

    PALLET: ClassVar[str] = "Disputes"
    FUNCTION: ClassVar[str] = "commit_history"

    game: int
    root: Hash
    last: StepLeaf
    siblings: list[Hash]


@dataclass(frozen=True)
class Choice(Variant):
    """pallet_disputes::types::Choice."""

    VARIANTS: ClassVar[dict[str, tuple[Any, ...]]] = {
        "Descend": (),
        "Witness": (),
        "Loss": (),
        "GradNorm": (),
        "State": (),
        "Input": (int,),
        "Ends": (),
        "Part": (int,),
        "Result": (),
    }


@dataclass(frozen=True)
class ChooseCall(Call):
    """Challenger: says what is wrong, or where to go on."""

    PALLET: ClassVar[str] = "Disputes"
    FUNCTION: ClassVar[str] = "choose"

    game: int
    choice: Choice


@dataclass(frozen=True)
class ProveWitnessCall(Call):
    """Defender: shows all leaves of the history, which give the segment's witness. Wins."""

    PALLET: ClassVar[str] = "Disputes"
    FUNCTION: ClassVar[str] = "prove_witness"

    game: int
    leaves: list[StepLeaf]


@dataclass(frozen=True)
class NarrowCall(Call):
    """Defender: lays open the nodes 4 levels below the one in question, or the leaves."""

    PALLET: ClassVar[str] = "Disputes"
    FUNCTION: ClassVar[str] = "narrow"

    game: int
    children: list[Hash]


@dataclass(frozen=True)
class PickCall(Call):
    """Challenger: picks the first child that it finds wrong; `counter` is what it has there."""

    PALLET: ClassVar[str] = "Disputes"
    FUNCTION: ClassVar[str] = "pick"

    game: int
    child: int
    counter: Hash


@dataclass(frozen=True)
class CommitTraceCall(Call):
    """Defender: commits to all values of the step that was picked. `after` is its leaf of the history, `before` the
    leaf of the step before it, none for step 0.
    """

    PALLET: ClassVar[str] = "Disputes"
    FUNCTION: ClassVar[str] = "commit_trace"

    game: int
    after: StepLeaf
    before: tuple[StepLeaf, list[Hash]] | None
    trace_root: Hash


@dataclass(frozen=True)
class OutputLink:
    """pallet_disputes::types::OutputLink."""

    index: int
    node: bytes
    node_siblings: list[Hash]
    trace_siblings: list[Hash]


@dataclass(frozen=True)
class ProveOutputCall(Call):
    """Defender: shows that loss or gradient norm is the value of the graph's output. Wins."""

    PALLET: ClassVar[str] = "Disputes"
    FUNCTION: ClassVar[str] = "prove_output"

    game: int
    link: OutputLink


@dataclass(frozen=True)
class RefuteOutputCall(Call):
    """Challenger: shows that the trace has a gradient norm, `value` (its tensor root), that is not +0. Wins."""

    PALLET: ClassVar[str] = "Disputes"
    FUNCTION: ClassVar[str] = "refute_output"

    game: int
    link: OutputLink
    value: Hash


@dataclass(frozen=True)
class StateOpening:
    """pallet_disputes::types::StateOpening."""

    name: bytes
    root: Hash
    before_root: Hash
    before_siblings: list[Hash]


@dataclass(frozen=True)
class ProveStateCall(Call):
    """Defender: shows that a tensor of the new state is an output of the trace, and wins; or says without a link that
    it did not change.
    """

    PALLET: ClassVar[str] = "Disputes"
    FUNCTION: ClassVar[str] = "prove_state"

    game: int
    opening: StateOpening
    link: OutputLink | None


@dataclass(frozen=True)
class RefuteStateCall(Call):
    """Challenger: shows that the trace has another value, `value` (its tensor root), for a tensor of which the
    defender says that it did not change. Wins.
    """

    PALLET: ClassVar[str] = "Disputes"
    FUNCTION: ClassVar[str] = "refute_state"

    game: int
    link: OutputLink
    value: Hash


@dataclass(frozen=True)
class NodeOpening:
    """pallet_disputes::types::NodeOpening."""

    node: bytes
    siblings: list[Hash]
    inner_root: Hash
    input_forms: bytes
    input_inner_roots: list[Hash]


@dataclass(frozen=True)
class OpenNodeCall(Call):
    """Defender: opens the node that was picked. An input of kind seed or step ends the game at once."""

    PALLET: ClassVar[str] = "Disputes"
    FUNCTION: ClassVar[str] = "open_node"

    game: int
    opening: NodeOpening


@dataclass(frozen=True)
class ProveStateInputCall(Call):
    """Defender: shows that the input of kind state is a tensor of the state before the step. Wins."""

    PALLET: ClassVar[str] = "Disputes"
    FUNCTION: ClassVar[str] = "prove_state_input"

    game: int
    index: int
    siblings: list[Hash]


@dataclass(frozen=True)
class ProveLinkCall(Call):
    """Defender: shows that what the node reads is the trace's value of the node that it names. Wins."""

    PALLET: ClassVar[str] = "Disputes"
    FUNCTION: ClassVar[str] = "prove_link"

    game: int
    siblings: list[Hash]


@dataclass(frozen=True)
class PostTileCall(Call):
    """Defender: posts the tile in question, which is made of elements."""

    PALLET: ClassVar[str] = "Disputes"
    FUNCTION: ClassVar[str] = "post_tile"

    game: int
    data: bytes


@dataclass(frozen=True)
class PostClaimsCall(Call):
    """Defender: posts the hashes of the places from which the one in question follows."""

    PALLET: ClassVar[str] = "Disputes"
    FUNCTION: ClassVar[str] = "post_claims"

    game: int
    claims: list[Hash]


@dataclass(frozen=True)
class SettleCall(Call):
    """Either side: has the place in question computed; or the challenger: has an input tile checked that ends the
    unit at this node. Decides the game.
    """

    PALLET: ClassVar[str] = "Disputes"
    FUNCTION: ClassVar[str] = "settle"

    game: int
    opening: bytes


@dataclass(frozen=True)
class ArrayForm:
    """pallet_disputes::types::ArrayForm."""

    dtype: int
    shape: list[int]


@dataclass(frozen=True)
class ArrayOpening:
    """pallet_disputes::types::ArrayOpening."""

    form: ArrayForm
    inner_root: Hash
    index: int
    siblings: list[Hash]


@dataclass(frozen=True)
class TileOpening:
    """pallet_disputes::types::TileOpening."""

    data: bytes
    siblings: list[Hash]


@dataclass(frozen=True)
class SettleDataCall(Call):
    """Either side: has the element in question made from the data set. Decides the game."""

    PALLET: ClassVar[str] = "Disputes"
    FUNCTION: ClassVar[str] = "settle_data"

    game: int
    array: ArrayOpening
    tile: TileOpening


@dataclass(frozen=True)
class CaseOpenedEvent(Event):
    """Verifiers differ from a unit's solver: until this block they may open games about it."""

    PALLET: ClassVar[str] = "Disputes"
    NAME: ClassVar[str] = "CaseOpened"

    task: int
    """The task."""
    unit: int
    """The unit."""
    until: int
    """Last block in which a game may be opened."""


@dataclass(frozen=True)
class AcquittedEvent(Event):
    """Nobody has shown that a disputed unit is wrong; it goes on."""

    PALLET: ClassVar[str] = "Disputes"
    NAME: ClassVar[str] = "Acquitted"

    task: int
    """The task."""
    unit: int
    """The unit."""


@dataclass(frozen=True)
class OpenedEvent(Event):
    """A game was opened: it is the defender's turn to commit to the segment's history."""

    PALLET: ClassVar[str] = "Disputes"
    NAME: ClassVar[str] = "Opened"

    game: int
    """The game."""
    task: int
    """The task."""
    unit: int
    """The unit."""
    segment: int
    """The disputed segment."""
    defender: AccountId
    """The unit's solver."""
    challenger: AccountId
    """Who doubts it."""


@dataclass(frozen=True)
class HistoryCommittedEvent(Event):
    """The defender committed to the segment's history."""

    PALLET: ClassVar[str] = "Disputes"
    NAME: ClassVar[str] = "HistoryCommitted"

    game: int
    """The game."""
    root: Hash
    """Root over the steps."""


@dataclass(frozen=True)
class ChosenEvent(Event):
    """The challenger said what is wrong, or where to go on."""

    PALLET: ClassVar[str] = "Disputes"
    NAME: ClassVar[str] = "Chosen"

    game: int
    """The game."""
    choice: Choice
    """What it chose."""


class Level(StrEnum):
    """pallet_disputes::types::Level."""

    HISTORY = "History"

    TRACE = "Trace"

    STATE = "State"

    TILES = "Tiles"


@dataclass(frozen=True)
class NarrowedEvent(Event):
    """The defender laid open a node of a tree."""

    PALLET: ClassVar[str] = "Disputes"
    NAME: ClassVar[str] = "Narrowed"

    game: int
    """The game."""
    level: Level
    """The tree."""
    height: int
    """Height of the node above the leaves."""
    index: int
    """Its place among the nodes of that height."""
    children: list[Hash]
    """The nodes 4 levels below it, or the leaves."""


@dataclass(frozen=True)
class PickedEvent(Event):
    """The challenger picked the first of them that it finds wrong."""

    PALLET: ClassVar[str] = "Disputes"
    NAME: ClassVar[str] = "Picked"

    game: int
    """The game."""
    level: Level
    """The tree."""
    child: int
    """Which one."""
    claimed: Hash
    """The defender's hash."""
    counter: Hash
    """What the challenger has instead; it decides nothing."""


@dataclass(frozen=True)
class TraceCommittedEvent(Event):
    """The defender committed to all values of a step."""

    PALLET: ClassVar[str] = "Disputes"
    NAME: ClassVar[str] = "TraceCommitted"

    game: int
    """The game."""
    step: int
    """Number of the step in the segment."""
    after: StepLeaf
    """What it leads to."""
    trace_root: Hash
    """Root over the tensor roots of the nodes' values."""


@dataclass(frozen=True)
class NodeOpenedEvent(Event):
    """The defender opened the node in question."""

    PALLET: ClassVar[str] = "Disputes"
    NAME: ClassVar[str] = "NodeOpened"

    game: int
    """The game."""
    index: int
    """Its index in the graph."""
    op: bytes
    """Its op, as graphs name it."""


@dataclass(frozen=True)
class TilePostedEvent(Event):
    """The defender posted the tile in question."""

    PALLET: ClassVar[str] = "Disputes"
    NAME: ClassVar[str] = "TilePosted"

    game: int
    """The game."""
    tile: int
    """Its number."""


@dataclass(frozen=True)
class ClaimsPostedEvent(Event):
    """The defender posted the claims from which the place in question follows."""

    PALLET: ClassVar[str] = "Disputes"
    NAME: ClassVar[str] = "ClaimsPosted"

    game: int
    """The game."""
    place: Any
    """The place."""
    claims: list[Hash]
    """The claims' hashes."""


@dataclass(frozen=True)
class Answer(Variant):
    """pallet_disputes::pallet::Answer."""

    VARIANTS: ClassVar[dict[str, tuple[Any, ...]]] = {
        "Value": (Hash,),
        "Ends": (Any,),
    }


@dataclass(frozen=True)
class SettledEvent(Event):
    """The chain computed a place."""

    PALLET: ClassVar[str] = "Disputes"
    NAME: ClassVar[str] = "Settled"

    game: int
    """The game."""
    place: Any
    """The place."""
    computed: Answer
    """What came out."""


class Verdict(StrEnum):
    """pallet_disputes::types::Verdict."""

    PROVED = "Proved"

    REFUTED = "Refuted"

    CLOCK = "Clock"

    MOOT = "Moot"


@dataclass(frozen=True)
class GameEndedEvent(Event):
    """A game has ended."""

    PALLET: ClassVar[str] = "Disputes"
    NAME: ClassVar[str] = "GameEnded"

    game: int
    """The game."""
    verdict: Verdict
    """How."""
    winner: AccountId | None
    """Who won; nobody if it is moot."""
    loser: AccountId | None
    """Who lost."""


@dataclass(frozen=True)
class DisputesParams:
    """pallet_disputes::types::DisputesParams."""

    clock_blocks: int
    accuse_blocks: int
    level_bond: int
    reward_share: int


class Side(StrEnum):
    """pallet_disputes::types::Side."""

    DEFENDER = "Defender"

    CHALLENGER = "Challenger"


@dataclass(frozen=True)
class Cursor:
    """pallet_disputes::types::Cursor."""

    count: int
    height: int
    index: int
    hash: Hash


class Scalar(StrEnum):
    """pallet_disputes::types::Scalar."""

    LOSS = "Loss"

    GRAD_NORM = "GradNorm"


@dataclass(frozen=True)
class Stage(Variant):
    """pallet_disputes::types::Stage."""

    VARIANTS: ClassVar[dict[str, tuple[Any, ...]]] = {
        "History": (),
        "HistoryPick": (),
        "Witness": (),
        "Narrow": (Level, Cursor,),
        "Pick": (Level, Cursor, list[Hash],),
        "Step": (int, Hash,),
        "StepPick": (),
        "Output": (Scalar,),
        "OutputRefute": (),
        "StateLeaf": (int, Hash,),
        "StateRefute": (bytes, Hash,),
        "Node": (int, Hash,),
        "StateInput": (),
        "NodePick": (),
        "Link": (int,),
        "Ends": (),
        "Tile": (),
        "TilePick": (),
        "Claims": (),
        "ClaimsPick": (),
        "Arbitration": (),
        "Data": (),
    }
    FIELDS: ClassVar[dict[str, tuple[str, ...]]] = {
        "Narrow": ("level", "cursor",),
        "Pick": ("level", "cursor", "children",),
        "Step": ("index", "leaf",),
        "StateLeaf": ("index", "leaf",),
        "StateRefute": ("name", "root",),
        "Node": ("index", "leaf",),
    }


@dataclass(frozen=True)
class StepClaim:
    """pallet_disputes::types::StepClaim."""

    index: int
    before: Hash
    after: StepLeaf
    trace_root: Hash


@dataclass(frozen=True)
class PlaceClaim:
    """pallet_disputes::types::PlaceClaim."""

    place: Any
    hash: Hash


@dataclass(frozen=True)
class Game:
    """pallet_disputes::types::Game."""

    task: int
    unit: int
    attempt: int
    segment: int
    defender: AccountId
    challenger: AccountId
    opened: int
    defender_clock: int
    challenger_clock: int
    turn: Side
    since: int
    moves: int
    bond: int
    start: Hash
    end: Hash
    salted_witness: Hash
    stage: Stage
    history_root: Hash | None
    step: StepClaim | None
    node: int | None
    place: PlaceClaim | None


@dataclass(frozen=True)
class OpenedNode:
    """pallet_disputes::types::OpenedNode."""

    node: bytes
    root: Hash
    inner_root: Hash
    input_forms: bytes
    input_roots: list[Hash]
    accepted: list[tuple[Any, Hash]]


@dataclass(frozen=True)
class EndedGame:
    """pallet_disputes::types::EndedGame."""

    task: int
    unit: int
    segment: int
    defender: AccountId
    challenger: AccountId
    opened: int
    ended: int
    verdict: Verdict
    winner: Side | None


@dataclass(frozen=True)
class Case:
    """pallet_disputes::types::Case."""

    attempt: int
    until: int
    segments: list[int]
    attesters: list[tuple[AccountId, int]]
    accused: bool
    second: bool
    refuted: tuple[AccountId, int] | None


@dataclass(frozen=True)
class Timer(Variant):
    """pallet_disputes::types::Timer."""

    VARIANTS: ClassVar[dict[str, tuple[Any, ...]]] = {
        "Clock": (int, int,),
        "Case": (int, int, int,),
    }


class DisputesError(StrEnum):
    """Errors of the calls of pallet Disputes."""

    NO_GAME = "NoGame"
    """There is no such open game: it never was, has ended, or is decided by another one about the same unit."""

    NOT_YOUR_TURN = "NotYourTurn"
    """It is the other side's turn, or the sender is no party of the game."""

    OUT_OF_TIME = "OutOfTime"
    """The sender's clock has run out; the game ends by itself."""

    WRONG_STAGE = "WrongStage"
    """Another move is due: see the game's stage."""

    NOT_ELIGIBLE = "NotEligible"
    """The sender has the minimum bond in no role: bond first."""

    OWN_UNIT = "OwnUnit"
    """A solver cannot challenge its own unit."""

    NOT_DISPUTABLE = "NotDisputable"
    """The unit is neither in its watch window nor disputed, or no game can be opened about it any more."""

    ALREADY_OPEN = "AlreadyOpen"
    """The sender has an open game about this unit: finish it first."""

    TOO_MANY_GAMES = "TooManyGames"
    """As many games as allowed are open about this unit: wait for one to end."""

    NOT_ACCUSER = "NotAccuser"
    """After a mismatch only verifiers that differ from the solver may open games, until the watch window."""

    WRONG_SEGMENT = "WrongSegment"
    """A verifier must challenge the first drawn segment on which it differs from the solver."""

    BAD_PROOF = "BadProof"
    """The proof does not lead to what was committed to."""

    BAD_PREVIOUS = "BadPrevious"
    """Segment 0 and step 0 have nothing before them, all others need the record or leaf just before."""

    WRONG_END = "WrongEnd"
    """The history does not end in the state in which the claim says that the segment ends."""

    BAD_WITNESS = "BadWitness"
    """The losses do not give the witness that was committed to."""

    BAD_CHILDREN = "BadChildren"
    """The children are not all that exist, or do not combine to the hash that was committed to."""

    BAD_PICK = "BadPick"
    """There is no such child."""

    SAME_HASH = "SameHash"
    """The challenger must have another hash than what it picks."""

    BAD_CHOICE = "BadChoice"
    """The stage offers no such choice."""

    BAD_NODE = "BadNode"
    """The node is not of the kind that is asked for."""

    NOTHING_TO_REFUTE = "NothingToRefute"
    """The trace says the same: let the defender win, there is nothing to refute here."""

    BAD_TILE = "BadTile"
    """The bytes are not the tile that was committed to, or not as tiles are padded."""

    BAD_CLAIMS = "BadClaims"
    """The place needs another number of claims."""

    WRONG_PLACE = "WrongPlace"
    """The opening is about another place than the game."""

    BAD_ARRAY = "BadArray"
    """The array is not the one from which the rule makes the batch, or does not fit it."""

    REFUSED = "Refused"
    """The arbiter refuses the opening; the code is that of `aipow_exact::Error`."""


PARAMS: StorageItem[DisputesParams] = StorageItem("Disputes", "Params", (), DisputesParams, False)
"""Parameters, set at genesis."""

NEXT_GAME: StorageItem[int] = StorageItem("Disputes", "NextGame", (), int, False)
"""Number of the next game."""

GAMES: StorageItem[Game | None] = StorageItem("Disputes", "Games", (int,), Game, True)
"""Open games."""

NODES: StorageItem[OpenedNode | None] = StorageItem("Disputes", "Nodes", (int,), OpenedNode, True)
"""The node in question of an open game, once it is opened."""

CLAIMS: StorageItem[list[Hash]] = StorageItem("Disputes", "Claims", (int,), list[Hash], False)
"""The claims from which the place in question follows, once they are posted."""

TILES: StorageItem[bytes | None] = StorageItem("Disputes", "Tiles", (int,), bytes, True)
"""The tile in question, once it is posted and until one of its elements is picked."""

ALARMS: StorageItem[int | None] = StorageItem("Disputes", "Alarms", (int,), int, True)
"""Block for which the timer of an open game's clocks is set: not after the first block in which the turn is over."""

OPEN_GAMES: StorageItem[list[int]] = StorageItem("Disputes", "OpenGames", (int, int,), list[int], False)
"""The open games of a unit, oldest first."""

ENDED: StorageItem[EndedGame | None] = StorageItem("Disputes", "Ended", (int,), EndedGame, True)
"""How games ended."""

CASES: StorageItem[Case | None] = StorageItem("Disputes", "Cases", (int, int,), Case, True)
"""Disputed units."""

RETIRED_ITEMS: StorageItem[list[int] | None] = StorageItem("Disputes", "RetiredItems", (int,), list[int], True)
"""Lists of games whose units were listed again, to be ended without a loser."""

RETIRED_BOUNDS: StorageItem[tuple[int, int]] = StorageItem("Disputes", "RetiredBounds", (), tuple[int, int], False)
"""First and one-past-last position of these lists."""

TIMER_ITEMS: StorageItem[Timer | None] = StorageItem("Disputes", "TimerItems", (int, int,), Timer, True)
"""Deadlines by block and position."""

TIMER_COUNTS: StorageItem[int] = StorageItem("Disputes", "TimerCounts", (int,), int, False)
"""Number of deadlines of a block."""

TIMER_CURSOR: StorageItem[tuple[int, int]] = StorageItem("Disputes", "TimerCursor", (), tuple[int, int], False)
"""Block and position of the next deadline."""

MAX_CLOCKS_PER_BLOCK: Constant[int] = Constant("Disputes", "MaxClocksPerBlock", int)
"""Most clocks and cases looked at in one block; the rest follows in the next."""

MAX_MOOT_PER_BLOCK: Constant[int] = Constant("Disputes", "MaxMootPerBlock", int)
"""Most moot games ended in one block; the rest follows in the next."""
