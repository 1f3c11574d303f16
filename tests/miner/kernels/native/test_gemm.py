"""Exact products: every kernel gives the bytes of consensus.exact.matmul, whatever the layout, threads and values."""

import ctypes
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consensus.exact import matmul
from consensus.exact.grid import quantise
from miner.kernels.native.gemm import GemmStruct, exact_matmul, make_scratch, verify_gemm_kernel
from miner.kernels.native.library import C_FOLDER, load_library

KERNELS = load_library().gemm_kernels()
POST = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)


USABLE = [kernel for kernel in range(len(KERNELS)) if load_library().is_kernel_usable(kernel)]
each_kernel = pytest.mark.parametrize("kernel", USABLE, ids=lambda kernel: KERNELS[kernel])


def by_kernel(a: Any, b: Any, bits: int, kernel: int, threads: int = 1) -> Any:
    """E3 of f32 operands with the integer part by a kernel."""
    qa, ea = quantise(a, -1, bits)
    qb, eb = quantise(b, -2, bits)
    return exact_matmul(qa.astype(np.int16), qb.astype(np.int16), ea[..., 0], eb[..., 0, :], bits, kernel, threads)


@each_kernel
def test_kernel_passes_its_self_test(kernel: int) -> None:
    verify_gemm_kernel(kernel)


@each_kernel
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(
    "shape",
    [(1, 64, 768, 96), (1, 5, 3000, 300), (7, 40, 64, 40), (2, 130, 33, 270), (40, 16, 16, 16), (1, 600, 20, 700)],
)
def test_product_is_the_definition(kernel: int, threads: int, shape: tuple[int, int, int, int]) -> None:
    batch, m, k, n = shape
    random = np.random.default_rng(5)
    a = random.standard_normal((batch, m, k)).astype(np.float32)
    b = random.standard_normal((batch, k, n)).astype(np.float32)
    found = by_kernel(a, b, 12, kernel, threads)
    assert found.tobytes() == matmul.matmul(a, b, 12).tobytes()


@each_kernel
@pytest.mark.parametrize("shared", ["a", "b"])
def test_operand_may_be_shared_by_the_batch(kernel: int, shared: str) -> None:
    random = np.random.default_rng(6)
    qa = random.integers(-4096, 4097, (5, 20, 30)).astype(np.int16)
    qb = random.integers(-4096, 4097, (5, 30, 40)).astype(np.int16)
    if shared == "a":
        qa = np.broadcast_to(qa[:1], qa.shape)
    else:
        qb = np.broadcast_to(qb[:1], qb.shape)
    ea, eb = np.zeros((5, 20), np.int32), np.zeros((5, 40), np.int32)
    expected = exact_matmul(np.ascontiguousarray(qa), np.ascontiguousarray(qb), ea, eb, 12, 0)
    assert exact_matmul(qa, qb, ea, eb, 12, kernel, 2).tobytes() == expected.tobytes()


@each_kernel
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("batch", "m", "n", "k"), [(1, 100, 300, 65), (6, 20, 33, 16), (1, 1, 1, 1)])
def test_post_sees_each_finished_stretch_once(kernel: int, threads: int, batch: int, m: int, n: int, k: int) -> None:
    """The epilogue doubles what it is given, so that a stretch seen twice, or never, or too early shows."""
    random = np.random.default_rng(7)
    qa, qb = (random.integers(-99, 99, (batch, size, k)).astype(np.int16) for size in (m, n))
    e, ldc = np.zeros(max(m, n), np.int32), n + 3
    c = np.full((batch, m, ldc), np.float32(7.0))
    seen = []

    def post(_: int, item: int, i: int, j0: int, j1: int) -> None:
        c[item, i, j0:j1] *= 2
        seen.append((item, i, j0, j1))

    callback = POST(post)
    gemm = GemmStruct(
        batch=batch, m=m, n=n, k=k, bits=12, ldc=ldc, c_batch=m * ldc, a=qa.ctypes.data, a_row=k, a_k=1, a_batch=m * k,
        b=qb.ctypes.data, b_col=k, b_k=1, b_batch=n * k, ea=e.ctypes.data, eb=e.ctypes.data, c=c.ctypes.data,
        post=ctypes.cast(callback, ctypes.c_void_p).value,
    )  # fmt: skip
    scratch = make_scratch(gemm, threads)
    load_library().gemm_run(gemm, kernel, load_library().get_pool(threads), scratch.ctypes.data)
    plain = exact_matmul(qa, qb.swapaxes(1, 2), np.tile(e[:m], (batch, 1)), np.tile(e[:n], (batch, 1)), 12, 0)
    assert np.array_equal(c[:, :, :n], 2 * plain)
    assert (c[:, :, n:] == 7.0).all()
    assert sum(j1 - j0 for *_, j0, j1 in seen) == batch * m * n


