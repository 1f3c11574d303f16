"""safetensors: canonical, readable by the reference library, and no malformed header gets through."""

import json
import os
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from consensus.commit.state import State, compute_state_root
from miner.store import tensor_file
from miner.store.errors import TensorFileError
from miner.store.tensor_file import MAPPED_BYTES, decode_tensors, encode_tensors, parse_header, read_tensors

STATE: State = {
    "w": np.arange(12, dtype=np.float32).reshape(3, 4),
    "b": np.array([1.5, -0.0], np.float32),
    "step": np.array(7, np.int64),
    "mask": np.array([True, False]),
    "empty": np.zeros((0, 3), np.float32),
}


def raw(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(dtype: Any = "F32", shape: Any = (1,), offsets: Any = (0, 4)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def test_round_trip_is_canonical() -> None:
    data = encode_tensors(STATE)
    back = decode_tensors(data)
    assert compute_state_root(back) == compute_state_root(STATE)
    assert encode_tensors(dict(reversed(back.items()))) == data
    assert not back["w"].flags.writeable


def test_reference_library_agrees() -> None:
    theirs: State = safetensors.numpy.load(encode_tensors(STATE))
    assert compute_state_root(theirs) == compute_state_root(STATE)
    ours = decode_tensors(safetensors.numpy.save(dict(STATE), metadata={"format": "np"}))
    assert compute_state_root(ours) == compute_state_root(STATE)


VALID = raw({"a": entry()}, bytes(4))


def test_valid_minimum() -> None:
    assert decode_tensors(VALID)["a"].tolist() == [0.0]
    assert decode_tensors(raw({})) == {}


INVALID = [
    b"", b"1234567", VALID[:-1], VALID + b"\0", raw({"a": entry()}, bytes(4), 10**6), raw({}, length=2**63),
    raw(b"{"), raw(b"[]"), raw(b"\xff\xfe"), raw(b"[" * 100_000), raw(b'{"a":1,"a":2}'), raw({"a": 1}),
    raw({"a": entry(dtype="F16")}, bytes(4)), raw({"a": entry(dtype=["F32"])}, bytes(4)),
    raw({"a": {**entry(), "x": 1}}, bytes(4)), raw({"a": entry(shape=[-1])}, bytes(4)),
    raw({"a": entry(shape=[True])}, bytes(4)), raw({"a": entry(shape=[1.0])}, bytes(4)),
    raw({"a": entry(shape=[1] * 9)}, bytes(4)), raw({"a": entry(shape=[2**40, 2**40])}, bytes(4)),
    raw({"a": entry(shape="1")}, bytes(4)), raw({"a": entry(offsets=[4, 0])}, bytes(4)),
    raw({"a": entry(offsets=[0, 4, 8])}, bytes(4)), raw({"a": entry(offsets=[1, 5])}, bytes(5)),
    raw({"a": entry(), "b": entry()}, bytes(4)), raw({"": entry()}, bytes(4)),
    raw({"n" * 257: entry()}, bytes(4)), raw({"a": entry(), "b": entry(offsets=[5, 9])}, bytes(9)),
    raw({"a": entry("BOOL", [1], [0, 1])}, b"\x02"), raw(b'{"a":' + b"9" * 5000 + b"}"),
]  # fmt: skip


@pytest.mark.parametrize("data", INVALID)
def test_invalid_files(data: bytes) -> None:
    with pytest.raises(TensorFileError):
        decode_tensors(data)


@pytest.mark.parametrize("data", INVALID)
def test_invalid_files_on_disk(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(TensorFileError):
        read_tensors(tmp_path / "file")


def test_a_file_that_ends_while_it_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(VALID[:-1])
    monkeypatch.setattr(os, "fstat", lambda _: SimpleNamespace(st_size=len(VALID)))
    with pytest.raises(TensorFileError, match="ends within 'a'"):
        read_tensors(tmp_path / "file")


def test_tensors_of_a_file_are_freed_one_by_one(tmp_path: Path) -> None:
    large = np.arange(MAPPED_BYTES, dtype=np.float32)
    (tmp_path / "file").write_bytes(encode_tensors({**STATE, "large": large, "other": large}))
    read = read_tensors(tmp_path / "file")
    assert compute_state_root(read) == compute_state_root({**STATE, "large": large, "other": large})
    assert all(not array.flags.writeable for array in read.values())
    gone = [weakref.ref(array.base) for name, array in read.items() if name in ("large", "w", "mask")]
    kept = [read["other"], read["b"]]
    del read
    assert [ref() for ref in gone] == [None, None, None] and kept[0][-1] == large[-1]


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_header(VALID, max_bytes=len(VALID))
    with pytest.raises(TensorFileError, match="above the limit"):
        parse_header(VALID, max_bytes=len(VALID) - 1)
    monkeypatch.setattr(tensor_file, "MAX_TENSORS", 1)
    two = raw({"a": entry(), "b": entry(offsets=[4, 8])}, bytes(8))
    with pytest.raises(TensorFileError, match="above 1"):
        decode_tensors(two)
    with pytest.raises(TensorFileError, match="above the bounds"):
        encode_tensors({"a": np.zeros(1, np.float32), "b": np.zeros(1, np.float32)})
