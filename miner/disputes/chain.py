"""A game between the chain's bytes and the players' terms: `read_view` of what storage holds, `to_call` of a move.

The bytes are SCALE as `devnet/runtime/pallets/disputes/src/types.rs` has them, read raw: through a JSON-RPC library's
words a tile whose bytes happen to spell a text would come back as another.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from consensus.arbiter.codec import Reader
from consensus.arbiter.statement import Element, Place, Tile
from consensus.commit.hashing import Hash32
from consensus.commit.records import SegmentRecord
from consensus.dispute.execution import StepLeaf
from consensus.dispute.moves import Move, Open, Way, encode
from consensus.dispute.narrowing import Cursor
from consensus.dispute.view import (
    Arbitration,
    ClaimsPick,
    ClaimsStage,
    DataStage,
    EndsStage,
    GameView,
    HistoryPick,
    HistoryStage,
    Level,
    LinkStage,
    Narrowing,
    NodeClaim,
    NodePick,
    NodeStage,
    OutputRefute,
    OutputStage,
    Picking,
    Stage,
    StateInput,
    StateRefute,
    StateStage,
    StepClaim,
    StepPick,
    StepStage,
    TilePick,
    TileStage,
    Unit,
    WitnessStage,
)

UNKNOWN = Hash32(bytes(32))
"""Stands for what a game does not keep: the step records of its segment, of which no rule speaks."""

T = TypeVar("T")


@dataclass(frozen=True)
class RawGame:
    """A game's entries in storage; empty where there is none."""

    game: bytes
    node: bytes = b""
    claims: bytes = b""
    tile: bytes = b""

    def blobs(self) -> tuple[bytes, ...]:
        """The four, in the order of the fields."""
        return self.game, self.node, self.claims, self.tile


RAW_PARTS = 4
"""Parts of a `RawGame`."""


@dataclass(frozen=True)
class GameCall:
    """A call of pallet Disputes with its arguments in SCALE."""

    function: str
    arguments: bytes


def to_call(move: Open | Move, game: int = 0) -> GameCall:
    """The call of a move; its function's name is the move's."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(move).__name__).lower()
    return GameCall(name, encode(move, game))


@dataclass(frozen=True)
class _Place:
    """The place in question and what the defender says of it."""

    place: Place
    hash: Hash32


def read_view(raw: RawGame, unit: Unit) -> GameView:
    """A game as players see it; raises `Malformed`, when the chain's types are others than ours."""
    reader = Reader(raw.game, "game")
    reader.raw(4 + 4 + 2)  # task, unit, attempt
    segment = reader.integer(2)
    reader.raw(32 + 32 + 4)  # defender, challenger, opened
    clocks = (reader.u32(), reader.u32())
    reader.u8()  # the turn is the stage's
    since = reader.u32()
    reader.raw(4 + 16)  # moves, bond
    start, end, witness = reader.hash(), reader.hash(), reader.hash()
    read_stage = _read_stage(reader)
    history_root = _option(reader, reader.hash)
    step = _option(reader, lambda: StepClaim(reader.u32(), reader.hash(), _read_leaf(reader), reader.hash()))
    index = _option(reader, reader.u32)
    place = _option(reader, lambda: _Place(reader.place(), reader.hash()))
    reader.finish()
    node = None if index is None else _read_node(raw.node, index)
    record = SegmentRecord(segment, start, end, UNKNOWN, UNKNOWN, witness, UNKNOWN)
    stage = read_stage(place, _read_claims(raw.claims), _read_tile(raw.tile))
    return GameView(unit, record, start, stage, since, clocks, history_root, step, node)


_MakeStage = Callable[[_Place | None, tuple[Hash32, ...], bytes], Stage]
"""A stage needs what is read after it: place, claims, tile."""


def _read_stage(reader: Reader) -> _MakeStage:
    """The stage's own bytes; it is complete with the rest of the game."""
    code = reader.u8()
    if code in _PLAIN:
        return _PLAIN[code]
    if code == 3:
        level, cursor = Level(reader.u8()), _read_cursor(reader)
        return _fixed(Narrowing(level, cursor))
    if code == 4:
        level, cursor = Level(reader.u8()), _read_cursor(reader)
        return _fixed(Picking(level, cursor, reader.hashes()))
    if code == 5:
        return _fixed(StepStage(reader.u32(), reader.hash()))
    if code == 7:
        return _fixed(OutputStage((Way.LOSS, Way.GRAD_NORM)[reader.u8()]))
    if code == 9:
        return _fixed(StateStage(reader.u32(), reader.hash()))
    if code == 10:
        return _fixed(StateRefute(reader.blob().decode(), reader.hash()))
    if code == 11:
        return _fixed(NodeStage(reader.u32(), reader.hash()))
    if code == 14:
        return _fixed(LinkStage(reader.integer(2)))
    raise reader.refuse(f"no stage has the code {code}")


def _fixed(stage: Stage) -> _MakeStage:
    return lambda *_: stage


def _tile_number(place: _Place | None) -> int:
    if place is None or not isinstance(place.place, Tile):
        raise ValueError("the game has no tile in question")
    return place.place.tile


def _element_number(place: _Place | None) -> int:
    if place is None or not isinstance(place.place, Element):
        raise ValueError("the game has no element in question")
    return place.place.element


def _known(place: _Place | None) -> _Place:
    if place is None:
        raise ValueError("the game has no place in question")
    return place


_PLAIN: dict[int, _MakeStage] = {
    0: _fixed(HistoryStage()),
    1: _fixed(HistoryPick()),
    2: _fixed(WitnessStage()),
    6: _fixed(StepPick()),
    8: _fixed(OutputRefute()),
    12: _fixed(StateInput()),
    13: _fixed(NodePick()),
    15: _fixed(EndsStage()),
    16: lambda place, claims, tile: TileStage(_tile_number(place), _known(place).hash),
    17: lambda place, claims, tile: TilePick(_tile_number(place), tile),
    18: lambda place, claims, tile: ClaimsStage(_known(place).place, _known(place).hash),
    19: lambda place, claims, tile: ClaimsPick(_known(place).place, _known(place).hash, claims),
    20: lambda place, claims, tile: Arbitration(_known(place).place, _known(place).hash, claims),
    21: lambda place, claims, tile: DataStage(_element_number(place), _known(place).hash),
}
"""Stages without data of their own, by their codes (`types.rs`, `Stage`)."""


def _option(reader: Reader, read: Callable[[], T]) -> T | None:
    return read() if reader.one_of((False, True)) else None


def _read_leaf(reader: Reader) -> StepLeaf:
    return StepLeaf(reader.hash(), reader.u32(), reader.u32())


def _read_cursor(reader: Reader) -> Cursor:
    return Cursor(reader.u32(), reader.u8(), reader.u32(), reader.hash())


def _read_node(raw: bytes, index: int) -> NodeClaim:
    reader = Reader(raw, "opened node")
    node = Reader(reader.blob(), "node").node()
    reader.hash()  # the tensor root, which form and inner root give
    inner_root = reader.hash()
    forms = Reader(reader.blob(), "forms")
    input_forms = tuple(forms.many(forms.form))
    input_roots = reader.hashes()
    accepted = tuple(reader.many(lambda: (reader.place(), reader.hash())))
    reader.finish()
    return NodeClaim(index, node, inner_root, input_roots, input_forms, accepted)


def _read_claims(raw: bytes) -> tuple[Hash32, ...]:
    return Reader(raw, "claims").hashes() if raw else ()


def _read_tile(raw: bytes) -> bytes:
    return Reader(raw, "tile").blob() if raw else b""

