"""Where tensors lie in blocks of bytes, and a training state that lives on the device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from consensus.graph.ops import NUMPY_DTYPES

Array = npt.NDArray[Any]
Key = tuple[str, str]
"""(kind, name) of an input or output."""
Form = tuple[str, tuple[int, ...]]
"""Dtype and shape."""

TORCH_DTYPES = {
    "f32": torch.float32, "i64": torch.int64, "bool": torch.int8, "u32": torch.uint32, "i32": torch.int32,
    "i16": torch.int8,
}  # fmt: skip
"""Of a root's buffer; i16 are grid integers, kept as two planes of int8."""
BYTES = {"f32": 4, "i64": 8, "bool": 1, "u32": 4, "i32": 4}
ALIGNMENT = 256
"""Bytes: where a tensor in a block begins."""


@dataclass(frozen=True)
class Slot:
    """Where a tensor lies in a block."""

    offset: int
    dtype: str
    shape: tuple[int, ...]

    @property
    def end(self) -> int:
        """Past its last byte."""
        return self.offset + BYTES[self.dtype] * prod(self.shape)


class Layout:
    """Tensors one after another in a block of bytes, zeros between; f32 ones first, so that one pass checks them."""

    def __init__(self, tensors: Mapping[Key, Form]) -> None:
        self.slots: dict[Key, Slot] = {}
        self.f32_bytes = end = 0
        for key, (dtype, shape) in sorted(tensors.items(), key=lambda item: (item[1][0] != "f32", item[0])):
            self.slots[key] = slot = Slot(end, dtype, shape)
            end = -(-slot.end // ALIGNMENT) * ALIGNMENT
            self.f32_bytes = end if dtype == "f32" else self.f32_bytes
        self.size = end

    def view(self, block: Any, key: Key) -> Any:
        """The tensor of a key in a block on the device."""
        slot = self.slots[key]
        return block[slot.offset : slot.end].view(TORCH_DTYPES[slot.dtype])

    def put(self, host: Array, values: Mapping[Key, Array]) -> None:
        """Copy all tensors into a block on the host."""
        for key, slot in self.slots.items():
            host[slot.offset : slot.end].view(NUMPY_DTYPES[slot.dtype])[...] = np.asarray(values[key]).reshape(-1)

    def get(self, host: Array, key: Key) -> Array:
        """The tensor of a key in a block on the host; read-only, for the device holds the original."""
        slot = self.slots[key]
        found = host[slot.offset : slot.end].view(NUMPY_DTYPES[slot.dtype]).reshape(slot.shape)
        found.flags.writeable = False
        return found


class DeviceState(Mapping[str, Array]):
    """A training state on the device; a tensor that is asked for brings all of them to the host, once.

    It stays valid and unchanged for as long as it is held.
    """

    def __init__(self, layout: Layout, block: Any, passed: Mapping[str, Array]) -> None:
        self._passed = passed
        self.layout = layout
        """Where its tensors lie."""
        self.block = block
        """Bytes on the device."""
        self._host: Array | None = None
        self._views: dict[str, Array] = {}

    @property
    def passed(self) -> Mapping[str, Array]:
        """State that the step does not change: the arrays that were given."""
        return self._passed

    def __iter__(self) -> Iterator[str]:
        return iter(sorted([*(name for _, name in self.layout.slots), *self._passed]))

    def __len__(self) -> int:
        return len(self.layout.slots) + len(self._passed)

    def __getitem__(self, name: str) -> Array:
        if name in self._passed:
            return self._passed[name]
        if name not in self._views:
            if ("state", name) not in self.layout.slots:
                raise KeyError(name)
            if self._host is None:
                self._host = download(self.block)
            self._views[name] = self.layout.get(self._host, ("state", name))
        return self._views[name]


def download(block: Any) -> Array:
    """Bytes of a block on the host, through pinned memory."""
    host = torch.empty(block.shape, dtype=torch.uint8, pin_memory=block.is_cuda)
    host.copy_(block)
    return np.asarray(host.numpy())


