"""The bench's table: a line of times for each row and one, indented, of what else was found."""

from __future__ import annotations

from miner.bench.bench import SEGMENT_STEPS, Row
from miner.console import format_amount

COLUMNS = (
    ("model", 16), ("threads", 7), ("params", 8), ("eager f32", 10), ("compiled", 10), ("exact", 10), ("/eager", 6),
    ("by CPU", 6), ("/compiled", 9), ("MAC/s", 8),
)  # fmt: skip
"""Headings and widths."""


def format_head() -> str:
    """The headings."""
    return _join([name for name, _ in COLUMNS])


def format_row(row: Row) -> str:
    """One row under the headings, and its details."""
    compiled = row.compiled_seconds
    times = _join([
        row.model, str(row.threads), format_amount(row.parameters).strip(), format_seconds(row.eager_seconds),
        "–" if compiled is None else format_seconds(compiled), format_seconds(row.exact_seconds), f"{row.ratio:.2f}",
        f"{row.cpu_ratio:.2f}", "–" if row.compiled_ratio is None else f"{row.compiled_ratio:.2f}",
        format_amount(row.macs_per_second).strip(),
    ])  # fmt: skip
    return f"{times}\n{_format_details(row)}"


def _format_details(row: Row) -> str:
    parts = [
        f"committing every {SEGMENT_STEPS} steps {row.commit_share:.1%}",
        f"peak memory {format_bytes(row.eager_memory)} eager, {format_bytes(row.exact_memory)} exact "
        f"({row.memory_ratio:.2f}), {format_bytes(row.exact_memory_committing)} committing "
        f"({row.committing_memory_ratio:.2f})",
        f"first step {row.first_step_seconds:.1f} s, {row.first_step_cached_seconds:.2f} s from the cache, "
        f"{row.first_step_more_seconds:.2f} s above a later one",
        row.backend,
    ]
    if row.compile_seconds is not None:
        parts.insert(3, f"torch.compile {row.compile_seconds:.0f} s")
    line = "    " + "; ".join(parts)
    return line + (f"\n    torch.compile failed: {row.note}" if row.note else "")


def format_seconds(seconds: float) -> str:
    """In ms."""
    return f"{seconds * 1e3:.2f} ms" if seconds < 0.1 else f"{seconds * 1e3:.0f} ms"


def format_bytes(amount: int) -> str:
    """In MB."""
    return f"{amount / 1e6:.0f} MB"


def _join(cells: list[str]) -> str:
    fitted = [f"{cell:>{width}}" for cell, (_, width) in zip(cells, COLUMNS, strict=True)]
    return "  ".join([f"{cells[0]:<{COLUMNS[0][1]}}", *fitted[1:]])
