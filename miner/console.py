"""What a daemon prints: log lines and, every few seconds, one status line; as text or as JSON."""

from __future__ import annotations

import json
import logging
import sys
import time
from dataclasses import asdict, dataclass

_SCALES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True)
class Status:
    """A moment of a daemon. Rates in MAC/s, credits and difficulty in MACs, balance in UNIT."""

    role: str
    block: int
    epoch: int
    activity: str
    work_rate: float
    units_submitted: int
    units_final: int
    segments_checked: int
    credits: int
    slots: int
    slots_total: int
    difficulty: int
    balance: float
    loss: float | None

    def format_text(self) -> str:
        """The status line."""
        loss = "" if self.loss is None else f" loss {self.loss:.4f}"
        work = (
            f"checked {self.segments_checked}"
            if self.role == "validator"
            else f"units {self.units_submitted}/{self.units_final}"
        )
        return (
            f"#{self.block} epoch {self.epoch} | {self.activity}{loss} | "
            f"{format_amount(self.work_rate)}MAC/s | {work} | "
            f"credits {format_amount(self.credits)}MAC | slots {self.slots}/{self.slots_total} | "
            f"difficulty {format_amount(self.difficulty)}MAC/slot | {self.balance:,.2f} UNIT"
        )


def format_amount(value: float) -> str:
    """Three digits and a decimal prefix: 12345678 -> '12.3 M'."""
    for scale, prefix in _SCALES:
        if abs(value) >= scale:
            return f"{value / scale:.1f} {prefix}"
    return f"{value:.0f} "


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        document = {
            "time": round(record.created, 3), "level": record.levelname.lower(), "from": record.name,
            "message": record.getMessage(),
        }  # fmt: skip
        status = getattr(record, "status", None)
        if isinstance(status, Status):
            document["status"] = asdict(status)
        if record.exc_info:
            document["traceback"] = self.formatException(record.exc_info)
        return json.dumps(document)


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%H:%M:%S", time.localtime(record.created))
        level = "" if record.levelno <= logging.INFO else record.levelname.lower() + ": "
        text = f"{moment} {level}{record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def set_up_logging(is_json: bool, is_verbose: bool) -> None:
    """Logs to stderr; libraries only from warnings on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if is_json else _TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("chain", "miner", "devnet"):
        logging.getLogger(name).setLevel(logging.DEBUG if is_verbose else logging.INFO)


def print_status(status: Status) -> None:
    """One status line, as a log record so that JSON logs carry its figures too."""
    logging.getLogger("miner.status").info(status.format_text(), extra={"status": status})
