"""A miner's decoys are found by a validator that watches, with real processes: hidden, sealed, opened, shown, paid."""

import urllib.request
from pathlib import Path

import pytest

from devnet.network import DemoNetwork, MinerPlan, NetworkPlan, ValidatorPlan
from devnet.processes import ManagedProcess, ProcessGroup, wait_until
from devnet.watcher import Watcher
from miner.wallet import Wallet

pytestmark = pytest.mark.alone

GENESIS = {
    "verification": {"challengePpm": 100_000, "watchBlocks": 8},
    "jackpot": {"sealBlocks": 8, "findBlocks": 6, "showBlocks": 8},
    "availability": {"answerBlocks": 20},
}
"""Nine of ten units are left to those who watch; windows for a machine with two cores."""
PLAN = NetworkPlan(
    "test",
    (MinerPlan("miner", "//Bob"),),
    (ValidatorPlan("watcher", "//Eve", watch=1.0), ValidatorPlan("validator", "//Ferdie")),
    GENESIS,
)
LUCK_SECONDS = 800
"""One unit in sixteen is a forced error; a lucky run takes three minutes, an unlucky one several times that."""
MINER = Wallet.from_uri("//Bob").address


def read_metric(process: ManagedProcess, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{process.metrics_port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.split()[0] == name)


@pytest.mark.slow
@pytest.mark.timeout(960)
def test_a_forced_error_is_found_and_paid(tmp_path: Path) -> None:
    with ProcessGroup() as group:
        network = DemoNetwork(PLAN, tmp_path, group)
        network.start_operator()
        watcher = Watcher(network.operator.rpc_url)
        network.post_task("digits-mlp", shards=16, rounds=32, segments=4, steps=8)
        network.start_workers()
        miner, validator = network.miners["miner"], network.validators["watcher"]

        def is_paid() -> bool:
            group.check()
            watcher.poll()
            return read_metric(validator, "aipow_decoys_found") >= 1 and read_metric(miner, "aipow_forced_errors") >= 1

        wait_until(is_paid, LUCK_SECONDS, "a decoy to be found and shown")
        assert watcher.accounts[MINER].slashed == 0
        assert not watcher.games and not watcher.refused_units
        assert watcher.accounts[MINER].units_final > 0
