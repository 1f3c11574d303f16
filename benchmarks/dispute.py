"""What a dispute costs: `python -m benchmarks.dispute [--model gpt2-10m] [--steps 8] [--cheat op]`.

A solver executes one segment of a real training with a lie in it, a challenger executes it honestly, and the two play
the game of docs/disputes.md under the referee, the pallet's twin. Printed are transactions, the largest of them, and
the CPU time of either side beside the segment's own execution. Bars of issue 5: at most 40 transactions, at most
64 KiB, the honest side at most 3 times the segment's execution, settled within 10 s of blocks at 250 ms (one a move).
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import torch

from consensus.commit.hashing import AccountId, Hash32, blake2_256
from consensus.commit.records import SegmentRecord, compute_transcript_root
from consensus.commit.state import compute_state_root
from consensus.dispute.challenger import challenge, open_segment
from consensus.dispute.defender import defend
from consensus.dispute.moves import Move, encode
from consensus.dispute.referee import open_game, play
from consensus.dispute.view import DataRule, GameView, Side, Unit, Verdict
from miner.bench.workload import compute_first_state
from miner.disputes.execution import ReplayedSegment
from miner.kernels import Executor
from miner.models import load_text
from miner.models.benchmarks import BenchmarkModel, build_benchmark
from miner.trace import trace_step
from miner.work.cheat import HONEST, Cheat, parse_cheat
from miner.work.data import Dataset, make_dataset
from miner.work.execution import compute_data_root
from miner.work.segment import Pace, SegmentJob, compute_previous_record, run_segment
from miner.work.task import DataOrder

T = TypeVar("T")
SEED, SOLVER = blake2_256(b"benchmark"), AccountId(blake2_256(b"solver"))
CLOCK = 60
BLOCK_SECONDS = 0.25
MAX_TRANSACTIONS, MAX_BYTES, MAX_RATIO, MAX_SECONDS = 40, 2**16, 3.0, 10.0


@dataclass
class Figures:
    """What one game took."""

    model: str
    steps: int
    nodes: int
    transactions: int = 1
    largest_bytes: int = 0
    stages: list[str] = field(default_factory=list)
    segment_cpu: float = 0.0
    challenger_cpu: float = 0.0
    defender_cpu: float = 0.0
    winner: str = ""
    reason: str = ""
    peak_bytes: int = 0

    @property
    def ratio(self) -> float:
        """The challenger's CPU time by the segment's."""
        return self.challenger_cpu / self.segment_cpu

    @property
    def block_seconds(self) -> float:
        """Seconds of blocks when every move takes one."""
        return self.transactions * BLOCK_SECONDS

    @property
    def passes(self) -> bool:
        """Whether all bars hold and the liar lost."""
        return (
            self.winner == "CHALLENGER" and self.transactions <= MAX_TRANSACTIONS and self.largest_bytes <= MAX_BYTES
            and self.ratio <= MAX_RATIO and self.block_seconds <= MAX_SECONDS
        )  # fmt: skip


def load_data(model: BenchmarkModel) -> Dataset:
    """Text in windows of the model's batch."""
    batch, length = model.batch["inputs"].shape
    return make_dataset(load_text(context=length).train, DataOrder("windows", batch, length))


