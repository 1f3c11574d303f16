"""Nodes of a graph and their canonical JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Attribute = int | str | tuple[int, ...]
"""What an attribute may hold."""

MAX_INTEGER = 2**53 - 1
"""Largest magnitude of an integer in a graph (= 9,007,199,254,740,991, RFC 8785's). Constants are strings."""
MAX_NAME_BYTES = 256
"""Most bytes of a name's UTF-8, as of a state's tensor names."""

DTYPES = ("f32", "i64", "bool", "u32")
"""Element types: IEEE binary32, 64-bit signed integer, truth value, 32-bit word (the seed; ``uniform`` reads it)."""


@dataclass(frozen=True)
class Node:
    """One operation of a graph."""

    op: str
    """Name of the operation, a key of `consensus.graph.ops.OPS`."""
    inputs: tuple[int, ...]
    """Indices of the nodes read, all smaller than this node's own."""
    dtype: str
    """Element type of the result, one of `DTYPES`."""
    shape: tuple[int, ...]
    """Shape of the result; a scalar has ()."""
    attrs: Mapping[str, Attribute] = field(default_factory=dict)
    """Attributes by name, exactly those that the op documents."""

    def to_json(self) -> dict[str, Any]:
        """The node as JSON values."""
        attrs = {k: list(v) if isinstance(v, tuple) else v for k, v in self.attrs.items()}
        return {"op": self.op, "in": list(self.inputs), "dtype": self.dtype, "shape": list(self.shape), "attrs": attrs}

    def to_bytes(self) -> bytes:
        """Canonical JSON of the node: the leaf of the graph root."""
        return canonical_json(self.to_json())


def canonical_json(value: Any) -> bytes:
    """RFC 8785 (JCS) of objects with ASCII keys, strings, lists and integers of magnitude under 2^53: sorted keys, no
    blanks, UTF-8.

    Python's encoder escapes what the RFC escapes and nothing else; floats, whose form the RFC prescribes, do not occur.
    The caller has checked that strings are Unicode and integers in range (`consensus.graph.graph.validate` does).
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
