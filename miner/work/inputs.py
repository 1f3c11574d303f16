"""Fetching what a job needs from peers: a task's document and inputs, states, transcripts. All verified."""

from __future__ import annotations

import asyncio

from consensus.commit.hashing import Hash32
from consensus.commit.records import SEGMENT_RECORD_BYTES, SegmentRecord

from miner.store.address import Address, Kind
from miner.store.blobs import BlobStore
from miner.store.client import BlobClient
from miner.store.errors import StoreError
from miner.work.errors import TaskSpecError
from miner.work.execution import verify_task_graph
from miner.work.segment import CommittedSegment, compute_expected_start_root
from miner.work.task import (
    MAX_SEGMENTS,
    MAX_SPEC_BYTES,
    MAX_STATE_BYTES,
    BlobRef,
    ChainTask,
    parse_task_spec,
    verify_matches_chain,
)
from miner.work.worker import TaskInputs


def compute_task_label(task: int) -> str:
    """Label of a task's pins; take it off with `BlobStore.unpin` when the task is done."""
    return f"task/{task}"


async def fetch_task(client: BlobClient, store: BlobStore, chain_task: ChainTask, task: int) -> TaskInputs:
    """A task's document, graph and data set, from the store or the submitter's server; pinned under the task.

    Raises `TaskSpecError` when they are not what stands on chain or do not fit each other (`verify_task_graph`),
    `DatasetError`, and the errors of `BlobClient.fetch_into`.
    """
    label = compute_task_label(task)
    address = Address(Kind.BLOB, chain_task.spec_hash)
    await client.fetch_into(store, chain_task.endpoint, address, MAX_SPEC_BYTES, label)
    spec = parse_task_spec(store.get(address))
    verify_matches_chain(spec, chain_task)
    graph = await _fetch_exactly(client, store, chain_task.endpoint, spec.graph, "graph", label)
    dataset = await _fetch_exactly(client, store, chain_task.endpoint, spec.dataset, "dataset", label)
    await asyncio.to_thread(verify_task_graph, spec, graph, dataset)
    return TaskInputs(spec, graph, dataset)


def load_task_inputs(store: BlobStore, spec_hash: Hash32) -> TaskInputs:
    """Inputs of a task that were fetched (and so checked) before; raises `BlobNotFoundError`, `BlobCorruptError`."""
    spec = parse_task_spec(store.get_blob(spec_hash))
    return TaskInputs(spec, store.get_blob(spec.graph.root), store.get_blob(spec.dataset.root))


async def fetch_evaluation(client: BlobClient, store: BlobStore, endpoint: str, inputs: TaskInputs) -> bytes:
    """The held-out data of a task; raises as `fetch_task`."""
    return await _fetch_exactly(client, store, endpoint, inputs.spec.evaluation, "evaluation", None)


async def fetch_state(
    client: BlobClient,
    store: BlobStore,
    endpoints: list[str],
    root: Hash32,
    max_bytes: int,
    pin: str | None = None,
    pending_seconds: float | None = None,
) -> None:
    """Makes sure that the store has a state, trying the endpoints in turn; raises the last one's error.

    `pending_seconds`: patience with a holder that makes the state again, the client's own unless given.
    """
    address = Address(Kind.STATE, root)
    for number, endpoint in enumerate(endpoints, start=1):
        try:
            limit = min(max_bytes, MAX_STATE_BYTES)
            await client.fetch_into(store, endpoint, address, limit, pin, pending_seconds)
            return
        except StoreError:
            if number == len(endpoints):
                raise
    await client.fetch_into(store, "", address, pin=pin)  # no endpoint: only the store itself can have it


async def fetch_transcript(client: BlobClient, store: BlobStore, endpoint: str, root: Hash32) -> list[SegmentRecord]:
    """A solver's segment records under the transcript root on chain; raises the errors of `BlobClient.fetch_into`."""
    await client.fetch_into(store, endpoint, Address(Kind.TRANSCRIPT, root), MAX_SEGMENTS * SEGMENT_RECORD_BYTES)
    return store.get_transcript(root)


async def fetch_segment_start(
    client: BlobClient,
    store: BlobStore,
    endpoint: str,
    committed: CommittedSegment,
    inputs: TaskInputs,
    pending_seconds: float | None = None,
) -> bytes:
    """The safetensors bytes of the state in which a segment had to start; raises the errors of `BlobClient`.

    What a validator cannot fetch here is `Unavailable`. `pending_seconds` as in `fetch_state`.
    """
    root = compute_expected_start_root(committed)
    await fetch_state(
        client, store, [endpoint], root, compute_state_limit(inputs), pending_seconds=pending_seconds
    )
    return store.get(Address(Kind.STATE, root))


def compute_state_limit(inputs: TaskInputs) -> int:
    """Bytes that any state of the task may have: all have the initial one's names, dtypes and shapes."""
    return inputs.spec.initial_state_bytes


async def _fetch_exactly(
    client: BlobClient, store: BlobStore, endpoint: str, reference: BlobRef, field: str, label: str | None
) -> bytes:
    address = Address(Kind.BLOB, reference.root)
    await client.fetch_into(store, endpoint, address, reference.bytes, label)
    data = store.get(address)
    if len(data) != reference.bytes:
        raise TaskSpecError(field, f"the blob has {len(data)} bytes, the document says {reference.bytes}")
    return data
