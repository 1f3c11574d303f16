"""A runtime that is not ours, a parachain's: it initialises, builds blocks and re-executes them on this host.

    pytest -m slow tests/chain/runtime/test_asset_hub.py        (needs npm and Node 20, see tests/clients/install.py)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from chain.authored import BlockBuilder
from chain.blockchain import Blockchain
from chain.errors import ExecutionRejected, RuntimeTrapped, WrongStateRoot
from chain.primitives import Block, Header, aura_seal, encode_compact
from chain.runtime.api import RuntimeVersion, decode_metadata
from chain.runtime.executor import read_version
from chain.trie import StateVersion, ordered_trie_root
from pallets_abi.metadata import parse_metadata
from tests.chain.runtime.asset_hub import (
    ALICE,
    ENDOWMENT,
    GENESIS_HASH,
    PARACHAIN_INHERENT,
    SLOT_MS,
    RelayChain,
    account_key,
    dev_genesis,
    genesis,
    signed,
    storage_key,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # the first run installs

TRANSFER_KEEP_ALIVE = bytes([10, 3])  # pallet Balances, call index
FRIEND = b"\x07" * 32
AMOUNT = 10**15


class AssetHub:
    """The chain in a folder, a clock that moves by a slot per block, and a relay chain that advances by two."""

    def __init__(self, path: Path) -> None:
        self.path, self.now_ms, self.relay_number = path, 1_800_000_000_000, 100
        self.reopen()

    def reopen(self) -> None:
        self.chain = Blockchain.open(self.path, dev_genesis(), clock_ms=lambda: self.now_ms, kept_states=None)
        self.version = self.chain.runtime_version(self.chain.genesis_hash)

    def transfer(self, nonce: int) -> bytes:
        call = TRANSFER_KEEP_ALIVE + b"\x00" + FRIEND + encode_compact(AMOUNT)
        return signed(call, nonce, self.chain.genesis_hash, self.version.spec_version, self.version.transaction_version)

    def start_block(self, relay: RelayChain | None = None) -> BlockBuilder:
        """The next block with its inherents in."""
        self.now_ms += SLOT_MS
        self.relay_number += 2
        parent, slot = self.chain.best, self.now_ms // SLOT_MS
        view = self.chain.state_at(parent.hash)
        builder = BlockBuilder(self.chain.executor_at(view), view, parent, slot)
        relay = relay or RelayChain(self.relay_number, 2 * slot)
        builder.add_inherents(slot * SLOT_MS, {PARACHAIN_INHERENT: relay.inherent(parent.encode())})
        return builder

    def build(self, extrinsics: Iterable[bytes] = ()) -> Block:
        """A sealed block."""
        builder = self.start_block()
        for extrinsic in extrinsics:
            assert builder.add(extrinsic) is None
            assert builder.dispatched == b"\x00"
        return seal(builder.finish())

    def free(self, account: bytes) -> int:
        """An account's balance after the best block."""
        value = self.chain.storage(self.chain.best.hash, account_key(account)) or bytes(80)
        return int.from_bytes(value[16:32], "little")


def seal(block: Block) -> Block:
    return Block(block.header.with_seal(aura_seal(ALICE.sign(block.header.hash))), block.extrinsics)


def reseal(header: Header, extrinsics: tuple[bytes, ...]) -> Block:
    return seal(Block(header.without_seal(), extrinsics))


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[AssetHub]:
    hub = AssetHub(tmp_path / "db")
    yield hub
    hub.chain.close()


def test_block_0_is_the_live_chains(tmp_path: Path) -> None:
    chain = Blockchain.open(tmp_path / "db", genesis())
    assert chain.genesis_hash.hex() == GENESIS_HASH
    chain.close()


