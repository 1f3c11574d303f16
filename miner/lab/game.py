"""A dispute about a real training step on the runtime's own pallets: a solver's lie, executed, from claim to verdict.

Solver and verifier execute the one segment of a unit, the one with a lie in it, the other without. Their attestations
differ, the verifier opens a game, and the players of `consensus.dispute` move, one a block, from what storage holds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from chain.identity import Sr25519Key
from consensus.commit.hashing import AccountId, Hash32
from consensus.commit.records import compute_opening, compute_transcript_root
from consensus.commit.state import State, compute_state_root
from consensus.dispute.challenger import challenge, open_segment
from consensus.dispute.defender import defend
from consensus.dispute.view import DataRule, GameView, Side, Unit
from consensus.protocol.attestation import Attestation, Outcome, SegmentClaim
from pallets_abi import disputes, stakes, tasks, verification

from miner.disputes.chain import RawGame, read_view, to_call
from miner.disputes.execution import ReplayedSegment
from miner.kernels import Executor
from miner.lab.duties import commit, open_segments, reveal, to_hex
from miner.lab.ledger import Ledger, load_preset
from miner.lab.pallet import make_key
from miner.roles.link import EncodedCall
from miner.work.cheat import HONEST, Cheat
from miner.work.data import Dataset
from miner.work.execution import compute_data_root
from miner.work.segment import Pace, SegmentJob, SegmentResult, compute_previous_record, run_segment

PALLET = "Disputes"
CLOCK_BLOCKS = 60
ENDOWMENT = 10**30
OWNER, SOLVER, VERIFIER = (make_key(name, 0) for name in ("owner", "solver", "verifier"))
T = TypeVar("T")


class NobodyMoves(Exception):
    """Neither side has a move in a stage of a game."""


@dataclass
class GameFigures:
    """What a game took; `cpu` and `segment_cpu` in seconds of this process."""

    segment_cpu: float
    moves: list[str] = field(default_factory=list)
    """Calls in order, the opening first."""
    largest_bytes: int = 0
    """Of a signed transaction."""
    slowest_move_seconds: float = 0.0
    """Wall time in which the runtime's Wasm executed a transaction here, at most."""
    cpu: dict[Side, float] = field(default_factory=lambda: dict.fromkeys(Side, 0.0))
    ended: disputes.EndedGame | None = None

    @property
    def blocks(self) -> int:
        """From the opening to the end."""
        return 0 if self.ended is None else self.ended.ended - self.ended.opened


@dataclass(frozen=True)
class Work:
    """A unit of one segment: what is executed and how far."""

    executor: Executor
    data: Dataset
    start: State
    steps: int


