"""What the chain refuses of solvers and verifiers, on a real node through the daemons' own link: a named error, no
change of state but the fee, and a node that lives on. The pallets' tests have every bound; this walks the whole way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import pytest_asyncio

from chain.client import ExtrinsicFailed
from miner.roles.link import ChainLink
from miner.wallet import Wallet
from pallets_abi import beacon, stakes, tasks, verification
from pallets_abi.base import Call
from tests.chain.node_process import NodeProcess

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOTS = [f"0x{number:064x}" for number in range(1, 10)]
MACS_PER_STEP, STEPS, SEGMENTS = 10**6, 5, 4
MACS = MACS_PER_STEP * STEPS * SEGMENTS
LONG, SHORT = 1_000, 2
"""Deadlines in blocks of 1 s: one that no test reaches, one that is soon over."""


@dataclass(frozen=True)
class Network:
    """Links of the accounts that the tests need, all to one node of preset test."""

    node: NodeProcess
    alice: ChainLink
    bob: ChainLink
    charlie: ChainLink
    price: int

    def spec(self, number: int, deadline: int) -> tasks.TaskSpec:
        """A task of four independent units."""
        return tasks.TaskSpec(
            spec_hash=ROOTS[number], graph_root=ROOTS[0], initial_state_root=ROOTS[0], shards=4, rounds=1,
            segments_per_unit=SEGMENTS, steps_per_segment=STEPS, macs_per_step=MACS_PER_STEP, price=self.price,
            deadline_blocks=deadline, endpoint=b"http://127.0.0.1:1",
            node_count=1, state_count=1, data=tasks.DataRule(ROOTS[0], 1, False),
        )  # fmt: skip

    async def post(self, number: int, deadline: int = LONG) -> int:
        """Posts a task; its number."""
        receipt = await self.alice.submit(tasks.PostCall(self.spec(number, deadline)))
        return next(
            tasks.TaskPostedEvent.from_attributes(event.attributes).task
            for event in receipt.events
            if event.name == "TaskPosted"
        )

    async def state(self, task: int) -> Any:
        """All that a refused call about a task could have changed."""
        link = self.alice
        accounts = [self.bob.wallet.address, self.charlie.wallet.address]
        return [
            await link.query(tasks.TASKS, task),
            [await link.query(tasks.UNITS, task, unit) for unit in range(4)],
            [await link.query(verification.DUTIES, task, unit) for unit in range(4)],
            [await link.query(stakes.BONDS, stakes.Role.SOLVER.value, account) for account in accounts],
            [await link.query(tasks.LOADS, account) for account in accounts],
            sorted(await link.query_map(verification.TRANSCRIPTS)),
        ]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    process = NodeProcess(tmp_path_factory.mktemp("refused") / "alice", "--dev-key", "//Alice", chain="test")
    try:
        yield process.start()
    finally:
        process.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def network(node: NodeProcess) -> AsyncIterator[Network]:
    alice, bob, charlie = (ChainLink(node.url, Wallet.from_uri(f"//{name}")) for name in ("Alice", "Bob", "Charlie"))
    try:
        for link in (alice, bob, charlie):
            await link.connect(20)
        minimum = (await alice.query(stakes.PARAMS)).min_solver_bond
        for link in (bob, charlie):
            if await link.query(stakes.BONDS, stakes.Role.SOLVER.value, link.wallet.address) < minimum:
                await link.submit(stakes.BondCall(stakes.Role.SOLVER, minimum))
        floor = (await alice.query(tasks.PARAMS)).floor_price
        yield Network(node, alice, bob, charlie, 4 * MACS * floor // 10**6)
    finally:
        for link in (alice, bob, charlie):
            await link.close()


async def check_refused(network: Network, task: int, *cases: tuple[ChainLink, Call, str]) -> None:
    """Each call fails with its error, all change nothing about the task, and blocks go on."""
    for _ in range(3):  # again when an epoch ended meanwhile: rotations change units by themselves
        before, epoch = await network.state(task), await network.alice.query(beacon.EPOCH)
        best = network.node.best()
        answers = await asyncio.gather(*(link.submit(call) for link, call, _ in cases), return_exceptions=True)
        for answer, (_, call, error) in zip(answers, cases, strict=True):
            assert isinstance(answer, ExtrinsicFailed), (call, answer)
            assert answer.name == error, call
            assert str(answer).startswith(f"{answer.pallet}.{error}: "), "an error says what it means"
        assert network.node.best() > best
        after = await network.state(task)
        if await network.alice.query(beacon.EPOCH) == epoch:
            assert after == before
            return
    raise AssertionError("three epochs ended during three checks")


async def until(predicate: Callable[[], Awaitable[bool]], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not await predicate():
            await asyncio.sleep(0.2)


def submission(task: int, unit: int, root: int, macs: int = MACS) -> verification.SubmitCall:
    return verification.SubmitCall(task, unit, ROOTS[root], ROOTS[0], macs)


async def test_submissions_that_are_refused(network: Network) -> None:
    task = await network.post(1)
    bob, charlie = network.bob, network.charlie
    await asyncio.gather(bob.submit(tasks.ClaimCall(task, 0)), charlie.submit(tasks.ClaimCall(task, 1)))
    await check_refused(
        network, task,
        (charlie, tasks.ClaimCall(task, 0), "UnitNotOpen"),
        (charlie, submission(task, 0, 2), "NotAssigned"),  # another solver's unit
        (bob, submission(task, 2, 2), "NotAssigned"),  # nobody's unit
        (bob, submission(task, 4, 2), "UnknownUnit"),
        (bob, submission(10**6, 0, 2), "UnknownTask"),
        (bob, submission(task, 0, 2, MACS + 1), "WrongMacs"),
        (bob, submission(task, 0, 2, MACS - 1), "WrongMacs"),
    )  # fmt: skip
    await bob.submit(submission(task, 0, 2))
    await check_refused(
        network, task,
        (bob, submission(task, 0, 2), "DuplicateTranscript"),  # a second submission: the same
        (bob, submission(task, 0, 3), "NotAssigned"),  # and another
        (charlie, submission(task, 1, 2), "DuplicateTranscript"),  # Bob's transcript
    )  # fmt: skip


async def test_a_unit_of_another_epoch_is_refused(network: Network) -> None:
    """Bob's claim timed out; neither his late result nor a transcript that an earlier epoch saw is taken."""
    first, task, later = await asyncio.gather(network.post(4), network.post(5, SHORT), network.post(8))
    await network.bob.submit(tasks.ClaimCall(first, 0))
    await network.bob.submit(submission(first, 0, 6))
    epoch = await network.alice.query(beacon.EPOCH)
    await network.bob.submit(tasks.ClaimCall(task, 0))

    async def is_over() -> bool:
        unit = await network.alice.query(tasks.UNITS, task, 0)
        return unit.attempt > 0 and await network.alice.query(beacon.EPOCH) > epoch

    await until(is_over)
    await network.charlie.submit(tasks.ClaimCall(later, 0))
    await check_refused(
        network, task,
        (network.bob, submission(task, 0, 7), "NotAssigned"),
        (network.charlie, submission(later, 0, 6), "DuplicateTranscript"),
    )  # fmt: skip


