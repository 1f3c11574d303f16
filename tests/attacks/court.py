"""A chain in memory with the real pallets, one task, a solver, a rival and verifiers, for attacks on the chain itself.

What the parties hand in is made up (`MadeUpExecution`): these attacks never get as far as anybody's arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from chain.identity import Sr25519Key
from consensus.commit.hashing import AccountId, Hash32
from consensus.commit.records import compute_opening, compute_transcript_root
from consensus.protocol.attestation import Attestation
from miner.lab.duties import commit, open_segments, reveal, to_hex
from miner.lab.ledger import Ledger, load_preset
from miner.lab.pallet import START, MadeUpExecution, make_key
from miner.roles.forms import to_abi_opening
from pallets_abi import disputes, stakes, system, tasks, verification
from pallets_abi.base import Event

UNIT = 10**12
OWNER, SOLVER, RIVAL = (make_key(name, 0) for name in ("owner", "solver", "rival"))
VERIFIERS = tuple(make_key(f"verifier {i}", 0) for i in range(3))
EVERYBODY = (OWNER, SOLVER, RIVAL, *VERIFIERS)
SEGMENTS, SHARDS = 4, 8
MACS = 10**9
PRICE = UNIT // 1000
SLOTS_PER_EPOCH = 12
E = TypeVar("E", bound=Event)


class Court:
    """Block by block; every unit is challenged, by one segment and two of the three verifiers."""

    def __init__(self, preset: str = "test", challenge_ppm: int = 1_000_000, rounds: int = 1) -> None:
        patch = load_preset(preset)
        patch["balances"] = {"balances": [[key.address, 10**18] for key in EVERYBODY]}
        patch["verification"]["challengePpm"] = challenge_ppm
        patch["blockRights"]["slotsPerEpoch"] = SLOTS_PER_EPOCH
        self.ledger = Ledger(patch)
        for key in (SOLVER, RIVAL):
            self.ledger.submit(key, stakes.BondCall(stakes.Role.SOLVER, 200 * UNIT))
        for key in VERIFIERS:
            self.ledger.submit(key, stakes.BondCall(stakes.Role.VERIFIER, 100 * UNIT))
        self.post(OWNER, rounds)

    def post(self, owner: Sr25519Key, rounds: int = 1) -> None:
        """Another task."""
        root = to_hex(START)
        self.ledger.submit(owner, tasks.PostCall(tasks.TaskSpec(
            spec_hash=root, graph_root=root, initial_state_root=root, shards=SHARDS, rounds=rounds,
            segments_per_unit=SEGMENTS, steps_per_segment=1, macs_per_step=MACS // SEGMENTS, price=PRICE,
            deadline_blocks=SLOTS_PER_EPOCH, endpoint=b"", node_count=1, state_count=1,
            data=tasks.DataRule(root, 1, windows=False),
        )))  # fmt: skip

    def execute(self, key: Sr25519Key, unit: int, cheated: int = 0, task: int = 0) -> MadeUpExecution:
        """What a solver's execution of a unit gives."""
        return MadeUpExecution(AccountId(key.public), bytes([task, unit]), SEGMENTS, cheated)

    def claim(self, key: Sr25519Key, unit: int, task: int = 0) -> None:
        """Takes a unit."""
        self.ledger.submit(key, tasks.ClaimCall(task, unit))

    def submit(self, key: Sr25519Key, unit: int, work: MadeUpExecution, task: int = 0) -> None:
        """Hands an execution in."""
        root, end = compute_transcript_root(work.records), work.records[-1].end_state_root
        self.ledger.submit(key, verification.SubmitCall(task, unit, to_hex(root), to_hex(end), MACS))

    def hand_in(self, key: Sr25519Key, unit: int, cheated: int = 0, task: int = 0) -> MadeUpExecution:
        """Claims, executes, submits."""
        self.claim(key, unit, task)
        work = self.execute(key, unit, cheated, task)
        self.submit(key, unit, work, task)
        return work

    def pass_until_drawn(self) -> None:
        """Until no unit waits for its draw."""
        self.ledger.pass_blocks(1)
        while len(set(self.ledger.query(verification.DUE_BOUNDS))) > 1:
            self.ledger.pass_blocks(1)

    def duty(self, unit: int, task: int = 0) -> verification.Duty:
        """What was drawn."""
        duty = self.ledger.query(verification.DUTIES, task, unit)
        assert duty is not None
        return duty

    def drawn(self, unit: int, task: int = 0) -> list[Sr25519Key]:
        """The drawn verifiers."""
        addresses = [address for address, _ in self.duty(unit, task).verifiers]
        return [key for address in addresses for key in VERIFIERS if key.address == address]

    def commit(self, key: Sr25519Key, unit: int, attestation: Attestation, task: int = 0) -> None:
        """A verifier commits."""
        commit(self.ledger, key, (task, unit), attestation)

    def reveal(self, key: Sr25519Key, unit: int, attestation: Attestation, task: int = 0) -> None:
        """A verifier reveals."""
        reveal(self.ledger, key, (task, unit), attestation)

    def open_segments(self, key: Sr25519Key, unit: int, work: MadeUpExecution, task: int = 0) -> None:
        """The solver's reveal."""
        open_segments(self.ledger, key, (task, unit), work.open(self.duty(unit, task).segments))

    def verify(
        self, unit: int, work: MadeUpExecution, solver: Sr25519Key, say: Callable[[Sr25519Key], bool], task: int = 0
    ) -> None:
        """All do their duty; `say`: whether a verifier tells the truth."""
        drawn, segments = self.drawn(unit, task), self.duty(unit, task).segments
        for key in drawn:
            self.commit(key, unit, work.attest(segments, say(key)), task)
        for key in drawn:
            self.reveal(key, unit, work.attest(segments, say(key)), task)
        self.open_segments(solver, unit, work, task)

    def open_game(self, key: Sr25519Key, unit: int, work: MadeUpExecution, segment: int) -> int:
        """A challenge; the game's number."""
        number = self.ledger.query(disputes.NEXT_GAME)
        previous = None if segment == 0 else self._record(work, segment - 1)
        self.ledger.submit(key, disputes.OpenCall(0, unit, self._record(work, segment), previous))
        return number

    def _record(self, work: MadeUpExecution, segment: int) -> disputes.OpenedRecord:
        opening = to_abi_opening(compute_opening(work.records, segment, Hash32(bytes(32))))
        return disputes.OpenedRecord(opening.record, opening.proof)

    def find(self, kind: type[E]) -> list[E]:
        """Events of a kind in all closed blocks."""
        return [event for event in self.ledger.events if isinstance(event, kind)]

    def bond(self, role: stakes.Role, key: Sr25519Key) -> int:
        """Active bond, plancks."""
        return self.ledger.query(stakes.BONDS, role.value, key.address)

    def wealth(self, *keys: Sr25519Key) -> int:
        """All that accounts own, free or held, plancks."""
        data = [self.ledger.query(system.ACCOUNT, key.address)["data"] for key in keys]
        return sum(int(entry["free"]) + int(entry["reserved"]) for entry in data)

    def state(self, unit: int, task: int = 0) -> str:
        """Where a unit stands."""
        return self.ledger.query(tasks.UNITS, task, unit).state.name
