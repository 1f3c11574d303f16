"""Committing behind the training: the same roots, in order, bounded, with errors that come out."""

from __future__ import annotations

import threading
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consensus.commit.hashing import Hash32, blake2_256
from consensus.commit.state import State, compute_state_root
from consensus.commit.tensor import Array
from consensus.exact.errors import NonFiniteState
from consensus.graph import Graph
from consensus.graph.builder import GraphBuilder
from miner.kernels import Executor
from miner.kernels.native.hashing import HashlibHasher
from miner.store.tensor_file import decode_tensors, encode_tensors
from miner.work import commitment
from miner.work.commitment import MAX_SPOOLED, CheckpointPipeline, Spool, StateCommitter
from miner.work.data import make_dataset
from miner.work.segment import SegmentExecution, SegmentJob, SegmentResult, Training, execute_segment, run_segment
from tests.miner.work.linear import INITIAL, ORDER, SEED, Linear, make_arrays

ZERO = Hash32(bytes(32))


def make_state(step: int = 0) -> dict[str, Any]:
    return {"w": np.full((70, 40), step, np.float32), "frozen": np.ones(100, np.float32), "n": np.array(step)}


def make_execution(index: int, state: dict[str, Any]) -> SegmentExecution:
    return SegmentExecution(index, ZERO, ZERO, blake2_256(bytes([index])), (1.0,), (2.0,), state)


def test_committer_gives_the_reference_roots() -> None:
    committer = StateCommitter()
    for step in range(3):
        state = make_state(step)
        assert committer.commit(state).root == compute_state_root(state)


def test_the_same_array_is_hashed_once() -> None:
    committer, state = StateCommitter(), make_state()
    committer.commit(state)
    before = committer.hashed_bytes
    changed = {**state, "w": state["w"] + 1}
    assert committer.commit(changed).root == compute_state_root(changed)
    assert committer.hashed_bytes - before == changed["w"].nbytes
    swapped = {"w": changed["frozen"], "frozen": changed["w"], "n": changed["n"]}
    assert committer.commit(swapped).root == compute_state_root(swapped)


def test_equal_bytes_in_another_array_are_hashed_again() -> None:
    """Memory may be used again: only the very same living object counts as unchanged."""
    committer = StateCommitter()
    for value in range(20):
        state = {"w": np.full(5000, value, np.float32)}
        assert committer.commit(state).root == compute_state_root(state)
        del state


def test_state_that_is_not_finite_is_refused_and_forgotten() -> None:
    committer, state = StateCommitter(), make_state()
    state["w"][3, 3] = np.inf
    with pytest.raises(NonFiniteState, match="w"):
        committer.commit(state)
    state["w"][3, 3] = 0
    assert committer.commit(state).root == compute_state_root(state)


def test_pipeline_gives_what_one_after_the_other_gives(tmp_path: Path) -> None:
    executor, dataset = Linear(b"0.002"), make_dataset(make_arrays(), ORDER)
    results: list[tuple[SegmentResult, Path | None]] = []
    pipeline = CheckpointPipeline(compute_state_root(INITIAL), Spool(tmp_path), lambda *r: results.append(r), {0, 2})
    state, previous, root, expected = dict(INITIAL), ZERO, compute_state_root(INITIAL), []
    for index in range(3):
        job = SegmentJob(SEED, index, 5, previous)
        expected.append(run_segment(executor, dataset, state, job, start_root=root))
        execution = execute_segment(executor, dataset, state, job)
        pipeline.put(execution)
        state, previous, root = execution.end_state, execution.last_step_record, expected[-1].end_state_root
    pipeline.finish()
    pipeline.close()
    assert len(results) == 3
    for (result, file), wanted in zip(results, expected, strict=True):
        for field in SegmentResult.__dataclass_fields__:
            if field != "end_state":
                assert getattr(result, field) == getattr(wanted, field)
        assert (file is not None) == (result.index != 1)
        if file is not None:
            assert file.read_bytes() == encode_tensors(wanted.end_state)


def test_training_does_not_wait_for_a_commitment_but_for_the_second(tmp_path: Path) -> None:
    gate, begun = threading.Event(), []

    def on_segment(result: SegmentResult, _: Path | None) -> None:
        begun.append(result.index)
        gate.wait(10)

    pipeline = CheckpointPipeline(ZERO, Spool(tmp_path), on_segment)
    pipeline.put(make_execution(0, make_state(0)))
    pipeline.on_step()  # the training goes on: the commitment of segment 0 hangs
    second = threading.Thread(target=pipeline.put, args=(make_execution(1, make_state(1)),))
    second.start()
    second.join(0.2)
    assert second.is_alive() and begun in ([], [0])
    gate.set()
    second.join(10)
    pipeline.finish()
    pipeline.close()
    assert begun == [0, 1]


