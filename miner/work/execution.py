"""A task's graph against its document: what is refused before a unit is claimed or replayed."""

from __future__ import annotations

from consensus.commit.tensor import compute_form
from consensus.graph import Graph, GraphError

from miner.work.data import load_dataset
from miner.work.errors import TaskSpecError
from miner.work.task import TaskSpec

PROBE_SEED = bytes(32)  # any seed: every batch of a task has the same form


def verify_task_graph(spec: TaskSpec, graph: bytes, dataset: bytes) -> None:
    """Raises `TaskSpecError`, `DatasetError` unless graph, document and data fit each other.

    Checked: the graph is one of ours (`GraphError` becomes `TaskSpecError`), has the committed root and MACs, and its
    batch inputs have the names, dtypes and shapes that the data order gives. Still trusted: that the initial state has
    the graph's form; the executor refuses it otherwise.
    """
    try:
        parsed = Graph.from_bytes(graph)
    except GraphError as error:
        raise TaskSpecError("graph", str(error)) from error
    if parsed.root().hex() != spec.graph_root:
        raise TaskSpecError("graph_root", "the graph has another root")
    if parsed.macs() != spec.macs_per_step:
        raise TaskSpecError("macs_per_step", f"the graph costs {parsed.macs()}, the document says {spec.macs_per_step}")
    batch = load_dataset(dataset, spec.order).batch(PROBE_SEED, 0)
    given = {name: (form.dtype, form.shape) for name, form in ((n, compute_form(a)) for n, a in batch.items())}
    wanted = {name: (tensor.dtype, tensor.shape) for name, tensor in parsed.signature().batch.items()}
    if given != wanted:
        raise TaskSpecError("order", f"batches are {given}, the graph wants {wanted}")
