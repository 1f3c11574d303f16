"""Ctrl-C that is always heard: the work runs in a thread, and the main thread does nothing but wait for a signal.

What loses a Ctrl-C otherwise: a shell script that starts us in the background has the kernel ignore SIGINT, and Python
leaves it so; a KeyboardInterrupt that happens to come up inside a callback of a weak reference or of C code, in a
finaliser or under somebody's `except:` is dropped there; one that comes up between the start of a process and the
moment at which we know its number leaves that process behind. Here no code of the work is ever interrupted.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import TypeVar

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What asks for an end."""

PATIENCE_SECONDS = 1.0
"""What the work gets to leave its blocks, once what it waits for has ended."""

LOOK_SECONDS = 0.2
"""Between two looks: a signal just before the main thread begins to wait would else be seen only after the wait."""

T = TypeVar("T")


def run_interruptibly(work: Callable[[], T], end: Callable[[], object]) -> T:
    """What `work` returns or raises; KeyboardInterrupt after a signal. For the main thread.

    At the first signal `end` is called; it must end what the work waits for, so that the work fails soon. Work that
    goes on for more than `PATIENCE_SECONDS` after that is left alone: it ends with the process. More signals change
    nothing. SIGHUP stays ignored where `nohup` had it ignored.
    """
    told: SimpleQueue[Future[T] | None] = SimpleQueue()  # its `put` may be called by a signal handler at any moment
    result: Future[T] = Future()

    def run() -> None:
        try:
            result.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            result.set_exception(error)
        told.put(result)

    thread = threading.Thread(target=run, daemon=True)
    heard = [number for number in SIGNALS if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, lambda *_: told.put(None)) for number in heard}
    try:
        thread.start()
        if _wait(told) is not None:
            return result.result()
        end()
        thread.join(PATIENCE_SECONDS)
        raise KeyboardInterrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def _wait(told: SimpleQueue[T]) -> T:
    """The first thing that is told; signal handlers run at least every `LOOK_SECONDS`."""
    while True:
        try:
            return told.get(timeout=LOOK_SECONDS)
        except Empty:
            continue
