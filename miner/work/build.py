"""Making a task: the submitter's graph, first state and data become blobs in the store and one document."""

from __future__ import annotations

from dataclasses import dataclass, field

from consensus.commit.hashing import HASH_BYTES, Hash32
from consensus.commit.state import State
from consensus.commit.tensor import Array
from consensus.graph import Graph, GraphError

from miner.store.blobs import BlobStore
from miner.store.tensor_file import encode_tensors
from miner.work.errors import TaskSpecError
from miner.work.execution import compute_data_root, verify_task_graph
from miner.work.task import VERSION, BlobRef, DataOrder, TaskSpec, parse_task_spec

SUBMITTED_PIN = "submitted"  # prefix of the labels under which a submitter keeps what he serves


@dataclass(frozen=True)
class TaskShape:
    """How a task is cut: `rounds` × `shards` units of `segments_per_unit` × `steps_per_segment` steps."""

    rounds: int
    shards: int
    segments_per_unit: int
    steps_per_segment: int


@dataclass(frozen=True)
class TaskParts:
    """What a task is made of: the traced graph with its root and MACs a step, the state that `seed` gives, the data."""

    model: str
    graph: bytes = field(repr=False)
    graph_root: Hash32
    macs_per_step: int
    seed: bytes
    initial_state: State = field(repr=False)
    dataset: dict[str, Array] = field(repr=False)
    evaluation: dict[str, Array] = field(repr=False)
    order: DataOrder


def build_task(parts: TaskParts, shape: TaskShape, store: BlobStore) -> TaskSpec:
    """Stores a task's blobs, pinned, and returns its document; raises `TaskSpecError`, `DatasetError`, `StoreError`.

    The document passes the same checks as a stranger's, so that nobody posts a task that no miner accepts.
    """
    if len(parts.seed) != HASH_BYTES:
        raise TaskSpecError("seed", "must have 32 bytes")
    dataset, evaluation = encode_tensors(parts.dataset), encode_tensors(parts.evaluation)
    state_bytes = encode_tensors(parts.initial_state)
    label = f"{SUBMITTED_PIN}/{parts.model}"
    spec = TaskSpec(
        version=VERSION,
        kind="train",
        model=parts.model,
        graph=_put(store, parts.graph, label),
        graph_root=parts.graph_root.hex(),
        initial_state_root=store.put_state(parts.initial_state, label).hex(),
        initial_state_bytes=len(state_bytes),
        seed=parts.seed.hex(),
        dataset=_put(store, dataset, label),
        evaluation=_put(store, evaluation, label),
        order=parts.order,
        numerics="exact/v1",
        rounds=shape.rounds,
        shards=shape.shards,
        segments_per_unit=shape.segments_per_unit,
        steps_per_segment=shape.steps_per_segment,
        macs_per_step=parts.macs_per_step,
        node_count=_count_nodes(parts.graph),
        state_count=len(parts.initial_state),
        data_root=compute_data_root(parts.dataset).hex(),
        data_arrays=len(parts.dataset),
    )
    parse_task_spec(spec.encode())
    verify_task_graph(spec, parts.graph, dataset)
    store.put_blob(spec.encode(), label)
    return spec


def _count_nodes(graph: bytes) -> int:
    try:
        return len(Graph.from_bytes(graph).nodes)
    except GraphError as error:
        raise TaskSpecError("graph", str(error)) from error


def _put(store: BlobStore, data: bytes, label: str) -> BlobRef:
    return BlobRef(store.put_blob(data, label).hex(), len(data))
