"""A bond is put up once by itself; one that is gone is replaced only when the user says so."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from miner.roles.context import BOND_FACTOR, Counters, RoleContext, ensure_bond
from miner.roles.link import ChainLink
from miner.store.blobs import BlobStore
from miner.wallet import Wallet
from pallets_abi import stakes
from tests.chain.node_process import NodeProcess


async def test_a_lost_bond_is_not_replaced_silently(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    role = stakes.Role.VERIFIER
    node = NodeProcess(tmp_path / "node", "--dev-key", "//Alice", chain="test").start()
    link, store = ChainLink(node.url, Wallet.from_uri("//Eve")), BlobStore(tmp_path / "blobs", 2**20)
    parts = {"link": link, "wallet": link.wallet, "store": store, "submit": link.submit, "counters": Counters()}
    context = cast(RoleContext, SimpleNamespace(**parts, is_bonding_again=False))
    try:
        await link.connect(20)
        minimum = (await link.query(stakes.PARAMS)).min_verifier_bond

        async def bonded() -> int:
            return await link.query(stakes.BONDS, role.value, link.wallet.address)

        assert await ensure_bond(context, role, minimum)
        assert await bonded() == BOND_FACTOR * minimum
        assert await ensure_bond(context, role, minimum)
        assert await bonded() == BOND_FACTOR * minimum, "enough is at stake"

        await link.submit(stakes.UnbondCall(role, BOND_FACTOR * minimum))
        assert not await ensure_bond(context, role, minimum)
        assert await bonded() == 0
        assert "--bond-again" in caplog.text
        context.is_bonding_again = True
        assert await ensure_bond(context, role, minimum)
        assert await bonded() == BOND_FACTOR * minimum
    finally:
        await link.close()
        store.close()
        node.stop()
