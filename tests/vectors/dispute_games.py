"""Golden games of disputes: ``tests/vectors/disputes/games.json.gz``, for the pallet's replay; format in README.md.

Honest and lying parties of `tests.consensus.dispute` play by the rules of `consensus.dispute.referee`; each game has
another ending. Beside most moves stand bad ones, with the error that refuses them.

Written by: ``python -m tests.vectors.dispute_games``
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from consensus.arbiter.codec import encode_bytes, encode_hashes, encode_place
from consensus.arbiter.statement import Check, Element, Partial, Place, Quantity, Tile
from consensus.commit.hashing import blake2_256, encode_hash, encode_u8, encode_u16, encode_u32
from consensus.dispute.challenger import challenge
from consensus.dispute.defender import defend
from consensus.dispute.errors import Refused
from consensus.dispute.moves import Choose, Move, Open, Way, encode
from consensus.dispute.narrowing import Cursor
from consensus.dispute.referee import play
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
    NodePick,
    NodeStage,
    OutputRefute,
    OutputStage,
    Picking,
    Side,
    Stage,
    StateInput,
    StateRefute,
    StateStage,
    StepPick,
    StepStage,
    TilePick,
    TileStage,
    Unit,
    WitnessStage,
)
from tests.consensus.dispute.corruptions import corrupt
from tests.consensus.dispute.false_challengers import SteeredChallenger
from tests.consensus.dispute.games import CLOCK, Game, Player, play_executions, play_game
from tests.consensus.dispute.liars import (
    BitLiar,
    EndlessLiar,
    InputLiar,
    MadeUpNode,
    OtherBatchLiar,
    OutcomeLiar,
    PlaceLiar,
    StateLiar,
    find,
    keep_tensor,
    meddle,
    turn_tensor,
)
from tests.consensus.dispute.memory import MemoryExecution, Task, Transcript, commit_to, make_transcript
from tests.consensus.dispute.tasks import language, vector

FILE = Path(__file__).parent / "disputes" / "games.json.gz"
NUMBER = 7
"""The game's number in the calls' arguments."""
Played = tuple[str, Transcript, Game]
DESCEND, RESULT = Choose(Way.DESCEND), Choose(Way.RESULT)
ON = {HistoryPick: [DESCEND], StepPick: [DESCEND], NodePick: [DESCEND]}


@cache
def honest(task: Task) -> Transcript:
    """Two honest segments."""
    return make_transcript(task, [partial(MemoryExecution, task)] * 2)


def against(task: Task, make: Callable[..., MemoryExecution], **kwargs: Any) -> tuple[Transcript, MemoryExecution]:
    """A unit whose second segment is a liar's."""
    first = honest(task).executions[0]
    liar = make(task, 1, first.states[-1], **kwargs)
    return make_transcript(task, [lambda i, s: first, lambda i, s: liar]), liar


def silent(view: GameView) -> Move | None:
    """A player that does not answer."""
    return None


@cache
def make_games() -> list[Played]:
    """All games."""
    return [*_won_by_challengers(), *_won_by_defenders()]


def _won_by_challengers() -> Iterator[Played]:
    """Liars against the honest challenger."""
    task, graph = language(), language().graph
    matmul, total = find(graph, "matmul", 2), find(graph, "sum", 3)
    deep = Partial(Quantity.SUM, 4, 0, 5)
    largest = Partial(Quantity.MAXIMUM, 1, 0, 3)
    liars: dict[str, tuple[Callable[..., MemoryExecution], dict[str, Any]]] = {
        "matmul, a sum of a part of K": (PlaceLiar, {"step": 2, "node": matmul, "place": deep, "tile": 4}),
        "matmul, a maximum": (PlaceLiar, {"step": 4, "node": matmul, "place": largest, "tile": 4}),
        "matmul, the tile": (BitLiar, {"step": 2, "node": matmul}),
        "sum, a part": (PlaceLiar, {"step": 0, "node": total, "place": Partial(Quantity.SUM, 0, 0, 17), "tile": 0}),
        "add_rows, an element": (BitLiar, {"step": 2, "node": find(graph, "add_rows")}),
        "exp": (BitLiar, {"step": 2, "node": find(graph, "exp")}),
        "uniform": (BitLiar, {"step": 2, "node": find(graph, "uniform")}),
        "take_rows": (BitLiar, {"step": 2, "node": find(graph, "take_rows")}),
        "batch, tokens of other windows": (OtherBatchLiar, {}),
        "seed": (InputLiar, {"step": 2, "kind": "seed", "name": "seed"}),
        "step number": (InputLiar, {"step": 2, "kind": "step", "name": "step"}),
        "state read, another than committed": (InputLiar, {"step": 2, "kind": "state", "name": "counter"}),
        "state written, another than traced": (StateLiar, {"step": 2, "change": partial(turn_tensor, "param/first")}),
        "loss": (OutcomeLiar, {"step": 2, "loss": 1.5}),
        "gradient norm of +0": (OutcomeLiar, {"step": 2, "grad_norm": 0.0}),
        "node that nobody computed": (MadeUpNode, {}),
    }  # fmt: skip
    right = honest(task).executions[1]
    for name, (make, kwargs) in liars.items():
        transcript, liar = against(task, make, **kwargs)
        yield name, transcript, play_executions(transcript, 1, liar, right)

    transcript, liar = against(task, StateLiar, step=2, change=partial(keep_tensor, "counter"))
    player = meddle(liar, link=lambda link: None)
    yield "state said to be unchanged", transcript, play_game(transcript, 1, player, partial(challenge, right))
    transcript, liar = against(task, BitLiar, step=2, node=matmul)
    player = meddle(liar, input_inner_roots=lambda roots: (roots[0], blake2_256(b"other")))
    yield "node opened over other inputs", transcript, play_game(transcript, 1, player, partial(challenge, right))
    transcript = honest(task)
    records = [transcript.records[0], replace(transcript.records[1], salted_witness=blake2_256(b"other"))]
    lied = commit_to(transcript, records)
    yield "witness", lied, play_executions(lied, 1, right, right)
    yield "silence", transcript, play_game(transcript, 1, silent, partial(challenge, right))

    rows = vector()
    transcript, liar = against(rows, OtherBatchLiar)
    yield "batch, other rows", transcript, play_executions(transcript, 1, liar, honest(rows).executions[1])
    large = language(scale=1e20)
    transcript = make_transcript(large, [partial(EndlessLiar, large)])
    game = play_executions(transcript, 0, transcript.executions[0], MemoryExecution(large))
    yield "unit that ends", transcript, game


