"""The compiled library: one a process, typed calls, kernels by number; choosing among kernels."""

import json
import multiprocessing
import subprocess
import sys

import numpy as np
import pytest

from miner.kernels.errors import SelfTestFailed
from miner.kernels.native import gemm
from miner.kernels.native.compiler import compile_library
from miner.kernels.native.library import Library, PoolNotMade, load_library, read_sources


def test_library_is_loaded_once() -> None:
    assert load_library() is load_library()


def test_kernel_zero_is_portable_and_always_usable() -> None:
    library = load_library()
    assert library.gemm_kernels()[0] == "portable"
    assert library.is_kernel_usable(0)
    assert not library.is_kernel_usable(-1)
    assert not library.is_kernel_usable(len(library.gemm_kernels()))


def test_unusable_kernel_is_refused() -> None:
    q, e = np.zeros((1, 2, 2), np.int16), np.zeros((1, 2), np.int32)
    with pytest.raises(ValueError, match="cannot run GEMM kernel 99"):
        gemm.exact_matmul(q, q, e, e, 12, 99)


def test_wrong_dtype_is_refused() -> None:
    q, e = np.zeros((1, 2, 2), np.int16), np.zeros((1, 2), np.int32)
    with pytest.raises(ValueError, match="int64, not int16"):
        gemm.exact_matmul(q.astype(np.int64), q, e, e, 12)


def test_choice_is_sound_and_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    library = load_library()
    q, e = np.ones((1, 40, 40), np.int16), np.zeros((1, 40), np.int32)
    call, pool = gemm.make_gemm(q, q, e, e, 12, np.empty((1, 40, 40), np.float32)), library.get_pool(1)
    chosen = gemm.choose_kernel(call, pool)
    assert chosen in gemm.get_sound_kernels()
    monkeypatch.setattr(gemm, "_try_kernels", lambda *_: pytest.fail("tried again"))
    assert gemm.choose_kernel(call, pool) == chosen


def test_kernel_that_fails_its_test_is_never_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """With answers that are one unit off for every kernel but one, that one remains; with all off, none."""
    sound = gemm.get_sound_kernels()
    original = gemm.exact_matmul

    def make_liar(honest: int | None):  # type: ignore[no-untyped-def]
        def lie(qa, qb, ea, eb, bits, kernel=None, threads=1):  # type: ignore[no-untyped-def]
            c = original(qa, qb, ea, eb, bits, kernel, threads)
            return c if kernel == honest else np.nextafter(c, np.float32(1))

        return lie

    for clear in (gemm.verify_gemm_kernel.cache_clear, gemm.get_sound_kernels.cache_clear):
        clear()
    try:
        monkeypatch.setattr(gemm, "exact_matmul", make_liar(sound[-1]))
        assert gemm.get_sound_kernels() == (sound[-1],)
        gemm.get_sound_kernels.cache_clear()
        gemm.verify_gemm_kernel.cache_clear()
        monkeypatch.setattr(gemm, "exact_matmul", make_liar(None))
        with pytest.raises(SelfTestFailed, match="gemm"):
            gemm.get_sound_kernels()
    finally:
        gemm.verify_gemm_kernel.cache_clear()
        gemm.get_sound_kernels.cache_clear()


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("0.99f * (float)", "2.5f * (float)"), ("(INT32_MAX - LOW_BITS)", "(2 * (int64_t)INT32_MAX)")],
    ids=["norms too large", "moves too late"],
)
def test_self_test_notices_sums_that_overflow(monkeypatch: pytest.MonkeyPatch, right: str, wrong: str) -> None:
    sources = read_sources()
    assert right in sources["gemm_tile.h"]
    sources["gemm_tile.h"] = sources["gemm_tile.h"].replace(right, wrong)
    broken = Library(compile_library(sources))
    monkeypatch.setattr(gemm, "load_library", lambda: broken)
    gemm.verify_gemm_kernel.cache_clear()
    gemm.verify_gemm_kernel(0)
    if not broken.is_kernel_usable(1):
        pytest.skip("only the portable kernel here")
    with pytest.raises(SelfTestFailed):
        gemm.verify_gemm_kernel(1)
    gemm.verify_gemm_kernel.cache_clear()


def test_pool_that_cannot_be_made_is_an_error() -> None:
    """In a process that may not have so many threads."""
    code = (
        "import resource\n"
        "from miner.kernels.native.library import PoolNotMade, load_library\n"
        "library = load_library()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))\n"
        "try:\n"
        "    library.get_pool(1000)\n"
        "except PoolNotMade as error:\n"
        "    print(error)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "cannot make a pool of 1000 threads" in found.stdout
    assert str(PoolNotMade(1000)) == found.stdout.strip()


def _count_threads_of_child(results: "multiprocessing.Queue[int]") -> None:
    q, e = np.ones((1, 64, 64), np.int16), np.zeros((1, 64), np.int32)
    results.put(int(gemm.exact_matmul(q, q, e, e, 12, None, 2).sum() * 2**24))


def test_forked_child_makes_its_own_pool() -> None:
    q, e = np.ones((1, 64, 64), np.int16), np.zeros((1, 64), np.int32)
    gemm.exact_matmul(q, q, e, e, 12, None, 2)
    fork = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[int] = fork.Queue()
    child = fork.Process(target=_count_threads_of_child, args=(results,))
    child.start()
    assert results.get(timeout=60) == 64**3
    child.join()


def test_benchmark_prints_its_figures() -> None:
    options = ["--json", "--threads", "1", "--seconds", "0.1", "--products", "attention scores"]
    command = [sys.executable, "-m", "benchmarks.gemm", *options]
    figures = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert [f["shape"] for f in figures] == [[48, 256, 64, 256]]
    assert all(f[key] > 0 for f in figures for key in ("sgemm_ms", "exact_ms", "product_ms", "macs_per_second"))


def test_library_refuses_a_foreign_one() -> None:
    import ctypes

    with pytest.raises(AttributeError):
        Library(ctypes.CDLL(None))
