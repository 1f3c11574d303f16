"""Tensor roots at the machine's speed: `c/hash.c` by ctypes, so without the GIL; hashlib where no compiler is.

    hasher = get_hasher()
    root = hasher.compute_tensor_root(array)           # equals consensus.commit.tensor.compute_tensor_root
    compute_state_root(state, hasher.compute_tensor_root)

The library is used only after it gave the reference's tile hashes and roots for tensors of awkward shapes.
"""

from __future__ import annotations

import ctypes
import logging
import threading
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from consensus.commit.hashing import HASH_BYTES, Hash32
from consensus.commit.merkle import compute_root_of_hashes
from consensus.commit.tensor import (
    DTYPES,
    Array,
    compute_form,
    compute_tensor_root,
    compute_tensor_root_of_hashes,
    compute_tile_hashes,
)
from miner.kernels.errors import KernelError, SelfTestFailed
from miner.kernels.native.compiler import compile_library

log = logging.getLogger(__name__)

Hashes = np.ndarray[Any, np.dtype[np.uint8]]
"""Hashes in rows of 32 bytes."""

SOURCE = Path(__file__).parent / "c" / "hash.c"
SELF_TEST_SHAPES = ((), (0, 3), (1,), (33,), (31, 32), (32, 32), (65, 97), (3, 2, 33, 64), (9, 32, 32), (40, 5, 3, 3))
"""Scalars, empty, one element over and under a tile, whole tiles, more and fewer tiles than lanes, small last axes."""


class Hasher(Protocol):
    """What computes tile hashes and tensor roots of arrays; safe in several threads at once."""

    backend: str
    """`native` or `hashlib`."""

    def compute_tile_hashes(self, tensor: Array) -> list[Hash32]:
        """Leaf hashes of all tiles in order; raises `TensorFormError`."""

    def compute_tensor_root(self, tensor: Array) -> Hash32:
        """Root of a tensor; raises `TensorFormError`."""

    def compute_hash_array(self, tensor: Array) -> Hashes:
        """Leaf hashes of all tiles in order, (tiles, 32) bytes; raises `TensorFormError`."""

    def compute_root_of_array(self, hashes: Hashes) -> Hash32:
        """Merkle root over at least one leaf hash, (count, 32) bytes."""

    def is_finite(self, tensor: Array) -> bool:
        """Whether a tensor has neither NaN nor infinity (always, for types that cannot)."""


class HashlibHasher:
    """The reference of `consensus.commit`."""

    backend = "hashlib"

    def compute_tile_hashes(self, tensor: Array) -> list[Hash32]:
        """`consensus.commit.tensor.compute_tile_hashes`."""
        return compute_tile_hashes(tensor)

    def compute_tensor_root(self, tensor: Array) -> Hash32:
        """`consensus.commit.tensor.compute_tensor_root`."""
        return compute_tensor_root(tensor)

    def compute_hash_array(self, tensor: Array) -> Hashes:
        """From the list."""
        return np.frombuffer(b"".join(compute_tile_hashes(tensor)), np.uint8).reshape(-1, HASH_BYTES)

    def compute_root_of_array(self, hashes: Hashes) -> Hash32:
        """`consensus.commit.merkle.compute_root_of_hashes`."""
        return compute_root_of_hashes([Hash32(row.tobytes()) for row in hashes])

    def is_finite(self, tensor: Array) -> bool:
        """By NumPy."""
        return tensor.dtype.kind != "f" or bool(np.isfinite(tensor).all())


