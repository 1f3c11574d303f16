"""Equivocation: an author that seals two blocks of its slot to spend the same money twice, and a voter that votes for
two blocks in one round, with whom a third of the voters could finalise two histories.

Sources: double signing with nothing at stake, Buterin, "Slasher" (2014); the deposit that a double voter must lose for
accountable safety, Buterin and Griffith, "Casper the Friendly Finality Gadget" (2017); the votes, Stewart and
Kokoris-Kogia, "GRANDPA" (2020).

Three nodes of one chain: Alice authors honestly in a process of her own, a validator daemon runs as anybody runs it,
and Bob runs the real node with one line of his own in it. Nobody helps the validator: it notices, reports, and is paid.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from scalecodec.utils.ss58 import ss58_encode

from chain.authoring import AuthoringService
from chain.client import ChainClient, EventRecord
from chain.grandpa.messages import SignedVote, Vote, VoteMessage, decode_gossip, localized_payload
from chain.identity import ed25519_from_uri, sr25519_from_uri
from chain.node import Node, NodeConfig
from chain.open_chain import export_spec, load_chain_spec
from chain.primitives import Block, Header, encode_compact
from devnet.processes import ManagedProcess, find_free_port
from miner.roles.link import ChainLink
from miner.wallet import Wallet
from pallets_abi import stakes
from tests.chain.devchain import TRANSFER_KEEP_ALIVE, UNIT, signed
from tests.chain.node_process import NodeProcess

BOND = 200 * UNIT
REWARD = BOND // 10
WAIT_SECONDS = 150.0
BOB, CHARLIE, EVE = (Wallet.from_uri(f"//{name}") for name in ("Bob", "Charlie", "Eve"))

pytestmark = [pytest.mark.slow, pytest.mark.alone]


def write_spec(path: Path) -> str:
    """Preset dev with two bootstrap authors, Alice and Bob."""
    bootstrap = []
    for name in ("//Alice", "//Bob"):
        account, voter = sr25519_from_uri(name), ed25519_from_uri(name)
        bootstrap.append([account.address, account.address, ss58_encode(voter.public, 42)])
    path.write_text(json.dumps(export_spec("dev", overrides={"blockRights": {"bootstrap": bootstrap}})))
    return str(path)


class DoubleSpender(AuthoringService):
    """Authors as everybody does; then seals a second block of the slot, in which the money goes elsewhere."""

    node: Node

    async def _on_slot(self, slot: int, duration: int) -> None:
        parent, before = self._chain.best, self.authored
        await super()._on_slot(slot, duration)
        if self.authored == before or self._chain.best.parent_hash != parent.hash:
            return
        second = await self._thread.run(self._build_second, parent, slot, duration)
        await self._queue.import_block(second)
        self.node.network.announce_block(second.header.encode(), False)

    def _build_second(self, parent: Header, slot: int, duration: int) -> Block:
        key = self._own_key(parent, slot)
        assert key is not None
        call = TRANSFER_KEEP_ALIVE + b"\x00" + EVE.public_key + encode_compact(UNIT)
        spent = signed(self._chain, self._chain.nonce(parent.hash, key.public), call, key)
        return self._chain.build_block(parent.hash, slot, slot * duration, [spent], key)


def make_double_spender(node: Node) -> None:
    """Bob's line: another class for the authoring service, before it begins."""
    honest = node.authoring
    node.authoring.__class__ = DoubleSpender
    assert isinstance(honest, DoubleSpender)
    honest.node = node


def make_double_voter(node: Node) -> None:
    """Bob's line: every vote of his is followed by one of its kind for the last finalised block."""
    key, tell = node.keystore.grandpa[BOB.grandpa.public], node.network.gossip_grandpa

    def tell_twice(message: bytes, exclude: str | None = None) -> None:
        tell(message, exclude)
        decoded = decode_gossip(message)
        if isinstance(decoded, VoteMessage) and decoded.signed.voter == key.public:
            final = node.chain.finalized
            vote = Vote(decoded.signed.vote.kind, final.hash, final.number)
            signature = key.sign(localized_payload(vote, decoded.round, decoded.set_id))
            second = SignedVote(vote, signature, key.public)
            tell(VoteMessage(decoded.round, decoded.set_id, second).encode(), exclude)

    node.network.gossip_grandpa = tell_twice  # type: ignore[method-assign]


@dataclass(frozen=True)
class Scene:
    """The chain with Bob in it, and a link of his to Alice's node."""

    alice: NodeProcess
    bob: Node
    bob_link: ChainLink
    validator: ManagedProcess


