"""Tensor and state roots: the tiling against its reference, mutations, openings on both sides."""

import dataclasses
import time
from typing import Any

import numpy as np
import pytest

from consensus.commit.hashing import Hash32
from consensus.commit.merkle import ProofError, compute_leaf_hash
from consensus.commit.state import (
    MAX_NAME_BYTES,
    StateNameError,
    compute_state_commitment,
    compute_state_root,
    compute_tensor_opening,
    verify_tensor_opening,
)
from consensus.commit.tensor import (
    DTYPES,
    TensorForm,
    TensorFormError,
    compute_form,
    compute_tensor_root,
    compute_tile_hashes,
    compute_tile_opening,
    compute_tiles_reference,
    verify_tile_opening,
)

SHAPES = [(), (1,), (31,), (32,), (33,), (0,), (3, 0), (32, 32), (33, 65), (2, 3, 40, 33), (1, 5, 7), (70, 1)]


def make(shape: tuple[int, ...], dtype: str = "f32") -> np.ndarray[Any, Any]:
    values = np.random.default_rng(7).integers(0, 100, shape)
    return np.asarray(values).astype(DTYPES[dtype][1])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["f32", "i64", "bool"])
def test_fast_tiling_equals_reference(shape: tuple[int, ...], dtype: str) -> None:
    tensor = make(shape, dtype)
    assert compute_tile_hashes(tensor) == [compute_leaf_hash(tile) for tile in compute_tiles_reference(tensor)]
    assert len(compute_tile_hashes(tensor)) == compute_form(tensor).tile_count


def test_fast_tiling_over_several_chunks() -> None:
    tensor = make((33, 32 * 4097))
    assert compute_tile_hashes(tensor) == [compute_leaf_hash(tile) for tile in compute_tiles_reference(tensor)]


def test_root_tells_shape_dtype_and_sign_of_zero() -> None:
    zeros = np.zeros((4, 8), np.float32)
    variants = [
        zeros, zeros.reshape(8, 4), zeros.reshape(32), zeros.reshape(1, 32), zeros.astype(np.int32),
        np.zeros((4, 9), np.float32), -zeros,
    ]  # fmt: skip
    assert len({compute_tensor_root(v) for v in variants}) == len(variants)


def test_root_ignores_memory_layout_and_byte_order() -> None:
    tensor = make((40, 50))
    root = compute_tensor_root(tensor)
    assert compute_tensor_root(np.asfortranarray(tensor)) == root
    assert compute_tensor_root(tensor.astype(">f4")) == root
    assert compute_tensor_root(np.repeat(tensor, 2, axis=1)[:, ::2]) == root


def test_every_element_is_committed() -> None:
    tensor = make((3, 35, 34))
    root = compute_tensor_root(tensor)
    for position in np.random.default_rng(1).integers(0, tensor.size, 50):
        changed = tensor.copy()
        changed.reshape(-1).view(np.uint32)[position] ^= 1
        assert compute_tensor_root(changed) != root


@pytest.mark.parametrize("shape", [(33, 65), (2, 40, 33), (5,), ()])
def test_tile_opening_both_sides(shape: tuple[int, ...]) -> None:
    tensor = make(shape)
    root = compute_tensor_root(tensor)
    for tile in range(compute_form(tensor).tile_count):
        opening = compute_tile_opening(tensor, tile)
        assert verify_tile_opening(root, opening).tobytes() == compute_tiles_reference(tensor)[tile]
        bent = bytes([opening.data[0] ^ 1]) + opening.data[1:]
        for wrong in (
            dataclasses.replace(opening, data=bent),
            dataclasses.replace(opening, data=opening.data[:-1]),
            dataclasses.replace(opening, tile=tile + 1),
            dataclasses.replace(opening, form=TensorForm("i32", shape)),
            dataclasses.replace(opening, form=TensorForm("f32", (*shape, 1))),
        ):
            with pytest.raises(ProofError):
                verify_tile_opening(root, wrong)


def test_forms_refused() -> None:
    for dtype, shape in (("f16", (1,)), ("f32", (1,) * 9), ("f32", (-1,)), ("f32", (2**40, 2**10))):
        with pytest.raises(TensorFormError):
            TensorForm(dtype, shape)
    with pytest.raises(TensorFormError):
        compute_tensor_root(np.zeros(3, np.complex64))


def test_state_mutations_field_by_field() -> None:
    state = {"w": make((40, 33)), "b": make((33,)), "m.w": make((40, 33)), "step": np.array(3, np.int64)}
    root = compute_state_root(state)
    assert compute_state_root(dict(reversed(state.items()))) == root
    roots = {root}
    for name, tensor in state.items():
        changed = tensor.copy()
        changed.reshape(-1)[-1] += 1
        roots.add(compute_state_root({**state, name: changed}))
        roots.add(compute_state_root({k: v for k, v in state.items() if k != name}))
        roots.add(compute_state_root({**{k: v for k, v in state.items() if k != name}, name + "x": tensor}))
    roots.add(compute_state_root({**state, "w": state["m.w"] + 1, "m.w": state["w"]}))
    assert len(roots) == 1 + 3 * len(state) + 1


def test_tensor_opening_both_sides() -> None:
    commitment = compute_state_commitment({f"t{i}": make((i + 1,)) for i in range(5)})
    for entry in commitment.entries:
        opening = compute_tensor_opening(commitment, entry.name)
        verify_tensor_opening(commitment.root, opening)
        for wrong in (
            dataclasses.replace(opening, name=entry.name + "x"),
            dataclasses.replace(opening, tensor_root=Hash32(bytes(32))),
        ):
            with pytest.raises(ProofError):
                verify_tensor_opening(commitment.root, wrong)
    with pytest.raises(StateNameError, match="no tensor"):
        compute_tensor_opening(commitment, "t9")


def test_names_bounds() -> None:
    one = np.zeros(1, np.float32)
    assert compute_state_root({"n" * MAX_NAME_BYTES: one})
    for name in ("", "n" * (MAX_NAME_BYTES + 1), "\ud800"):
        with pytest.raises(StateNameError):
            compute_state_root({name: one})


def test_hashing_is_fast_enough() -> None:
    """40 MB of state in well under a second (about 0.15 s on the machine it was written on)."""
    tensor = np.ones((3200, 3200), np.float32)
    start = time.process_time()
    compute_tensor_root(tensor)
    assert time.process_time() - start < 1.5
