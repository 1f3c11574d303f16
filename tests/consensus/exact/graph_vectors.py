"""Golden vector of a whole graph, for other implementations: ``tests/vectors/exact/graph.json``.

``{"graph", "root", "macs", "seed", "state", "batch", "steps": [{"step", "loss", "grad_norm", "state_root", "nodes"}],
"new_state"}``: a small language model's training step (embedding, convolution over positions, rotation by sin and cos,
dropout, softmax, cross-entropy, momentum; forward and backward by hand) run three times on one batch. ``graph`` is the
graph's canonical JSON as a string, ``root`` its root, losses and norms are f32 bits, ``state_root`` is the state
commitment after each step, ``nodes`` are the tensor roots of all nodes' values in order (so that a wrong
implementation sees its first wrong node), tensors are as in ``ops.json``, and ``new_state`` is the state after the
last step.

Written by: ``python -m tests.consensus.exact.graph_vectors``
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from consensus.commit.state import compute_state_commitment
from consensus.graph import Graph, GraphBuilder
from consensus.graph.reference import compute_value_root, run_nodes
from tests.consensus.exact.vectors import FOLDER, Array, describe, indices, small

FILE = FOLDER / "graph.json"
BATCH, LENGTH, WIDTH, WORDS, TAPS, STEPS = 3, 6, 8, 11, 3, 3
ROWS = BATCH * LENGTH
SEED = (0x243F6A88, 0x85A308D3)


def _rotate(b: GraphBuilder, value: int, cosine: int, sine: int) -> int:
    """(x, y) → (x·cos − y·sin, y·cos + x·sin) on the two halves of the last axis."""
    half = WIDTH // 2
    x, y = b.slice(value, 1, 0, half), b.slice(value, 1, half, WIDTH)
    left = b.add("sub", b.add("mul", x, cosine), b.add("mul", y, sine))
    right = b.add("add", b.add("mul", y, cosine), b.add("mul", x, sine))
    return b.add("concat", left, right, attrs={"axis": 1})


def make_graph() -> Graph:
    """The training step."""
    b = GraphBuilder()
    words = b.input("batch", "words", "i64", (BATCH, LENGTH))
    targets = b.input("batch", "targets", "i64", (BATCH, LENGTH))
    seed, step = b.input("seed", "seed", "u32", (2,)), b.input("step", "step", "i64", ())
    shapes = {"embedding": (WORDS, WIDTH), "filter": (TAPS * WIDTH, WIDTH), "head": (WIDTH, WORDS)}
    weights = {name: b.input("state", f"param/{name}", "f32", shape) for name, shape in shapes.items()}
    momenta = {name: b.input("state", f"momentum/{name}", "f32", shape) for name, shape in shapes.items()}
    zero, one = b.f32(0.0), b.f32(1.0)

    flat = b.reshape(words, (ROWS,))
    embedded = b.reshape(b.add("take_rows", weights["embedding"], flat), (BATCH, LENGTH, WIDTH))
    sides = {"low": (0, TAPS - 1, 0), "high": (0, 0, 0), "interior": (0, 0, 0)}
    padded = b.add("pad", embedded, zero, attrs=dict(sides))
    window = {"kernel": (TAPS, WIDTH), "stride": (1, 1), "dilation": (1, 1)}
    columns = b.reshape(b.add("windows", padded, attrs=dict(window)), (ROWS, TAPS * WIDTH))
    hidden = b.matmul(columns, weights["filter"])
    active = b.add("gt", hidden, zero)
    hidden = b.add("where", active, hidden, zero)

    places = b.add("cast", b.add("iota", attrs={"n": LENGTH}), dtype="f32")
    angles = b.add("mul", b.reshape(places, (1, LENGTH, 1)), b.expand(b.f32(0.5), (BATCH, LENGTH, WIDTH // 2)))
    angles = b.reshape(angles, (ROWS, WIDTH // 2))
    cosine, sine = b.add("cos", angles), b.add("sin", angles)
    turned = _rotate(b, hidden, cosine, sine)
    keep = b.add("ge", b.add("uniform", seed, step, attrs={"stream": 1}, shape=(ROWS, WIDTH)), b.f32(0.25))
    scale = b.add("where", keep, b.add("div", one, b.f32(0.75)), zero)
    dropped = b.add("mul", turned, scale)
    logits = b.matmul(dropped, weights["head"])

    shifted = b.add("sub", logits, b.reduce("amax", logits, (1,)))
    total = b.reduce("sum", b.add("exp", shifted), (1,))
    log_share = b.add("sub", shifted, b.add("log", total))
    target = b.reshape(targets, (ROWS, 1))
    chosen = b.add("pick", log_share, target)
    loss = b.add("neg", b.add("div", b.reduce("sum", chosen, (0, 1), False), b.f32(ROWS)))

    hit = b.add("cast", b.add("eq", target, b.reshape(b.add("iota", attrs={"n": WORDS}), (1, WORDS))), dtype="f32")
    d_logits = b.add("div", b.add("sub", b.add("exp", log_share), hit), b.f32(ROWS))
    gradients = {"head": b.matmul(b.transpose(dropped, (1, 0)), d_logits)}
    d_turned = b.add("mul", b.matmul(d_logits, b.transpose(weights["head"], (1, 0))), scale)
    d_hidden = b.add("where", active, _rotate(b, d_turned, cosine, b.add("neg", sine)), zero)
    gradients["filter"] = b.matmul(b.transpose(columns, (1, 0)), d_hidden)
    d_columns = b.reshape(b.matmul(d_hidden, b.transpose(weights["filter"], (1, 0))), (BATCH, LENGTH, TAPS, WIDTH))
    d_embedded = zero
    for tap in range(TAPS):  # position p was read by tap TAPS − 1 − s of position p + s
        shift = TAPS - 1 - tap
        part = b.reshape(b.slice(d_columns, 2, tap, tap + 1), (BATCH, LENGTH, WIDTH))
        tail = {"low": (0, 0, 0), "high": (0, shift, 0), "interior": (0, 0, 0)}
        moved = b.add("pad", b.slice(part, 1, shift, LENGTH), zero, attrs=dict(tail))
        d_embedded = b.add("add", d_embedded, moved)
    spread = b.reshape(d_embedded, (ROWS, WIDTH))
    gradients["embedding"] = b.add("add_rows", spread, flat, attrs={"rows": WORDS})

    squares = [b.reduce("sum", b.add("mul", g, g), (0, 1), False) for _, g in sorted(gradients.items())]
    norm = b.add("sqrt", b.add("add", b.add("add", squares[0], squares[1]), squares[2]))
    for name, gradient in gradients.items():
        momentum = b.add("add", b.add("mul", momenta[name], b.f32(0.9)), gradient)
        b.output("state", f"momentum/{name}", momentum)
        b.output("state", f"param/{name}", b.add("sub", weights[name], b.add("mul", momentum, b.f32(0.3))))
    b.output("loss", "loss", loss)
    b.output("grad_norm", "grad_norm", norm)
    return b.finish()


def make_inputs(graph: Graph) -> tuple[dict[str, Array], dict[str, Array]]:
    """State and batch of the first step."""
    state = {}
    for number, (name, spec) in enumerate(graph.signature().state.items()):
        fresh = small(spec.shape, 200 + number, -0.5, 0.5)
        state[name] = fresh if name.startswith("param/") else np.zeros(spec.shape, dtype=np.float32)
    batch = {"words": indices((BATCH, LENGTH), 210, WORDS), "targets": indices((BATCH, LENGTH), 211, WORDS)}
    return state, batch


def bits(value: Array) -> str:
    """An f32 scalar as 8 hex digits."""
    return f"{int(np.asarray(value).view(np.uint32)):08x}"


def make_vector() -> dict[str, Any]:
    """The vector."""
    graph = make_graph()
    state, batch = make_inputs(graph)
    vector: dict[str, Any] = {
        "graph": graph.to_bytes().decode(),
        "root": graph.root().hex(),
        "macs": graph.macs(),
        "seed": list(SEED),
        "state": {name: describe(value) for name, value in state.items()},
        "batch": {name: describe(value) for name, value in batch.items()},
        "steps": [],
    }
    for step in range(STEPS):
        inputs = {("state", name): value for name, value in state.items()}
        inputs |= {("batch", name): value for name, value in batch.items()}
        inputs[("seed", "seed")] = np.array(SEED, dtype=np.uint32)
        inputs[("step", "step")] = np.array(step, dtype=np.int64)
        values = run_nodes(graph, inputs)
        named = zip(graph.nodes, values, strict=True)
        outputs = {(n.attrs["kind"], n.attrs["name"]): np.asarray(v, order="C") for n, v in named if n.op == "output"}
        state = {name: outputs[("state", name)] for name in state}
        record: dict[str, Any] = {"step": step, "state_root": compute_state_commitment(state).root.hex()}
        record |= {kind: bits(outputs[(kind, kind)]) for kind in ("loss", "grad_norm")}
        vector["steps"].append(record | {"nodes": [compute_value_root(value).hex() for value in values]})
    vector["new_state"] = {name: describe(value) for name, value in state.items()}
    return vector


def main() -> None:
    """Write the file."""
    FILE.write_text(json.dumps(make_vector(), indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