@asynccontextmanager
async def open_scene(folder: Path) -> AsyncIterator[Scene]:
    """Alice, Bob (still honest, with a bond as solver) and the validator, connected."""
    spec = write_spec(folder / "spec.json")
    alice = NodeProcess(folder / "alice", "--dev-key", "//Alice", chain=spec)
    port = find_free_port()
    validator = ManagedProcess("validator", "miner.cli.validator", [], folder, port)
    link: ChainLink | None = None
    bob: Node | None = None
    try:
        await asyncio.to_thread(alice.start)
        bootnode = await asyncio.to_thread(alice.bootnode)
        config = NodeConfig(
            load_chain_spec(spec), folder / "bob", rpc_port=0, bootnodes=(bootnode,), aura_uri=BOB.uri,
            grandpa_uri=BOB.uri, name="bob",
        )  # fmt: skip
        bob = Node(config)
        await bob.start()
        await bob.wait_for_network()
        validator.arguments += [
            "--key", CHARLIE.uri, "--chain", spec, "--base-path", str(folder / "charlie"), "--rpc-port", str(port),
            "--bootnode", bootnode, "--bootnode", str(bob.network.listen_addresses[0]),
        ]  # fmt: skip
        validator.start()
        link = ChainLink(alice.url, BOB)
        await link.connect()
        await link.submit(stakes.BondCall(stakes.Role.SOLVER, BOND))
        await until_bonded(alice.url, validator)
        yield Scene(alice, bob, link, validator)
    finally:
        validator.kill()
        if link is not None:
            await link.close()
        if bob is not None:
            await bob.stop()
        alice.stop()


async def until_bonded(url: str, validator: ManagedProcess) -> None:
    """Until the validator has put its bond and its endpoint on chain and waits for duties."""
    async with asyncio.timeout(WAIT_SECONDS), ChainClient(url) as chain:
        while await chain.query("Stakes", "Endpoints", [CHARLIE.address]) is None:
            validator.check()
            await asyncio.sleep(0.5)


async def find_charge(url: str, start: int) -> list[EventRecord]:
    """The events of the first block from `start` on in which somebody is charged."""
    async with asyncio.timeout(WAIT_SECONDS), ChainClient(url) as chain:
        async for head in chain.heads(start):
            events = await chain.events(head.hash)
            if any((event.pallet, event.name) == ("Evidence", "Charged") for event in events):
                return events
    raise AssertionError("unreachable: heads never end")


async def check_verdict(scene: Scene, kind: str, start: int) -> dict[str, Any]:
    """Bob has lost his bond, the validator has a tenth of it and paid no fee; the offence that he is charged with."""
    events = await find_charge(scene.alice.url, start)
    verdict = next(event for event in events if (event.pallet, event.name) == ("Evidence", "Charged"))
    charged = verdict.attributes
    assert (charged["offender"], charged["reporter"]) == (BOB.address, CHARLIE.address)
    assert charged["amount"] == BOND
    slashed = next(event.attributes for event in events if event.name == "Slashed")
    assert (slashed["account"], slashed["reason"]) == (BOB.address, "Equivocation")
    own = {event.name: event.attributes for event in events if event.extrinsic_index == verdict.extrinsic_index}
    assert own["TransactionFeePaid"]["actual_fee"] == 0
    deposits = [event.attributes for event in events if event.name == "Deposit"]
    assert {"who": CHARLIE.address, "amount": REWARD} in deposits
    async with ChainClient(scene.alice.url) as chain:
        assert await chain.query("Stakes", "Bonds", ["Solver", BOB.address]) == 0
    assert "the offender has lost its bond" in scene.validator.log.read_text()
    offence: dict[str, Any] = charged["offence"]
    assert list(offence) == [kind]
    return offence


async def test_an_author_of_two_blocks_of_a_slot_loses_its_bond(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as scene:
        start = scene.alice.best()
        make_double_spender(scene.bob)
        offence = await check_verdict(scene, "Blocks", start)
        seen = [one for one in scene.alice.rpc("aipow_evidence")["result"] if one["call"] == "report_aura"]
        assert {one["key"] for one in seen} == {"0x" + BOB.public_key.hex()}
        assert any(one["text"].endswith(f"of slot {offence['Blocks']['slot']}") for one in seen), "Alice saw it as well"


async def test_a_voter_for_two_blocks_of_a_round_loses_its_bond(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as scene:
        start = scene.alice.best()
        make_double_voter(scene.bob)
        offence = await check_verdict(scene, "Votes", start)
        assert offence["Votes"]["set_id"] == 0
        final = scene.alice.finalized()
        async with asyncio.timeout(60):
            while scene.alice.finalized() <= final:
                await asyncio.sleep(0.5)
