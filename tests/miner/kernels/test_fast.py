"""Each fast kernel against its definition, with adversarial values; the self-test can fail."""

import subprocess
import sys

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from consensus.exact import matmul, movement, sums
from consensus.exact.errors import NonFiniteState
from miner.kernels import fast, selftest, set_blas_threads
from miner.kernels.errors import SelfTestFailed

F = np.float32


@pytest.mark.parametrize("bits", [1, 8, 12, 14])
@pytest.mark.parametrize("shape", [((1, 1), (1, 1)), ((5, 300), (300, 3)), ((2, 3, 4, 5), (2, 3, 5, 6))])
def test_matmul_bytes(bits: int, shape: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    left, right = (selftest.adversarial(int(np.prod(s[:-1])), s[-1], i).reshape(s) for i, s in enumerate(shape))
    assert fast.matmul(left, right, bits).tobytes() == matmul.matmul(left, right, bits).tobytes()
    swapped = np.swapaxes(right, -1, -2), np.swapaxes(left, -1, -2)
    assert fast.matmul(*swapped, bits).tobytes() == matmul.matmul(*swapped, bits).tobytes()


def test_large_matmul_with_two_threads_gives_the_bytes_of_one() -> None:
    a, b = selftest.adversarial(384, 700, 3), selftest.adversarial(700, 300, 4)
    found = []
    for threads in (1, 2):
        set_blas_threads(threads)
        assert max(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas") == threads
        found.append(fast.matmul(a, b, 14).tobytes())
    set_blas_threads(1)
    assert found[0] == found[1] == matmul.matmul(a, b, 14).tobytes()


def test_matmul_never_gives_negative_zero() -> None:
    a = np.array([[-1.0, 0.0], [-1e-30, 1e-38]], dtype=F)
    b = np.array([[0.0, 1e-38], [-0.0, 1.0]], dtype=F)
    found = fast.matmul(a, b, 12)
    assert not np.signbit(found[found == 0]).any() and found.tobytes() == matmul.matmul(a, b, 12).tobytes()


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 2), (0, 1, 2)])
def test_sum_and_amax_bytes(axes: tuple[int, ...]) -> None:
    values = selftest.adversarial(30, 44, 9).reshape(5, 6, 44)
    for view in (values, values.transpose(1, 0, 2)):
        assert fast.reduce_sum(view, axes).tobytes() == sums.reduce_sum(view, axes).tobytes()
        assert fast.amax(view, axes).tobytes() == movement.amax(view, axes).tobytes()


def test_sums_of_huge_and_subnormal_values() -> None:
    for values in (np.full((2, 9), 3e38, dtype=F), np.full((2, 9), 1e-45, dtype=F), np.zeros((2, 9), dtype=F)):
        with np.errstate(all="ignore"):
            assert fast.reduce_sum(values, (0,)).tobytes() == sums.reduce_sum(values, (0,)).tobytes()


def test_broadcast_views_and_scalars() -> None:
    view = np.broadcast_to(np.array([1.5, -2.0], dtype=F), (7, 2))
    assert fast.reduce_sum(view, (0,)).tobytes() == sums.reduce_sum(view, (0,)).tobytes()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_grids_refuse_what_is_not_finite(bad: float) -> None:
    values = np.ones((3, 3), dtype=F)
    values[1, 1] = bad
    for call in (lambda: fast.reduce_sum(values, (1,)), lambda: fast.matmul(values, np.ones((3, 2), dtype=F), 12)):
        with pytest.raises(NonFiniteState), np.errstate(all="ignore"):
            call()


def test_selftest_finds_a_wrong_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    selftest.verify_backend("numpy")
    right = fast.matmul
    monkeypatch.setattr(fast, "matmul", lambda a, b, bits: np.negative(-right(a, b, bits) + F(0)))
    selftest.verify_backend.cache_clear()
    with pytest.raises(SelfTestFailed, match="matmul"):
        selftest.verify_backend("numpy")
    monkeypatch.undo()
    selftest.verify_backend.cache_clear()
    selftest.verify_backend("numpy")


def test_executing_imports_no_torch() -> None:
    code = "import sys, miner.kernels; print('torch' in sys.modules, 'sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False False"
