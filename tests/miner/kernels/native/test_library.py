"""The compiled library: one a process, typed calls, kernels by number; choosing among kernels."""

import json
import multiprocessing
import resource
import subprocess
import sys
import time
from copy import copy
from pathlib import Path

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
    """With answers that are one unit off for every kernel but one, that one remains; with all off, none. No pass is
    remembered from it."""
    sound = gemm.get_sound_kernels()
    monkeypatch.setattr(gemm, "load_entry", lambda _: None)
    monkeypatch.setattr(gemm, "store_entry", lambda *_: pytest.fail("remembered as passed"))
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


def test_pass_is_remembered_for_a_day_by_library_processor_code_and_boot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = gemm.get_sound_kernels()
    monkeypatch.setenv("AIPOW_KERNEL_CACHE", str(tmp_path / "kernels"))
    tested: list[int] = []
    monkeypatch.setattr(gemm, "verify_gemm_kernel", tested.append)
    now = [time.time()]
    monkeypatch.setattr(gemm.time, "time", lambda: now[0])

    def is_tested() -> bool:
        tested.clear()
        gemm.get_sound_kernels.cache_clear()
        assert gemm.get_sound_kernels() == sound
        assert tested in ([], list(sound))
        return bool(tested)

    try:
        assert is_tested() and not is_tested()
        now[0] += gemm.PASS_SECONDS - 2
        assert not is_tested()
        now[0] += 2
        assert is_tested() and not is_tested()
        now[0] -= 2 * gemm.PASS_SECONDS  # the clock was set back: nobody knows how old the pass is
        assert is_tested() and not is_tested()
        entry = next((tmp_path / "kernels").glob("*.test"))
        entry.write_bytes(entry.read_bytes()[:-1] + b"0")
        assert is_tested() and not is_tested()
        (tmp_path / "boot").write_text("another boot")
        other = copy(load_library())
        other.digest = "of other bytes"
        for name, value in (
            ("identify_cpu", lambda: "another processor"), ("compute_code_digest", lambda: b"other tests"),
            ("BOOT", tmp_path / "boot"), ("load_library", lambda: other),
        ):  # fmt: skip
            with monkeypatch.context() as patch:
                patch.setattr(gemm, name, value)
                assert is_tested() and not is_tested()
        with monkeypatch.context() as patch:
            patch.setattr(gemm, "BOOT", tmp_path / "no such file")
            assert is_tested() and is_tested()
    finally:
        gemm.get_sound_kernels.cache_clear()


def test_memory_is_put_behind_a_buffer_that_keeps_its_content() -> None:
    library = load_library()
    buffer = np.empty(2**26, np.uint8)
    buffer[5::2**20] = 7
    populated = library.populate(buffer.ctypes.data, buffer.nbytes)
    if not populated:
        pytest.skip("this system does not populate memory (Linux does from 5.14 on)")
    assert 0 <= buffer.nbytes - populated < 2 * resource.getpagesize()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    assert buffer[5::2**20].tolist() == [7] * 64
    buffer[6 :: 2**12] = 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 16


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

    with pytest.raises(AttributeError, match="aipow_pool_create"):
        Library(ctypes.CDLL(None))
