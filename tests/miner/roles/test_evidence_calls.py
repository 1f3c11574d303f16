"""Evidence on a real node: what the chain refuses, what it takes, and how the reporter goes about it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio

from chain.client import ExtrinsicFailed, ExtrinsicRefused
from chain.equivocation import DoubleBlock, Evidence
from chain.grandpa.double_vote import DoubleVote
from chain.grandpa.messages import Kind, SignedVote, Vote, localized_payload
from chain.identity import sr25519_from_uri
from chain.primitives import DigestItem, DigestKind, Header
from chain.primitives.digest import aura_pre_runtime, aura_seal
from miner.roles.context import Counters
from miner.roles.link import CallUnanswered, ChainLink, EncodedCall
from miner.roles.reporter import Reporter
from miner.wallet import Wallet
from pallets_abi import aura, block_rights, stakes
from tests.chain.node_process import NodeProcess

pytestmark = pytest.mark.asyncio(loop_scope="module")

BOB = Wallet.from_uri("//Bob")
BOB_KEY = sr25519_from_uri("//Bob")


@dataclass(frozen=True)
class Accounts:
    """Links to one node of preset test; Bob is bonded as solver and has keys, Charlie reports."""

    node: NodeProcess
    bob: ChainLink
    charlie: ChainLink
    bonded: int


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    process = NodeProcess(tmp_path_factory.mktemp("evidence") / "alice", "--dev-key", "//Alice", chain="test")
    try:
        yield process.start()
    finally:
        process.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def accounts(node: NodeProcess) -> AsyncIterator[Accounts]:
    bob, charlie = (ChainLink(node.url, Wallet.from_uri(f"//{name}")) for name in ("Bob", "Charlie"))
    try:
        for link in (bob, charlie):
            await link.connect(20)
        minimum = (await bob.query(stakes.PARAMS)).min_solver_bond
        keys = block_rights.SetKeysCall("0x" + BOB.public_key.hex(), "0x" + BOB.grandpa.public.hex())
        for call in (stakes.BondCall(stakes.Role.SOLVER, minimum), keys):
            await bob.submit(call)
        yield Accounts(node, bob, charlie, minimum)
    finally:
        for link in (bob, charlie):
            await link.close()


def sealed(slot: int, salt: int, *more: DigestItem) -> Header:
    """A header of Bob's."""
    header = Header(bytes(32), 7, bytes([salt]) * 32, bytes(32), (aura_pre_runtime(slot), *more))
    return header.with_seal(aura_seal(BOB_KEY.sign(header.hash)))


def double_vote(set_id: int, targets: tuple[int, int] = (1, 2)) -> DoubleVote:
    """Two precommits of Bob's."""
    votes = [Vote(Kind.PRECOMMIT, bytes([target]) * 32, 5) for target in targets]
    first, second = (
        SignedVote(vote, BOB.grandpa.sign(localized_payload(vote, 3, set_id)), BOB.grandpa.public) for vote in votes
    )
    return DoubleVote(set_id, 3, first, second)


def to_call(evidence: Evidence) -> EncodedCall:
    return EncodedCall("Evidence", evidence.CALL, evidence.encode())


async def test_evidence_that_proves_nothing_is_refused_and_changes_nothing(accounts: Accounts) -> None:
    slot = int(await accounts.bob.query(aura.CURRENT_SLOT))
    good = DoubleBlock(BOB.public_key, slot, sealed(slot, 1), sealed(slot, 2))
    forged = sealed(slot, 2).without_seal().with_seal(aura_seal(bytes(64)))
    cases: list[tuple[Evidence, str]] = [
        (replace(good, second=forged), "BadSeal"),
        (replace(good, second=good.first), "SameBlock"),
        (replace(good, second=sealed(slot - 1, 2)), "DifferentSlots"),
        (replace(good, second=sealed(slot, 2).without_seal()), "BadDigest"),
        (replace(good, first=sealed(slot + 9_999, 1), second=sealed(slot + 9_999, 2)), "FutureSlot"),
        (replace(good, first=sealed(slot - 9_999, 1), second=sealed(slot - 9_999, 2)), "TooOld"),
        (replace(good, author=bytes(32)), "UnknownKey"),
        (double_vote(0, (1, 1)), "BadVotes"),
        (replace(double_vote(0), round=4), "BadVotes"),
        (double_vote(9_999), "FutureSet"),
    ]
    for evidence, error in cases:
        with pytest.raises(ExtrinsicFailed) as failed:
            await accounts.charlie.submit(to_call(evidence))
        assert (failed.value.pallet, failed.value.name) == ("Evidence", error)
    oversize = replace(good, second=sealed(slot, 2, DigestItem(DigestKind.OTHER, payload=bytes(1 << 16))))
    with pytest.raises(ExtrinsicRefused):
        await accounts.charlie.submit(to_call(oversize))
    assert await accounts.bob.query(stakes.BONDS, stakes.Role.SOLVER.value, BOB.address) == accounts.bonded
    assert accounts.node.best() > 0


class Seen:
    """What the node's `aipow_evidence` would answer; everything else is the node's own answer."""

    def __init__(self, link: ChainLink, evidence: list[Evidence]) -> None:
        self._rpc, self._evidence = link.client.rpc, evidence

    async def rpc(self, method: str, params: tuple[object, ...] = ()) -> object:
        if method != "aipow_evidence":
            return await self._rpc(method, params)
        assert await self._rpc(method, params) == []
        return [
            {"call": one.CALL, "arguments": "0x" + one.encode().hex(), "key": "0x" + one.key.hex(), "text": one.text}
            for one in self._evidence
        ]


async def test_the_reporter_reports_once_and_only_what_is_worth_it(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = accounts.charlie.wallet.address
    slot = int(await accounts.bob.query(aura.CURRENT_SLOT))
    stranger = replace(double_vote(0), first=replace(double_vote(0).first, voter=bytes(32)))
    evidence: list[Evidence] = [
        DoubleBlock(accounts.charlie.wallet.public_key, slot, sealed(slot, 1), sealed(slot, 2)),  # our own key
        stranger,  # nobody's key
        double_vote(0),
        DoubleBlock(BOB.public_key, slot, sealed(slot, 1), sealed(slot, 2)),  # settled by the one before
    ]
    monkeypatch.setattr(accounts.charlie.client, "rpc", Seen(accounts.charlie, evidence).rpc)
    counters = Counters()
    reporter = Reporter(accounts.charlie, counters)
    nonces = [await accounts.charlie.client.next_nonce(address)]
    unanswered = 0
    async with asyncio.timeout(60):
        async for head in accounts.charlie.heads():
            try:
                await reporter.on_head(head)
            except CallUnanswered:  # a busy machine; as in the daemon, the next head tries again
                unanswered += 1
            if await accounts.bob.query(stakes.BONDS, stakes.Role.SOLVER.value, BOB.address) == 0:
                break
    for _ in range(2):
        head = await accounts.charlie.client.head()
        await reporter.on_head(replace(head, number=head.number + 9))
    nonces.append(await accounts.charlie.client.next_nonce(address))
    assert counters.equivocations_reported <= 1 <= nonces[1] - nonces[0] <= 1 + unanswered