def _won_by_defenders() -> Iterator[Played]:
    """Challengers without a case against the honest defender."""
    task, graph = language(), language().graph
    matmul, total = find(graph, "matmul", 2), find(graph, "sum", 3)
    places = {Level.HISTORY: 3, Level.TILES: 4}

    def steer(node: int, says: dict[type[Stage], list[Choose]], tile: int = 0, **kwargs: Any) -> SteeredChallenger:
        return SteeredChallenger({**places, Level.TRACE: node, Level.TILES: tile}, {**ON, **says}, **kwargs)

    part = [Choose(Way.PART, 2), Choose(Way.PART, 0), RESULT]
    state = {Level.HISTORY: 3, Level.STATE: 0}
    unchanged, written = {**state, Level.STATE: 0}, {**state, Level.STATE: 4}
    seed = find(graph, "input", 2)
    players: dict[str, SteeredChallenger] = {
        "nothing to say": SteeredChallenger({}, {}),
        "witness is right": steer(0, {HistoryPick: [Choose(Way.WITNESS)]}),
        "loss is right": steer(0, {StepPick: [Choose(Way.LOSS)]}),
        "gradient norm is right": steer(0, {StepPick: [Choose(Way.GRAD_NORM)]}),
        "state written is right": SteeredChallenger(written, {**ON, StepPick: [Choose(Way.STATE)]}),
        "state is unchanged": SteeredChallenger(unchanged, {**ON, StepPick: [Choose(Way.STATE)]}),
        "seed is right": steer(seed, {}),
        "step number is right": steer(find(graph, "input", 10), {}),
        "state read is right": steer(find(graph, "input", 5), {}),
        "tokens are right": steer(find(graph, "input", 0), {TilePick: [Choose(Way.PART, 13)]}),
        "input is right": steer(matmul, {NodePick: [Choose(Way.INPUT, 1)]}),
        "result is right": steer(matmul, {ClaimsPick: [RESULT]}, 4),
        "sum of a part of K is right": steer(matmul, {ClaimsPick: part}, 4),
        "maximum is right": steer(total, {TilePick: [Choose(Way.PART, 0)], ClaimsPick: [Choose(Way.PART, 0)]}),
        "element is right": steer(find(graph, "transpose"), {TilePick: [Choose(Way.PART, 77)]}, 3),
        "const is right": steer(find(graph, "const"), {}),
        "unit does not end": steer(
            total, {NodePick: [Choose(Way.ENDS)]}, execution=honest(task).executions[1], check=Check(0, 1)
        ),
    }  # fmt: skip
    transcript = honest(task)
    for name, player in players.items():
        yield name, transcript, play_game(transcript, 1, _defender(transcript, 1), player)
    rows = honest(vector())
    words = steer(find(vector().graph, "input", 1), {TilePick: [Choose(Way.PART, 8)]})
    words.leaves = {**words.leaves, Level.HISTORY: 17}
    yield "rows are right", rows, play_game(rows, 0, _defender(rows, 0), words)
    short = make_transcript(language(steps=1), [partial(MemoryExecution, language(steps=1))])
    yield "segment of one step", short, play_game(short, 0, _defender(short, 0), steer(matmul, {ClaimsPick: [RESULT]}))


def _defender(transcript: Transcript, segment: int) -> Player:
    return partial(defend, transcript.executions[segment])


# --- as JSON -----------------------------------------------------------------------------------------------------

