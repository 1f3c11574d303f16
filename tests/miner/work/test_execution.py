"""A committed graph on the real executor: from the submitter's document to the validator's replay."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from consensus.commit.hashing import AccountId, Hash32, blake2_256
from consensus.graph import GraphBuilder
from consensus.protocol.units import UnitRef
from miner.store.address import Address, Kind
from miner.store.blobs import BlobStore
from miner.store.tensor_file import encode_tensors
from miner.work.build import build_task
from miner.work.errors import TaskSpecError, WorkerFailedError
from miner.work.execution import compute_data_root, verify_task_graph
from miner.work.segment import CommittedSegment
from miner.work.unit import UnitJob, UnitRunner
from miner.work.worker import TaskInputs, WorkerOptions, WorkerPool
from tests.miner.work.regression import FEATURES, SHAPE, make_parts

SOLVER = AccountId(b"s" * 32)
SEED = blake2_256(b"unit")


def make_inputs(store: BlobStore, rate: float = 0.003) -> TaskInputs:
    spec = build_task(make_parts(rate), SHAPE, store)
    return TaskInputs(spec, store.get_blob(spec.graph.root), store.get_blob(spec.dataset.root))


def start_root(inputs: TaskInputs) -> Hash32:
    return Hash32(bytes.fromhex(inputs.spec.initial_state_root))


async def test_chain_of_two_units_learns_and_replays(tmp_path: Path) -> None:
    with BlobStore(tmp_path / "blobs") as store:
        inputs = make_inputs(store)
        async with WorkerPool(1, WorkerOptions()) as pool:
            first = UnitJob(UnitRef(0, 0, 0), inputs, SEED, SOLVER, start_root(inputs))
            result = await UnitRunner(store, pool).run(first)
            second = UnitJob(UnitRef(0, 2, 0), inputs, blake2_256(b"next"), SOLVER, result.end_state_root)
            later = await UnitRunner(store, pool).run(second)
            assert later.progress.losses[-1] < 0.1 * result.progress.losses[0]
            weight = store.get_state(later.end_state_root)["weight"]
            assert np.abs(weight.ravel() - np.arange(FEATURES)).max() < 3
            committed = CommittedSegment(
                SOLVER, second.unit_seed, 5, later.progress.records, 1, second.start_state_root
            )
            start = store.get(Address(Kind.STATE, later.progress.records[1].start_state_root))
            report = await pool.replay(inputs, committed, start)
            assert report.is_match and report.claim is not None


async def test_diverging_training_ends_the_unit(tmp_path: Path) -> None:
    with BlobStore(tmp_path / "blobs") as store:
        inputs = make_inputs(store, rate=1e20)
        async with WorkerPool() as pool:
            with pytest.raises(WorkerFailedError) as caught:
                await UnitRunner(store, pool).run(UnitJob(UnitRef(0, 0, 0), inputs, SEED, SOLVER, start_root(inputs)))
        assert caught.value.error_type == "NonFiniteState"


async def test_state_of_another_form_is_refused(tmp_path: Path) -> None:
    with BlobStore(tmp_path / "blobs") as store:
        inputs = make_inputs(store)
        wrong = store.put_state({"weight": np.zeros((FEATURES, 2), np.float32)})
        async with WorkerPool() as pool:
            with pytest.raises(WorkerFailedError, match="WrongInput"):
                await UnitRunner(store, pool).run(UnitJob(UnitRef(0, 0, 0), inputs, SEED, SOLVER, wrong))


def test_graph_must_fit_its_document(tmp_path: Path) -> None:
    with BlobStore(tmp_path / "blobs") as store:
        inputs = make_inputs(store)
    spec = inputs.spec
    verify_task_graph(spec, inputs.graph, inputs.dataset)
    larger = dataclasses.replace(spec.order, batch=9)
    arrays = {"x": np.zeros((9, FEATURES), np.float32), "z": np.zeros((9, 1), np.float32)}
    other, other_root = encode_tensors(arrays), compute_data_root(arrays).hex()
    arrays["x"][0, 0] = np.nan
    holed, holed_root = encode_tensors(arrays), compute_data_root(arrays).hex()
    for changed, graph, dataset, field in (
        (spec, b"junk", inputs.dataset, "graph"),
        (spec, inputs.graph + b" ", inputs.dataset, "graph"),
        (dataclasses.replace(spec, graph_root="00" * 32), inputs.graph, inputs.dataset, "graph_root"),
        (dataclasses.replace(spec, macs_per_step=spec.macs_per_step + 1), inputs.graph, inputs.dataset, "macs"),
        (dataclasses.replace(spec, order=larger), inputs.graph, inputs.dataset, "order"),
        (dataclasses.replace(spec, data_root=other_root), inputs.graph, other, "order"),
        (spec, inputs.graph, other, "data_root"),
        (dataclasses.replace(spec, data_root=holed_root), inputs.graph, holed, "NaN"),
        (dataclasses.replace(spec, data_arrays=1), inputs.graph, inputs.dataset, "data_arrays"),
        (dataclasses.replace(spec, node_count=spec.node_count + 1), inputs.graph, inputs.dataset, "node_count"),
        (dataclasses.replace(spec, state_count=2), inputs.graph, inputs.dataset, "state_count"),
    ):  # fmt: skip
        with pytest.raises(TaskSpecError, match=field):
            verify_task_graph(changed, graph, dataset)


def test_a_graph_that_does_not_train_is_no_task(tmp_path: Path) -> None:
    """It has no loss and no gradient norm, which every step's leaf of a history holds."""
    with BlobStore(tmp_path / "blobs") as store:
        inputs = make_inputs(store)
    builder = GraphBuilder()
    builder.output("result", "y", builder.input("batch", "x", "f32", (1,)))
    graph = builder.finish()
    spec = dataclasses.replace(inputs.spec, graph_root=graph.root().hex(), macs_per_step=graph.macs())
    with pytest.raises(TaskSpecError, match="not to train"):
        verify_task_graph(spec, graph.to_bytes(), inputs.dataset)
