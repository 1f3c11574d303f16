"""The thread pool: every unit once, pieces of whole grains, jobs of several callers in turn."""

import ctypes
import threading
import time
from pathlib import Path

import pytest

from miner.kernels.native.library import MAX_THREADS, Pool, load_library

WORK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int)


def run(pool: Pool, total: int, grain: int, pause: float = 0.0) -> list[tuple[int, int, int]]:
    """(begin, end, thread) of each piece of a job."""
    pieces = []

    def work(_: int, begin: int, end: int, thread: int) -> None:
        pieces.append((begin, end, thread))
        time.sleep(pause)

    call = load_library().loaded.aipow_pool_run
    call.argtypes = [ctypes.c_void_p, WORK, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64]
    call(pool.address, WORK(work), None, total, grain)
    return pieces


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize(("total", "grain"), [(1, 1), (7, 3), (64, 64), (65, 64), (1000, 1), (1000, 7), (5, 0)])
def test_every_unit_is_worked_on_once_in_whole_grains(threads: int, total: int, grain: int) -> None:
    pool = load_library().get_pool(threads)
    for _ in range(20):
        pieces = sorted(run(pool, total, grain))
        assert [p[0] for p in pieces] == [0, *(p[1] for p in pieces[:-1])]
        assert pieces[-1][1] == total
        assert all((end - begin) % max(1, grain) == 0 for begin, end, _ in pieces[:-1])
        assert all(0 <= thread < threads for *_, thread in pieces)


def test_nothing_to_do_calls_nothing() -> None:
    assert run(load_library().get_pool(2), 0, 1) == []


def test_one_piece_runs_in_the_calling_thread() -> None:
    assert run(load_library().get_pool(3), 10, 10) == [(0, 10, 0)]


def test_threads_share_a_job() -> None:
    """A piece that waits leaves the others to the other threads."""
    pieces = run(load_library().get_pool(3), 12, 1, pause=0.02)
    assert {thread for *_, thread in pieces} == {0, 1, 2}


def test_callers_take_turns() -> None:
    pool, found = load_library().get_pool(2), []
    callers = [threading.Thread(target=lambda: found.append(run(pool, 50, 1, 0.0005))) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert [sum(end - begin for begin, end, _ in pieces) for pieces in found] == [50] * 4


def test_idle_workers_use_no_time() -> None:
    pool = load_library().get_pool(4)
    run(pool, 100, 1)
    before = time.process_time()
    time.sleep(0.2)
    assert time.process_time() - before < 0.05


def test_a_pool_that_is_destroyed_ends_its_threads() -> None:
    loaded = load_library().loaded
    loaded.aipow_pool_create.restype = ctypes.c_void_p
    before = count_threads()
    pool = loaded.aipow_pool_create(6)
    assert count_threads() == before + 5
    loaded.aipow_pool_destroy(ctypes.c_void_p(pool))
    assert count_threads() == before


def count_threads() -> int:
    """Threads of this process, by the kernel's count."""
    return len(list(Path("/proc/self/task").iterdir()))


@pytest.mark.parametrize("threads", [0, -1, MAX_THREADS + 1])
def test_a_pool_has_a_sensible_number_of_threads(threads: int) -> None:
    with pytest.raises(ValueError, match="1 to"):
        load_library().get_pool(threads)


def test_a_pool_is_made_once() -> None:
    assert load_library().get_pool(2) is load_library().get_pool(2)