class LiePlay:
    """One unit with a lie in it. `is_forgetful`: both players forget all they executed before every move, as a daemon
    that was killed does."""

    def __init__(self, work: Work, cheat: Cheat, is_forgetful: bool = False) -> None:
        self._work, self._cheat, self._is_forgetful = work, cheat, is_forgetful
        self._graph = work.executor.graph
        self._sides: dict[Side, ReplayedSegment] = {}
        self.ledger = Ledger(_make_genesis())

    def run(self) -> GameFigures:
        """Claims, executes, verifies, disputes. Raises `CallRefused` where the chain refuses a step, `NobodyMoves`."""
        self._prepare()
        job = self._claim()
        honest, seconds = _clock(lambda: run_segment(self._work.executor, self._work.data, self._work.start, job))
        lie = run_segment(self._work.executor, self._work.data, self._work.start, job, Pace(cheat=self._cheat))
        self._hand_in(lie)
        self._verify(lie, honest)
        figures = GameFigures(seconds)
        self._play(self._make_unit(lie, job), lie, job, figures)
        return figures

    def _prepare(self) -> None:
        ledger, spec = self.ledger, self._make_spec()
        ledger.submit(SOLVER, stakes.BondCall(stakes.Role.SOLVER, ledger.query(stakes.PARAMS).min_solver_bond))
        ledger.submit(VERIFIER, stakes.BondCall(stakes.Role.VERIFIER, ledger.query(stakes.PARAMS).min_verifier_bond))
        ledger.submit(OWNER, tasks.PostCall(spec))

    def _make_spec(self) -> tasks.TaskSpec:
        graph, root = self._graph, to_hex(compute_state_root(self._work.start))
        rule, macs = self._make_rule(), graph.macs()
        floor = -(-self.ledger.query(tasks.PARAMS).floor_price * macs * self._work.steps // 10**6)
        return tasks.TaskSpec(
            spec_hash=root, graph_root=to_hex(graph.root()), initial_state_root=root, shards=1, rounds=1,
            segments_per_unit=1, steps_per_segment=self._work.steps, macs_per_step=macs, price=floor,
            deadline_blocks=12, endpoint=b"", node_count=len(graph.nodes), state_count=len(self._work.start),
            data=tasks.DataRule(to_hex(rule.root), rule.arrays, windows=rule.windows),
        )  # fmt: skip

    def _make_rule(self) -> DataRule:
        data = self._work.data
        return DataRule(compute_data_root(data.arrays), len(data.arrays), data.order.rule == "windows")

    def _claim(self) -> SegmentJob:
        self.ledger.submit(SOLVER, tasks.ClaimCall(0, 0))
        seed = Hash32(bytes.fromhex(self.ledger.query(tasks.UNITS, 0, 0).state.args[0].seed[2:]))
        previous = compute_previous_record(seed, [], 0, compute_state_root(self._work.start))
        return SegmentJob(seed, 0, self._work.steps, previous)

    def _hand_in(self, lie: SegmentResult) -> None:
        record = lie.compute_record(AccountId(SOLVER.public))
        root = compute_transcript_root([record])
        macs = self._graph.macs() * self._work.steps
        self.ledger.submit(
            SOLVER, verification.SubmitCall(0, 0, to_hex(root), to_hex(record.end_state_root), macs)
        )
        while self.ledger.query(verification.DUTIES, 0, 0) is None:
            self.ledger.pass_blocks(1)

    def _verify(self, lie: SegmentResult, honest: SegmentResult) -> None:
        found = honest.compute_record(AccountId(VERIFIER.public))
        attestation = Attestation(Outcome.EXECUTED, (SegmentClaim(found.end_state_root, honest.witness),))
        commit(self.ledger, VERIFIER, (0, 0), attestation)
        reveal(self.ledger, VERIFIER, (0, 0), attestation)
        opening = compute_opening([lie.compute_record(AccountId(SOLVER.public))], 0, lie.witness)
        open_segments(self.ledger, SOLVER, (0, 0), [opening])
        self.ledger.pass_blocks(1)

    def _make_unit(self, lie: SegmentResult, job: SegmentJob) -> Unit:
        solver = AccountId(SOLVER.public)
        return Unit(
            Hash32(self._graph.root()), len(self._graph.nodes), len(self._work.start), self._make_rule(),
            self._work.steps, 1, job.unit_seed, compute_state_root(self._work.start),
            compute_transcript_root([lie.compute_record(solver)]), solver,
        )  # fmt: skip

    def _play(self, unit: Unit, lie: SegmentResult, job: SegmentJob, figures: GameFigures) -> None:
        opening = open_segment(0, 0, [lie.compute_record(AccountId(SOLVER.public))], 0)
        self._send(VERIFIER, to_call(opening).function, to_call(opening).arguments, figures)
        while (view := self._read_view(unit)) is not None:
            key, function, arguments = self._find_move(view, job, figures)
            self._send(key, function, arguments, figures)
        figures.ended = self.ledger.query(disputes.ENDED, 0)
        self.ledger.pass_blocks(1)  # the unit's fate is decided at the start of the next block

    def _send(self, key: Sr25519Key, function: str, arguments: bytes, figures: GameFigures) -> None:
        began = time.perf_counter()
        size = self.ledger.submit(key, EncodedCall(PALLET, function, arguments))
        figures.slowest_move_seconds = max(figures.slowest_move_seconds, time.perf_counter() - began)
        figures.largest_bytes = max(figures.largest_bytes, size)
        figures.moves.append(function)
        self.ledger.pass_blocks(1)

    def _read_view(self, unit: Unit) -> GameView | None:
        parts = [self.ledger.query_raw(PALLET, item, 0) or b"" for item in ("Games", "Nodes", "Claims", "Tiles")]
        return read_view(RawGame(*parts), unit) if parts[0] else None

    def _find_move(self, view: GameView, job: SegmentJob, figures: GameFigures) -> tuple[Sr25519Key, str, bytes]:
        """The next move and whose it is: the challenger settles where the defender has nothing to say."""
        if self._is_forgetful:
            self._sides.clear()
        for side in (view.turn, Side.CHALLENGER):
            player = defend if side is Side.DEFENDER else challenge
            execution = self._sides.get(side) or self._execute(side, job)
            self._sides[side] = execution
            move, seconds = _clock(lambda: player(execution, view))  # noqa: B023 - called at once
            figures.cpu[side] += seconds
            if move is not None:
                call = to_call(move, 0)
                return SOLVER if side is Side.DEFENDER else VERIFIER, call.function, call.arguments
        raise NobodyMoves(type(view.stage).__name__)

    def _execute(self, side: Side, job: SegmentJob) -> ReplayedSegment:
        work, cheat = self._work, self._cheat if side is Side.DEFENDER else HONEST
        return ReplayedSegment(self._graph, work.executor, work.data, job, work.start, cheat)


def _make_genesis() -> dict[str, object]:
    patch = load_preset("test")
    patch["balances"] = {"balances": [[key.address, ENDOWMENT] for key in (OWNER, SOLVER, VERIFIER)]}
    patch["verification"].update(challengePpm=1_000_000, verifiers=1)
    patch["disputes"].update(clockBlocks=CLOCK_BLOCKS)
    return patch


def _clock(work: Callable[[], T]) -> tuple[T, float]:
    """Result and CPU seconds."""
    started = time.process_time()
    result = work()
    return result, time.process_time() - started
