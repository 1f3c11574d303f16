"""What daemons print and export."""

from __future__ import annotations

import json
import logging
import urllib.request
from asyncio import to_thread

import pytest

from miner.console import Status, _JsonFormatter, format_amount
from miner.metrics import Metrics

STATUS = Status("miner", 7, 1, "running unit 0/3", 1.5e6, 4, 2, 0, 336_000_000, 6, 20, 56_000_000, 999.5, 0.25)


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 "), (999, "999 "), (1000, "1.0 k"), (12_345_678, "12.3 M"), (2.5e12, "2.5 T")]
)
def test_amounts_have_a_decimal_prefix(value: float, text: str) -> None:
    assert format_amount(value) == text


def test_status_line_names_work_credits_slots_difficulty_and_balance() -> None:
    line = STATUS.format_text()
    for part in ("1.5 MMAC/s", "units 4/2", "credits 336.0 MMAC", "slots 6/20", "56.0 MMAC/slot", "999.50 UNIT"):
        assert part in line


def test_json_log_carries_the_figures() -> None:
    record = logging.LogRecord("miner.status", logging.INFO, "", 0, "line", None, None)
    record.status = STATUS
    document = json.loads(_JsonFormatter().format(record))
    assert document["status"]["slots"] == 6
    assert document["message"] == "line"


async def test_metrics_are_served_in_the_text_format() -> None:
    metrics = Metrics()
    metrics.set(slots=6, loss=None)
    port = await metrics.start(0)
    try:
        answer = await to_thread(urllib.request.urlopen, f"http://127.0.0.1:{port}/metrics")
        assert b"aipow_slots 6.0" in answer.read()
    finally:
        await metrics.stop()


def test_unknown_gauge_is_refused() -> None:
    with pytest.raises(KeyError):
        Metrics().set(horses=1)
