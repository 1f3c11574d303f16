"""Constants and runtime APIs through the link, typed, against a real node."""

from __future__ import annotations

from pathlib import Path

import pytest

from miner.roles.link import ChainLink
from miner.wallet import Wallet
from pallets_abi import balances, stakes, system
from pallets_abi.metadata import MetadataError
from pallets_abi.runtime_apis import AccountNonceApi, AuraApi, GenesisBuilder, GrandpaApi, TransactionPaymentApi
from tests.chain.node_process import NodeProcess


async def test_constants_and_runtime_apis_are_typed(tmp_path: Path) -> None:
    wallet = Wallet.from_uri("//Alice")
    node = NodeProcess(tmp_path / "node", "--dev-key", "//Alice", chain="test").start()
    link = ChainLink(node.url, wallet)
    try:
        await link.connect(20)
        assert await link.constant(balances.EXISTENTIAL_DEPOSIT) > 0
        assert (await link.constant(system.SS58_PREFIX)) == 42

        nonce = await link.call(AccountNonceApi.ACCOUNT_NONCE, wallet.address)
        await link.submit(stakes.SetEndpointCall(b"http://127.0.0.1:1"))
        assert await link.call(AccountNonceApi.ACCOUNT_NONCE, wallet.address) == nonce + 1
        assert await link.call(GrandpaApi.GRANDPA_AUTHORITIES) == [("0x" + wallet.grandpa.public.hex(), 1)]
        assert set(await link.call(AuraApi.AUTHORITIES)) == {"0x" + wallet.public_key.hex()}
        assert await link.call(AuraApi.SLOT_DURATION) == 1_000
        assert await link.call(TransactionPaymentApi.QUERY_LENGTH_TO_FEE, 100) > 0
        assert b'"stakes"' in (await link.call(GenesisBuilder.GET_PRESET, None) or b"")

        for arguments in ((), ("no address",), (wallet.address, 1)):
            with pytest.raises(MetadataError, match="AccountNonceApi_account_nonce does not take"):
                await link.call(AccountNonceApi.ACCOUNT_NONCE, *arguments)
    finally:
        await link.close()
        node.stop()
