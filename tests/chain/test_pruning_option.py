"""`--state-pruning` of the node, as a stock node names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from chain.blockchain import KEPT_STATES
from chain.errors import StatePruned
from chain.node_main import parse_options
from chain.state.pruning import SWEEP_EVERY
from tests.chain.devchain import DevChain


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [([], KEPT_STATES), (["--state-pruning", "archive"], None), (["--state-pruning", "1"], 1)],
)
def test_modes(arguments: list[str], kept: int | None) -> None:
    assert parse_options(arguments).state_pruning == kept


@pytest.mark.parametrize("mode", ["0", "-1", "archiv", "", "4294967296", "1.5", "²"])
def test_other_modes_are_refused(mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_options([f"--state-pruning={mode}"])
    assert "neither archive nor a number of blocks" in capsys.readouterr().err


def test_an_archive_keeps_all_states_and_may_be_pruned_later(tmp_path: Path) -> None:
    dev = DevChain(tmp_path / "db", kept_states=None)
    for _ in range(SWEEP_EVERY + 2):
        dev.chain.finalize(dev.author().hash)
    first = dev.chain.hash_of(1) or b""
    assert dev.chain.storage(first, b":code") is not None
    dev.chain.close()
    dev.kept_states = 1
    dev.reopen()
    dev.chain.finalize(dev.author().hash)
    with pytest.raises(StatePruned):
        dev.chain.storage(first, b":code")
    assert dev.chain.storage(dev.chain.hash_of(dev.chain.best.number - 1) or b"", b":code") is not None
    dev.chain.close()
