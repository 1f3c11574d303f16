"""What a dispute costs: `python -m benchmarks.dispute [--model gpt2-10m] [--steps 8] [--cheat op]`.

A solver executes one segment of a real training with a lie in it, a verifier executes it honestly, and the two play the
game of docs/disputes.md on the runtime's own pallets, on a chain in memory, one move a block. Printed are transactions,
the largest of them, blocks, the slowest transaction in the runtime's Wasm, and the CPU time of either side beside the
segment's own execution. Bars of issue 5: at most 40 transactions, at most 64 KiB, the honest side at most 3 times the
segment's execution, settled within 10 s of blocks at 250 ms.
"""

from __future__ import annotations

import argparse
import json
import resource
from dataclasses import dataclass

import torch

from consensus.commit.hashing import blake2_256
from consensus.dispute.view import Side
from miner.bench.workload import compute_first_state
from miner.kernels import Executor
from miner.lab.game import GameFigures, LiePlay, Work
from miner.models import load_text
from miner.models.benchmarks import BenchmarkModel, build_benchmark
from miner.trace import trace_step
from miner.work.cheat import Cheat, parse_cheat
from miner.work.data import Dataset, make_dataset
from miner.work.segment import SegmentJob, compute_previous_record, run_segment
from miner.work.task import DataOrder
from pallets_abi.disputes import Side as Winner

SEED = blake2_256(b"benchmark")
BLOCK_SECONDS = 0.25
MAX_TRANSACTIONS, MAX_BYTES, MAX_RATIO, MAX_SECONDS = 40, 2**16, 3.0, 10.0


@dataclass(frozen=True)
class Report:
    """One game in figures."""

    model: str
    steps: int
    nodes: int
    game: GameFigures
    peak_bytes: int

    @property
    def ratio(self) -> float:
        """The challenger's CPU time by the segment's."""
        return self.game.cpu[Side.CHALLENGER] / self.game.segment_cpu

    @property
    def block_seconds(self) -> float:
        """Seconds of blocks from the opening to the verdict."""
        return self.game.blocks * BLOCK_SECONDS

    @property
    def passes(self) -> bool:
        """Whether all bars hold and the liar lost by the chain's own computing."""
        ended = self.game.ended
        return (
            ended is not None and ended.winner is Winner.CHALLENGER and ended.verdict.value == "Refuted"
            and len(self.game.moves) <= MAX_TRANSACTIONS and self.game.largest_bytes <= MAX_BYTES
            and self.ratio <= MAX_RATIO and self.block_seconds <= MAX_SECONDS
        )  # fmt: skip

    def describe(self) -> dict[str, object]:
        """JSON form."""
        game = self.game
        return {
            "model": self.model, "steps": self.steps, "nodes": self.nodes, "transactions": len(game.moves),
            "largest_bytes": game.largest_bytes, "blocks": game.blocks, "block_seconds": self.block_seconds,
            "slowest_transaction_seconds": game.slowest_move_seconds, "segment_cpu": game.segment_cpu,
            "challenger_cpu": game.cpu[Side.CHALLENGER], "defender_cpu": game.cpu[Side.DEFENDER], "ratio": self.ratio,
            "peak_bytes": self.peak_bytes, "moves": game.moves, "passes": self.passes,
            "verdict": "" if game.ended is None else game.ended.verdict.value,
        }  # fmt: skip


def load_data(model: BenchmarkModel) -> Dataset:
    """Text in windows of the model's batch."""
    batch, length = model.batch["inputs"].shape
    return make_dataset(load_text(context=length).train, DataOrder("windows", batch, length))


def measure(name: str, steps: int, cheat: Cheat) -> Report:
    """One game about the only segment of a unit."""
    model = build_benchmark(name)
    data = load_data(model)
    batch = {key: torch.from_numpy(array) for key, array in data.batch(SEED, 0).items()}
    graph = trace_step(model.module, model.loss, model.optimiser, batch)
    executor, start = Executor(graph, threads=1), compute_first_state(model, graph)
    first = SegmentJob(SEED, 0, 1, compute_previous_record(SEED, [], 0, bytes(32)))
    run_segment(executor, data, start, first)  # kernels compiled, memory touched
    game = LiePlay(Work(executor, data, start, steps), cheat).run()
    return Report(name, steps, len(graph.nodes), game, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def main() -> None:
    """Exit code 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="gpt2-10m", help="gpt2-10m, gpt2-30m or llama-15m")
    parser.add_argument("--steps", type=int, default=8, help="steps of the segment (default 8)")
    parser.add_argument("--cheat", default="op", help="op (one flipped bit) or data (one wrong element of a batch)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    report = measure(options.model, options.steps, parse_cheat(options.cheat))
    found = report.describe()
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        game = report.game
        print(f"{report.model}, {report.steps} steps, {report.nodes} nodes: {found['verdict']}")
        print(f"transactions        {len(game.moves)} (at most {MAX_TRANSACTIONS})")
        print(f"largest             {game.largest_bytes:,} bytes (at most {MAX_BYTES:,})")
        print(f"blocks              {game.blocks}: {report.block_seconds:.2f} s at 250 ms (at most {MAX_SECONDS:g})")
        print(f"slowest transaction {game.slowest_move_seconds * 1e3:.0f} ms in the runtime's Wasm, called from Python")
        print(f"segment             {game.segment_cpu:.1f} s of CPU")
        challenger = game.cpu[Side.CHALLENGER]
        print(f"challenger          {challenger:.1f} s, {report.ratio:.2f} times (at most {MAX_RATIO:g})")
        print(f"defender            {game.cpu[Side.DEFENDER]:.1f} s")
        print(f"peak memory         {report.peak_bytes / 1e6:,.0f} MB, both sides and the chain together")
        print("way                 " + " ".join(game.moves))
    raise SystemExit(0 if report.passes else 1)


if __name__ == "__main__":
    main()
