"""The built-in data sets: handwritten digits, and bytes of text, each with a fixed split into train and held out."""

from __future__ import annotations

import importlib.util
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

HELD_OUT_EVERY = 5
"""Every fifth digit is held out: 1,797 digits give 1,437 to train on and 360 to judge by."""
TEXT_HELD_OUT_SHARE = 10
"""One tenth of the text, at its end, is held out."""
MAX_TEXT_BYTES = 2**21
"""Most bytes of text taken (= 2,097,152), from the files in order."""


class TextTooShort(ValueError):
    """The text files hold too few bytes to train on."""

    def __init__(self, found: int, needed: int) -> None:
        self.found, self.needed = found, needed
        super().__init__(f"the text has {found:,} bytes, at least {needed:,} are needed; give more or longer files")


@dataclass(frozen=True)
class Split:
    """Named arrays to train on and to judge by."""

    train: dict[str, Array]
    """What units draw batches from."""
    held_out: dict[str, Array]
    """What no unit sees, of the same names and form."""


def load_digits() -> Split:
    """scikit-learn's handwritten digits (8 × 8 pixels): ``x`` f32 (rows × 64) in [0, 1], ``y`` int64 (rows,).

    The file is read without importing scikit-learn, which costs seconds; a test compares with its ``load_digits``.
    """
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("scikit-learn, which ships the digits, is not installed")
    table = np.loadtxt(Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz", delimiter=",")
    x = (table[:, :-1] / 16.0).astype(np.float32)
    y = table[:, -1].astype(np.int64)
    held_out = np.arange(len(y)) % HELD_OUT_EVERY == 0
    return Split({"x": x[~held_out], "y": y[~held_out]}, {"x": x[held_out], "y": y[held_out]})


def default_text_files() -> list[Path]:
    """The modules of the running Python's standard library, by name."""
    return sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))


def load_text(files: Sequence[Path] | None = None, context: int = 32) -> Split:
    """Bytes of text files joined in the given order: ``tokens`` uint8. Raises `TextTooShort`, OSError."""
    chunks: list[bytes] = []
    room = MAX_TEXT_BYTES
    for path in default_text_files() if files is None else files:
        chunks.append(path.read_bytes()[:room])
        room -= len(chunks[-1])
        if room == 0:
            break
    tokens = np.frombuffer(b"".join(chunks), dtype=np.uint8)
    needed = (context + 1) * TEXT_HELD_OUT_SHARE * 2
    if len(tokens) < needed:
        raise TextTooShort(len(tokens), needed)
    border = len(tokens) - len(tokens) // TEXT_HELD_OUT_SHARE
    return Split({"tokens": tokens[:border].copy()}, {"tokens": tokens[border:].copy()})
