"""A measuring process: `python -m miner.bench.worker OPTIONS`, OPTIONS being a JSON object; answers are JSON lines.

``side`` trace: writes a model's graph, state and batch into ``folder`` and ends. Other sides answer first about their
first step, then each request that comes as a line on stdin, ``["steps", 3]`` or ``["finish"]``. The end of stdin ends
the process.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

from miner.bench.sides import BATCH, GRAPH, STATE, EagerSide, ExactSide, Side
from miner.store.tensor_file import encode_tensors


def trace(name: str, folder: Path) -> dict[str, Any]:
    """Writes what the exact side reads; says what the model and its graph are."""
    from miner.bench.workload import compute_first_state, load_workload, make_batch, trace_workload

    model = load_workload(name)
    started = time.perf_counter()
    graph = trace_workload(model)
    seconds = time.perf_counter() - started
    (folder / GRAPH).write_bytes(graph.to_bytes())
    (folder / STATE).write_bytes(encode_tensors(compute_first_state(model, graph)))
    (folder / BATCH).write_bytes(encode_tensors(make_batch(model)))
    return {
        "parameters": model.parameters(), "nodes": len(graph.nodes), "macs": graph.macs(), "trace_seconds": seconds,
    }  # fmt: skip


def make_side(options: dict[str, Any]) -> Side:
    """The side that was asked for."""
    if options["side"] == "exact":
        return ExactSide(Path(options["folder"]), options["threads"], options["backend"])
    return EagerSide(options["model"], options["threads"], options["side"] == "compiled", options["fused"])


def _answer(document: dict[str, Any]) -> None:
    print(json.dumps(document), flush=True)


def main() -> None:
    """Until stdin ends."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    options = json.loads(sys.argv[1])
    if options["side"] == "trace":
        _answer(trace(options["model"], Path(options["folder"])))
        return
    side = make_side(options)
    _answer(side.first_step())
    for line in sys.stdin:
        request = json.loads(line)
        _answer({"seconds": side.steps(request[1])} if request[0] == "steps" else side.finish())


if __name__ == "__main__":
    main()
