"""`aipow`: what a submitter does: makes tasks of models, watches them, downloads what was trained; and accounts."""

from __future__ import annotations

import asyncio
import getpass
import logging
import os
import signal
from pathlib import Path
from typing import Annotated

import typer
from consensus.commit.hashing import Hash32
from pallets_abi import tasks, verification

from miner.cli import availability, dispute, graph, lab
from miner.cli.common import (
    PASSWORD_VARIABLE,
    default_base_path,
    describe,
    fail,
    open_wallet,
    read_chain,
    run_app,
    run_async,
)
from miner.console import format_amount, set_up_logging
from miner.roles.context import PLANCKS, find_endpoint_of
from miner.roles.link import ChainLink
from miner.roles.owner import answer_until
from miner.store.address import Address, Kind
from miner.store.blobs import BlobStore
from miner.store.client import BlobClient
from miner.store.server import BlobServer
from miner.wallet import Wallet, WalletError, save_keystore
from miner.work.build import TaskShape, build_task
from miner.work.task import MAX_STATE_BYTES, TaskSpec, compute_chain_task

log = logging.getLogger(__name__)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, no_args_is_help=True)
task_app = typer.Typer(no_args_is_help=True, help="Post training tasks, watch them, download what was trained.")
account_app = typer.Typer(no_args_is_help=True, help="Make keys, look at accounts.")
app.add_typer(task_app, name="task")
app.add_typer(graph.app, name="graph")
app.add_typer(account_app, name="account")
app.add_typer(dispute.app, name="dispute")
app.add_typer(availability.app, name="availability")
app.add_typer(lab.app, name="lab")

DEFAULT_NODE = "ws://127.0.0.1:9944"

PRICE_FACTOR = 2
"""Default price of a unit as a multiple of the chain's floor."""

Node = Annotated[str, typer.Option(help="WebSocket address of a node.")]
Key = Annotated[str | None, typer.Option(help="Secret URI, like //Alice (development).")]
KeystoreOption = Annotated[Path | None, typer.Option(help="Encrypted key file made by `aipow account new`.")]


@app.callback()
def setup(
    json_logs: Annotated[bool, typer.Option("--json-logs", help="Log lines as JSON.")] = False,
    verbose: Annotated[bool, typer.Option(help="Log every call.")] = False,
) -> None:
    """Train models on a network that proves the training: post tasks, follow them, download the result."""
    set_up_logging(json_logs, verbose)


@task_app.command("post")
def post(
    node: Node = DEFAULT_NODE,
    key: Key = None,
    keystore: KeystoreOption = None,
    model: Annotated[
        str, typer.Option(help="Built-in model: digits-mlp, digits-mlp-tiny, byte-gpt-tiny.")
    ] = "digits-mlp",
    files: Annotated[
        list[Path] | None, typer.Option("--file", help="Text file for a text model; may be repeated.")
    ] = None,
    shards: Annotated[int, typer.Option(min=1, help="Chains of units that are trained side by side.")] = 4,
    rounds: Annotated[int, typer.Option(min=1, help="Units of each chain, one after another.")] = 4,
    segments: Annotated[int, typer.Option(min=1, help="Checkpoints of a unit.")] = 4,
    steps: Annotated[int, typer.Option(min=1, help="Training steps between two checkpoints.")] = 25,
    price: Annotated[
        float | None, typer.Option(help="UNIT paid for each unit; twice the chain's floor by default.")
    ] = None,
    deadline_blocks: Annotated[int, typer.Option(min=1, help="Blocks between claim and submission.")] = 120,
    seed: Annotated[str, typer.Option(help="Text whose hash draws the first weights.")] = "aipow",
    base_path: Annotated[Path | None, typer.Option(help="Folder of the blobs that are served.")] = None,
    blob_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the blob server; 0 takes a free one.")] = 0,
    serve: Annotated[
        bool,
        typer.Option(
            help="Go on serving the task's inputs until Ctrl-C, and answer on chain who asks for its data set. With "
            "--no-serve start `aipow task serve` at once: an owner who does not answer loses a quarter of its escrow."
        ),
    ] = True,
) -> None:
    """Trace a model's training step, store its data, pay for it, and serve the inputs to miners.

    Example: aipow task post --key //Alice --model digits-mlp --shards 4 --rounds 8
    """
    wallet = open_wallet(key, keystore)
    folder = base_path or default_base_path("submitter", wallet)
    shape = TaskShape(rounds, shards, segments, steps)
    run_async(_post(node, wallet, model, files, shape, price, deadline_blocks, seed, folder, blob_port, serve))


