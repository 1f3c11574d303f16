"""Fuzzing of decoders: whatever bytes come, a decoder answers with a value or with its own typed error.

A module gives its decoders as `Target`s to `make_tests`, which makes four tests of them:
- `test_fuzz`: some random inputs and mutations of valid ones; `test_fuzz_long` (slow): many;
- `test_bombs`: 64 MiB of zeros and the like, with a bound on time and memory;
- `test_corpus`: the inputs of `tests/fuzz_corpus.json`, each of which once found a flaw.

More of it, or one seed again: `AIPOW_FUZZ_EXAMPLES=100000 pytest -m slow tests -k fuzz_long --hypothesis-seed=1`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CORPUS = Path(__file__).with_name("fuzz_corpus.json")
QUICK_EXAMPLES = 50
LONG_EXAMPLES = int(os.environ.get("AIPOW_FUZZ_EXAMPLES", "1000"))
ZEROS = 64 << 20  # 64 MiB (= 67,108,864)
BOMB_SECONDS = 2.0  # of this process; decoders take well below 1
BOMB_BYTES = 192 << 20  # 192 MiB (= 201,326,592) of memory, or 8 times the input where that is more
EXTREMES = (b"\x00" * 4, b"\xff" * 4, b"\xfe\xff\xff\xff", b"\x03\xff\xff\xff\xff", b"\x01\x00", b"\xff" * 8, b"\x80")


@dataclass(frozen=True)
class Target:
    """A decoder. `samples`: valid inputs; `encode`: the way back; `is_exact`: it gives the very bytes, otherwise only
    an equal value (formats with several encodings of a value); `bombs`: large inputs besides the common ones."""

    name: str
    decode: Callable[[bytes], Any]
    errors: tuple[type[Exception], ...]
    samples: tuple[bytes, ...] = ()
    encode: Callable[[Any], bytes] | None = None
    is_exact: bool = True
    bombs: tuple[bytes, ...] = ()

    def check(self, data: bytes) -> None:
        """A typed error, or a value that encodes back."""
        try:
            value = self.decode(data)
        except self.errors:
            return
        if self.encode is not None:
            again = self.encode(value)
            assert again == data if self.is_exact else self.decode(again) == value

    def inputs(self) -> st.SearchStrategy[bytes]:
        """Random bytes, and valid ones with a few changes."""
        junk = st.binary(max_size=300)
        if not self.samples:
            return junk
        change = st.tuples(
            st.sampled_from(("flip", "insert", "delete", "copy", "cut", "set")),
            st.integers(0, 1 << 16),
            st.integers(0, 255),
            st.one_of(st.binary(min_size=1, max_size=5), st.sampled_from(EXTREMES)),
        )
        return st.one_of(junk, st.builds(mutate, st.sampled_from(self.samples), st.lists(change, max_size=4)))


def mutate(data: bytes, changes: list[tuple[str, int, int, bytes]]) -> bytes:
    """The bytes after each change (what, where, how much, bytes to use)."""
    for what, place, amount, piece in changes:
        at = place % (len(data) + 1)
        if what == "flip" and at < len(data):
            data = data[:at] + bytes((data[at] ^ (amount or 1),)) + data[at + 1 :]
        elif what == "insert":
            data = data[:at] + piece + data[at:]
        elif what == "delete":
            data = data[:at] + data[at + amount % 16 :]
        elif what == "copy":
            data = data[: at + amount % 64] + data[at:]
        elif what == "cut":
            data = data[:at]
        elif what == "set":
            data = data[:at] + piece + data[at + len(piece) :]
    return data


def fuzz(check: Callable[[Any], None], inputs: st.SearchStrategy[Any], examples: int) -> None:
    """Runs `check` on that many inputs; hypothesis shows the smallest that fails."""

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(inputs)
    def run(data: Any) -> None:
        check(data)

    run()


def corpus(name: str) -> list[bytes]:
    """Inputs that once found a flaw in the decoder of this name."""
    entries = json.loads(CORPUS.read_text())
    return [bytes.fromhex(entry["hex"]) for entry in entries if entry["decoder"] == name]


def check_bomb(target: Target, bomb: bytes) -> None:
    """The bomb is decoded or refused within bounds of time and memory."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, started = memory("VmRSS"), time.process_time()
    target.check(bomb)
    seconds, peak = time.process_time() - started, memory("VmHWM") - before
    assert peak <= max(BOMB_BYTES, 8 * len(bomb)), f"{peak} bytes for {len(bomb)} of {bomb[:40]!r}"
    assert seconds <= BOMB_SECONDS, f"{seconds} s for {len(bomb)} bytes of {bomb[:40]!r}"


def memory(line: str) -> int:
    """Bytes of memory of this process: now (`VmRSS`) or at its peak (`VmHWM`)."""
    text = Path("/proc/self/status").read_text()
    return next(int(one.split()[1]) << 10 for one in text.splitlines() if one.startswith(line + ":"))


def make_tests(targets: list[Target]) -> tuple[Callable[..., None], ...]:
    """The tests `test_fuzz`, `test_fuzz_long`, `test_bombs`, `test_corpus` of a module."""
    each = pytest.mark.parametrize("target", targets, ids=[target.name for target in targets])

    @each
    def test_fuzz(target: Target) -> None:
        for sample in target.samples:
            target.decode(sample)  # a sample that is refused would test little
        fuzz(target.check, target.inputs(), QUICK_EXAMPLES)

    @pytest.mark.slow
    @each
    def test_fuzz_long(target: Target) -> None:
        fuzz(target.check, target.inputs(), LONG_EXAMPLES)

    @each
    def test_bombs(target: Target) -> None:
        for bomb in (bytes(ZEROS), *target.bombs):
            check_bomb(target, bomb)

    @each
    def test_corpus(target: Target) -> None:
        for data in corpus(target.name):
            target.check(data)

    return test_fuzz, test_fuzz_long, test_bombs, test_corpus
