"""Ctrl-C is heard whatever the work does, even work that would swallow a KeyboardInterrupt or that waits in C."""

import contextlib
import os
import signal
import socket
import threading
import weakref
from collections.abc import Callable, Iterator

import pytest

from miner.interrupt import SIGNALS, run_interruptibly

ROUNDS = 8


class Referent:
    """Something that a weak reference can point at."""


def swallow_in_callbacks(ended: threading.Event) -> None:
    """Spends its time in callbacks of weak references, in which Python drops every exception."""
    while not ended.is_set():
        referent = Referent()
        reference = weakref.ref(referent, lambda _: sum(range(200)))
        del referent, reference


def swallow_everything(ended: threading.Event) -> None:
    while not ended.is_set():
        with contextlib.suppress(BaseException):
            ended.wait(0.01)


def wait_for_a_socket(ended: threading.Event) -> None:
    near, far = socket.socketpair()
    threading.Thread(target=lambda: ended.wait() and far.send(b"x"), daemon=True).start()
    near.recv(1)


@pytest.fixture(params=[signal.default_int_handler, signal.SIG_IGN], ids=["terminal", "background"])
def inherited(request: pytest.FixtureRequest) -> Iterator[None]:
    """As a process in a terminal has SIGINT, and as one has it that a script has started in the background; SIGHUP as
    both have it, also where the tests themselves run under `nohup`."""
    hangup = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    before = signal.signal(signal.SIGINT, request.param)
    yield
    signal.signal(signal.SIGHUP, hangup)
    assert signal.signal(signal.SIGINT, before) == request.param, "the handler was not put back"


def interrupt_soon(number: signal.Signals, work: Callable[[threading.Event], None], ended: threading.Event) -> None:
    """The work, with a signal a moment after its beginning."""
    threading.Timer(0.002, lambda: os.kill(os.getpid(), number)).start()
    work(ended)


@pytest.mark.usefixtures("inherited")
@pytest.mark.parametrize("work", [swallow_in_callbacks, swallow_everything, wait_for_a_socket])
def test_signal_is_heard(work: Callable[[threading.Event], None]) -> None:
    for number in SIGNALS * ROUNDS:
        ended = threading.Event()
        with pytest.raises(KeyboardInterrupt):
            run_interruptibly(lambda: interrupt_soon(number, work, ended), ended.set)  # noqa: B023 - of this round
        assert ended.is_set()


def test_a_second_signal_does_not_disturb_the_end() -> None:
    reached = []

    def end() -> None:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGINT)
        ended.set()
        reached.append("end")

    ended = threading.Event()

    def work() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        ended.wait()
        reached.append("work")

    with pytest.raises(KeyboardInterrupt):
        run_interruptibly(work, end)
    assert sorted(reached) == ["end", "work"]


def test_the_work_s_own_result_or_error() -> None:
    assert run_interruptibly(lambda: 7, lambda: None) == 7
    with pytest.raises(ZeroDivisionError):
        run_interruptibly(lambda: 1 // 0, lambda: None)
    with pytest.raises(SystemExit):
        run_interruptibly(lambda: exit(3), lambda: None)
