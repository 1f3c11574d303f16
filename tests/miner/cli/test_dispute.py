"""`aipow dispute` against a real node without games, and the words of open and ended ones."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from miner.cli.dispute import summarise_ended, summarise_open
from pallets_abi import disputes
from tests.chain.node_process import NodeProcess
from tests.miner.cli.forked import CommandServer

HASH = "0x" + "11" * 32
GAME = disputes.Game(
    task=0, unit=2, attempt=0, segment=1, defender="5Dave", challenger="5Eve", opened=10, defender_clock=50,
    challenger_clock=60, turn=disputes.Side.DEFENDER, since=20, moves=3, bond=3, start=HASH, end=HASH,
    salted_witness=HASH, stage=disputes.Stage("Claims"), history_root=HASH, step=None, node=57,
    place=disputes.PlaceClaim({"Tile": 3}, HASH),
)  # fmt: skip
ENDED = disputes.EndedGame(
    task=0, unit=2, segment=1, defender="5Dave", challenger="5Eve", opened=10, ended=36,
    verdict=disputes.Verdict.REFUTED, winner=disputes.Side.CHALLENGER,
)  # fmt: skip


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandServer]:
    with CommandServer(tmp_path_factory.mktemp("commands")) as server:
        yield server


def test_open_game_shows_stage_place_and_running_clock() -> None:
    summary = summarise_open(4, GAME, head=27)
    assert summary["clocks"] == {"defender": 43, "challenger": 60}
    for part in ("stage Claims, node 57, tile 3", "the defender has to move", "claimed end 0x1111111111…"):
        assert part in summary["note"]
    assert summarise_open(4, GAME, head=500)["clocks"]["defender"] == 0


def test_ended_game_shows_who_won_and_why() -> None:
    summary = summarise_ended(4, ENDED)
    assert (summary["status"], summary["winner"]) == ("refuted", "challenger")
    assert "the challenger won in block 36" in summary["note"]


@pytest.mark.timeout(120)
def test_commands_on_a_chain_without_games(commands: CommandServer, tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "node", chain="test").start()
    try:
        listed = commands.run("aipow", "dispute", "list", "--node", node.url)
        assert (listed.code, listed.output.strip()) == (0, "no games; nobody doubts anything"), listed.errors
        listed = commands.run("aipow", "dispute", "list", "--json", "--node", node.url)
        assert (listed.code, listed.output.strip()) == (0, "[]"), listed.errors
        shown = commands.run("aipow", "dispute", "show", "7", "--node", node.url)
        assert shown.code == 1 and "there is no game 7; look at `aipow dispute list`" in shown.errors
    finally:
        node.stop()
