"""Tensor roots: a Merkle root over 32×32 tiles, topped with dtype and shape. A tile is the unit of opening (DESIGN §3).

The tensor is seen as [batch…, rows, columns]: rank 1 is one row, rank 0 one row of one column. While it has more than
two axes and the last two hold at most 32 elements together, they count as one: kernels of 3×3 would fill 9 places of a
tile each, and [64, 32, 3, 3] is 64 batches of 32 rows of 9 columns instead. Tiles are zero padded,
row major, little-endian; an f32 tile has 4 KiB. Dtype and shape stand in the root, so that the number of tiles, which a
proof needs, is itself committed.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consensus.commit.hashing import HASH_BYTES, Hash32, blake2_256, encode_u8, encode_u64
from consensus.commit.merkle import (
    MAX_LEAVES,
    MerkleProof,
    ProofError,
    compute_leaf_hash,
    compute_proof_of_hashes,
    compute_root_from_proof,
    compute_root_of_hashes,
)

Array = NDArray[Any]
TILE_SIDE = 32
TILE_ELEMENTS = TILE_SIDE**2  # (= 1,024)
MAX_RANK = 8
_CHUNK_TILES = 4096  # tiles put in order at a time: 16 MiB of f32

DTYPES: dict[str, tuple[int, np.dtype[Any]]] = {
    "f32": (0, np.dtype("<f4")),
    "f64": (1, np.dtype("<f8")),
    "i32": (2, np.dtype("<i4")),
    "i64": (3, np.dtype("<i8")),
    "u32": (4, np.dtype("<u4")),
    "u8": (5, np.dtype("u1")),
    "bool": (6, np.dtype("?")),
    "u64": (7, np.dtype("<u8")),
    "i8": (8, np.dtype("i1")),
    "i16": (9, np.dtype("<i2")),
    "u16": (10, np.dtype("<u2")),
}
"""Name -> (code in the root, little-endian NumPy dtype). Codes are never used again for another type."""
_NAME_OF_DTYPE = {
    order + dtype.str[1:]: name for name, (_, dtype) in DTYPES.items() for order in ("<", ">", "|", "=")
}


class TensorFormError(ValueError):
    """A tensor has a dtype, rank or shape that the protocol does not commit to."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"tensor refused: {reason}")
        self.reason = reason


