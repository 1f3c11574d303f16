"""The bench's table, a line at a time, so that a row is printed as soon as it is known."""

from __future__ import annotations

from miner.bench.bench import Row
from miner.console import format_amount

COLUMNS = (
    ("model", 16), ("thr", 3), ("params", 8), ("eager f32", 10), ("compiled", 10), ("exact", 10), ("/eager", 6),
    ("/comp.", 6), ("MAC/s", 8), ("commit", 6), ("memory: eager", 13), ("exact", 8), ("ratio", 5), ("first step", 10),
    ("cached", 7), ("backend", 8),
)  # fmt: skip
"""Headings and widths."""


def format_head() -> str:
    """The headings."""
    return "  ".join(_fit(name, width, i) for i, (name, width) in enumerate(COLUMNS))


def format_row(row: Row) -> str:
    """One row under the headings."""
    compiled = "–" if row.compiled_seconds is None else format_seconds(row.compiled_seconds)
    cells = (
        row.model, str(row.threads), format_amount(row.parameters).strip(), format_seconds(row.eager_seconds), compiled,
        format_seconds(row.exact_seconds), f"{row.ratio:.2f}",
        "–" if row.compiled_ratio is None else f"{row.compiled_ratio:.2f}", format_amount(row.macs_per_second).strip(),
        f"{row.commit_share:.1%}", format_bytes(row.eager_memory), format_bytes(row.exact_memory),
        f"{row.memory_ratio:.2f}", f"{row.first_step_seconds:.1f} s", f"{row.first_step_cached_seconds:.2f} s",
        row.backend,
    )  # fmt: skip
    line = "  ".join(_fit(cell, width, i) for i, (cell, (_, width)) in enumerate(zip(cells, COLUMNS, strict=True)))
    return line + (f"\n  torch.compile failed: {row.note}" if row.note else "")


def format_seconds(seconds: float) -> str:
    """In ms."""
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds * 1e3:.0f} ms"


def format_bytes(amount: int) -> str:
    """In MB."""
    return f"{amount / 1e6:.0f} MB"


def _fit(text: str, width: int, column: int) -> str:
    return f"{text:<{width}}" if column == 0 else f"{text:>{width}}"
