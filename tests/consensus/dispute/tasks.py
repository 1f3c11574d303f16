"""Tasks to dispute: small training steps whose tensors have enough tiles for every stage of the game.

``language``: embedding, two products, dropout, softmax, cross-entropy, momentum, by hand; windows of tokens.
Products over 10 parts of K and tensors of 20 and 30 tiles, so that trees of tiles and of partials have several levels.
``vector``: the graph of ``tests/vectors/exact/graph.json`` with its pads, windows and slices; rows of two arrays.
"""

from __future__ import annotations

import json
from functools import cache

import numpy as np

from consensus.dispute.execution import DataSet
from consensus.graph import Graph, GraphBuilder
from tests.consensus.dispute.memory import Task
from tests.consensus.exact.graph_vectors import FILE, make_inputs
from tests.consensus.exact.vectors import indices, small

BATCH, LENGTH, WORDS, WIDTH, HIDDEN, CLASSES = 5, 9, 40, 36, 70, 300
ROWS = BATCH * LENGTH
SHAPES = {"embedding": (WORDS, WIDTH), "first": (WIDTH, HIDDEN), "second": (HIDDEN, CLASSES)}


def make_graph() -> Graph:
    """The training step of ``language``."""
    b = GraphBuilder()
    words, targets = (b.input("batch", name, "i64", (BATCH, LENGTH)) for name in ("inputs", "targets"))
    seed, step = b.input("seed", "seed", "u32", (2,)), b.input("step", "step", "i64", ())
    weights = {name: b.input("state", f"param/{name}", "f32", shape) for name, shape in SHAPES.items()}
    momenta = {name: b.input("state", f"momentum/{name}", "f32", shape) for name, shape in SHAPES.items()}
    counter, zero = b.input("state", "counter", "f32", ()), b.f32(0.0)

    flat = b.reshape(words, (ROWS,))
    embedded = b.add("take_rows", weights["embedding"], flat)
    hidden = b.matmul(embedded, weights["first"])
    keep = b.add("ge", b.add("uniform", seed, step, attrs={"stream": 1}, shape=(ROWS, HIDDEN)), b.f32(0.25))
    active = b.add("and", b.add("gt", hidden, zero), keep)
    hidden = b.add("where", active, b.add("div", hidden, b.f32(0.75)), zero)
    logits = b.matmul(hidden, weights["second"])

    shifted = b.add("sub", logits, b.reduce("amax", logits, (1,)))
    log_share = b.add("sub", shifted, b.add("log", b.reduce("sum", b.add("exp", shifted), (1,))))
    target = b.reshape(targets, (ROWS, 1))
    chosen = b.add("pick", log_share, target)
    loss = b.add("neg", b.add("div", b.reduce("sum", chosen, (0, 1), False), b.f32(ROWS)))

    hit = b.add("cast", b.add("eq", target, b.reshape(b.add("iota", attrs={"n": CLASSES}), (1, CLASSES))), dtype="f32")
    d_logits = b.add("div", b.add("sub", b.add("exp", log_share), hit), b.f32(ROWS))
    gradients = {"second": b.matmul(b.transpose(hidden, (1, 0)), d_logits)}
    d_hidden = b.add("where", active, b.matmul(d_logits, b.transpose(weights["second"], (1, 0))), zero)
    gradients["first"] = b.matmul(b.transpose(embedded, (1, 0)), d_hidden)
    d_embedded = b.matmul(d_hidden, b.transpose(weights["first"], (1, 0)))
    gradients["embedding"] = b.add("add_rows", d_embedded, flat, attrs={"rows": WORDS})

    squares = [b.reduce("sum", b.add("mul", g, g), (0, 1), False) for _, g in sorted(gradients.items())]
    b.output("grad_norm", "grad_norm", b.add("sqrt", b.add("add", b.add("add", squares[0], squares[1]), squares[2])))
    b.output("loss", "loss", loss)
    for name, gradient in gradients.items():
        momentum = b.add("add", b.add("mul", momenta[name], b.f32(0.9)), gradient)
        b.output("state", f"momentum/{name}", momentum)
        b.output("state", f"param/{name}", b.add("sub", weights[name], b.add("mul", momentum, b.f32(0.3))))
    b.output("state", "counter", b.add("add", counter, b.f32(1.0)))
    return b.finish()


@cache
def language(steps: int = 5, scale: float = 0.3) -> Task:
    """Windows of u16 tokens. ``buffer`` is a tensor of the state that the graph does not know."""
    state = {f"param/{n}": small(s, 300 + i, -scale, scale) for i, (n, s) in enumerate(SHAPES.items())}
    state |= {f"momentum/{n}": np.zeros(s, np.float32) for n, s in SHAPES.items()}
    state |= {"counter": np.zeros((), np.float32), "buffer": small((3, 50), 310, -1, 1)}
    tokens = indices((5000,), 311, WORDS).astype(np.uint16)
    return Task(make_graph(), DataSet({"tokens": tokens}, windows=True), state, steps)


@cache
def vector(steps: int = 18) -> Task:
    """Rows of words and targets, in segments of more than 16 steps."""
    graph = Graph.from_bytes(json.loads(FILE.read_text())["graph"].encode())
    state, batch = make_inputs(graph)
    arrays = {name: indices((70, array.shape[1]), 320 + i, 11) for i, (name, array) in enumerate(batch.items())}
    return Task(graph, DataSet(arrays, windows=False), state, steps)