def measure(name: str, steps: int, cheat: Cheat) -> Figures:
    """One game about the only segment of a unit."""
    model = build_benchmark(name)
    data = load_data(model)
    batch = {key: torch.from_numpy(array) for key, array in data.batch(SEED, 0).items()}
    graph = trace_step(model.module, model.loss, model.optimiser, batch)
    executor, start = Executor(graph, threads=1), compute_first_state(model, graph)
    figures = Figures(name, steps, len(graph.nodes))
    root = compute_state_root(start)
    job = SegmentJob(SEED, 0, steps, compute_previous_record(SEED, [], 0, root))
    run_segment(executor, data, start, SegmentJob(SEED, 0, 1, job.previous_record))  # kernels compiled, memory touched
    figures.segment_cpu = _clock(lambda: run_segment(executor, data, start, job))[1]
    lie = run_segment(executor, data, start, job, Pace(cheat=cheat))
    record = lie.compute_record(SOLVER)
    rule = DataRule(compute_data_root(data.arrays), len(data.arrays), data.order.rule == "windows")
    unit = Unit(
        Hash32(graph.root()), len(graph.nodes), len(start), rule, steps, 1, SEED, root,
        compute_transcript_root([record]), SOLVER,
    )  # fmt: skip
    sides = {
        Side.DEFENDER: ReplayedSegment(graph, executor, data, job, start, cheat),
        Side.CHALLENGER: ReplayedSegment(graph, executor, data, job, start, HONEST),
    }
    _play(unit, record, sides, figures)
    figures.peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return figures


def _play(unit: Unit, record: SegmentRecord, sides: dict[Side, ReplayedSegment], figures: Figures) -> None:
    opening = open_segment(0, 0, [record], 0)
    figures.largest_bytes = len(encode(opening))
    state: GameView | Verdict = open_game(unit, opening, CLOCK, 0)
    while isinstance(state, GameView):
        move, side = _find_move(state, sides, figures)
        figures.transactions += 1
        figures.largest_bytes = max(figures.largest_bytes, len(encode(move)))
        figures.stages.append(type(state.stage).__name__)
        state = play(state, move, side, figures.transactions)
    figures.winner, figures.reason = state.winner.name, state.reason.name


def _find_move(view: GameView, sides: dict[Side, ReplayedSegment], figures: Figures) -> tuple[Move, Side]:
    """The next move and whose it is: the challenger settles where the defender has nothing to say."""
    for side in (view.turn, Side.CHALLENGER):
        player = defend if side is Side.DEFENDER else challenge
        move, seconds = _clock(lambda: player(sides[side], view))  # noqa: B023 - called at once
        if side is Side.DEFENDER:
            figures.defender_cpu += seconds
        else:
            figures.challenger_cpu += seconds
        if move is not None:
            return move, side
    raise RuntimeError(f"nobody has a move in {type(view.stage).__name__}")


def _clock(work: Callable[[], T]) -> tuple[T, float]:
    """Result and CPU seconds."""
    started = time.process_time()
    result = work()
    return result, time.process_time() - started


def main() -> None:
    """Exit code 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="gpt2-10m", help="gpt2-10m, gpt2-30m or llama-15m")
    parser.add_argument("--steps", type=int, default=8, help="steps of the segment (default 8)")
    parser.add_argument("--cheat", default="op", help="op (one flipped bit) or data (one wrong element of a batch)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = measure(options.model, options.steps, parse_cheat(options.cheat))
    if options.json:
        print(json.dumps(vars(figures) | {"ratio": figures.ratio, "passes": figures.passes}, indent=2))
    else:
        print(f"{figures.model}, {figures.steps} steps, {figures.nodes} nodes: {figures.winner} ({figures.reason})")
        print(f"transactions        {figures.transactions} (at most {MAX_TRANSACTIONS})")
        print(f"largest             {figures.largest_bytes:,} bytes (at most {MAX_BYTES:,})")
        print(f"blocks at 250 ms    {figures.block_seconds:.1f} s (at most {MAX_SECONDS:g})")
        print(f"segment             {figures.segment_cpu:.1f} s of CPU")
        print(f"challenger          {figures.challenger_cpu:.1f} s, {figures.ratio:.2f} times (at most {MAX_RATIO:g})")
        print(f"defender            {figures.defender_cpu:.1f} s")
        print(f"peak memory         {figures.peak_bytes / 1e6:,.0f} MB, both sides together")
        print("way                 " + " ".join(figures.stages))
    raise SystemExit(0 if figures.passes else 1)


if __name__ == "__main__":
    main()
