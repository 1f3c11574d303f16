"""The task document: canonical JSON under its hash, from which miner and validator rebuild everything (DESIGN §4).

Canonical means: keys sorted, no spaces, ASCII; whoever parses it re-encodes it and compares. Every number is bounded
before anything is fetched or allocated.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from consensus.commit.hashing import HASH_BYTES, Hash32, blake2_256
from consensus.dispute.view import DataRule

from miner.work.errors import TaskSpecError

VERSION = 2
KINDS = ("train",)
NUMERICS = ("exact/v1",)
ORDER_RULES = ("rows", "windows")
MAX_SPEC_BYTES = 2**16  # (= 65,536)
MAX_GRAPH_BYTES = 2**26  # (= 67,108,864)
MAX_NODES = 2**16  # (= 65,536) of a graph, and tensors of a state: each has nodes of its own
MAX_ARRAYS = 2**16  # of a data set
MAX_STATE_BYTES = 2**31  # (= 2,147,483,648)
MAX_DATASET_BYTES = 2**31
MAX_SEGMENTS = 2**10  # (= 1,024) a unit
MAX_STEPS = 2**10  # (= 1,024) a segment, so that a dispute can post them all
MAX_UNITS = 2**20  # rounds × shards
MAX_BATCH = 2**16
MAX_MACS_PER_STEP = 2**50  # so that a unit's MACs fit u64 after the check below
MAX_TEXT = 128


@dataclass(frozen=True)
class BlobRef:
    """A blob by hash (64 hex digits) and exact size in bytes."""

    blob: str
    bytes: int

    @property
    def root(self) -> Hash32:
        """The hash as bytes."""
        return Hash32(bytes.fromhex(self.blob))


@dataclass(frozen=True)
class DataOrder:
    """How step k's batch comes out of the data set: `rows` picks `batch` rows of every array; `windows` picks `batch`
    windows of `length` + 1 tokens of the array `tokens` and gives `inputs` and `targets` shifted by one."""

    rule: str
    batch: int
    length: int


@dataclass(frozen=True)
class TaskSpec:
    """Everything about a task that is not money; hashes are 64 hex digits.

    `initial_state` is a safetensors state under its state root (`initial_state_root`), made from `seed`;
    `dataset` and `evaluation` are safetensors blobs of named arrays, the second held out. The last four are what a
    dispute opens things against (docs/disputes.md): nodes of the graph, tensors of a state, root and number of the data
    set's arrays.
    """

    version: int
    kind: str
    model: str
    graph: BlobRef
    graph_root: str
    initial_state_root: str
    initial_state_bytes: int
    seed: str
    dataset: BlobRef
    evaluation: BlobRef
    order: DataOrder
    numerics: str
    rounds: int
    shards: int
    segments_per_unit: int
    steps_per_segment: int
    macs_per_step: int
    node_count: int
    state_count: int
    data_root: str
    data_arrays: int

    def encode(self) -> bytes:
        """Canonical JSON."""
        return _encode_canonical(asdict(self))

    @property
    def spec_hash(self) -> Hash32:
        """Hash of the document: its address in the blob store and its name on chain."""
        return blake2_256(self.encode())

    @property
    def data(self) -> DataRule:
        """How the chain knows batches."""
        return DataRule(Hash32(bytes.fromhex(self.data_root)), self.data_arrays, self.order.rule == "windows")

    @property
    def steps_per_unit(self) -> int:
        """Steps of one unit."""
        return self.segments_per_unit * self.steps_per_segment

    @property
    def macs_per_unit(self) -> int:
        """What `submit` must claim."""
        return self.steps_per_unit * self.macs_per_step


@dataclass(frozen=True)
class ChainTask:
    """The fields of `Tasks.post` (pallet's `TaskSpec`); `price` in plancks a unit, `endpoint` of the submitter."""

    spec_hash: Hash32
    graph_root: Hash32
    initial_state_root: Hash32
    shards: int
    rounds: int
    segments_per_unit: int
    steps_per_segment: int
    macs_per_step: int
    price: int
    deadline_blocks: int
    endpoint: str
    node_count: int
    state_count: int
    data: DataRule


def compute_chain_task(spec: TaskSpec, price: int, deadline_blocks: int, endpoint: str) -> ChainTask:
    """What the submitter posts for a document."""
    return ChainTask(
        spec.spec_hash, Hash32(bytes.fromhex(spec.graph_root)), Hash32(bytes.fromhex(spec.initial_state_root)),
        spec.shards, spec.rounds, spec.segments_per_unit, spec.steps_per_segment, spec.macs_per_step,
        price, deadline_blocks, endpoint, spec.node_count, spec.state_count, spec.data,
    )  # fmt: skip


def parse_task_spec(data: bytes) -> TaskSpec:
    """The document's content; raises `TaskSpecError` naming the first field that is malformed or out of bounds."""
    if len(data) > MAX_SPEC_BYTES:
        raise TaskSpecError("document", f"{len(data)} bytes are above {MAX_SPEC_BYTES}")
    try:
        document = json.loads(data.decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise TaskSpecError("document", f"not JSON ({type(error).__name__})") from error
    fields = _take(document, "document", TaskSpec)
    spec = TaskSpec(
        version=_integer(fields, "version", VERSION, VERSION),
        kind=_one_of(fields, "kind", KINDS),
        model=_text(fields, "model"),
        graph=_blob_ref(fields, "graph", MAX_GRAPH_BYTES),
        graph_root=_hash(fields, "graph_root"),
        initial_state_root=_hash(fields, "initial_state_root"),
        initial_state_bytes=_integer(fields, "initial_state_bytes", 1, MAX_STATE_BYTES),
        seed=_hash(fields, "seed"),
        dataset=_blob_ref(fields, "dataset", MAX_DATASET_BYTES),
        evaluation=_blob_ref(fields, "evaluation", MAX_DATASET_BYTES),
        order=_order(fields),
        numerics=_one_of(fields, "numerics", NUMERICS),
        rounds=_integer(fields, "rounds", 1, 2**16 - 1),
        shards=_integer(fields, "shards", 1, 2**16 - 1),
        segments_per_unit=_integer(fields, "segments_per_unit", 1, MAX_SEGMENTS),
        steps_per_segment=_integer(fields, "steps_per_segment", 1, MAX_STEPS),
        macs_per_step=_integer(fields, "macs_per_step", 1, MAX_MACS_PER_STEP),
        node_count=_integer(fields, "node_count", 1, MAX_NODES),
        state_count=_integer(fields, "state_count", 1, MAX_NODES),
        data_root=_hash(fields, "data_root"),
        data_arrays=_integer(fields, "data_arrays", 1, MAX_ARRAYS),
    )
    if spec.rounds * spec.shards > MAX_UNITS:
        raise TaskSpecError("rounds", f"{spec.rounds * spec.shards} units are above {MAX_UNITS}")
    if spec.macs_per_unit >= 2**64:
        raise TaskSpecError("macs_per_step", "a unit's MACs do not fit u64")
    if spec.encode() != data:
        raise TaskSpecError("document", "not in canonical form (sorted keys, no spaces, ASCII)")
    return spec


def verify_matches_chain(spec: TaskSpec, task: ChainTask) -> None:
    """Raises `TaskSpecError` unless the document is the one on chain and says the same as the chain's own fields.

    Still trusted: that graph, state and data behind the hashes are what the model's name suggests.
    """
    expected = compute_chain_task(spec, task.price, task.deadline_blocks, task.endpoint)
    for field in ChainTask.__dataclass_fields__:
        if getattr(expected, field) != getattr(task, field):
            raise TaskSpecError(field, f"the document gives {getattr(expected, field)!r}, the chain another value")


def _encode_canonical(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def _take(value: object, field: str, form: type) -> dict[str, Any]:
    names = set(form.__dataclass_fields__)  # type: ignore[attr-defined]
    if not isinstance(value, dict) or set(value) != names:
        raise TaskSpecError(field, f"must be an object with exactly {', '.join(sorted(names))}")
    return value


def _integer(fields: dict[str, Any], name: str, low: int, high: int) -> int:
    value = fields[name]
    if type(value) is not int or not low <= value <= high:
        raise TaskSpecError(name, f"must be an integer from {low} to {high}")
    return value


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields[name]
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT or not value.isprintable():
        raise TaskSpecError(name, f"must be 1 to {MAX_TEXT} printable characters")
    return value


def _one_of(fields: dict[str, Any], name: str, allowed: tuple[str, ...]) -> str:
    value = fields[name]
    if not isinstance(value, str) or value not in allowed:
        raise TaskSpecError(name, f"must be one of {', '.join(allowed)}")
    return value


def _hash(fields: dict[str, Any], name: str) -> str:
    value = fields[name]
    if not isinstance(value, str) or len(value) != 2 * HASH_BYTES or set(value) - set("0123456789abcdef"):
        raise TaskSpecError(name, "must be 64 lower-case hex digits")
    return value


def _blob_ref(fields: dict[str, Any], name: str, max_bytes: int) -> BlobRef:
    inner = _take(fields[name], name, BlobRef)
    return BlobRef(_hash(inner, "blob"), _integer(inner, "bytes", 1, max_bytes))


def _order(fields: dict[str, Any]) -> DataOrder:
    inner = _take(fields["order"], "order", DataOrder)
    rule = _one_of(inner, "rule", ORDER_RULES)
    length = _integer(inner, "length", 1 if rule == "windows" else 0, MAX_BATCH if rule == "windows" else 0)
    return DataOrder(rule, _integer(inner, "batch", 1, MAX_BATCH), length)
