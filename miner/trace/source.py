"""Lines of the user's code: the innermost Python frame that is neither PyTorch's nor the tracer's."""

from __future__ import annotations

import linecache
import sys
from pathlib import Path
from types import FrameType, TracebackType

import torch

_FOREIGN = (f"{Path(torch.__file__).parent}/", f"{Path(__file__).parent}/")

Place = tuple[str, int, str]
"""File, line number, function."""


def is_foreign(filename: str) -> bool:
    """Whether a file belongs to PyTorch, the tracer or Python itself."""
    return filename.startswith(_FOREIGN) or filename.startswith("<")


def find_place(depth: int = 1) -> Place | None:
    """Where the user's code is now, looking outwards from ``depth`` frames above."""
    frame: FrameType | None = sys._getframe(depth)
    while frame is not None and is_foreign(frame.f_code.co_filename):
        frame = frame.f_back
    return None if frame is None else (frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)


def find_place_of(error: BaseException) -> Place | None:
    """Where the user's code raised an error, or called what did."""
    found, step = None, error.__traceback__
    while isinstance(step, TracebackType):
        code = step.tb_frame.f_code
        if not is_foreign(code.co_filename):
            found = (code.co_filename, step.tb_lineno, code.co_name)
        step = step.tb_next
    return found


def describe(place: Place | None) -> str:
    """As Python's own tracebacks have it, in one line."""
    if place is None:
        return "no line of the model is known"
    file, line, function = place
    return f'File "{file}", line {line}, in {function}: {linecache.getline(file, line).strip()}'
