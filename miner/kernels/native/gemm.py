"""Exact integer products (E3) by c/gemm.c: which kernels this machine has, whether they are right, which is fastest.

A kernel is chosen only after `verify_gemm_kernel` passed, whatever its speed.
"""

from __future__ import annotations

import ctypes
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import isqrt, prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from consensus.exact.grid import rescale
from miner.kernels.errors import SelfTestFailed
from miner.kernels.native.cache import TEST, compute_code_digest, compute_name, load_entry, store_entry
from miner.kernels.native.compiler import identify_cpu
from miner.kernels.native.library import Pool, load_library

Array = npt.NDArray[Any]

log = logging.getLogger(__name__)

PORTABLE = 0
"""Number of the kernel that every machine has."""
ALIGNMENT = 64
"""Bytes: what scratch starts at a multiple of."""
TRIAL_MACS = 2**24
"""Most MACs of a trial of a kernel (= 16,777,216): about a millisecond. More when `TRIAL_ROWS` rows need more."""
TRIAL_ROWS = 48
"""Fewest rows of a trial, if there are as many: with less, packing is all that is timed."""
PORTABLE_MACS = 2**22
"""Products of more MACs (> 4,194,304) never try the portable kernel when another one passed."""
TRIALS = 3
HOPELESS = 4
"""A kernel that was so many times slower than the fastest is not tried again: cold memory does not slow one so much."""
BOOT = Path("/proc/sys/kernel/random/boot_id")
"""What Linux calls the time since it was started."""
PASS_SECONDS = 86_400
"""So long a passed test of the kernels counts (a day): a processor can go bad, and a suspended one wake elsewhere."""


class GemmStruct(ctypes.Structure):
    """aipow_gemm of c/gemm.h."""

    _fields_ = [
        ("batch", ctypes.c_int64), ("m", ctypes.c_int64), ("n", ctypes.c_int64), ("k", ctypes.c_int64),
        ("a", ctypes.c_void_p), ("a_row", ctypes.c_int64), ("a_k", ctypes.c_int64), ("a_batch", ctypes.c_int64),
        ("b", ctypes.c_void_p), ("b_col", ctypes.c_int64), ("b_k", ctypes.c_int64), ("b_batch", ctypes.c_int64),
        ("ea", ctypes.c_void_p), ("ea_batch", ctypes.c_int64), ("eb", ctypes.c_void_p), ("eb_batch", ctypes.c_int64),
        ("bits", ctypes.c_int32), ("c", ctypes.c_void_p), ("ldc", ctypes.c_int64), ("c_batch", ctypes.c_int64),
        ("post", ctypes.c_void_p), ("post_ctx", ctypes.c_void_p),
    ]  # fmt: skip


def exact_matmul(
    qa: Array, qb: Array, ea: Array, eb: Array, bits: int, kernel: int | None = None, threads: int = 1
) -> Array:
    """f32(S · 2^(ea + eb − 2·bits)), S = qa · qb, for int16 (… × M × K) and (… × K × N), |q| ≤ 2^bits.

    ``ea`` (… × M) and ``eb`` (… × N) are the int32 exponents of the grids. Any strides; those where one of the two last
    axes is contiguous are fast. The caller has checked the bound on K. Raises ValueError for an unusable kernel.
    """
    library = load_library()
    if kernel is not None and not library.is_kernel_usable(kernel):
        raise ValueError(f"this processor cannot run GEMM kernel {kernel}")
    lead, (m, n) = qa.shape[:-2], (qa.shape[-2], qb.shape[-1])
    a, b = _as_batch(qa, np.int16, 3), _as_batch(qb, np.int16, 3)
    row_exponents, column_exponents = (np.ascontiguousarray(_as_batch(e, np.int32, 2)) for e in (ea, eb))
    c = np.empty((a.shape[0], m, n), np.float32)
    gemm = make_gemm(a, b, row_exponents, column_exponents, bits, c)
    pool, scratch = library.get_pool(threads), make_scratch(gemm, threads)
    library.gemm_run(gemm, choose_kernel(gemm, pool) if kernel is None else kernel, pool, scratch.ctypes.data)
    return c.reshape(*lead, m, n)


def make_gemm(a: Array, b: Array, ea: Array, eb: Array, bits: int, c: Array) -> GemmStruct:
    """The call for int16 (batch × M × K) and (batch × K × N) of any strides, contiguous int32 exponents (batch × M) and
    (batch × N), contiguous f32 results (batch × M × N); all must outlive it."""
    batch, m, k = a.shape
    n = b.shape[2]
    return GemmStruct(
        batch=batch, m=m, n=n, k=k, bits=bits, ldc=n, c_batch=m * n, ea_batch=m, eb_batch=n,
        a=a.ctypes.data, a_batch=a.strides[0] // 2, a_row=a.strides[1] // 2, a_k=a.strides[2] // 2,
        b=b.ctypes.data, b_batch=b.strides[0] // 2, b_k=b.strides[1] // 2, b_col=b.strides[2] // 2,
        ea=ea.ctypes.data, eb=eb.ctypes.data, c=c.ctypes.data,
    )  # fmt: skip


