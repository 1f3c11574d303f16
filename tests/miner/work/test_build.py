"""A built task has all its blobs in the store and passes the checks that a stranger's document passes."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from consensus.commit.hashing import blake2_256
from consensus.commit.state import compute_state_root
from miner.store.blobs import BlobStore
from miner.store.tensor_file import encode_tensors
from miner.work.build import build_task
from miner.work.data import load_dataset
from miner.work.errors import DatasetError, TaskSpecError
from miner.work.task import parse_task_spec
from tests.miner.work.regression import INITIAL, SHAPE, make_parts

PARTS = make_parts()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[BlobStore]:
    with BlobStore(tmp_path / "blobs") as opened:
        yield opened


def test_everything_is_stored_and_pinned(store: BlobStore) -> None:
    spec = build_task(PARTS, SHAPE, store)
    assert parse_task_spec(store.get_blob(spec.spec_hash)) == spec
    assert store.get_blob(spec.graph.root) == PARTS.graph
    assert load_dataset(store.get_blob(spec.dataset.root), spec.order).rows == 200
    assert spec.initial_state_root == compute_state_root(INITIAL).hex()
    assert compute_state_root(store.get_state(compute_state_root(INITIAL))) == compute_state_root(INITIAL)
    assert spec.initial_state_bytes == len(encode_tensors(INITIAL))
    assert spec.macs_per_unit == PARTS.macs_per_step * 20 and (spec.rounds, spec.shards) == (2, 2)
    assert store.unpin("submitted/regression") == 5  # document, graph, state, data, evaluation
    assert build_task(PARTS, SHAPE, store) == spec


def test_unacceptable_parts(store: BlobStore) -> None:
    for parts, shape, error in (
        (dataclasses.replace(PARTS, seed=b"short"), SHAPE, TaskSpecError),
        (dataclasses.replace(PARTS, model=""), SHAPE, TaskSpecError),
        (dataclasses.replace(PARTS, macs_per_step=0), SHAPE, TaskSpecError),
        (dataclasses.replace(PARTS, graph_root=blake2_256(b"other")), SHAPE, TaskSpecError),
        (dataclasses.replace(PARTS, graph=b"junk"), SHAPE, TaskSpecError),
        (PARTS, dataclasses.replace(SHAPE, rounds=0), TaskSpecError),
        (dataclasses.replace(PARTS, dataset={"x": np.zeros(0, np.float32)}), SHAPE, DatasetError),
    ):
        with pytest.raises(error):
            build_task(parts, shape, store)
