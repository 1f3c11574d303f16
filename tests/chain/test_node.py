"""A real node, seen by substrate-interface and by our own client: transfer, errors, finality, kill -9, two nodes."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from pathlib import Path

import pytest
from scalecodec.exceptions import RemainingScaleBytesNotEmptyException
from substrateinterface import Keypair, SubstrateInterface
from substrateinterface.exceptions import SubstrateRequestException

from chain.client import (
    PHASE_PERIOD,
    ChainClient,
    ExtrinsicFailed,
    ExtrinsicLost,
    ExtrinsicRefused,
    NotConnected,
    RequestRefused,
)
from chain.open_chain import export_spec
from chain.trie import verify_proof
from tests.chain.node_process import NodeProcess, wait_until

UNIT = 10**12
ALICE, BOB, DAVE, EVE = (Keypair.create_from_uri(f"//{name}") for name in ("Alice", "Bob", "Dave", "Eve"))
MISSING = Keypair.create_from_uri("//Nobody")


def free(substrate: SubstrateInterface, key: Keypair) -> int:
    return int(substrate.query("System", "Account", [key.ss58_address]).value["data"]["free"])


def test_substrate_interface_transfers_and_watches_to_finality(node: NodeProcess) -> None:
    with SubstrateInterface(url=node.url) as substrate:
        before = free(substrate, MISSING)
        call = substrate.compose_call("Balances", "transfer_keep_alive", {"dest": MISSING.ss58_address, "value": UNIT})
        fee = substrate.get_payment_info(call, ALICE)["partialFee"]
        extrinsic = substrate.create_signed_extrinsic(call, ALICE)
        receipt = substrate.submit_extrinsic(extrinsic, wait_for_finalization=True)
        assert receipt.is_success
        assert receipt.finalized
        assert 0 < receipt.total_fee_amount <= fee
        assert free(substrate, MISSING) == before + UNIT
        assert "Transfer" in [event.value["event_id"] for event in receipt.triggered_events]
        assert substrate.get_block(receipt.block_hash)["extrinsics"]


def test_bad_signature_and_old_nonce_are_refused(node: NodeProcess) -> None:
    with SubstrateInterface(url=node.url) as substrate:
        call = substrate.compose_call("System", "remark", {"remark": "0x00"})
        done = substrate.create_signed_extrinsic(call, EVE)
        substrate.submit_extrinsic(done, wait_for_inclusion=True)
        nonce = substrate.get_account_nonce(EVE.ss58_address)
        for extrinsic, reason in (
            (
                substrate.create_signed_extrinsic(call, EVE, signature="0x" + "00" * 64),
                "Transaction has a bad signature",
            ),
            (substrate.create_signed_extrinsic(call, EVE, nonce=0), "Transaction is outdated"),
            (substrate.create_signed_extrinsic(call, MISSING, nonce=0, tip=10**30), "Inability to pay some fees"),
        ):
            with pytest.raises(SubstrateRequestException) as raised:
                substrate.submit_extrinsic(extrinsic)
            assert raised.value.args[0]["code"] == 1010
            assert reason in raised.value.args[0]["data"]
        assert substrate.get_account_nonce(EVE.ss58_address) == nonce
        with pytest.raises(SubstrateRequestException) as raised:
            substrate.rpc_request("author_submitExtrinsic", ["0x0484"])
        assert raised.value.args[0]["code"] == 1001


async def test_client_reads_submits_many_and_names_dispatch_errors(node: NodeProcess) -> None:
    async with ChainClient(node.url) as chain:
        head = await chain.head()
        assert await chain.block_hash(head.number) == head.hash
        accounts = dict(await chain.query_map("System", "Account"))
        assert accounts[BOB.ss58_address]["data"]["free"] > 0
        assert await chain.constant("Balances", "ExistentialDeposit") > 0
        assert await chain.fee("System", "remark_with_event", {"remark": b"x"}, BOB) > 0
        remarks = [chain.submit("System", "remark_with_event", {"remark": bytes([i])}, BOB) for i in range(10)]
        receipts = await asyncio.gather(*remarks)
        assert len({receipt.extrinsic_hash for receipt in receipts}) == 10
        assert all(any(event.name == "Remarked" for event in receipt.events) for receipt in receipts)
        with pytest.raises(ExtrinsicFailed) as failed:
            await chain.submit("Balances", "transfer_keep_alive", {"dest": ALICE.ss58_address, "value": 10**30}, BOB)
        assert failed.value.pallet in {"Token", "Balances", "System"}
        with pytest.raises(ExtrinsicFailed) as failed:
            await chain.submit(
                "Sudo",
                "sudo",
                {"call": {"call_module": "System", "call_function": "remark", "call_args": {"remark": "0x"}}},
                BOB,
            )
        assert (failed.value.pallet, failed.value.name) == ("Sudo", "RequireSudo")
        receipt = await chain.submit("System", "remark", {"remark": b"x"}, DAVE, wait="finalized")
        assert receipt.block is not None
        assert (await chain.finalized_head()).number >= receipt.block.number
        with pytest.raises(ExtrinsicRefused, match="Inability to pay"):
            await chain.submit("System", "remark", {"remark": b"x"}, Keypair.create_from_uri("//Poor"))
        with pytest.raises(RequestRefused):
            await chain.rpc("no_such")


async def test_client_reads_the_bytes_of_storage(node: NodeProcess) -> None:
    async with ChainClient(node.url) as chain:
        await chain.submit("Stakes", "set_endpoint", {"endpoint": "http://x"}, EVE)
        raw = await chain.query_raw("Stakes", ["Endpoints"], [EVE.ss58_address])
        assert raw == [bytes([4 * 8]) + b"http://x"]
        found = await chain.query_raw("Disputes", ["Games", "Nodes", "Claims", "Tiles"], [7])
        assert found == [None, None, None, None]


async def test_client_submits_encoded_arguments_of_a_phase(node: NodeProcess) -> None:
    async with ChainClient(node.url) as chain:
        arguments = (4 * 3).to_bytes(1, "little") + b"abc"  # compact length, bytes
        receipt = await chain.submit("System", "remark_with_event", arguments, EVE, period=PHASE_PERIOD)
        assert any(event.name == "Remarked" for event in receipt.events)
        with pytest.raises(RemainingScaleBytesNotEmptyException):
            await chain.submit("System", "remark_with_event", arguments + b"d", EVE)


async def test_client_without_a_node() -> None:
    chain = ChainClient("ws://127.0.0.1:9")
    with pytest.raises(NotConnected):
        await chain.connect()
    await chain.close()


async def test_waiting_survives_a_killed_node(tmp_path: Path) -> None:
    """The pool is lost with the process; the client hands its extrinsic in again when the node is back."""
    node = NodeProcess(tmp_path / "node").start()  # has no key: authors nothing
    try:
        async with ChainClient(node.url) as chain:
            waiting = asyncio.create_task(chain.submit("System", "remark_with_event", {"remark": b"1"}, BOB))
            await asyncio.to_thread(wait_until, lambda: node.rpc("author_pendingExtrinsics")["result"])
            node.stop(signal.SIGKILL)
            with pytest.raises(NotConnected):
                await chain.head()
            assert not waiting.done()
            node.arguments += ["--rpc-port", node.url.rsplit(":", 1)[1], "--dev-key", "//Alice"]
            await asyncio.to_thread(node.start)
            receipt = await asyncio.wait_for(waiting, 30)
            assert any(event.name == "Remarked" for event in receipt.events)
    finally:
        node.stop()


async def test_client_waits_while_the_pool_holds_its_extrinsic_and_no_longer(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "node").start()  # has no key: authors nothing
    try:
        async with ChainClient(node.url) as chain, ChainClient(node.url) as other:
            kept, usurped = (
                asyncio.create_task(chain.submit("System", "remark", {"remark": b"1"}, key, patience=0.5))
                for key in (BOB, DAVE)
            )
            await asyncio.to_thread(wait_until, lambda: len(node.rpc("author_pendingExtrinsics")["result"]) == 2)

            def replace(substrate: SubstrateInterface) -> None:
                call = substrate.compose_call("System", "remark", {"remark": b"2"})
                substrate.submit_extrinsic(substrate.create_signed_extrinsic(call, DAVE, nonce=0, tip=10**12))

            await other._run(replace)
            with pytest.raises(ExtrinsicLost):
                await asyncio.wait_for(usurped, 20)
            assert not kept.done()
            kept.cancel()
    finally:
        node.stop()


def test_port_in_use_is_one_clear_line(node: NodeProcess, tmp_path: Path) -> None:
    port = node.url.rsplit(":", 1)[1]
    for option in ("--rpc-port", "--p2p-port"):
        other = NodeProcess(tmp_path / option.strip("-"), option, port)
        done = subprocess.run(other.arguments, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1
        assert f"127.0.0.1:{port}: the port is in use" in done.stderr
        assert "Traceback" not in done.stderr


def test_folder_in_use_and_bad_spec(node: NodeProcess, tmp_path: Path) -> None:
    folder = Path(node.arguments[node.arguments.index("--base-path") + 1])
    done = subprocess.run(NodeProcess(folder).arguments, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "in use by another process" in done.stderr
    spec = tmp_path / "spec.json"
    spec.write_text('{"name": 5}')
    arguments = NodeProcess(tmp_path / "x", chain=str(spec)).arguments
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "error: chain spec field" in done.stderr


def test_raw_and_plain_spec_give_the_same_genesis(node: NodeProcess, tmp_path: Path) -> None:
    spec = tmp_path / "raw.json"
    arguments = [node.arguments[0], "-m", "chain.node", "--chain", "dev", "--export-spec", "--raw"]
    spec.write_bytes(subprocess.run(arguments, capture_output=True, timeout=60, check=True).stdout)
    raw = NodeProcess(tmp_path / "raw", chain=str(spec)).start()
    try:
        assert raw.rpc("chain_getBlockHash", 0)["result"] == node.rpc("chain_getBlockHash", 0)["result"]
    finally:
        assert raw.stop() == 0


def test_killed_node_goes_on_and_a_second_one_follows(tmp_path: Path) -> None:
    alice = NodeProcess(tmp_path / "alice", "--dev-key", "//Alice")
    bob = NodeProcess(tmp_path / "bob")
    try:
        alice.start()
        wait_until(lambda: alice.finalized() >= 2, what="finality")
        before, genesis = alice.best(), alice.rpc("chain_getBlockHash", 0)
        known = alice.rpc("chain_getBlockHash", 2)["result"]
        alice.stop(signal.SIGKILL)
        alice.start()
        assert alice.rpc("chain_getBlockHash", 0) == genesis
        assert alice.best() >= before
        assert alice.rpc("chain_getBlockHash", 2)["result"] == known
        wait_until(lambda: alice.best() > before + 1, what="new blocks after kill -9")
        bob.arguments += ["--bootnode", alice.bootnode()]
        bob.start()
        wait_until(lambda: bob.best() >= alice.best() - 1 > 0, 60, "the second node catches up")
        wait_until(lambda: bob.finalized() >= before, 60, "the second node finalises")
        assert bob.rpc("chain_getBlockHash", before)["result"] == alice.rpc("chain_getBlockHash", before)["result"]
        with SubstrateInterface(url=bob.url) as substrate:  # submitted there, authored here
            call = substrate.compose_call("System", "remark", {"remark": "0x01"})
            extrinsic = substrate.create_signed_extrinsic(call, BOB)
            assert substrate.submit_extrinsic(extrinsic, wait_for_inclusion=True).is_success
    finally:
        assert alice.stop() == 0
        assert bob.stop() == 0


def test_a_key_inserted_by_rpc_authors(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "node", "--rpc-unsafe").start()
    try:
        public = "0x" + ALICE.public_key.hex()
        assert node.rpc("author_hasKey", public, "aura")["result"] is False
        for bad in (["aura", "//Bob", public], ["babe", "//Alice", public], ["aura", "nonsense", public]):
            assert node.rpc("author_insertKey", *bad)["error"]["code"] == 4003
        assert node.best() == 0
        assert node.rpc("author_insertKey", "aura", "//Alice", public)["result"] is None
        assert node.rpc("author_hasKey", public, "aura")["result"] is True
        keys = node.rpc("author_rotateKeys")["result"]
        assert node.rpc("author_hasSessionKeys", keys)["result"] is True
        wait_until(lambda: node.best() >= 2, what="it authors in Alice's slots")
    finally:
        assert node.stop() == 0


def test_proofs_and_fees_agree_with_the_state(node: NodeProcess) -> None:
    with SubstrateInterface(url=node.url) as substrate:
        at = substrate.get_chain_head()
        header = node.rpc("chain_getHeader", at)["result"]
        key = substrate.create_storage_key("System", "Account", [BOB.ss58_address]).to_hex()
        proof = node.rpc("state_getReadProof", [key], at)["result"]
        assert proof["at"] == at
        nodes = [bytes.fromhex(item[2:]) for item in proof["proof"]]
        found = verify_proof(bytes.fromhex(header["stateRoot"][2:]), nodes, [bytes.fromhex(key[2:])])
        assert "0x" + (next(iter(found.values())) or b"").hex() == node.rpc("state_getStorage", key, at)["result"]
        call = substrate.compose_call("System", "remark", {"remark": "0x00"})
        extrinsic = substrate.create_signed_extrinsic(call, DAVE)
        by_rpc = node.rpc("payment_queryInfo", str(extrinsic.data))["result"]
        details = node.rpc("payment_queryFeeDetails", str(extrinsic.data))["result"]["inclusionFee"]
        assert int(by_rpc["partialFee"]) == sum(int(value, 16) for value in details.values())
        assert by_rpc["class"] == "normal"


def test_damaged_folder_and_unsound_genesis_are_one_clear_line(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "node").start()
    assert node.stop() == 0
    for manifest in (tmp_path / "node" / "db").glob("MANIFEST*"):
        manifest.write_bytes(bytes(100))
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(export_spec("dev", overrides={"verification": {"challengePpm": 1}})))
    unsound = NodeProcess(tmp_path / "unsound", chain=str(spec))
    for process, reason in ((node, "is damaged"), (unsound, "cheating pays with these parameters")):
        done = subprocess.run(process.arguments, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1
        assert reason in done.stderr
        assert "Traceback" not in done.stderr