def _as_batch(array: Array, dtype: type[np.generic], rank: int) -> Array:
    if array.dtype != dtype:
        raise ValueError(f"an operand is {array.dtype}, not {np.dtype(dtype)}")
    inner = array.ndim - rank + 1
    return array.reshape(prod(array.shape[:inner]), *array.shape[inner:])


def make_scratch(gemm: GemmStruct, threads: int) -> Array:
    """Fresh scratch of a product, rightly aligned."""
    owner = np.empty(load_library().gemm_scratch(gemm, threads) + ALIGNMENT, np.uint8)
    return owner[-owner.ctypes.data % ALIGNMENT :]


# the self-test


@dataclass(frozen=True)
class _Case:
    """A product with a known answer."""

    name: str
    qa: Array
    qb: Array
    ea: Array
    eb: Array
    bits: int

    def compute_answer(self) -> Array:
        """By the definition, in int64 (a float64 BLAS would be exact, too, but may start threads that spin)."""
        sums = np.matmul(self.qa.astype(np.int64), self.qb.astype(np.int64))
        return rescale(sums, self.ea[..., :, None] + self.eb[..., None, :] - 2 * self.bits)


def _grids(shape: tuple[int, ...], bits: int, pattern: str | int, random: np.random.Generator, flip: bool) -> Array:
    """Integers of a pattern, or all the same; ``flip`` lays them out with the last axis strided."""
    limit = 2**bits
    if isinstance(pattern, int):
        values = np.full(shape, pattern)
    elif pattern == "waves":  # long stretches of one sign: every sum of pairs climbs as high as it can, then falls
        values = np.broadcast_to(np.where(np.arange(shape[-1]) // 150 % 2, -limit, limit), shape).copy()
    else:
        values = random.integers(-limit, limit, shape, np.int16, endpoint=True)
    return _lay_out(values.astype(np.int16, copy=False), flip)


def _lay_out(values: Array, flip: bool) -> Array:
    """The same values, stored as their transpose when ``flip``."""
    return np.ascontiguousarray(values.swapaxes(-1, -2)).swapaxes(-1, -2) if flip else values


def _make_cases() -> Iterator[_Case]:
    random = np.random.default_rng(0)

    def make(
        name: str, batch: int, m: int, n: int, k: int, bits: int, patterns: tuple[str | int, str | int],
        flips: tuple[bool, bool], exponents: tuple[int, int] = (-20, 20),
    ) -> _Case:  # fmt: skip
        qa = _grids((batch, m, k), bits, patterns[0], random, flips[0])
        qb = _grids((batch, n, k), bits, patterns[1], random, flips[1]).swapaxes(-1, -2)
        ea, eb = (random.integers(*exponents, (batch, size), np.int32, endpoint=True) for size in (m, n))
        return _Case(name, qa, qb, ea, eb, bits)

    layouts = [(left, right) for left in (False, True) for right in (False, True)]
    for flips in layouts:
        for m, n, k in ((1, 1, 1), (1, 70, 2), (13, 1, 64), (7, 17, 63), (29, 35, 129), (50, 130, 256)):
            yield make(f"{m}x{n}x{k} {flips}", 2, m, n, k, 12, ("random", "random"), flips)
    for bits in (1, 2, 8, 11, 12, 13, 14):
        for left in (2**bits, -(2**bits), "waves"):
            for right in (2**bits, -(2**bits)):
                yield make(f"{left}, {right} at {bits} bits", 1, 13, 33, 1030, bits, (left, right), layouts[bits % 4])
        yield make(f"random at {bits} bits", 1, 20, 40, 777, bits, ("random", "random"), layouts[(bits + 1) % 4])
    for k in (600, 1030, 2600):  # sums on both sides of 2^31
        for more in (-20, -9, -6, -3, 0, 3, 300):
            value = isqrt(2**31 // k) + more
            yield make(f"{value} x {k}", 1, 13, 17, k, 12, (value, value), layouts[more % 4])
            yield make(f"{value} x {-k}", 1, 13, 17, k, 12, (value, -value), layouts[more % 4])
    yield make("long", 1, 2, 3, 2**17 + 3, 14, (2**14, -(2**14)), (False, False))
    for low, high in ((-96, -40), (-76, -60), (-70, -50), (60, 128), (-96, 128)):
        for bits in (2, 12, 14):
            name, patterns = f"exponents {low} to {high}", ("random", "random")
            yield make(name, 1, 24, 48, 40, bits, patterns, (False, False), (low, high))
    yield make("negative to zero", 1, 6, 16, 4, 12, (2**12, -(2**12)), (False, False), (-96, -96))
    zero = make("zeros", 1, 12, 32, 64, 12, ("random", "random"), (False, False))
    zero.qb[:, 32:] = -zero.qb[:, :32]
    zero.qa[:, :, 32:] = zero.qa[:, :, :32]
    yield zero


@cache
def _get_cases() -> tuple[tuple[_Case, bytes], ...]:
    """The cases with their answers: some megabytes, kept for all kernels."""
    with np.errstate(all="ignore"):
        return tuple((case, case.compute_answer().tobytes()) for case in _make_cases())


@cache
def verify_gemm_kernel(kernel: int) -> None:
    """Raise `SelfTestFailed` unless a usable kernel gives the definition's bytes for adversarial operands.

    They hold ±2^bits throughout, stretches of equal sign that overflow int32 when sums are moved up too late, ragged
    edges, both layouts of both operands, several items, results that are subnormal, zero from a negative, infinite.
    """
    name = load_library().gemm_kernels()[kernel]
    for case, answer in _get_cases():
        if exact_matmul(case.qa, case.qb, case.ea, case.eb, case.bits, kernel).tobytes() != answer:
            raise SelfTestFailed(f"gemm {name}, {case.name}", "native")


@cache
def get_sound_kernels() -> tuple[int, ...]:
    """Numbers of the kernels that this processor has and that passed; raises `SelfTestFailed` when none did.

    That all passed is remembered in the kernel cache, see `_name_pass`.
    """
    library = load_library()
    usable = [kernel for kernel in range(len(library.gemm_kernels())) if library.is_kernel_usable(kernel)]
    name = _name_pass(library.digest)
    if name is not None and _is_fresh(load_entry(name)):
        return tuple(usable)
    sound = []
    failure: SelfTestFailed | None = None
    for kernel in usable:
        try:
            verify_gemm_kernel(kernel)
        except SelfTestFailed as error:
            log.warning("%s", error)
            failure = error
        else:
            sound.append(kernel)
    if failure is not None and not sound:
        raise failure
    if failure is None and name is not None:
        store_entry(name, str(int(time.time())).encode())
    return tuple(sound)


def _name_pass(digest: str) -> str | None:
    """The entry that says when all kernels passed; None where the machine's boot has no name.

    What they give depends on the library's bytes and on the processor. The entry is named by both, by the tests' code
    and by the boot, so that it is nobody else's. What a process may have done to its floating-point mode is left to
    the native self-test, which runs in every process and computes products with these kernels, too.
    """
    try:
        boot = BOOT.read_text()
    except OSError:
        return None
    return compute_name(b"gemm", digest.encode(), identify_cpu().encode(), boot.encode(), compute_code_digest()) + TEST


def _is_fresh(passed: bytes | None) -> bool:
    """Whether an entry's time lies less than `PASS_SECONDS` back."""
    return passed is not None and passed.isdigit() and 0 <= time.time() - int(passed) < PASS_SECONDS


# the choice

_chosen: dict[tuple[int, ...], int] = {}


def choose_kernel(gemm: GemmStruct, pool: Pool) -> int:
    """The fastest sound kernel for a shape on a pool, by trials on operands of our own; remembered in the process.

    Raises `SelfTestFailed`.
    """
    shape = tuple(int(getattr(gemm, name)) for name in ("batch", "m", "n", "k", "a_k", "b_k", "bits"))
    key = (*shape, pool.threads)
    if key not in _chosen:
        sound = get_sound_kernels()
        macs = gemm.batch * gemm.m * gemm.n * gemm.k
        candidates = [k for k in sound if k != PORTABLE or macs <= PORTABLE_MACS or len(sound) == 1]
        _chosen[key] = candidates[0] if len(candidates) == 1 else _try_kernels(gemm, pool, candidates)
    return _chosen[key]


def _try_kernels(gemm: GemmStruct, pool: Pool, candidates: list[int]) -> int:
    """The kernel with the least time over interleaved trials, on fewer rows and items when the product is large."""
    batch = max(1, min(gemm.batch, TRIAL_MACS // (gemm.m * gemm.n * gemm.k + 1)))
    m = max(1, min(gemm.m, max(TRIAL_ROWS, TRIAL_MACS // (batch * gemm.n * gemm.k + 1))))
    value = 2**gemm.bits // 8  # as grids of normal values have, in the mean
    a = _lay_out(np.full((batch, m, gemm.k), value, np.int16), gemm.a_k != 1)
    b = _lay_out(np.full((batch, gemm.n, gemm.k), value, np.int16), gemm.b_k != 1).swapaxes(1, 2)
    ea, eb = np.zeros((batch, m), np.int32), np.zeros((batch, gemm.n), np.int32)
    c = np.empty((batch, m, gemm.n), np.float32)
    trial = make_gemm(a, b, ea, eb, gemm.bits, c)
    scratch, library = make_scratch(trial, pool.threads), load_library()
    best = dict.fromkeys(candidates, float("inf"))
    for _ in range(TRIALS):
        for kernel in candidates:
            started = time.perf_counter()
            library.gemm_run(trial, kernel, pool, scratch.ctypes.data)
            best[kernel] = min(best[kernel], time.perf_counter() - started)
        candidates = [kernel for kernel in candidates if best[kernel] < HOPELESS * min(best.values())]
    return min(best, key=lambda kernel: best[kernel])


__all__ = [
    "GemmStruct", "choose_kernel", "exact_matmul", "get_sound_kernels", "make_gemm", "make_scratch",
    "verify_gemm_kernel",
]  # fmt: skip
