"""Whatever bytes a stranger sends, parsers answer with a value or with their own typed error."""

import io
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from miner.store.address import decode_transcript
from miner.store.errors import TensorFileError
from miner.store.server import RangeError, compute_range
from miner.store.tensor_file import decode_tensors, encode_tensors
from miner.work.errors import TaskSpecError
from miner.work.task import parse_task_spec
from miner.work.wire import FrameError, read_frame
from tests.miner.work.linear import INITIAL, make_inputs

GOOD_FILE = encode_tensors(INITIAL)
GOOD_SPEC = make_inputs().spec.encode()


def mutate(data: bytes, position: int, replacement: bytes) -> bytes:
    position %= len(data)
    return data[:position] + replacement + data[position + len(replacement) :]


MUTATIONS = (st.integers(0, 10**6), st.binary(min_size=1, max_size=4))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), *MUTATIONS)
def test_safetensors(junk: bytes, position: int, replacement: bytes) -> None:
    for data in (junk, mutate(GOOD_FILE, position, replacement)):
        with suppress(TensorFileError):
            decode_tensors(data)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), *MUTATIONS)
def test_task_documents(junk: bytes, position: int, replacement: bytes) -> None:
    for data in (junk, mutate(GOOD_SPEC, position, replacement)):
        with suppress(TaskSpecError):
            assert parse_task_spec(data).encode() == data


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_frames_and_transcripts(junk: bytes) -> None:
    with suppress(FrameError):
        read_frame(io.BytesIO(junk))
    with suppress(TensorFileError):
        decode_transcript(junk)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=30) | st.from_regex(r"bytes=\d{0,4}-\d{0,4}", fullmatch=True), st.integers(0, 2000))
def test_ranges(header: str, size: int) -> None:
    with suppress(RangeError):
        start, length = compute_range(header, size)
        assert 0 <= start < start + length <= size
