"""Which checkpoints of a unit stay in the store: about √n of n, so that any other is at most √n segments away.

Checkpoint i is the state after i segments: 0 the unit's start, n its end. Work being exact, a checkpoint that was
dropped is made again, byte for byte, from the nearest one kept before it (`miner/work/recovery.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

FULL_BYTES = 2**26  # (= 67,108,864): a unit whose checkpoints fit in here keeps them all; dropping would save nothing
WINDOW_SHARE = 0.25  # of a challenge's window that making one checkpoint again may take: another one may be under way


@dataclass(frozen=True)
class Retention:
    """How checkpoints are dropped: not at all while a unit's fit into `full_bytes` together (0: always about √n)."""

    full_bytes: int = FULL_BYTES


def compute_spacing(
    segments: int, state_bytes: int, retention: Retention, segment_seconds: float, window_seconds: float
) -> int:
    """Distance between kept checkpoints: ⌈√n⌉, or less when so many segments cannot be replayed within a window.

    `segment_seconds` is what one segment's execution takes here, `window_seconds` how long a challenge waits.
    """
    if (segments + 1) * state_bytes <= retention.full_bytes:
        return 1
    spacing = math.isqrt(segments - 1) + 1  # ⌈√n⌉
    if segment_seconds > 0 and math.isfinite(window_seconds):
        spacing = min(spacing, max(1, int(WINDOW_SHARE * window_seconds / segment_seconds)))
    return spacing


def is_kept(checkpoint: int, segments: int, spacing: int) -> bool:
    """Whether a checkpoint stays: every `spacing`-th, the start (0) and the end (`segments`)."""
    return checkpoint % spacing == 0 or checkpoint == segments


def compute_kept(segments: int, spacing: int) -> tuple[int, ...]:
    """All checkpoints that stay, ascending: at most n / spacing + 2."""
    return tuple(checkpoint for checkpoint in range(segments + 1) if is_kept(checkpoint, segments, spacing))


def compute_replay_segments(checkpoint: int, segments: int, spacing: int) -> int:
    """Segments to execute until a checkpoint is there again: 0 when it is kept, at most `spacing` − 1."""
    return 0 if is_kept(checkpoint, segments, spacing) else checkpoint % spacing
