"""Peak memory of a process, as Linux counts it: the part above what the process had when it was asked to watch."""

from __future__ import annotations

import resource
from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"
"""What sets VmHWM to VmRSS when it is written to `CLEAR` (Linux, proc(5))."""


class MemoryWatch:
    """Peak resident memory since it was made, above the resident memory at that moment."""

    def __init__(self) -> None:
        if CLEAR.exists():
            CLEAR.write_text(RESET_PEAK)
        self._before = _read("VmRSS")

    def read_peak(self) -> int:
        """Bytes."""
        return max(0, _read("VmHWM") - self._before)


def _read(field: str) -> int:
    """Bytes of a field of /proc/self/status; where there is none, the peak since the process began."""
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))