@each_kernel
def test_scratch_is_enough(kernel: int) -> None:
    """Bytes after the promised scratch stay as they were."""
    library = load_library()
    shapes = ((1, 7, 17, 33, 1), (9, 40, 40, 40, 2), (1, 1000, 30, 700, 3), (2, 30, 1000, 2049, 2))
    for batch, m, n, k, threads in shapes:
        for direct in (True, False):
            qa = np.ones((batch, m * k), np.int16)
            qb, e = np.ones((batch, k * n), np.int16), np.zeros(max(m, n), np.int32)
            c = np.empty((batch, m, n), np.float32)
            gemm = GemmStruct(
                batch=batch, m=m, n=n, k=k, bits=12, ldc=n, c_batch=m * n, a=qa.ctypes.data, a_row=k if direct else 1,
                a_k=1 if direct else m, a_batch=m * k, b=qb.ctypes.data, b_col=1, b_k=n, b_batch=n * k,
                ea=e.ctypes.data, eb=e.ctypes.data, c=c.ctypes.data,
            )  # fmt: skip
            size = library.gemm_scratch(gemm, threads)
            owner = np.full(size + 64 + 4096, 77, np.uint8)
            start = -owner.ctypes.data % 64
            library.gemm_run(gemm, kernel, library.get_pool(threads), owner.ctypes.data + start)
            assert (owner[start + size :] == 77).all()
            assert (owner[:start] == 77).all()
            assert (c == k * 2.0**-24).all()


@each_kernel
def test_empty_products(kernel: int) -> None:
    e = np.zeros((1, 4), np.int32)
    no_rows = exact_matmul(np.empty((1, 0, 3), np.int16), np.ones((1, 3, 4), np.int16), e[:, :0], e, 12, kernel)
    assert no_rows.shape == (1, 0, 4)
    nothing = exact_matmul(np.empty((1, 4, 0), np.int16), np.empty((1, 0, 4), np.int16), e, e, 12, kernel)
    assert nothing.tobytes() == bytes(64)


@pytest.mark.slow
def test_kernels_of_another_processor(tmp_path: Path) -> None:
    """NEON under emulation against the portable kernel. (ziglang builds a C library first, which takes minutes.)"""
    emulator, compiler = shutil.which("qemu-aarch64"), shutil.which("aarch64-linux-gnu-gcc")
    command = [compiler] if compiler else [sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-musl"]
    if emulator is None or (compiler is None and importlib.util.find_spec("ziglang") is None):
        pytest.skip("needs qemu-aarch64 and a cross-compiler (Debian: qemu-user gcc-aarch64-linux-gnu)")
    sources = [Path(__file__).parent / "compare_kernels.c", *C_FOLDER.glob("gemm*.c"), C_FOLDER / "pool.c"]
    program, flags = tmp_path / "compare", ["-static", "-pthread", "-O2", "-ffp-contract=off", "-I", str(C_FOLDER)]
    subprocess.run([*command, *flags, "-o", program, *sources], check=True)
    found = subprocess.run([emulator, program, "300"], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "NEON\n")