async def _post(  # noqa: PLR0913 - the command's options
    node: str, wallet: Wallet, model: str, files: list[Path] | None, shape: TaskShape, price: float | None,
    deadline_blocks: int, seed: str, folder: Path, blob_port: int, serve: bool,
) -> None:  # fmt: skip
    stopping = _make_stop()
    folder.mkdir(parents=True, exist_ok=True)
    with BlobStore(folder / "blobs") as store:
        server = BlobServer(store, port=blob_port)
        endpoint = await server.start()
        link = ChainLink(node, wallet)
        try:
            spec = await asyncio.to_thread(_build, model, files, shape, seed, store)
            await link.connect()
            number = await _submit_task(link, spec, price, deadline_blocks, endpoint)
            typer.echo(
                f"task {number} posted: {spec.rounds * spec.shards} units of {format_amount(spec.macs_per_unit)}MAC"
            )
            typer.echo(f"document 0x{spec.spec_hash.hex()}, inputs served at {endpoint}")
            if serve:
                typer.echo("serving until Ctrl-C")
                await answer_until(link, store, stopping)
        finally:
            await link.close()
            await server.stop()


@task_app.command("serve")
def serve_tasks(
    blob_port: Annotated[int, typer.Option(min=1, max=65535, help="Port that the tasks were posted with.")],
    node: Node = DEFAULT_NODE,
    key: Key = None,
    keystore: KeystoreOption = None,
    base_path: Annotated[Path | None, typer.Option(help="Folder of the blobs, as given to `task post`.")] = None,
) -> None:
    """Serve the inputs of your tasks again, and answer on chain who asks for a part of their data sets.

    Leave it running while a task has units that are not final: who works on one or verifies it, and is not served,
    asks on chain; an owner who does not answer in time has its task closed and loses a quarter of what it gets back.

    Example: aipow task serve --key //Alice --blob-port 40333
    """
    wallet = open_wallet(key, keystore)
    run_async(_serve(node, wallet, base_path or default_base_path("submitter", wallet), blob_port))


async def _serve(node: str, wallet: Wallet, folder: Path, blob_port: int) -> None:
    stopping = _make_stop()
    if not (folder / "blobs").is_dir():
        fail(f"there are no blobs in {folder}; give the --base-path of `aipow task post`")
    with BlobStore(folder / "blobs") as store:
        server = BlobServer(store, port=blob_port)
        endpoint = await server.start()
        link = ChainLink(node, wallet)
        try:
            await link.connect()
            for number, task in sorted((int(key[0]), task) for key, task in await link.query_map(tasks.TASKS)):
                if task.owner == wallet.address and task.escrowed:
                    typer.echo(_describe_served(number, task, endpoint, store))
            typer.echo("serving until Ctrl-C")
            await answer_until(link, store, stopping)
        finally:
            await link.close()
            await server.stop()


def _describe_served(number: int, task: tasks.Task, endpoint: str, store: BlobStore) -> str:
    """A line about one of our tasks; says what is wrong."""
    known = task.spec.endpoint.decode(errors="replace")
    if not store.is_stored(Address(Kind.BLOB, Hash32(bytes.fromhex(task.spec.spec_hash[2:])))):
        return f"task {number} is not in this folder: serve it from the one that it was posted from"
    if known != endpoint:
        return f"task {number} says {known}, this is {endpoint}: miners will not find it here; asks are answered"
    return f"task {number} is served at {endpoint}"


def _make_stop() -> asyncio.Event:
    """Is set by Ctrl-C and SIGTERM."""
    stopping = asyncio.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signal_number, stopping.set)
    return stopping


def _build(model: str, files: list[Path] | None, shape: TaskShape, seed: str, store: BlobStore) -> TaskSpec:
    from consensus.commit.hashing import blake2_256  # noqa: PLC0415 - with PyTorch, below

    from miner.models import TextTooShort, UnknownModel, build_task_parts  # noqa: PLC0415 - PyTorch costs seconds

    try:
        parts = build_task_parts(model, blake2_256(seed.encode()), files or None)
    except (UnknownModel, TextTooShort) as error:
        fail(str(error))
    return build_task(parts, shape, store)


