"""The beacon's secrets survive a kill -9: they are on disk before their commitments are sent."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from miner.roles.beacon_keeper import KEPT_EPOCHS, MAX_FILE_BYTES, BeaconKeeper, SecretFile
from miner.roles.context import Counters, RoleContext
from miner.roles.link import ChainLink
from miner.wallet import Wallet
from pallets_abi import beacon, stakes
from tests.chain.node_process import NodeProcess


def test_a_secret_is_the_same_after_a_restart(tmp_path: Path) -> None:
    secret = SecretFile(tmp_path / "beacon.json").get_or_make(5)
    assert SecretFile(tmp_path / "beacon.json").get(5) == secret
    assert SecretFile(tmp_path / "beacon.json").get_or_make(5) == secret
    assert len(secret) == 32


def test_each_epoch_has_its_own_and_old_ones_go(tmp_path: Path) -> None:
    file = SecretFile(tmp_path / "beacon.json")
    secrets = {epoch: file.get_or_make(epoch) for epoch in range(1, KEPT_EPOCHS + 3)}
    assert len(set(secrets.values())) == len(secrets)
    assert file.get(1) is None
    assert file.get(KEPT_EPOCHS + 2) == secrets[KEPT_EPOCHS + 2]
    assert file.get(3) == secrets[3]


def test_file_is_private(tmp_path: Path) -> None:
    SecretFile(tmp_path / "beacon.json").get_or_make(1)
    assert (tmp_path / "beacon.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", ["", "[]", '{"1": 5}', '{"x": "00"}', " " * (MAX_FILE_BYTES + 1)])
def test_damaged_file_is_replaced(tmp_path: Path, content: str) -> None:
    (tmp_path / "beacon.json").write_text(content)
    file = SecretFile(tmp_path / "beacon.json")
    assert file.get(1) is None
    secret = file.get_or_make(2)
    assert file.get(2) == secret


@pytest.mark.asyncio
async def test_commits_and_reveals_unless_calls_are_slower_than_the_window(tmp_path: Path) -> None:
    """On a real chain: nothing is committed to while a call waits longer than a reveal may; afterwards each commitment
    is revealed, and the bond stays whole."""
    node = NodeProcess(tmp_path / "node", "--dev-key", "//Alice", chain="test").start()
    link = ChainLink(node.url, Wallet.from_uri("//Bob"))
    try:
        await link.connect(20)
        bond = (await link.query(stakes.PARAMS)).min_solver_bond
        await link.submit(stakes.BondCall(stakes.Role.SOLVER, bond))
        keeper = BeaconKeeper(_make_context(link, tmp_path), stakes.Role.SOLVER)
        waiting = -1e6  # a call that was sent long ago
        link._under_way.append(waiting)
        await keeper._commit(await link.query(beacon.EPOCH))
        assert not keeper._secrets.path.exists()
        link._under_way.remove(waiting)
        following = asyncio.create_task(_follow(link, keeper))
        async with asyncio.timeout(90):
            while not keeper._context.counters.beacon_reveals:
                await asyncio.sleep(0.2)
        following.cancel()
        revealed = [account for (account,), _ in await link.query_map(beacon.REVEALS)]
        assert revealed in ([link.wallet.address], [])  # empty once the epoch is over
        assert await link.query(stakes.BONDS, stakes.Role.SOLVER.value, link.wallet.address) == bond
        await keeper.stop()
    finally:
        await link.close()
        node.stop()


def _make_context(link: ChainLink, folder: Path) -> RoleContext:
    """What the keeper uses of a daemon's context, all of it real."""
    account = RoleContext.account.fget(SimpleNamespace(wallet=link.wallet))  # type: ignore[attr-defined]
    parts: dict[str, Any] = {"link": link, "wallet": link.wallet, "folder": folder, "counters": Counters()}
    return cast(RoleContext, SimpleNamespace(**parts, account=account, submit=link.submit))


async def _follow(link: ChainLink, keeper: BeaconKeeper) -> None:
    async for head in link.heads():
        await keeper.on_head(head)
