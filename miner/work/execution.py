"""A task's graph and data against its document: what is refused before a unit is claimed or replayed."""

from __future__ import annotations

import numpy as np
from consensus.commit.hashing import Hash32
from consensus.commit.state import State, compute_state_root
from consensus.commit.tensor import compute_form
from consensus.graph import Graph, GraphError

from miner.kernels.native.hashing import get_hasher
from miner.work.data import load_dataset
from miner.work.errors import TaskSpecError
from miner.work.task import TaskSpec

PROBE_SEED = bytes(32)  # any seed: every batch of a task has the same form


def verify_task_graph(spec: TaskSpec, graph: bytes, dataset: bytes) -> None:
    """Raises `TaskSpecError`, `DatasetError` unless graph, document and data fit each other.

    Checked: the graph is one of ours (`GraphError` becomes `TaskSpecError`) and trains, has the committed root, MACs,
    nodes and tensors of the state, its batch inputs have the names, dtypes and shapes that the data order gives, and
    the data set has the committed root and no NaN: a dispute could not be won in a task where one of them is another.
    Still trusted: that the initial state has the graph's form; the executor refuses it otherwise.
    """
    try:
        parsed = Graph.from_bytes(graph)
    except GraphError as error:
        raise TaskSpecError("graph", str(error)) from error
    if parsed.root().hex() != spec.graph_root:
        raise TaskSpecError("graph_root", "the graph has another root")
    if parsed.macs() != spec.macs_per_step:
        raise TaskSpecError("macs_per_step", f"the graph costs {parsed.macs()}, the document says {spec.macs_per_step}")
    signature = parsed.signature()
    if signature.purpose != "train":
        raise TaskSpecError("graph", f"it is there to {signature.purpose}, not to train")
    _verify_count("node_count", len(parsed.nodes), spec.node_count, "nodes in the graph")
    _verify_count("state_count", len(signature.state), spec.state_count, "state tensors in the graph")
    data = load_dataset(dataset, spec.order)
    _verify_count("data_arrays", len(data.arrays), spec.data_arrays, "arrays in the data set")
    for name, array in data.arrays.items():
        if array.dtype.kind == "f" and np.isnan(array).any():
            raise TaskSpecError("dataset", f"array {name[:64]!r} holds a NaN, which a dispute cannot settle")
    if compute_data_root(data.arrays).hex() != spec.data_root:
        raise TaskSpecError("data_root", "the data set's arrays have another root")
    batch = data.batch(PROBE_SEED, 0)
    given = {name: (form.dtype, form.shape) for name, form in ((n, compute_form(a)) for n, a in batch.items())}
    wanted = {name: (tensor.dtype, tensor.shape) for name, tensor in signature.batch.items()}
    if given != wanted:
        raise TaskSpecError("order", f"batches are {given}, the graph wants {wanted}")


def compute_data_root(arrays: State) -> Hash32:
    """State root of a data set's arrays, against which a dispute opens an element of a batch."""
    return compute_state_root(arrays, get_hasher().compute_tensor_root)


def _verify_count(field: str, found: int, claimed: int, what: str) -> None:
    if found != claimed:
        raise TaskSpecError(field, f"there are {found} {what}, the document says {claimed}")
