"""The task document: canonical, bounded, equal to the chain's fields. The data order: keyed by seed and step."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from consensus.commit.hashing import Hash32, blake2_256
from miner.store.tensor_file import encode_tensors
from miner.work.data import load_dataset, make_dataset
from miner.work.errors import DatasetError, TaskSpecError
from miner.work.task import (
    MAX_SEGMENTS,
    MAX_SPEC_BYTES,
    ChainTask,
    DataOrder,
    compute_chain_task,
    parse_task_spec,
    verify_matches_chain,
)
from tests.miner.work.linear import make_arrays, make_inputs

SPEC = make_inputs().spec


def encode(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def changed(**fields: Any) -> bytes:
    return encode({**json.loads(SPEC.encode()), **fields})


def test_round_trip() -> None:
    assert parse_task_spec(SPEC.encode()) == SPEC
    assert SPEC.macs_per_unit == SPEC.macs_per_step * 20
    assert parse_task_spec(changed(segments_per_unit=MAX_SEGMENTS)).segments_per_unit == MAX_SEGMENTS


def replace_any(task: ChainTask, field: str, value: Any) -> ChainTask:
    return dataclasses.replace(task, **{field: value})


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[]", b"\xff", b"{", b"[" * 60_000, b" " * (MAX_SPEC_BYTES + 1), SPEC.encode() + b" ", changed(extra=1),
        encode({k: v for k, v in json.loads(SPEC.encode()).items() if k != "seed"}), changed(version=1),
        changed(kind="infer"), changed(kind=["train"]), changed(model=""), changed(model="x" * 129),
        changed(model="a\nb"), changed(graph={"blob": "11" * 32}),
        changed(graph={"blob": "11" * 32, "bytes": 2**26 + 1}),
        changed(graph_root="AB" * 32), changed(graph_root="11" * 31), changed(seed=7), changed(initial_state_bytes=0),
        changed(order={"rule": "rows", "batch": 0, "length": 0}),
        changed(order={"rule": "rows", "batch": 8, "length": 1}),
        changed(order={"rule": "windows", "batch": 8, "length": 0}),
        changed(order={"rule": "x", "batch": 8, "length": 0}),
        changed(order=None), changed(numerics="tolerant"), changed(rounds=0), changed(rounds=65_535, shards=17),
        changed(segments_per_unit=MAX_SEGMENTS + 1), changed(steps_per_segment=2**10 + 1),
        changed(macs_per_step=2**50 + 1), changed(node_count=0), changed(node_count=2**16 + 1), changed(state_count=0),
        changed(data_root="zz" * 32), changed(data_arrays=0),
        changed(steps_per_segment=True), changed(rounds=1.0),
        changed(macs_per_step=2**50, steps_per_segment=2**10, segments_per_unit=2**10),
        json.dumps(json.loads(SPEC.encode()), sort_keys=True).encode(),
    ],
)  # fmt: skip
def test_invalid_documents(data: bytes) -> None:
    with pytest.raises(TaskSpecError):
        parse_task_spec(data)


def test_chain_fields_field_by_field() -> None:
    task = compute_chain_task(SPEC, 10**12, 100, "http://127.0.0.1:1")
    verify_matches_chain(SPEC, task)
    for field in ("spec_hash", "graph_root", "initial_state_root"):
        with pytest.raises(TaskSpecError, match=field):
            verify_matches_chain(SPEC, replace_any(task, field, Hash32(bytes(32))))
    for field in ("shards", "rounds", "segments_per_unit", "steps_per_segment", "macs_per_step", "node_count",
                  "state_count"):  # fmt: skip
        with pytest.raises(TaskSpecError, match=field):
            verify_matches_chain(SPEC, replace_any(task, field, 9))
    for data in ({"root": Hash32(bytes(32))}, {"arrays": 9}, {"windows": True}):
        with pytest.raises(TaskSpecError, match="data"):
            verify_matches_chain(SPEC, replace_any(task, "data", dataclasses.replace(task.data, **data)))


def test_rows_are_drawn_by_seed_and_step() -> None:
    dataset = make_dataset(make_arrays(), SPEC.order)
    seed = blake2_256(b"seed")
    batch = dataset.batch(seed, 3)
    assert batch["x"].shape == (8, 40) and batch["y"].shape == (8,)
    assert np.array_equal(batch["x"], dataset.batch(seed, 3)["x"])
    assert np.array_equal(batch["x"] @ np.arange(40, dtype=np.float32), batch["y"])
    assert not np.array_equal(batch["x"], dataset.batch(seed, 4)["x"])
    assert not np.array_equal(batch["x"], dataset.batch(blake2_256(b"other"), 3)["x"])


def test_windows_are_shifted_by_one() -> None:
    tokens = np.arange(200, dtype=np.uint8)
    order = DataOrder("windows", 16, 10)
    batch = load_dataset(encode_tensors({"tokens": tokens}), order).batch(blake2_256(b"seed"), 0)
    assert batch["inputs"].shape == (16, 10) and batch["inputs"].dtype == np.int64
    assert np.array_equal(batch["inputs"] + 1, batch["targets"])
    whole = make_dataset({"tokens": tokens[:11]}, order)
    assert whole.rows == 1 and whole.batch(blake2_256(b"seed"), 0)["targets"].max() == 10
    with pytest.raises(DatasetError):
        make_dataset({"tokens": tokens[:10]}, order)


def test_invalid_datasets() -> None:
    x = np.zeros((4, 2), np.float32)
    rows, windows = DataOrder("rows", 2, 0), DataOrder("windows", 2, 1)
    for arrays, order in (
        ({"x": x, "y": x[:3]}, rows), ({}, rows), ({"x": x[:0]}, rows), ({"x": np.array(1.0)}, rows),
        ({"tokens": x}, windows), ({"text": np.zeros(9, np.uint8)}, windows), ({"tokens": x[:, 0]}, windows),
    ):  # fmt: skip
        with pytest.raises(DatasetError):
            make_dataset(arrays, order)
    with pytest.raises(DatasetError):
        load_dataset(b"junk", rows)
