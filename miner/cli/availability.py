"""`aipow availability`: who was asked on chain for a part of what it must have, all asks and one in full."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from pallets_abi import availability

from miner.cli.common import fail, read_chain
from miner.roles.context import PLANCKS
from miner.roles.link import ChainLink

app = typer.Typer(
    no_args_is_help=True,
    help="Availability: who was asked on chain for a chunk of what it must have, and what came of it.\n\n"
    "Who verifies a unit and is not served asks its solver for a record of the transcript or a tile of a checkpoint. "
    "Who works on a unit or verifies it and does not get the task's data set asks the task's owner for a tile of it. "
    "An answer in time costs the asker its deposit. A silent solver loses its bond and the unit; a silent owner has "
    "its task closed and loses a quarter of what it gets back.",
)

Node = Annotated[str, typer.Option(help="WebSocket address of a node.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
DEFAULT_NODE = "ws://127.0.0.1:9944"


@app.command("list")
def list_asks(node: Node = DEFAULT_NODE, as_json: AsJson = False) -> None:
    """All asks, open ones first, then the last ended.

    Example: aipow availability list --node ws://127.0.0.1:9944
    """

    async def work(link: ChainLink) -> None:
        head = (await link.client.head()).number
        asks = sorted((int(key[0]), ask) for key, ask in await link.query_map(availability.ASKS))
        ended = sorted((int(key[0]), ask) for key, ask in await link.query_map(availability.ENDED))
        documents = [summarise_open(number, ask, head) for number, ask in asks]
        documents += [summarise_ended(number, ask) for number, ask in reversed(ended)]
        if as_json:
            typer.echo(json.dumps(documents, indent=2))
            return
        for document in documents:
            typer.echo(
                f"{document['ask']:>5}  {document['status']:<10} unit {document['task']}/{document['unit']} "
                f"{document['chunk_text']}  {document['asker'][:8]}… asks {document['role']} "
                f"{document['answerer'][:8]}…  {document['note']}"
            )
        if not documents:
            typer.echo("no asks; everybody is served")

    read_chain(node, work)


@app.command("show")
def show(number: int, node: Node = DEFAULT_NODE, as_json: AsJson = False) -> None:
    """One ask: who asked whom for what, until when, and how it ended.

    Example: aipow availability show 0
    """

    async def work(link: ChainLink) -> None:
        ask, ended = await link.query(availability.ASKS, number), await link.query(availability.ENDED, number)
        if ask is not None:
            document = summarise_open(number, ask, (await link.client.head()).number)
        elif ended is not None:
            document = summarise_ended(number, ended)
        else:
            fail(f"there is no ask {number}; look at `aipow availability list`")
        if as_json:
            typer.echo(json.dumps(document, indent=2))
            return
        typer.echo(f"ask {number}: {document['chunk_text']}, unit {document['task']}/{document['unit']}")
        typer.echo(f"asked     {document['answerer']}, the {document['role']}")
        typer.echo(f"asker     {document['asker']}")
        typer.echo(f"deposit   {document['deposit'] / PLANCKS:.6f} UNIT")
        typer.echo(f"deadline  block {document['deadline']}")
        typer.echo(f"{document['status']}: {document['note']}")

    read_chain(node, work)


def summarise_open(number: int, ask: availability.Ask, head: int) -> dict[str, Any]:
    """An open ask as JSON, as of block `head`; the deposit in plancks."""
    left = max(0, ask.deadline - head)
    return _summarise(number, ask, "open", f"to be answered until block {ask.deadline}, {left} left")


def summarise_ended(number: int, ask: availability.EndedAsk) -> dict[str, Any]:
    """An ended ask as JSON."""
    loss = "the task is closed and its owner loses a share" if ask.chunk.name == "Data" else "the solver lost its bond"
    words = {
        availability.Outcome.ANSWERED: "the chunk was opened, the asker paid",
        availability.Outcome.UNANSWERED: f"nobody answered: {loss}",
        availability.Outcome.MOOT: "decided otherwise, nobody lost",
    }
    document = _summarise(number, ask, ask.outcome.value.lower(), f"{words[ask.outcome]}, in block {ask.ended}")
    return document | {"ended": ask.ended}


def describe_chunk(chunk: availability.Chunk) -> str:
    """A chunk in words."""
    match chunk.name, chunk.args:
        case "Transcript", (segment,):
            return f"record of segment {segment}"
        case "Checkpoint", (checkpoint, entry, tile):
            return f"tile {tile} of tensor {entry} of checkpoint {checkpoint}"
        case _, (array, tile):
            return f"tile {tile} of array {array} of the data set"
    return chunk.name


def _summarise(
    number: int, ask: availability.Ask | availability.EndedAsk, status: str, note: str
) -> dict[str, Any]:
    role = "owner" if ask.chunk.name == "Data" else "solver"
    chunk = {"kind": ask.chunk.name.lower(), "numbers": list(ask.chunk.args)}
    return {
        "ask": number, "status": status, "task": ask.task, "unit": ask.unit, "chunk": chunk,
        "chunk_text": describe_chunk(ask.chunk), "role": role, "answerer": ask.answerer, "asker": ask.asker,
        "deposit": ask.deposit, "deadline": ask.deadline, "note": note,
    }  # fmt: skip
