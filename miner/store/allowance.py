"""How much of this machine strangers may use: a share of the time that passes, saved up to a burst.

Whoever asks costs the holder work (a checkpoint made again, a proof), and asking is free. What open duties of the chain
ask for is made in any case; all others together get no more than an `Allowance`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Seconds, never going back."""


class Allowance:
    """Seconds of work that may still be spent. The last to spend may overdraw it; the next waits for that too."""

    def __init__(self, share: float, burst: float, clock: Clock = time.monotonic) -> None:
        """`share` of each passing second is added (0 < share ≤ 1), up to `burst` seconds, which are there at first."""
        self._share, self._burst, self._clock = share, burst, clock
        self._saved, self._since = burst, clock()

    def compute_wait(self) -> float:
        """Seconds until something may be spent again, 0 when it may be now."""
        return max(0.0, -self._refill() / self._share)

    def spend(self, seconds: float) -> None:
        """Takes what work costs, or gives back (negative) what it did not."""
        self._saved = self._refill() - seconds

    def _refill(self) -> float:
        now = self._clock()
        self._saved = min(self._burst, self._saved + (now - self._since) * self._share)
        self._since = now
        return self._saved
