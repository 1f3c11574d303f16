"""E7: counter-based randomness, Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011).

Every draw names its place: key (from a 32-byte seed and a purpose), stream, step and index. There is no state.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_MASK = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)

ROUNDS = 10
"""Rounds of the generator, as published."""


def derive_key(seed: bytes, purpose: str) -> tuple[int, int]:
    """Two 32-bit key words: the first 8 bytes, little-endian, of BLAKE2b-256("philox/v1" ‖ seed ‖ purpose)."""
    digest = hashlib.blake2b(b"philox/v1" + seed + purpose.encode(), digest_size=32).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little")


def philox4x32(counter: Array, key: tuple[int, int]) -> Array:
    """Philox4x32-10 of counters (N × 4 uint32) under one key; N × 4 uint32."""
    c0, c1, c2, c3 = (counter[:, i].astype(np.uint64) for i in range(4))
    k0, k1 = key
    for _ in range(ROUNDS):
        p0, p1 = _M0 * c0, _M1 * c2
        c0, c1, c2, c3 = (
            (p1 >> _SHIFT) ^ c1 ^ np.uint64(k0),
            p1 & _MASK,
            (p0 >> _SHIFT) ^ c3 ^ np.uint64(k1),
            p0 & _MASK,
        )
        k0, k1 = (k0 + _W0) & 0xFFFFFFFF, (k1 + _W1) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32)


def words(key: tuple[int, int], stream: int, step: int, count: int) -> Array:
    """``count`` uint32 words; word i is lane i mod 4 of the counter (⌊i/4⌋ low, ⌊i/4⌋ high, step, stream)."""
    blocks = np.arange((count + 3) // 4, dtype=np.uint64)
    counter = np.empty((len(blocks), 4), dtype=np.uint32)
    counter[:, 0] = blocks & _MASK
    counter[:, 1] = blocks >> _SHIFT
    counter[:, 2] = step & 0xFFFFFFFF
    counter[:, 3] = stream & 0xFFFFFFFF
    return philox4x32(counter, key).reshape(-1)[:count]


def uniform(key: tuple[int, int], stream: int, step: int, shape: tuple[int, ...]) -> Array:
    """f32 in [0, 1): the top 24 bits of a word times 2^−24, exact."""
    count = int(np.prod(shape, dtype=np.int64))
    top = (words(key, stream, step, count) >> np.uint32(8)).astype(np.float32)
    return (top * np.float32(2.0**-24)).reshape(shape)


def below(key: tuple[int, int], stream: int, step: int, count: int, bound: int) -> Array:
    """``count`` integers in [0, bound), bound < 2^31, as int64: ⌊word · bound / 2^32⌋ (bias under bound · 2^−32)."""
    drawn = words(key, stream, step, count).astype(np.uint64) * np.uint64(bound)
    return (drawn >> _SHIFT).astype(np.int64)
