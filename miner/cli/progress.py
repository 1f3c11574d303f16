"""A word on stderr about what takes longer than two seconds; stdout stays the command's result."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import TextIO

PATIENCE_SECONDS = 2.0
"""What ends sooner is not spoken of."""
TERMINAL_SECONDS = 0.5
"""Between two lines in a terminal, where one overwrites the other."""
FILE_SECONDS = 10.0
"""Between two lines elsewhere."""
CLEAR = "\r\x1b[K"


class Progress:
    """`with Progress("tracing gpt2-10m") as progress: … progress.tell("node 3 of 100")`.

    A thread prints, so that a long call of somebody else's code is spoken of too.
    """

    def __init__(self, text: str, stream: TextIO | None = None) -> None:
        self._text = text
        self._stream = stream or sys.stderr
        self._is_terminal = self._stream.isatty()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._print, daemon=True)

    def tell(self, text: str) -> None:
        """What goes on now; costs nothing."""
        self._text = text

    def print(self, text: str) -> None:
        """A line of the command's result on stdout, with the word on stderr out of its way."""
        if self._is_terminal:
            print(CLEAR, end="", file=self._stream, flush=True)
        print(text, flush=True)

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _print(self) -> None:
        started, wait = time.monotonic(), PATIENCE_SECONDS
        while not self._ended.wait(wait):
            line = f"{self._text} ({time.monotonic() - started:.0f} s)"
            print(CLEAR + line if self._is_terminal else line, end="" if self._is_terminal else "\n",
                  file=self._stream, flush=True)  # fmt: skip
            wait = TERMINAL_SECONDS if self._is_terminal else FILE_SECONDS
        if self._is_terminal and wait == TERMINAL_SECONDS:
            print(CLEAR, end="", file=self._stream, flush=True)