def test_committed_state_is_free_after_the_next_step(tmp_path: Path) -> None:
    """So that its memory is there for the step after: nothing holds it but the commitment and that one step."""
    training = Training(Linear(b"0.002"), make_dataset(make_arrays(), ORDER), INITIAL)
    pipeline = CheckpointPipeline(compute_state_root(INITIAL), Spool(tmp_path), lambda *_: None)
    execution = training.execute(SegmentJob(SEED, 0, 2, ZERO))
    held = weakref.ref(execution.end_state["weight"])
    pipeline.put(execution)
    previous = execution.last_step_record
    del execution
    pipeline.finish()
    assert held() is not None
    alive: list[bool] = []
    training.execute(SegmentJob(SEED, 1, 2, previous), on_step=lambda *_: alive.append(held() is not None))
    pipeline.close()
    assert alive == [False, False]


class LateHasher(HashlibHasher):
    """Begins only when the training has had every chance to write over what it reads: at its end, or when it waits."""

    def __init__(self) -> None:
        self.is_trained = threading.Event()

    def compute_tensor_root(self, tensor: Array) -> Hash32:
        self.is_trained.wait(0.3)
        return super().compute_tensor_root(tensor)


def make_counting_graph() -> Graph:
    g = GraphBuilder()
    g.output("state", "w", g.add("add", g.input("state", "w", "f32", (5000,)), g.f32(1.0)))
    for kind in ("loss", "grad_norm"):
        g.output(kind, kind, g.reduce("sum", g.input("batch", "x", "f32", (8, 40)), (0, 1), False))
    return g.finish()


@pytest.mark.parametrize("backend", ["native", "numpy"])
def test_no_tensor_is_written_over_while_it_is_committed(
    backend: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not even by a commitment that takes longer than a segment; and none makes the executor take a third buffer."""
    monkeypatch.setattr(commitment, "HELD_BYTES", 0)
    arrays = make_arrays()
    del arrays["y"]
    executor, dataset = Executor(make_counting_graph(), backend), make_dataset(arrays, ORDER)
    start, results, addresses = {"w": np.zeros(5000, np.float32)}, [], set()
    training, hasher = Training(executor, dataset, start), LateHasher()
    pipeline = CheckpointPipeline(
        compute_state_root(start), Spool(tmp_path), lambda *r: results.append((r[0].end_state_root, r[1])), None,
        StateCommitter(hasher),
    )  # fmt: skip

    def on_step(*_: object) -> None:
        addresses.add(training.state["w"].ctypes.data)
        pipeline.on_step()

    for index in range(2):
        pipeline.put(training.execute(SegmentJob(SEED, index, 4, ZERO), on_step=on_step))
    hasher.is_trained.set()
    pipeline.finish()
    pipeline.close()
    for steps, (root, file) in zip((4, 8), results, strict=True):
        wanted = {"w": np.full(5000, steps, np.float32)}
        assert root == compute_state_root(wanted) and file is not None
        assert file.read_bytes() == encode_tensors(wanted)
    assert backend != "native" or len(addresses) == 2


def test_error_of_a_large_commitment_comes_out_of_the_next_step(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(commitment, "HELD_BYTES", 0)
    pipeline = CheckpointPipeline(ZERO, Spool(tmp_path), lambda *_: None)
    pipeline.put(make_execution(0, {"w": np.array([np.nan], np.float32)}))
    with pytest.raises(NonFiniteState):
        pipeline.on_step()
    pipeline.on_step()
    pipeline.close()


def test_error_of_a_commitment_comes_out_of_the_next_call(tmp_path: Path) -> None:
    told: list[int] = []
    pipeline = CheckpointPipeline(ZERO, Spool(tmp_path), lambda result, _: told.append(result.index))
    bad: State = {"w": np.array([np.nan], np.float32)}
    pipeline.put(make_execution(0, make_state()))
    pipeline.put(make_execution(1, dict(bad)))
    with pytest.raises(NonFiniteState):
        for _ in range(1000):
            pipeline.on_step()
            time.sleep(0.01)
    assert told == [0]
    pipeline.put(make_execution(1, dict(bad)))
    with pytest.raises(NonFiniteState):
        pipeline.put(make_execution(2, make_state()))
    pipeline.close()
    assert told == [0] and len(list(tmp_path.iterdir())) == 1


def test_spool_waits_for_the_store(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    paths = [spool.write(make_state(step)) for step in range(MAX_SPOOLED)]
    third = threading.Thread(target=spool.write, args=(make_state(9),))
    third.start()
    third.join(0.2)
    assert third.is_alive() and len(list(tmp_path.iterdir())) == MAX_SPOOLED
    assert decode_tensors(paths[0].read_bytes())["n"] == 0
    paths[0].unlink()
    third.join(10)
    assert not third.is_alive() and len(list(tmp_path.iterdir())) == MAX_SPOOLED