async def _submit_task(
    link: ChainLink, spec: TaskSpec, price: float | None, deadline_blocks: int, endpoint: str
) -> int:
    """Posts the task; its number from the event."""
    params = await link.query(tasks.PARAMS)
    floor = -(-spec.macs_per_unit * params.floor_price // 10**6)
    plancks = PRICE_FACTOR * floor if price is None else round(price * PLANCKS)
    chain_task = compute_chain_task(spec, plancks, deadline_blocks, endpoint)
    call = tasks.PostCall(
        tasks.TaskSpec(
            spec_hash=_hex(chain_task.spec_hash),
            graph_root=_hex(chain_task.graph_root),
            initial_state_root=_hex(chain_task.initial_state_root),
            shards=chain_task.shards,
            rounds=chain_task.rounds,
            segments_per_unit=chain_task.segments_per_unit,
            steps_per_segment=chain_task.steps_per_segment,
            macs_per_step=chain_task.macs_per_step,
            price=chain_task.price,
            deadline_blocks=chain_task.deadline_blocks,
            endpoint=chain_task.endpoint.encode(),
            node_count=chain_task.node_count,
            state_count=chain_task.state_count,
            data=tasks.DataRule(_hex(chain_task.data.root), chain_task.data.arrays, chain_task.data.windows),
        )  # fmt: skip
    )
    receipt = await link.submit(call)
    for event in receipt.events:
        if (event.pallet, event.name) == ("Tasks", "TaskPosted"):
            return tasks.TaskPostedEvent.from_attributes(event.attributes).task
    raise LookupError("the block has no TaskPosted event")


@task_app.command("list")
def list_tasks(node: Node = DEFAULT_NODE) -> None:
    """All tasks with what is done of them."""

    async def work(link: ChainLink) -> None:
        for key, task in sorted(await link.query_map(tasks.TASKS), key=lambda entry: int(entry[0][0])):
            units = task.spec.shards * task.spec.rounds
            state = "closed" if task.closed else "done" if task.escrowed == 0 else "open"
            typer.echo(
                f"{key[0]:>4}  {state:<6} {task.finished}/{units} final, {task.active} under way, "
                f"{task.escrowed / PLANCKS:.6f} UNIT in escrow, owner {task.owner}"
            )

    read_chain(node, work)


@task_app.command("show")
def show(number: int, node: Node = DEFAULT_NODE) -> None:
    """One task: its money, and each unit's state and solver."""

    async def work(link: ChainLink) -> None:
        task = await _get_task(link, number)
        spec = task.spec
        typer.echo(f"document {spec.spec_hash}, served at {spec.endpoint.decode(errors='replace')}")
        typer.echo(
            f"{spec.shards} shards × {spec.rounds} rounds, {spec.segments_per_unit} × {spec.steps_per_segment} steps"
        )
        money = ", ".join(
            f"{name} {getattr(task, name) / PLANCKS:.6f}" for name in ("escrowed", "paid", "refunded", "burned")
        )
        typer.echo(f"UNIT: {money}")
        for key, unit in sorted(await link.query_map(tasks.UNITS, number), key=lambda entry: int(entry[0][0])):
            solver = unit.state.args[0].solver if unit.state.args else ""
            duty = await link.query(verification.DUTIES, number, key[0])
            phase = f" {duty.phase.value.lower()} phase" if duty else ""
            typer.echo(f"{key[0]:>6}  attempt {unit.attempt}  {unit.state.name}{phase}  {solver}")

    read_chain(node, work)


@task_app.command("download")
def download(
    number: int,
    output: Annotated[Path, typer.Option(help="File for the checkpoint (safetensors).")] = Path(
        "checkpoint.safetensors"
    ),
    unit: Annotated[int | None, typer.Option(help="This unit's end state; the furthest final unit by default.")] = None,
    node: Node = DEFAULT_NODE,
) -> None:
    """Fetch a final unit's checkpoint by its root from its miner's blob server, and check the bytes."""

    async def work(link: ChainLink) -> None:
        units = {int(key[0]): value for key, value in await link.query_map(tasks.UNITS, number)}
        final = [index for index, value in units.items() if value.state.name == "Final"]
        chosen = max(final, default=None) if unit is None else unit
        if chosen is None or chosen not in final:
            fail(f"task {number} has no such final unit yet; look at `aipow task show {number}`")
        assignment, submission = units[chosen].state.args
        endpoint = await find_endpoint_of(link, assignment.solver)
        root = Hash32(bytes.fromhex(submission.end_state_root[2:]))
        async with BlobClient() as client:
            data = await client.fetch(endpoint, Address(Kind.STATE, root), MAX_STATE_BYTES)
        output.write_bytes(data)
        typer.echo(f"unit {chosen}: {len(data)} bytes of state 0x{root.hex()} from {endpoint} in {output}")

    read_chain(node, work)


@account_app.command("new")
def new_account(
    file: Annotated[Path, typer.Argument(help="Where to write the encrypted key.")],
) -> None:
    """Make a key and write it, encrypted with a password, to a file. The words are shown once."""
    password = os.environ.get(PASSWORD_VARIABLE) or getpass.getpass("new password: ")
    if not password:
        fail("an empty password protects nothing")
    if PASSWORD_VARIABLE not in os.environ and getpass.getpass("again: ") != password:
        fail("the passwords differ")
    wallet = Wallet.generate()
    try:
        save_keystore(wallet, file, password)
    except (WalletError, OSError) as error:
        fail(describe(error))
    typer.echo(
        f"address {wallet.address}\nwords   {wallet.uri}\nWrite the words down; the file {file} needs the password."
    )


@account_app.command("show")
def show_account(
    node: Node = DEFAULT_NODE,
    key: Key = None,
    keystore: KeystoreOption = None,
) -> None:
    """Address, keys and balance of a key."""
    wallet = open_wallet(key, keystore)
    typer.echo(
        f"address {wallet.address}\naura    0x{wallet.public_key.hex()}\ngrandpa 0x{wallet.grandpa.public.hex()}"
    )

    async def work(link: ChainLink) -> None:
        typer.echo(f"balance {await link.free_balance() / PLANCKS:,.6f} UNIT")

    read_chain(node, work, wallet)


async def _get_task(link: ChainLink, number: int) -> tasks.Task:
    task = await link.query(tasks.TASKS, number)
    if task is None:
        fail(f"there is no task {number}")
    return task


def _hex(value: bytes) -> str:
    return "0x" + value.hex()


def main() -> None:
    """Entry point of the console script."""
    run_app(app)


if __name__ == "__main__":
    main()
