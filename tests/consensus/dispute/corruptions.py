"""Bad moves: what a right move is turned into, and the error with which it must be refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from consensus.arbiter.statement import Element
from consensus.commit.hashing import Hash32, blake2_256
from consensus.dispute import errors
from consensus.dispute.moves import (
    Choose,
    CommitHistory,
    CommitTrace,
    Move,
    Narrow,
    OpenNode,
    Pick,
    PostClaims,
    PostTile,
    ProveLink,
    ProveOutput,
    ProveState,
    ProveStateInput,
    ProveWitness,
    RefuteOutput,
    RefuteState,
    Settle,
    SettleData,
    Way,
)
from consensus.dispute.view import (
    Arbitration,
    ClaimsPick,
    DataStage,
    GameView,
    HistoryPick,
    NodePick,
    Picking,
    Side,
    StepPick,
    TilePick,
    node_of,
)

Bad = tuple[Move, Side, type[errors.DisputeError]]
OTHER = blake2_256(b"something else")
MOST = 16
"""Most hashes that `Narrow` and `PostClaims` can carry on chain."""


def flip(hashes: tuple[Hash32, ...]) -> tuple[Hash32, ...]:
    """Other siblings; one too many where there was none."""
    return (OTHER, *hashes[1:])


def corrupt(view: GameView, move: Move, side: Side) -> Iterator[Bad]:
    """Bad moves instead of a right one."""
    if not isinstance(view.stage, Arbitration | DataStage):
        yield move, side.other, errors.NotYourTurn
    yield _of_another_stage(view), view.turn, errors.WrongStage
    yield from ((bad, side, error) for bad, error in _corrupt_fields(view, move))


def _of_another_stage(view: GameView) -> Move:
    """A move that the stage does not take."""
    if isinstance(view.stage, HistoryPick | StepPick | NodePick | TilePick | ClaimsPick):
        return Pick(0, OTHER)
    return Choose(Way.DESCEND)


def _corrupt_fields(view: GameView, move: Move) -> Iterator[tuple[Move, type[errors.DisputeError]]]:
    match move:
        case CommitHistory():
            yield replace(move, root=OTHER), errors.BadProof
            yield replace(move, siblings=(*move.siblings, OTHER)), errors.BadProof
        case ProveWitness(leaves):
            yield ProveWitness(leaves[:-1]), errors.BadProof
            yield ProveWitness((*leaves[:-1], replace(leaves[-1], loss=leaves[-1].loss ^ 1))), errors.BadProof
        case Narrow(children):
            yield Narrow(children[:-1]), errors.BadChildren
            if len(children) < MOST:
                yield Narrow((*children, OTHER)), errors.BadChildren
            yield Narrow(flip(children)), errors.BadChildren
        case Pick(child):
            assert isinstance(view.stage, Picking)
            yield replace(move, child=len(view.stage.children)), errors.BadPick
            yield replace(move, counter=view.stage.children[child]), errors.SameHash
        case CommitTrace(after, before):
            yield replace(move, after=replace(after, state=OTHER)), errors.BadProof
            previous = (after, ()) if before is None else None
            yield replace(move, before=previous), errors.BadPrevious
            if before is not None:
                yield replace(move, before=(replace(before[0], state=OTHER), before[1])), errors.BadProof
        case ProveOutput(link):
            yield ProveOutput(replace(link, index=link.index - 1)), errors.BadProof
            yield ProveOutput(replace(link, trace_siblings=flip(link.trace_siblings))), errors.BadProof
        case RefuteOutput(link) | RefuteState(link):
            yield replace(move, value=OTHER), errors.BadProof
            yield replace(move, link=replace(link, node_siblings=flip(link.node_siblings))), errors.BadProof
        case ProveState():
            yield replace(move, root=OTHER), errors.BadProof
            yield replace(move, before_root=OTHER), errors.BadProof
            yield replace(move, name=move.name + "x"), errors.BadProof
        case OpenNode():
            yield replace(move, siblings=flip(move.siblings)), errors.BadProof
            yield replace(move, inner_root=OTHER), errors.BadProof
            if move.node.inputs:
                wrong = move.input_forms[:-1], move.input_inner_roots[:-1]
                yield replace(move, input_forms=wrong[0], input_inner_roots=wrong[1]), errors.Refused
                yield replace(move, input_forms=wrong[0]), errors.Refused
        case ProveStateInput() | ProveLink():
            yield replace(move, siblings=flip(move.siblings)), errors.BadProof
        case PostTile(data):
            yield PostTile(data[:-1]), errors.BadTile
            yield PostTile(bytes([data[0] ^ 1]) + data[1:]), errors.BadTile
            yield PostTile(data[:-1] + bytes([data[-1] ^ 1])), errors.BadTile
        case PostClaims(claims):
            if len(claims) < MOST:
                yield PostClaims((*claims, OTHER)), errors.BadClaims
            yield PostClaims(claims[:-1]), errors.BadClaims
        case Settle():
            yield from _corrupt_opening(view, move)
        case SettleData():
            yield replace(move, index=move.index + 1), errors.BadProof
            yield replace(move, inner_root=OTHER), errors.BadProof
            yield replace(move, data=move.data[:-1]), errors.BadTile
            yield replace(move, data=bytes([move.data[0] ^ 1]) + move.data[1:]), errors.BadProof
            yield replace(move, form=replace(move.form, shape=(1, *move.form.shape))), errors.BadArray
        case Choose():
            yield from ((Choose(way, number), errors.BadChoice) for way, number in _not_offered(view))


def _corrupt_opening(view: GameView, move: Settle) -> Iterator[tuple[Move, type[errors.DisputeError]]]:
    opening = move.opening
    other = replace(opening.statement, place=Element(2**32 - 1))
    yield Settle(replace(opening, statement=other)), errors.WrongPlace
    yield Settle(replace(opening, node_siblings=flip(opening.node_siblings))), errors.Refused
    if opening.operands:
        first = opening.operands[0]
        wrong = replace(first, data=bytes([first.data[0] ^ 1]) + first.data[1:])
        yield Settle(replace(opening, operands=(wrong, *opening.operands[1:]))), errors.Refused
        yield Settle(replace(opening, operands=(*opening.operands, first))), errors.Refused


def _not_offered(view: GameView) -> Iterator[tuple[Way, int]]:
    stage = view.stage
    if isinstance(stage, HistoryPick):
        yield from ((Way.LOSS, 0), (Way.RESULT, 0))
    elif isinstance(stage, StepPick):
        yield from ((Way.WITNESS, 0), (Way.PART, 0))
    elif isinstance(stage, NodePick):
        yield Way.INPUT, len(node_of(view).input_roots)
        if node_of(view).is_batch:
            yield Way.ENDS, 0
    elif isinstance(stage, TilePick):
        yield from ((Way.PART, 1024), (Way.RESULT, 0))
    elif isinstance(stage, ClaimsPick):
        yield from ((Way.PART, len(stage.claims)), (Way.DESCEND, 0))
