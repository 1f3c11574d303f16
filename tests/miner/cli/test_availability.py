"""`aipow availability` against a real node, with and without asks, and the words of open and ended ones."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from miner.cli.availability import describe_chunk, summarise_ended, summarise_open
from miner.roles.link import ChainLink
from miner.wallet import Wallet
from pallets_abi import availability, stakes, tasks
from tests.chain.node_process import NodeProcess
from tests.miner.cli.forked import CommandServer

PATIENCE = 40  # seconds: blocks come late on a machine that runs other tests
DATA = availability.Chunk("Data", (2, 7))
ASK = availability.Ask(
    task=0, unit=2, attempt=0, answerer="5Alice", asker="5Dave", chunk=availability.Chunk("Checkpoint", (1, 3, 9)),
    deposit=10**11, deadline=30, is_drawn=False,
)  # fmt: skip
ENDED = availability.EndedAsk(
    task=0, unit=2, answerer="5Alice", asker="5Dave", chunk=DATA, deposit=10**11, deadline=30, ended=31,
    outcome=availability.Outcome.UNANSWERED,
)  # fmt: skip


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandServer]:
    with CommandServer(tmp_path_factory.mktemp("commands")) as server:
        yield server


def test_open_ask_shows_the_blocks_that_are_left() -> None:
    summary = summarise_open(4, ASK, head=27)
    assert (summary["role"], summary["status"]) == ("solver", "open")
    assert summary["chunk_text"] == "tile 9 of tensor 3 of checkpoint 1"
    assert "until block 30, 3 left" in summary["note"]
    assert "0 left" in summarise_open(4, ASK, head=99)["note"]


def test_ended_ask_shows_who_lost_what() -> None:
    summary = summarise_ended(4, ENDED)
    assert (summary["role"], summary["status"], summary["ended"]) == ("owner", "unanswered", 31)
    assert "the task is closed and its owner loses a share" in summary["note"]
    assert describe_chunk(DATA) == "tile 7 of array 2 of the data set"
    assert describe_chunk(availability.Chunk("Transcript", (3,))) == "record of segment 3"


async def ask_owner(url: str) -> None:
    """//Alice posts a task and never answers; //Bob claims a unit and asks for its data set."""
    alice, bob = (ChainLink(url, Wallet.from_uri(uri)) for uri in ("//Alice", "//Bob"))
    try:
        await asyncio.gather(alice.connect(20), bob.connect(20))
        bond = (await bob.query(stakes.PARAMS)).min_solver_bond
        await bob.submit(stakes.BondCall(stakes.Role.SOLVER, bond))
        root, floor = f"0x{1:064x}", (await alice.query(tasks.PARAMS)).floor_price
        spec = tasks.TaskSpec(
            spec_hash=root, graph_root=root, initial_state_root=root, shards=2, rounds=1, segments_per_unit=4,
            steps_per_segment=5, macs_per_step=10**6, price=80 * floor, deadline_blocks=1000,
            endpoint=b"http://127.0.0.1:1", node_count=1, state_count=1, data=tasks.DataRule(root, 3, False),
        )  # fmt: skip
        await alice.submit(tasks.PostCall(spec))
        await bob.submit(tasks.ClaimCall(0, 0))
        await bob.submit(availability.AskCall(0, 0, DATA))
    finally:
        await asyncio.gather(alice.close(), bob.close())


@pytest.mark.timeout(180)
def test_commands_tell_of_an_ask_until_it_has_ended(commands: CommandServer, tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "node", "--dev-key", "//Alice", chain="test").start()

    def run(*arguments: str) -> tuple[int, str, str]:
        ended = commands.run("aipow", "availability", *arguments, "--node", node.url)
        return ended.code, ended.output.strip(), ended.errors

    try:
        assert run("list")[:2] == (0, "no asks; everybody is served")
        assert run("list", "--json")[:2] == (0, "[]")
        code, _, errors = run("show", "7")
        assert code == 1 and "there is no ask 7; look at `aipow availability list`" in errors
        asyncio.run(ask_owner(node.url))
        documents = []
        for _ in range(PATIENCE):
            code, output, errors = run("list", "--json")
            assert code == 0, errors
            documents = json.loads(output)
            if documents[0]["status"] != "open":
                break
        assert [(document["ask"], document["status"]) for document in documents] == [(0, "unanswered")]
        code, output, errors = run("show", "0")
        assert code == 0, errors
        for part in ("tile 7 of array 2 of the data set", "the owner", "deposit   0.1", "unanswered: nobody answered"):
            assert part in output
        assert "unanswered" in run("list")[1]
    finally:
        node.stop()
