"""Cheating units played on the real pallets: bonds, claims, draws, attestations, disputes and slashes of the runtime.

A batch of cheaters, each with a bond of its own, hands in units of which k segments are false. Those of the drawn
verifiers that belong to the attacker attest what the solver committed to, the others what is true; whoever differs
opens a game, which a solver that did not execute cannot answer, so that its clock runs out. What states hash to is made
up: no pallet looks behind a root before a game does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from chain.identity import Sr25519Key, sr25519_from_seed
from consensus.commit.hashing import AccountId, Hash32, blake2_256
from consensus.commit.records import (
    Opening,
    SegmentRecord,
    compute_opening,
    compute_transcript_root,
    make_record,
)
from consensus.protocol.attestation import Attestation, Outcome, SegmentClaim
from consensus.protocol.economics import Incentive
from consensus.protocol.units import PPM
from pallets_abi import disputes, stakes, tasks, verification

from miner.lab.duties import commit, open_segments, reveal, to_hex
from miner.lab.ledger import Ledger, load_preset
from miner.roles.disputes import find_first_difference
from miner.roles.forms import to_abi_opening

BATCH = 96
"""Units played side by side: three blocks of draws."""
POPULATION = 120
"""Verifiers of equal stake."""
ENDOWMENT = 10**24
"""Plancks of every account at genesis: bonds are lost again and again."""
SLOTS_PER_EPOCH = 12
CLOCK_BLOCKS = 2
OWNER = "owner"
START = blake2_256(b"lab/start")


@dataclass(frozen=True)
class Tally:
    """How many units were played, how many of them refused, and what their solvers lost of their bonds, plancks."""

    runs: int = 0
    caught: int = 0
    slashed: int = 0
    final: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.runs + other.runs, self.caught + other.caught, self.slashed + other.slashed, self.final + other.final
        )


@dataclass(frozen=True)
class MadeUpExecution:
    """What a solver hands in: the first `cheated` of its segments are false. `unit` and `solver` make it unique.
    `decoy`: place of the false claim in its records."""

    solver: AccountId
    name: bytes
    segments: int
    cheated: int
    decoy: int | None = None

    def witness(self, index: int, is_true: bool) -> Hash32:
        return blake2_256(b"lab/witness", self.name, index.to_bytes(2, "little"), bytes([is_true]))

    def end(self, index: int, is_true: bool) -> Hash32:
        return blake2_256(b"lab/end", self.name, index.to_bytes(2, "little"), bytes([is_true]))

    def is_true(self, index: int) -> bool:
        return index >= self.cheated

    @cached_property
    def records(self) -> tuple[SegmentRecord, ...]:
        ends = [self.end(index, self.is_true(index)) for index in range(self.segments)]
        return tuple(
            make_record(
                self.solver, index, (START if index == 0 else ends[index - 1], ends[index]), (START, START),
                self.witness(index, self.is_true(index)), self.decoy,
            )
            for index in range(self.segments)
        )  # fmt: skip

    def open(self, drawn: list[int]) -> list[Opening]:
        """What the solver shows of the drawn segments."""
        return [compute_opening(self.records, i, self.witness(i, self.is_true(i))) for i in drawn]

    def attest(self, drawn: list[int], is_honest: bool) -> Attestation:
        """What a verifier says of the drawn segments: the truth, or what the solver committed to."""
        truth = [is_honest or self.is_true(index) for index in drawn]
        claims = (SegmentClaim(self.end(i, true), self.witness(i, true)) for i, true in zip(drawn, truth, strict=True))
        return Attestation(Outcome.EXECUTED, tuple(claims))


class CheaterPlay:
    """A chain with cheating solvers and a share of verifiers of theirs; `play` any number of units."""

    def __init__(self, incentive: Incentive, drawn: int, segments: int, cheated: int, seed: int = 1) -> None:
        """`incentive.attacker_share` is the real share; the chain is told none, so that it takes every parameter.

        Raises GenesisRejected where cheating pays even without verifiers of one's own.
        """
        self._incentive, self._segments, self._cheated = incentive, segments, cheated
        self._solvers = [make_key(f"solver {i}", seed) for i in range(BATCH)]
        self._verifiers = [make_key(f"verifier {i}", seed) for i in range(POPULATION)]
        own = round(incentive.attacker_share / PPM * POPULATION)
        self._attackers = {key.address for key in self._verifiers[:own]}
        self._owner = make_key(OWNER, seed)
        self._by_address = {key.address: key for key in (*self._solvers, *self._verifiers)}
        self._ledger = Ledger(self._make_genesis(drawn))
        self._task = 0
        self._bonds: dict[str, int] = {}

    def play(self, runs: int, tell: Callable[[int], None] = lambda _: None) -> Tally:
        """Plays at least one unit; `tell` hears how many are done."""
        tally = Tally()
        while tally.runs < runs:
            tally += self._play_batch(min(BATCH, runs - tally.runs))
            tell(tally.runs)
        return tally

    def _make_genesis(self, drawn: int) -> dict[str, Any]:
        patch = load_preset("test")
        accounts = (self._owner, *self._solvers, *self._verifiers)
        patch["balances"] = {"balances": [[key.address, ENDOWMENT] for key in accounts]}
        money = self._incentive
        patch.setdefault("stakes", {}).update(minSolverBond=money.bond)
        patch.setdefault("tasks", {}).update(macCost=money.mac_cost, maxClaims=1)
        patch["blockRights"]["slotsPerEpoch"] = SLOTS_PER_EPOCH
        patch["disputes"].update(accuseBlocks=SLOTS_PER_EPOCH, clockBlocks=CLOCK_BLOCKS)
        patch["verification"].update(
            challengePpm=money.challenge_ppm, segments=drawn, verifiers=money.verifiers, attackerShare=0,
            commitBlocks=SLOTS_PER_EPOCH, revealBlocks=SLOTS_PER_EPOCH, watchBlocks=1,
        )  # fmt: skip
        return patch

    def _play_batch(self, count: int) -> Tally:
        ledger, first = self._ledger, len(self._ledger.events)
        solvers = self._solvers[:count]
        self._bond(solvers)
        self._post(count)
        works = [self._hand_in(unit, key) for unit, key in enumerate(solvers)]
        self._pass_until_drawn()
        for unit, work in enumerate(works):
            self._verify(unit, work)
        ledger.pass_blocks(1)
        for unit, work in enumerate(works):
            self._accuse(unit, work)
        ledger.pass_blocks(CLOCK_BLOCKS + 4)
        tally = self._count(count, first)
        self._task += 1
        return tally

    def _bond(self, solvers: list[Sr25519Key]) -> None:
        minimum = self._ledger.query(stakes.PARAMS).min_verifier_bond
        wanted = [(key, stakes.Role.SOLVER, self._incentive.bond) for key in solvers]
        wanted += [(key, stakes.Role.VERIFIER, minimum) for key in self._verifiers]
        for key, role, amount in wanted:
            missing = amount - self._ledger.query(stakes.BONDS, role.value, key.address)
            if missing > 0:
                self._ledger.submit(key, stakes.BondCall(role, missing))

    def _post(self, count: int) -> None:
        money, root = self._incentive, to_hex(START)
        self._ledger.submit(self._owner, tasks.PostCall(tasks.TaskSpec(
            spec_hash=root, graph_root=root, initial_state_root=root, shards=count, rounds=1,
            segments_per_unit=self._segments, steps_per_segment=1, macs_per_step=money.macs // self._segments,
            price=money.price, deadline_blocks=SLOTS_PER_EPOCH, endpoint=b"", node_count=1, state_count=1,
            data=tasks.DataRule(root, 1, windows=False),
        )))  # fmt: skip

    def _hand_in(self, unit: int, key: Sr25519Key) -> MadeUpExecution:
        name = b"".join(number.to_bytes(4, "little") for number in (self._task, unit))
        work = MadeUpExecution(AccountId(key.public), name, self._segments, self._cheated)
        self._ledger.submit(key, tasks.ClaimCall(self._task, unit))
        macs = self._incentive.macs // self._segments * self._segments
        root, end = compute_transcript_root(work.records), work.records[-1].end_state_root
        self._ledger.submit(key, verification.SubmitCall(self._task, unit, to_hex(root), to_hex(end), macs))
        return work

    def _pass_until_drawn(self) -> None:
        while True:
            self._ledger.pass_blocks(1)
            first, end = self._ledger.query(verification.DUE_BOUNDS)
            if first == end:
                return

    def _verify(self, unit: int, work: MadeUpExecution) -> None:
        """All that drawn verifiers and solver do about a unit."""
        ledger, task = self._ledger, self._task
        duty = ledger.query(verification.DUTIES, task, unit)
        if duty is None:
            return
        attested = [
            (self._by_address[address], work.attest(duty.segments, address not in self._attackers))
            for address, _ in duty.verifiers
        ]
        for key, attestation in attested:
            commit(ledger, key, (task, unit), attestation)
        for key, attestation in attested:
            reveal(ledger, key, (task, unit), attestation)
        open_segments(ledger, self._solvers[unit], (task, unit), work.open(duty.segments))

    def _accuse(self, unit: int, work: MadeUpExecution) -> None:
        """The first verifier that differs opens its game."""
        case = self._ledger.query(disputes.CASES, self._task, unit)
        if case is None:
            return
        differing = ((who, find_first_difference(mask, case.segments)) for who, mask in case.attesters)
        address, segment = next((who, segment) for who, segment in differing if segment is not None)
        previous = None if segment == 0 else self._open(work, segment - 1)
        call = disputes.OpenCall(self._task, unit, self._open(work, segment), previous)
        self._ledger.submit(self._by_address[address], call)

    def _open(self, work: MadeUpExecution, segment: int) -> disputes.OpenedRecord:
        opening = to_abi_opening(compute_opening(work.records, segment, work.witness(segment, True)))
        return disputes.OpenedRecord(opening.record, opening.proof)

    def _count(self, count: int, first: int) -> Tally:
        events = self._ledger.events[first:]
        refused = [event for event in events if isinstance(event, verification.UnitRefusedEvent)]
        final = [event for event in events if isinstance(event, tasks.UnitFinalEvent)]
        slashed = [
            event for event in events if isinstance(event, stakes.SlashedEvent) and event.role is stakes.Role.SOLVER
        ]
        return Tally(count, len(refused), sum(event.amount for event in slashed), len(final))


def make_key(name: str, seed: int) -> Sr25519Key:
    return sr25519_from_seed(blake2_256(b"lab", name.encode(), seed.to_bytes(8, "little")))