async def test_attestations_that_are_refused(network: Network) -> None:
    task = await network.post(8)
    await network.bob.submit(tasks.ClaimCall(task, 3))
    nothing = verification.Attestation(verification.Outcome.INCONCLUSIVE, [])
    await check_refused(
        network, task,
        (network.charlie, verification.CommitCall(task, 3, ROOTS[0]), "NoDuty"),
        (network.charlie, verification.RevealCall(task, 3, nothing, ROOTS[0]), "NoDuty"),
        (network.bob, verification.RevealSolverCall(task, 3, []), "NoDuty"),
    )  # fmt: skip


async def test_a_beacon_reveal_that_does_not_match_is_refused(network: Network) -> None:
    async def commits_are_open() -> bool:
        try:
            await network.bob.submit(beacon.CommitCall(ROOTS[3]))
        except ExtrinsicFailed as failed:
            assert failed.name == "CommitsClosed", failed
            return False
        return True

    await until(commits_are_open)
    with pytest.raises(ExtrinsicFailed, match=r"Beacon\.(AlreadyCommitted|CommitsClosed)"):
        await network.bob.submit(beacon.CommitCall(ROOTS[4]))

    async def reveals_are_open() -> bool:
        with pytest.raises(ExtrinsicFailed) as failed:
            await network.bob.submit(beacon.RevealCall(ROOTS[5]))
        assert failed.value.name in {"RevealsClosed", "WrongSecret"}
        return failed.value.name == "WrongSecret"

    await until(reveals_are_open)
    assert await network.alice.query(beacon.COMMITS, network.bob.wallet.address) == ROOTS[3]
    assert await network.alice.query(beacon.REVEALS, network.bob.wallet.address) is None


async def test_tasks_that_are_refused(network: Network) -> None:
    before = await network.alice.query(tasks.NEXT_TASK_ID)
    changes: list[tuple[dict[str, Any], str]] = [
        ({"price": 0}, "PriceBelowFloor"),
        ({"shards": 0}, "BadShape"),
        ({"macs_per_step": 0}, "BadWork"),
        ({"deadline_blocks": 0}, "BadDeadline"),
    ]
    answers = await asyncio.gather(
        *(network.alice.submit(tasks.PostCall(replace(network.spec(0, LONG), **change))) for change, _ in changes),
        return_exceptions=True,
    )
    assert [getattr(answer, "name", answer) for answer in answers] == [error for _, error in changes]
    assert await network.alice.query(tasks.NEXT_TASK_ID) == before