class NativeHasher:
    """The compiled library; make it by `get_hasher`, which tests it first."""

    backend = "native"

    def __init__(self, library: ctypes.CDLL) -> None:
        pointer, size = ctypes.c_void_p, ctypes.c_uint64
        self._tiles, self._root = library.aipow_tile_hashes, library.aipow_merkle_root
        self._finite = library.aipow_is_finite_f32
        self._tiles.argtypes, self._tiles.restype = [pointer, size, size, size, size, pointer], None
        self._root.argtypes, self._root.restype = [pointer, size], None
        self._finite.argtypes, self._finite.restype = [pointer, size], ctypes.c_int

    def compute_tile_hashes(self, tensor: Array) -> list[Hash32]:
        """Leaf hashes of all tiles in order; raises `TensorFormError`."""
        data = memoryview(self._hash_tiles(tensor).tobytes())
        return [Hash32(bytes(data[start : start + HASH_BYTES])) for start in range(0, len(data), HASH_BYTES)]

    def compute_tensor_root(self, tensor: Array) -> Hash32:
        """Root of a tensor; raises `TensorFormError`."""
        form, hashes = compute_form(tensor), self._hash_tiles(tensor)
        if not form.tile_count:
            return compute_tensor_root_of_hashes(form, [])
        self._root(hashes.ctypes.data, form.tile_count)
        return compute_tensor_root_of_hashes(form, [Hash32(hashes[:HASH_BYTES].tobytes())])

    def compute_hash_array(self, tensor: Array) -> Hashes:
        """Leaf hashes of all tiles in order, (tiles, 32) bytes; raises `TensorFormError`."""
        return self._hash_tiles(tensor).reshape(-1, HASH_BYTES)

    def compute_root_of_array(self, hashes: Hashes) -> Hash32:
        """Merkle root over at least one leaf hash, (count, 32) bytes."""
        overwritten = np.array(hashes, order="C")
        self._root(overwritten.ctypes.data, len(overwritten))
        return Hash32(overwritten[0].tobytes())

    def is_finite(self, tensor: Array) -> bool:
        """f32 by the library, other types by NumPy."""
        if tensor.dtype != np.float32 or not tensor.flags.c_contiguous:
            return tensor.dtype.kind != "f" or bool(np.isfinite(tensor).all())
        return bool(self._finite(tensor.ctypes.data, tensor.size))

    def _hash_tiles(self, tensor: Array) -> np.ndarray[Any, np.dtype[np.uint8]]:
        form = compute_form(tensor)
        hashes = np.empty(form.tile_count * HASH_BYTES, np.uint8)
        if form.tile_count:
            ordered = np.ascontiguousarray(tensor, form.numpy_dtype)
            self._tiles(ordered.ctypes.data, *form.grid, ordered.itemsize, hashes.ctypes.data)
        return hashes


def verify_hasher(hasher: Hasher) -> None:
    """Raises `SelfTestFailed` unless the hasher gives the reference's answers for all dtypes and awkward shapes."""
    random = np.random.default_rng(20)
    for shape in SELF_TEST_SHAPES:
        for name, (_, dtype) in DTYPES.items():
            tensor = np.asarray(random.integers(0, 100, shape)).astype(dtype)
            if hasher.compute_tile_hashes(tensor) != compute_tile_hashes(tensor):
                raise SelfTestFailed(f"tile hashes of {name}{shape}", hasher.backend)
            if hasher.compute_tensor_root(tensor) != compute_tensor_root(tensor):
                raise SelfTestFailed(f"tensor root of {name}{shape}", hasher.backend)
    for value, is_finite in ((1e-45, True), (-3.4028235e38, True), (np.nan, False), (np.inf, False), (-np.inf, False)):
        tensor = np.zeros(1001, np.float32)
        tensor[1000] = value
        if hasher.is_finite(tensor) != is_finite:
            raise SelfTestFailed(f"finiteness of {value}", hasher.backend)


def load_native_hasher() -> NativeHasher:
    """The compiled hasher, tested; raises `KernelError` without a compiler and when the test fails."""
    hasher = NativeHasher(compile_library({SOURCE.name: SOURCE.read_text()}))
    verify_hasher(hasher)
    return hasher


_lock = threading.Lock()
_chosen: list[Hasher] = []


def get_hasher() -> Hasher:
    """The fastest hasher of this machine, chosen once a process: compiling takes a second when the cache is cold."""
    with _lock:
        if not _chosen:
            try:
                _chosen.append(load_native_hasher())
            except (KernelError, OSError) as error:
                log.warning("tensor roots by hashlib, about five times slower: %s", error)
                _chosen.append(HashlibHasher())
        return _chosen[0]
