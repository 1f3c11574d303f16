"""The whole way on preset `test`, with real processes: train, earn, author, catch the cheater, survive kill -9."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from devnet.network import DEMO_PLAN, DemoNetwork, NetworkPlan
from devnet.processes import ProcessGroup, wait_until
from devnet.watcher import Watcher
from miner.wallet import Wallet

pytestmark = pytest.mark.alone

GENESIS = {
    "verification": {"commitBlocks": 20, "revealBlocks": 12},
    "disputes": {"accuseBlocks": 20, "clockBlocks": 25},
    "availability": {"answerBlocks": 20},
}
"""Windows for a machine on which five nodes, their workers and this test share two cores."""
MINERS = (DEMO_PLAN.miners[0], replace(DEMO_PLAN.miners[2], throttle=1 / 3))
"""At full speed the cheater makes two dozen false units before the first verdict: fifty games at once, which take all
that the two cores have."""
PLAN = NetworkPlan("test", MINERS, DEMO_PLAN.validators, GENESIS)
FAST, CHEATER = Wallet.from_uri("//Bob").address, Wallet.from_uri("//Dave").address
EPOCH_SECONDS = 12


@pytest.fixture
def network(tmp_path: Path) -> Iterator[DemoNetwork]:
    with ProcessGroup() as group:
        yield DemoNetwork(PLAN, tmp_path, group)


def wait_for(watcher: Watcher, network: DemoNetwork, seconds: float, what: str, *conditions: object) -> None:
    def holds() -> bool:
        network.group.check()
        watcher.poll()
        return all(condition() for condition in conditions)  # type: ignore[operator]

    wait_until(holds, seconds, what)


@pytest.mark.timeout(480)
def test_blocks_are_earned_and_survive_kills(network: DemoNetwork) -> None:
    network.start_operator()
    watcher = Watcher(network.operator.rpc_url)
    network.post_task("digits-mlp", shards=8, rounds=12, segments=4, steps=30)
    network.start_workers()

    wait_for(watcher, network, 220, "the cheater to lose a dispute", lambda: watcher.accounts[CHEATER].slashed > 0)
    assert watcher.accounts[CHEATER].mismatches > 0
    assert watcher.accounts[FAST].slashed == 0

    wait_for(
        watcher, network, 60, "the fast miner to author blocks that it earned",
        lambda: watcher.schedules.get(watcher.epoch, {}).get(FAST, 0) > 0,
        lambda: any(block.sealer == FAST for block in watcher.blocks),
    )  # fmt: skip
    assert all(block.sealer == block.scheduled for block in watcher.blocks)

    fast = network.miners["fast miner"]
    finished = watcher.accounts[FAST].units_final
    fast.kill()
    fast.start()
    fast.wait_healthy()
    wait_for(
        watcher, network, 45, "the killed miner to finish more units",
        lambda: watcher.accounts[FAST].units_final > finished,
    )  # fmt: skip

    height = watcher.blocks[-1].number
    watcher.close()
    network.operator.kill()
    network.operator.start()
    network.operator.wait_healthy()
    wait_for(
        watcher, network, 45, "finality to go on after the operator's node was killed",
        lambda: watcher.blocks[-1].number > height + EPOCH_SECONDS // 2,
    )  # fmt: skip
    slashed_in = watcher.accounts[CHEATER].slashed_in_epoch or 0
    after_slash = [slots for epoch, slots in watcher.schedules.items() if epoch > slashed_in]
    assert after_slash and all(slots.get(CHEATER, 0) == 0 for slots in after_slash)

    last = watcher.blocks[-1].number
    views = [Watcher(node.rpc_url) for node in network.nodes()]
    wait_until(
        lambda: len({view.view(range(last, last + 1)).get(last) for view in views}) == 1, 20, "all nodes to agree"
    )
