"""Which checkpoints stay: about √n, the ends always, no other further away than the spacing."""

import math

import pytest

from miner.work.retention import Retention, compute_kept, compute_replay_segments, compute_spacing, is_kept

SQUARE_ROOT = Retention(full_bytes=0)


@pytest.mark.parametrize("segments", [1, 2, 3, 4, 5, 9, 10, 16, 17, 32, 100, 1000, 1024])
def test_about_the_square_root_is_kept(segments: int) -> None:
    spacing = compute_spacing(segments, 1, SQUARE_ROOT, 1.0, math.inf)
    kept = compute_kept(segments, spacing)
    assert kept[0] == 0 and kept[-1] == segments
    assert len(kept) <= math.sqrt(segments) + 2
    for checkpoint in range(segments + 1):
        cost = compute_replay_segments(checkpoint, segments, spacing)
        assert cost <= math.sqrt(segments)
        assert checkpoint - cost in kept and is_kept(checkpoint, segments, spacing) == (cost == 0)


def test_small_states_are_all_kept() -> None:
    assert compute_spacing(32, 1000, Retention(33_000), 1.0, math.inf) == 1
    assert compute_spacing(32, 1000, Retention(32_999), 1.0, math.inf) == 6
    assert compute_kept(4, 1) == (0, 1, 2, 3, 4)


def test_a_short_window_brings_them_closer() -> None:
    for seconds, spacing in ((math.inf, 32), (1280.0, 32), (1279.0, 31), (200.0, 5), (20.0, 1), (0.0, 1)):
        assert compute_spacing(1024, 1, SQUARE_ROOT, 10.0, seconds) == spacing