CODES: tuple[type[Stage], ...] = (
    HistoryStage, HistoryPick, WitnessStage, Narrowing, Picking, StepStage, StepPick, OutputStage, OutputRefute,
    StateStage, StateRefute, NodeStage, StateInput, NodePick, LinkStage, EndsStage, TileStage, TilePick, ClaimsStage,
    ClaimsPick, Arbitration, DataStage,
)  # fmt: skip
"""The pallet's stages in order."""


def encode_stage(stage: Stage) -> bytes:
    """SCALE of the pallet's Stage."""
    code = encode_u8(CODES.index(type(stage)))
    match stage:
        case Narrowing(level, cursor):
            return code + encode_u8(level) + _encode_cursor(cursor)
        case Picking(level, cursor, children):
            return code + encode_u8(level) + _encode_cursor(cursor) + encode_hashes(children)
        case StepStage(index, hash_) | StateStage(index, hash_) | NodeStage(index, hash_):
            return code + encode_u32(index) + encode_hash(hash_)
        case OutputStage(way):
            return code + encode_u8(way is Way.GRAD_NORM)
        case StateRefute(name, root):
            return code + encode_bytes(name.encode()) + encode_hash(root)
        case LinkStage(number):
            return code + encode_u16(number)
    return code


def _encode_cursor(cursor: Cursor) -> bytes:
    return encode_u32(cursor.count) + encode_u8(cursor.height) + encode_u32(cursor.index) + encode_hash(cursor.hash)


def describe_place(stage: Stage) -> dict[str, Any]:
    """The place in question with the hash that is claimed for it, where the stage has one; the claims on the table."""
    place: Place
    match stage:
        case TileStage(tile, hash_):
            place = Tile(tile)
        case ClaimsStage(place, hash_) | ClaimsPick(place, hash_) | Arbitration(place, hash_):
            pass
        case DataStage(element, hash_):
            place = Element(element)
        case _:
            return {}
    found: dict[str, Any] = {"place": encode_place(place).hex(), "hash": hash_.hex()}
    if isinstance(stage, ClaimsPick | Arbitration):
        found["claims"] = [claim.hex() for claim in stage.claims]
    return found


def describe_view(view: GameView) -> dict[str, Any]:
    """What the chain must say of a game after a move."""
    return {
        "stage": encode_stage(view.stage).hex(), "name": type(view.stage).__name__, "turn": view.turn.name.lower(),
        "clocks": list(view.clocks), **describe_place(view.stage),
    }  # fmt: skip


def describe_unit(unit: Unit) -> dict[str, Any]:
    """What the chain knows before the game."""
    return {
        "graph_root": unit.graph_root.hex(), "node_count": unit.node_count, "state_count": unit.state_count,
        "data": {"root": unit.data.root.hex(), "arrays": unit.data.arrays, "windows": unit.data.windows},
        "steps_per_segment": unit.steps, "segments_per_unit": unit.segments, "seed": unit.seed.hex(),
        "initial_state_root": unit.start.hex(), "transcript_root": unit.transcript_root.hex(),
        "end_state_root": unit.end and unit.end.hex(), "solver": unit.solver.hex(),
    }  # fmt: skip


def describe_call(move: Open | Move) -> dict[str, str]:
    """A call: its name and arguments."""
    name = "".join("_" + c.lower() if c.isupper() else c for c in type(move).__name__).lstrip("_")
    return {"call": name, "args": encode(move, NUMBER).hex()}


def describe_refusals(view: GameView, move: Move, side: Side, now: int) -> list[dict[str, Any]]:
    """Bad moves in place of a right one."""
    found = []
    for bad, by, error in corrupt(view, move, side):
        refused: dict[str, Any] = {"by": by.name.lower(), **describe_call(bad), "error": error.__name__}
        try:
            play(view, bad, by, now)
        except error as caught:
            code = {"code": caught.code} if isinstance(caught, Refused) else {}
            found.append(refused | code)
    return found


def describe_game(name: str, transcript: Transcript, game: Game) -> dict[str, Any]:
    """A game as JSON."""
    moves: list[dict[str, Any]] = []
    for number, (side, move, now) in enumerate(game.moves):
        view = game.views[number]
        after = describe_view(game.views[number + 1]) if number + 1 < len(game.views) else None
        refused = describe_refusals(view, move, side, now)
        moves.append({"block": now, "by": side.name.lower(), **describe_call(move), "after": after, "refused": refused})
    assert game.verdict is not None
    end = {"winner": game.verdict.winner.name.lower(), "verdict": game.verdict.reason.name.lower(), "block": game.ended}
    opening = {"block": game.views[0].began, **describe_call(game.opening), "after": describe_view(game.views[0])}
    unit = describe_unit(transcript.unit)
    return {"name": name, "clock": CLOCK, "unit": unit, "open": opening, "moves": moves, "end": end}


def make_file() -> bytes:
    """The file's bytes."""
    lines = ",\n".join(json.dumps(describe_game(*played)) for played in make_games())
    return gzip.compress(f"[\n{lines}\n]\n".encode(), 9, mtime=0)


def main() -> None:
    """Write the file."""
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_bytes(make_file())


if __name__ == "__main__":
    main()
