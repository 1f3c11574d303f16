"""`aipow dispute`: open and ended games, and one game as a readable tree."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer
from pallets_abi import disputes

from miner.cli.common import fail, read_chain
from miner.cli.progress import Progress
from miner.disputes.story import GameEvent, describe_place, draw, shorten, tell
from miner.roles.link import ChainLink

app = typer.Typer(
    no_args_is_help=True,
    help="Disputes: who doubts which unit, how far the game is, how it ended.\n\n"
    "A challenger says that a segment of a unit was not executed as the task's graph says. The defender lays open, "
    "level by level, what its claim is made of: steps, the values of all nodes of one step, tiles of one value, "
    "partial sums of one tile. At each level the challenger picks the first part that it finds wrong, until the chain "
    "computes one place itself. Who is wrong loses its bond.",
)

Node = Annotated[str, typer.Option(help="WebSocket address of a node.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
DEFAULT_NODE = "ws://127.0.0.1:9944"


@app.command("list")
def list_games(node: Node = DEFAULT_NODE, as_json: AsJson = False) -> None:
    """All games, open ones first.

    Example: aipow dispute list --node ws://127.0.0.1:9944
    """

    async def work(link: ChainLink) -> None:
        head = await link.client.head()
        games = sorted((int(key[0]), game) for key, game in await link.query_map(disputes.GAMES))
        ended = sorted((int(key[0]), game) for key, game in await link.query_map(disputes.ENDED))
        documents = [summarise_open(number, game, head.number) for number, game in games]
        documents += [summarise_ended(number, game) for number, game in reversed(ended)]
        if as_json:
            typer.echo(json.dumps(documents, indent=2))
            return
        for document in documents:
            typer.echo(
                f"{document['game']:>5}  {document['status']:<9} unit {document['task']}/{document['unit']} "
                f"segment {document['segment']}  {document['defender'][:8]}… against {document['challenger'][:8]}…  "
                f"{document['note']}"
            )
        if not documents:
            typer.echo("no games; nobody doubts anything")

    read_chain(node, work)


@app.command("show")
def show(number: int, node: Node = DEFAULT_NODE, as_json: AsJson = False) -> None:
    """One game as a tree: every move with its block and side, deeper with each level; clocks or verdict at the end.

    Example: aipow dispute show 0
    """

    async def work(link: ChainLink) -> None:
        head = (await link.client.head()).number
        game, ended = await link.query(disputes.GAMES, number), await link.query(disputes.ENDED, number)
        if game is not None:
            summary, last, opened = summarise_open(number, game, head), head, game.opened
        elif ended is not None:
            summary, last, opened = summarise_ended(number, ended), ended.ended, ended.opened
        else:
            fail(f"there is no game {number}; look at `aipow dispute list`")
        with Progress(f"reading blocks {opened} to {last}"):
            events = await read_events(link, number, opened, last)
        if as_json:
            typer.echo(json.dumps({**summary, "moves": [asdict(event) for event in events]}, indent=2))
            return
        typer.echo(f"game {number}: unit {summary['task']}/{summary['unit']}, segment {summary['segment']}")
        typer.echo(f"defender    {summary['defender']}\nchallenger  {summary['challenger']}")
        for line in draw(tell(events)):
            typer.echo(line)
        typer.echo(f"{summary['status']}: {summary['note']}")

    read_chain(node, work)


async def read_events(link: ChainLink, number: int, first: int, last: int) -> list[GameEvent]:
    """A game's events from the blocks, which the node must still have. Raises ChainClientError."""
    found = []
    for block in range(first, last + 1):
        block_hash = await link.client.block_hash(block)
        for event in await link.client.events(block_hash) if block_hash else ():
            data = event.attributes if isinstance(event.attributes, dict) else {}
            if event.pallet == "Disputes" and data.get("game") == number:
                found.append(GameEvent(block, event.name, data))
    return found


def summarise_open(number: int, game: disputes.Game, head: int) -> dict[str, Any]:
    """An open game as JSON; `clocks` in blocks, the running one as of block `head`."""
    clocks = {"defender": game.defender_clock, "challenger": game.challenger_clock}
    side = game.turn.value.lower()
    clocks[side] = max(0, clocks[side] - max(0, head - game.since))
    place = f", {describe_place(game.place.place)}" if game.place else ""
    where = f"stage {game.stage.name}{f', node {game.node}' if game.node is not None else ''}{place}"
    return {
        "game": number, "status": "open", "task": game.task, "unit": game.unit, "segment": game.segment,
        "defender": game.defender, "challenger": game.challenger, "opened": game.opened, "moves_made": game.moves,
        "turn": side, "clocks": clocks, "stage": game.stage.name, "start": game.start, "end": game.end,
        "note": f"{where}; the {side} has to move, blocks left: defender {clocks['defender']}, "
        f"challenger {clocks['challenger']}; claimed end {shorten(game.end)}",
    }  # fmt: skip


def summarise_ended(number: int, game: disputes.EndedGame) -> dict[str, Any]:
    """An ended game as JSON."""
    winner = None if game.winner is None else game.winner.value.lower()
    words = {
        disputes.Verdict.PROVED: "the chain found what was picked right",
        disputes.Verdict.REFUTED: "the chain found what was picked wrong",
        disputes.Verdict.CLOCK: "a clock ran out",
        disputes.Verdict.MOOT: "the unit was decided otherwise",
    }
    note = f"{words[game.verdict]}; {f'the {winner} won' if winner else 'nobody lost'} in block {game.ended}"
    return {
        "game": number, "status": game.verdict.value.lower(), "task": game.task, "unit": game.unit,
        "segment": game.segment, "defender": game.defender, "challenger": game.challenger, "opened": game.opened,
        "ended": game.ended, "winner": winner, "note": note,
    }  # fmt: skip