def test_its_runtime_apis_answer(hub: AssetHub) -> None:
    at, chain = hub.chain.genesis_hash, hub.chain
    assert (hub.version.spec_name, hub.version.spec_version) == ("statemine", 900)
    assert hub.version.state_version is StateVersion.V0
    assert chain.authorities(at) == (ALICE.public,) * 4
    assert chain.slot_duration(at) == SLOT_MS
    assert chain.nonce(at, ALICE.public) == 0
    info = chain.call(at, "TransactionPaymentApi_query_info", (tx := hub.transfer(0)) + len(tx).to_bytes(4, "little"))
    assert 0 < int.from_bytes(info[-16:], "little") < ENDOWMENT // 10**6  # the fee
    metadata = parse_metadata(decode_metadata(chain.call(at, "Metadata_metadata")))
    pallets = {pallet.name: pallet for pallet in metadata.pallets}
    assert {"ParachainSystem", "Assets", "Uniques"} <= set(pallets)
    calls = {call.name: call.index for call in metadata.variants_of(pallets["Balances"].calls)}
    assert bytes([pallets["Balances"].index, calls["transfer_keep_alive"]]) == TRANSFER_KEEP_ALIVE


def test_blocks_with_transfers_are_built_and_executed_again(hub: AssetHub) -> None:
    assert hub.chain.import_block(hub.build()).is_best
    for nonce in range(3):
        tx = hub.transfer(nonce)
        validity = hub.chain.validate_transaction(hub.chain.best.hash, 2, tx)
        assert validity[0] == 0, validity.hex()
        block = hub.build([tx])
        assert len(block.extrinsics) == 3  # set_validation_data, the timestamp, ours
        assert hub.chain.import_block(block).is_best
    assert hub.free(FRIEND) == 3 * AMOUNT
    fees = ENDOWMENT - 3 * AMOUNT - hub.free(ALICE.public)
    assert 0 < fees < AMOUNT
    hub.chain.close()
    hub.reopen()
    assert (hub.chain.best.number, hub.free(FRIEND)) == (4, 3 * AMOUNT)
    assert hub.chain.import_block(hub.build([hub.transfer(3)])).is_best


def test_a_transfer_is_refused_where_the_runtime_refuses_it(hub: AssetHub) -> None:
    good = hub.transfer(0)
    forged = good[:60] + bytes([good[60] ^ 1]) + good[61:]
    at = hub.chain.genesis_hash
    assert hub.chain.validate_transaction(at, 2, forged) == b"\x01\x00\x04"  # Invalid(BadProof)
    assert hub.chain.validate_transaction(at, 2, hub.transfer(5))[0] == 0  # valid later
    builder = hub.start_block()
    assert builder.add(forged) == b"\x00\x04"
    assert builder.add(hub.transfer(5)) == b"\x00\x02"  # Invalid(Future)
    assert hub.chain.import_block(seal(builder.finish())).is_best


def test_a_changed_block_is_refused(hub: AssetHub) -> None:
    block = hub.build([hub.transfer(0)])
    header, body = block.header, block.extrinsics
    with pytest.raises(WrongStateRoot):
        hub.chain.import_block(reseal(replace(header, state_root=bytes(32)), body))
    without = body[1:]  # set_validation_data is missing
    root = ordered_trie_root(without, hub.version.extrinsics_root_version)
    with pytest.raises(ExecutionRejected):
        hub.chain.import_block(reseal(replace(header, extrinsics_root=root), without))
    assert hub.chain.best.number == 0
    assert hub.chain.import_block(block).is_best


def test_a_relay_proof_must_lead_to_its_root(hub: AssetHub) -> None:
    relay = RelayChain(200, 1)
    relay.nodes = relay.nodes[1:]
    with pytest.raises(RuntimeTrapped, match="Invalid host configuration in relay chain state proof"):
        hub.start_block(relay)
    relay = RelayChain(200, 1)
    relay.state_root = bytes(32)
    with pytest.raises(RuntimeTrapped, match="RootMismatch"):
        hub.start_block(relay)


def test_the_relay_chains_state_root_gets_into_the_state(hub: AssetHub) -> None:
    assert hub.chain.import_block(hub.build()).is_best
    seen = hub.chain.storage(hub.chain.best.hash, storage_key(b"ParachainSystem", b"ValidationData")) or b""
    assert RelayChain(hub.relay_number, 2 * hub.now_ms // SLOT_MS).state_root in seen


def test_the_version_of_a_blob_is_that_of_its_call(hub: AssetHub) -> None:
    code = hub.chain.storage(hub.chain.genesis_hash, b":code") or b""
    said = hub.chain.call(hub.chain.genesis_hash, "Core_version")
    assert RuntimeVersion.decode(read_version(code) or b"") == RuntimeVersion.decode(said) == hub.version
