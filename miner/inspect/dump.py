"""A dump: the digests of all node values of one step on one machine, to be compared on another.

Canonical JSON: {"version": "aipow-node-digests/v1", "graph": <root>, "backend", "machine", "step": k,
"digests": [32 hexadecimal digits for each node], "values": {"<node>": <base64 of its bytes>}}.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from consensus.graph import Graph
from consensus.graph.node import canonical_json
from consensus.graph.ops import NUMPY_DTYPES

from miner.inspect.errors import BadDump
from miner.inspect.source import read_bounded

Array = npt.NDArray[Any]

VERSION = "aipow-node-digests/v1"
MAX_DUMP_BYTES = 2**28
"""Largest dump that is read (= 268,435,456)."""
DIGEST_BYTES = 16
"""Bytes of a node's BLAKE2b digest: for finding faults, not for commitments."""


@dataclass(frozen=True)
class Dump:
    """What one machine got."""

    graph_root: str
    """Root of the graph, 64 hexadecimal digits."""
    backend: str
    machine: str
    """Words on the machine, for the reader."""
    step: int
    digests: tuple[str, ...]
    """By node (`compute_digest`)."""
    values: dict[int, bytes] = field(default_factory=dict)
    """Bytes of some nodes' values in row-major order, little-endian."""

    def get_value(self, index: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array | None:
        """A node's value, if the dump holds it; its length was checked by `read_dump`."""
        data = self.values.get(index)
        return None if data is None else np.frombuffer(data, dtype.newbyteorder("<")).reshape(shape)

    def to_bytes(self) -> bytes:
        """The file."""
        return canonical_json({
            "version": VERSION, "graph": self.graph_root, "backend": self.backend, "machine": self.machine,
            "step": self.step, "digests": list(self.digests),
            "values": {str(index): base64.b64encode(data).decode() for index, data in self.values.items()},
        })  # fmt: skip


def compute_digest(value: Array) -> str:
    """Hexadecimal BLAKE2b digest of a tensor's bytes in row-major order."""
    return _digest(value.tobytes())


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).hexdigest()


def read_dump(path: Path, graph: Graph) -> Dump:
    """A dump of this very graph; raises `BadDump`, `FileTooLarge`, OSError."""
    try:
        document = json.loads(read_bounded(path, MAX_DUMP_BYTES))
    except (ValueError, RecursionError) as error:
        raise BadDump(str(path), f"is no dump ({error})") from error
    if not isinstance(document, dict) or document.get("version") != VERSION:
        raise BadDump(str(path), f"is no dump of version {VERSION}")
    texts = dict.fromkeys(("version", "graph", "backend", "machine"), str)
    wanted: dict[str, type] = {**texts, "step": int, "digests": list, "values": dict}
    if set(document) != set(wanted) or any(type(document[name]) is not kind for name, kind in wanted.items()):
        raise BadDump(str(path), f"must have the fields {', '.join(wanted)}")
    if document["graph"] != graph.root().hex():
        raise BadDump(str(path), f"is of the graph with root 0x{document['graph'][:64]}, not of this one")
    digests = document["digests"]
    if len(digests) != len(graph.nodes) or not all(
        isinstance(d, str) and re.fullmatch("[0-9a-f]{32}", d) for d in digests
    ):
        raise BadDump(str(path), f"must have {len(graph.nodes)} digests of 32 hexadecimal digits")
    values = {}
    for name, text in document["values"].items():
        index = _parse_index(path, name, graph)
        values[index] = _parse_value(path, index, text, graph)
        if _digest(values[index]) != digests[index]:
            raise BadDump(str(path), f"the value of node {index} has another digest than the dump says")
    return Dump(
        document["graph"], document["backend"], document["machine"], document["step"], tuple(digests), values
    )


def _parse_index(path: Path, name: str, graph: Graph) -> int:
    if not re.fullmatch("[0-9]{1,6}", name) or int(name) >= len(graph.nodes):
        raise BadDump(str(path), f"value of {name[:20]!r}: there is no such node")
    return int(name)


def _parse_value(path: Path, index: int, text: object, graph: Graph) -> bytes:
    node = graph.nodes[index]
    try:
        data = base64.b64decode(text if isinstance(text, str) else "", validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadDump(str(path), f"the value of node {index} is not base64") from error
    wanted = int(np.prod(node.shape, dtype=np.int64)) * NUMPY_DTYPES[node.dtype].itemsize
    if len(data) != wanted:
        raise BadDump(str(path), f"the value of node {index} has {len(data)} bytes, not {wanted}")
    return data