@dataclass(frozen=True)
class TensorForm:
    """Dtype (a key of `DTYPES`) and shape; raises `TensorFormError` when made of others."""

    dtype: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise TensorFormError(f"dtype {self.dtype!r} is none of {', '.join(DTYPES)}")
        if len(self.shape) > MAX_RANK:
            raise TensorFormError(f"rank {len(self.shape)} is above {MAX_RANK}")
        if any(dimension < 0 for dimension in self.shape):
            raise TensorFormError(f"shape {self.shape} has a negative dimension")
        if self.tile_count > MAX_LEAVES:
            raise TensorFormError(f"shape {self.shape} has more than {MAX_LEAVES} tiles")

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """The little-endian NumPy dtype."""
        return DTYPES[self.dtype][1]

    @cached_property
    def grid(self) -> tuple[int, int, int]:
        """Number of batches, rows and columns as the tiling sees them, small last axes counted as one."""
        axes = list(self.shape)
        while len(axes) > 2 and axes[-2] * axes[-1] <= TILE_SIDE:
            axes[-2:] = [axes[-2] * axes[-1]]
        *batches, rows, columns = [1, 1, *axes]
        return math.prod(batches), rows, columns

    @property
    def matrices(self) -> tuple[int, int, int]:
        """Number of matrices in the last two axes, their rows and columns: the grid, unless small axes count as one.

        A part of a matrix that 32-aligned rows and columns bound lies in one tile, in either case.
        """
        *batches, rows, columns = [1, 1, *self.shape]
        return math.prod(batches), rows, columns

    @cached_property
    def tile_count(self) -> int:
        """Number of leaves."""
        batches, rows, columns = self.grid
        return batches * -(-rows // TILE_SIDE) * -(-columns // TILE_SIDE)

    @property
    def tile_bytes(self) -> int:
        """Bytes of a leaf: 4 KiB for 32-bit types."""
        return TILE_ELEMENTS * self.numpy_dtype.itemsize

    @property
    def byte_count(self) -> int:
        """Bytes of the tensor itself, unpadded."""
        return math.prod(self.shape) * self.numpy_dtype.itemsize


@dataclass(frozen=True)
class TileOpening:
    """One tile of a tensor with its way to the tensor root; `data` is the padded tile, `tile` its leaf index."""

    form: TensorForm
    tile: int
    data: bytes
    siblings: tuple[Hash32, ...]


def compute_form(tensor: Array) -> TensorForm:
    """Form of a NumPy array; raises `TensorFormError`."""
    return _compute_form(tensor.dtype.str, tensor.shape)


@lru_cache(maxsize=4096)
def _compute_form(dtype: str, shape: tuple[int, ...]) -> TensorForm:
    name = _NAME_OF_DTYPE.get(dtype)
    if name is None:
        raise TensorFormError(f"dtype {dtype} is none of {', '.join(DTYPES)}")
    return TensorForm(name, tuple(int(dimension) for dimension in shape))


def compute_tiles_reference(tensor: Array) -> list[bytes]:
    """All tiles in order, the obvious way; `compute_tile_hashes` is the fast one."""
    form = compute_form(tensor)
    _, rows, columns = form.grid
    result = []
    for plane in np.asarray(tensor, form.numpy_dtype).reshape(form.grid):
        for top in range(0, rows, TILE_SIDE):
            for left in range(0, columns, TILE_SIDE):
                tile = np.zeros((TILE_SIDE, TILE_SIDE), form.numpy_dtype)
                part = plane[top : top + TILE_SIDE, left : left + TILE_SIDE]
                tile[: part.shape[0], : part.shape[1]] = part
                result.append(tile.tobytes())
    return result


def compute_tile_hashes(tensor: Array) -> list[Hash32]:
    """Leaf hashes of all tiles in order; raises `TensorFormError`."""
    form = compute_form(tensor)
    if form.tile_count == 0:
        return []
    batches, _, columns = form.grid
    planes = np.asarray(tensor, form.numpy_dtype).reshape(form.grid)
    across = -(-columns // TILE_SIDE)
    bands = form.tile_count // (batches * across)
    prefix = hashlib.blake2b(b"\x00", digest_size=HASH_BYTES)
    hashes: list[Hash32] = []
    step = max(1, _CHUNK_TILES // across)
    for batch in range(batches):
        for band in range(0, bands, step):
            part = planes[batch, band * TILE_SIDE : (band + step) * TILE_SIDE]
            _hash_bands(part, across, form, prefix, hashes)
    return hashes


def compute_tensor_root_of_hashes(form: TensorForm, tile_hashes: Sequence[Hash32]) -> Hash32:
    """Tensor root over leaf hashes."""
    dimensions = b"".join(encode_u64(dimension, "dimension") for dimension in form.shape)
    head = encode_u8(DTYPES[form.dtype][0]) + encode_u8(len(form.shape)) + dimensions
    return blake2_256(b"tensor/v1", head, compute_root_of_hashes(tile_hashes))


def compute_tensor_root(tensor: Array) -> Hash32:
    """Root of a tensor; equal only for equal dtype, shape and bytes (−0 differs from +0)."""
    return compute_tensor_root_of_hashes(compute_form(tensor), compute_tile_hashes(tensor))


TensorRoot = Callable[[Array], Hash32]
"""How tensor roots are computed: `compute_tensor_root`, or something faster that gives the same and raises the same."""
TileHashes = Callable[[Array], list[Hash32]]
"""How leaf hashes are computed: `compute_tile_hashes`, or something faster that gives the same and raises the same."""


def compute_tile_opening(tensor: Array, tile: int, tile_hashes: TileHashes = compute_tile_hashes) -> TileOpening:
    """Opening of one tile; raises `ProofError` when there is no such tile."""
    form, hashes = compute_form(tensor), tile_hashes(tensor)
    proof = compute_proof_of_hashes(hashes, tile)
    return TileOpening(form, tile, compute_tile(tensor, tile), proof.siblings)


def verify_tile_opening(root: bytes, opening: TileOpening) -> Array:
    """The 32×32 tile, padding included; raises `ProofError` unless it is that tile of the tensor under `root`.

    Nothing else is trusted afterwards: dtype, shape and the number of tiles are in the root.
    """
    form = opening.form
    if len(opening.data) != form.tile_bytes:
        raise ProofError(f"a tile of {form.dtype} has {form.tile_bytes} bytes, not {len(opening.data)}")
    proof = MerkleProof(opening.tile, form.tile_count, opening.siblings)
    inner = compute_root_from_proof(compute_leaf_hash(opening.data), proof)
    if compute_tensor_root_of_hashes(form, [inner]) != root:
        raise ProofError("it leads to another tensor root")
    return np.frombuffer(opening.data, form.numpy_dtype).reshape(TILE_SIDE, TILE_SIDE)


def compute_tile(tensor: Array, tile: int) -> bytes:
    """Bytes of one tile, padded; `tile` must be below their number."""
    form = compute_form(tensor)
    _, rows, columns = form.grid
    across, bands = -(-columns // TILE_SIDE), -(-rows // TILE_SIDE)
    batch, rest = divmod(tile, across * bands)
    band, column = divmod(rest, across)
    plane = np.asarray(tensor, form.numpy_dtype).reshape(form.grid)[batch]
    part = plane[band * TILE_SIDE : (band + 1) * TILE_SIDE, column * TILE_SIDE : (column + 1) * TILE_SIDE]
    padded = np.zeros((TILE_SIDE, TILE_SIDE), form.numpy_dtype)
    padded[: part.shape[0], : part.shape[1]] = part
    return padded.tobytes()


def _hash_bands(part: Array, across: int, form: TensorForm, prefix: Any, hashes: list[Hash32]) -> None:
    """Appends the leaf hashes of some bands of one plane (rows × columns, any number of rows)."""
    bands = -(-part.shape[0] // TILE_SIDE)
    if part.shape != (bands * TILE_SIDE, across * TILE_SIDE):
        padded = np.zeros((bands * TILE_SIDE, across * TILE_SIDE), form.numpy_dtype)
        padded[: part.shape[0], : part.shape[1]] = part
        part = padded
    ordered = part.reshape(bands, TILE_SIDE, across, TILE_SIDE).transpose(0, 2, 1, 3)
    view = memoryview(ordered.tobytes())
    size = form.tile_bytes
    for start in range(0, len(view), size):
        digest = prefix.copy()
        digest.update(view[start : start + size])
        hashes.append(Hash32(digest.digest()))
