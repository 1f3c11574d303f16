"""Replays golden vectors through the Triton kernels: on a GPU, or in Triton's interpreter with TRITON_INTERPRET=1.

    python -m tests.miner.kernels.triton.replay [--ops OP …] [--shard I --shards N]

Prints JSON: the number of cases replayed and what differs. Each case runs from its inputs as they are, and from inputs
that a transposition brings into order, so that strided loads are met.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from consensus.exact import errors
from consensus.exact.values import with_one_nan
from consensus.graph import Graph, GraphBuilder
from consensus.graph.node import Node
from miner.kernels.triton.program import TritonProgram
from tests.consensus.exact.vectors import FILE, REFUSALS, parse, parse_node

Array = npt.NDArray[Any]
Case = dict[str, Any]
DTYPES = {"float32": "f32", "int64": "i64", "bool": "bool", "uint32": "u32"}


class Unchecked(TritonProgram):
    """A program whose results may be infinite or NaN, as a node's may that is no output."""

    def _raise_first(self, flags: Array) -> None:
        if flags[: -2 * 4].any():
            super()._raise_first(flags)


def make_graph(node: Node, operands: Sequence[Array], turned: bool) -> tuple[Graph, dict[tuple[str, str], Array]]:
    """A graph of one node and its inputs; ``turned``: each lies in memory with its axes reversed."""
    builder, values = GraphBuilder(), []
    inputs: dict[tuple[str, str], Array] = {}
    for place, operand in enumerate(operands):
        kind = {"uint32": "seed"}.get(operand.dtype.name, "step" if node.op == "uniform" else "batch")
        key = (kind, kind if kind != "batch" else f"x{place}")
        turn = turned and operand.ndim > 1
        inputs[key] = np.ascontiguousarray(operand.T) if turn else operand
        value = builder.input(*key, DTYPES[operand.dtype.name], inputs[key].shape)
        values.append(builder.transpose(value, tuple(range(operand.ndim))[::-1]) if turn else value)
    result = builder.add(node.op, *values, attrs=dict(node.attrs), dtype=node.dtype, shape=node.shape)
    builder.output("result", "y", result)
    return builder.finish(), inputs


def make_output_graph(node: Node, value: Array) -> tuple[Graph, dict[tuple[str, str], Array]]:
    """A legal graph with an output of the node's kind and name that is given ``value``."""
    builder = GraphBuilder()
    kind, name = str(node.attrs["kind"]), str(node.attrs["name"])
    inputs = {("batch", "x"): value}
    x, one = builder.input("batch", "x", DTYPES[value.dtype.name], value.shape), builder.f32(1.0)
    builder.output(kind, name, x)
    if kind in ("state", "grad_norm"):
        state = name if kind == "state" else "w"
        inputs[("state", state)] = np.zeros_like(value)
        w = builder.input("state", state, DTYPES[value.dtype.name], value.shape)
        for other, result in (("state", w), ("loss", one), ("grad_norm", one)):
            if other != kind:
                builder.output(other, state if other == "state" else other, result)
    return builder.finish(), inputs


def replay(case: Case, turned: bool) -> str | None:
    """What is wrong with a case, or None."""
    node, operands = parse_node(case), [parse(i) for i in case["inputs"]]
    try:
        if node.op == "output":
            graph, inputs = make_output_graph(node, operands[0])
            found = TritonProgram(graph).run(inputs)[(str(node.attrs["kind"]), str(node.attrs["name"]))]
        else:
            graph, inputs = make_graph(node, operands, turned)
            found = with_one_nan(Unchecked(graph).run(inputs)[("result", "y")])
    except errors.ExactError as error:
        return None if case.get("error") == type(error).__name__ else f"raised {error!r}"
    if "error" in case:
        return "was not refused"
    expected = parse(case["output"])
    if (found.dtype, found.shape) != (expected.dtype, expected.shape):
        return f"is {found.dtype}{found.shape}"
    if found.tobytes() == expected.tobytes():
        return None
    wrong = np.flatnonzero((found != expected).reshape(-1))
    return f"{len(wrong)} of {expected.size} elements differ, the first at {wrong[:1]}"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ops", nargs="+", help="only these")
    parser.add_argument("--shard", type=int, default=0, help="which part of the cases")
    parser.add_argument("--shards", type=int, default=1, help="into how many parts they are divided")
    arguments = parser.parse_args()
    cases = json.loads(FILE.read_text()) + json.loads(REFUSALS.read_text())
    failures, count, seconds = [], 0, {}
    for number, case in enumerate(cases):
        if (arguments.ops and case["op"] not in arguments.ops) or number % arguments.shards != arguments.shard:
            continue
        started = time.perf_counter()
        for turned in (False, True) if any(len(i["shape"]) > 1 for i in case["inputs"]) else (False,):
            count += 1
            try:
                problem = replay(case, turned)
            except Exception as error:  # noqa: BLE001 - every case is replayed, whatever happens to one
                problem = f"crashed: {error!r}"
            if problem is not None:
                failures.append({"case": number, "op": case["op"], "turned": turned, "problem": problem[:300]})
        seconds[case["op"]] = seconds.get(case["op"], 0.0) + time.perf_counter() - started
    print(json.dumps({"cases": count, "failures": failures, "seconds": {k: round(v, 2) for k, v in seconds.items()}}))


if __name__ == "__main__":
    main()
