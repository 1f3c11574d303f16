"""A small real training task for the worker's tests: linear regression by gradient descent in exact f32 steps.

Every sum runs in a fixed order, so that it is exact in the protocol's sense without the graph executor.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np

from consensus.commit.hashing import AccountId, Hash32, blake2_256
from consensus.commit.state import State, compute_state_root
from consensus.protocol.units import UnitRef
from miner.store.blobs import BlobStore
from miner.store.files import FILE_BYTES
from miner.store.tensor_file import encode_tensors
from miner.work.execution import compute_data_root
from miner.work.segment import Pace
from miner.work.task import VERSION, BlobRef, DataOrder, TaskSpec
from miner.work.unit import UnitJob
from miner.work.worker import TaskInputs

FACTORY = "tests.miner.work.linear:load"
SOLVER = AccountId(b"s" * 32)
SEED = blake2_256(b"unit seed")
FULL_SPEED = Pace()
ORDER = DataOrder("rows", 8, 0)
INITIAL: State = {"weight": np.zeros(40, np.float32), "step": np.array(0, np.int64)}


class Linear:
    """Graph bytes: ASCII learning rate, then optional words `crash=STEP` and `nan=STEP`."""

    def __init__(self, graph: bytes) -> None:
        words = graph.decode().split()
        self.rate = np.float32(words[0])
        self.options = dict(word.split("=") for word in words[1:])

    def step(
        self, state: State, batch: State, seed: tuple[int, int], step: int
    ) -> tuple[dict[str, Any], np.float32, np.float32]:
        count = int(state["step"])
        if self.options.get("crash") == str(count):
            os.kill(os.getpid(), signal.SIGKILL)
        rate = np.float32("nan") if self.options.get("nan") == str(count) else self.rate
        gradient = np.zeros(40, np.float32)
        loss = np.float32(0)
        for row, target in zip(batch["x"], batch["y"], strict=True):
            error = np.float32(ordered_sum(row * state["weight"]) - target)
            gradient = gradient + error * row
            loss = np.float32(loss + error * error)
        weight = state["weight"] - rate * gradient
        norm = np.sqrt(ordered_sum(gradient * gradient))
        return {"weight": weight, "step": np.array(count + 1, np.int64)}, loss, np.float32(norm)


def ordered_sum(values: np.ndarray[Any, Any]) -> np.float32:
    """Left to right, one rounding each."""
    total = np.float32(0)
    for value in values:
        total = np.float32(total + value)
    return total


def load(graph: bytes) -> Linear:
    return Linear(graph)


def make_arrays() -> dict[str, Any]:
    x = np.random.default_rng(5).integers(-4, 5, (64, 40)).astype(np.float32)
    return {"x": x, "y": (x @ np.arange(40, dtype=np.float32)).astype(np.float32)}


def make_inputs(graph: bytes = b"0.002", segments: int = 4, steps: int = 5) -> TaskInputs:
    dataset = encode_tensors(make_arrays())
    spec = TaskSpec(
        VERSION, "train", "linear", BlobRef(blake2_256(graph).hex(), len(graph)), "11" * 32,
        compute_state_root(INITIAL).hex(), len(encode_tensors(INITIAL)), "00" * 32,
        BlobRef(blake2_256(dataset).hex(), len(dataset)), BlobRef(blake2_256(dataset).hex(), len(dataset)), ORDER,
        "exact/v1", 2, 3, segments, steps, 8 * 40 * 2, 1, len(INITIAL), compute_data_root(make_arrays()).hex(), 2,
    )  # fmt: skip
    return TaskInputs(spec, graph, dataset)


def make_job(store: BlobStore, inputs: TaskInputs, pace: Pace = FULL_SPEED, seed: Hash32 = SEED) -> UnitJob:
    return UnitJob(UnitRef(1, 2, 0), inputs, seed, SOLVER, store.put_state(INITIAL), pace)


def make_store(path: Path, file_bytes: int = FILE_BYTES) -> BlobStore:
    return BlobStore(path / "blobs", file_bytes=file_bytes)
