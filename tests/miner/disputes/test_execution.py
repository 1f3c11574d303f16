"""A replayed segment says what the reference says: history, states, trace, values; a liar's lives up to its lie."""

import numpy as np
import pytest

from consensus.commit.hashing import Hash32, blake2_256
from consensus.commit.state import compute_state_commitment
from consensus.commit.tensor import compute_tile_hashes
from consensus.dispute.execution import Execution, StepLeaf
from consensus.exact.random import derive_key
from consensus.graph.reference import compute_value_root, run_nodes
from miner.disputes import execution
from miner.disputes.execution import ReplayedSegment
from miner.kernels import Executor
from miner.models import build_task_graph, initial_state, load_dataset
from miner.work.cheat import HONEST, Cheat, CheatKind
from miner.work.data import make_dataset
from miner.work.segment import STEP_PURPOSE, SegmentJob, execute_segment

MODEL = "digits-mlp-tiny"
SEED, STEPS = blake2_256(b"unit"), 4
JOB = SegmentJob(SEED, 2, STEPS, Hash32(bytes(32)))
GRAPH, DATA = build_task_graph(MODEL), load_dataset(MODEL)
START = initial_state(MODEL, blake2_256(b"weights"))


def replay(cheat: Cheat = HONEST) -> ReplayedSegment:
    return ReplayedSegment(GRAPH, Executor(GRAPH), DATA, JOB, START, cheat)


def test_history_and_states_are_the_executions() -> None:
    replayed: Execution = replay()
    executed = execute_segment(Executor(GRAPH), DATA, START, JOB)
    assert (replayed.steps, replayed.first_step, len(replayed.history())) == (STEPS, 8, STEPS)
    end = compute_state_commitment(executed.end_state)
    assert replayed.history()[-1] == StepLeaf.of(end.root, executed.losses[-1], executed.grad_norms[-1])
    assert tuple(replayed.state(STEPS)) == end.entries
    assert tuple(replayed.state(0)) == compute_state_commitment(START).entries


@pytest.mark.parametrize("kept_bytes", [2**28, 1])
def test_trace_and_values_are_the_references(kept_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "KEPT_STATE_BYTES", kept_bytes)  # 1: every state but the start is made again
    replayed, executor, state = replay(), Executor(GRAPH), START
    for step in range(STEPS):
        number, key = JOB.first_step + step, derive_key(SEED, STEP_PURPOSE)
        inputs = {("state", name): array for name, array in state.items()}
        inputs |= {("batch", name): array for name, array in DATA.batch(SEED, number).items()}
        inputs |= {("step", "step"): np.array(number), ("seed", "seed"): np.array(key, np.uint32)}
        values = run_nodes(GRAPH, inputs)
        assert list(replayed.trace(step)) == [compute_value_root(value) for value in values]
        for index in range(step, len(GRAPH.nodes), STEPS):
            node = GRAPH.nodes[index]
            assert replayed.value(step, index).tobytes() == np.asarray(values[index], order="C").tobytes()
            assert replayed.tiles(step, index) == compute_tile_hashes(np.asarray(values[index]))
            if node.op != "input":
                roots = replayed.evaluation(step, index).roots()
                assert roots == tuple(replayed.trace(step)[i] for i in node.inputs)
        state = executor.step(state, DATA.batch(SEED, number), key, number)[0]


def test_flipped_bit_shows_in_step_node_and_everything_after() -> None:
    honest, lying = replay(), replay(Cheat(CheatKind.OP))
    bent = STEPS // 2
    assert [a == b for a, b in zip(honest.history(), lying.history(), strict=True)] == [True, True, False, False]
    pairs = zip(honest.trace(bent), lying.trace(bent), strict=True)
    flipped = next(index for index, (a, b) in enumerate(pairs) if a != b)
    assert GRAPH.nodes[flipped].op == "matmul"
    assert lying.trace(0) == honest.trace(0)
    wrong = lying.evaluation(bent, flipped)
    assert wrong.roots() == honest.evaluation(bent, flipped).roots() and wrong.output is not None
    assert np.count_nonzero(wrong.output != honest.value(bent, flipped)) == 1
    outputs = [i for i, n in enumerate(GRAPH.nodes) if n.op == "output" and n.attrs["kind"] == "state"]
    assert {lying.trace(bent)[i] for i in outputs} == {entry.root for entry in lying.state(bent + 1)}


def test_wrong_batch_shows_in_its_input_node() -> None:
    honest, lying = replay(), replay(Cheat(CheatKind.DATA))
    pairs = zip(honest.trace(STEPS // 2), lying.trace(STEPS // 2), strict=True)
    node = GRAPH.nodes[next(index for index, (a, b) in enumerate(pairs) if a != b)]
    assert (node.op, node.attrs["kind"]) == ("input", "batch")


def test_unit_that_ends_has_a_short_history_and_trace() -> None:
    rows = {name: array.copy() for name, array in DATA.arrays.items()}
    name = next(name for name, array in rows.items() if array.dtype == np.float32)
    rows[name][:] = np.inf
    replayed = ReplayedSegment(GRAPH, Executor(GRAPH), make_dataset(rows, DATA.order), JOB, START)
    assert list(replayed.history()) == []
    ended = len(replayed.trace(0))
    assert 0 < ended < len(GRAPH.nodes)
    assert replayed.evaluation(0, ended).output is None
