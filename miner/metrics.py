"""Prometheus metrics of a daemon, served over HTTP on loopback."""

from __future__ import annotations

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from miner.listen import listen

_GAUGES = {
    "aipow_work_rate_macs": "Multiply-accumulates a second over the last interval",
    "aipow_macs_done": "Multiply-accumulates of own units executed since the start",
    "aipow_macs_checked": "Multiply-accumulates of others' segments executed again since the start",
    "aipow_units_submitted": "Units submitted since the start",
    "aipow_units_final": "Units of this daemon that became final since the start",
    "aipow_units_lost": "Units of this daemon that were listed again since the start",
    "aipow_segments_checked": "Segments re-executed as a verifier since the start",
    "aipow_mismatches": "Segments whose re-execution gave something else",
    "aipow_games_opened": "Disputes opened against others since the start",
    "aipow_games_won": "Disputes won since the start, on either side",
    "aipow_games_lost": "Disputes lost since the start, on either side",
    "aipow_credits_macs": "Credits of the account in the current epoch, MACs",
    "aipow_slots": "Slots of the account in the current schedule",
    "aipow_difficulty_macs": "Credits per slot of the current schedule",
    "aipow_balance_units": "Free balance, UNIT",
    "aipow_best_block": "Number of the best block",
    "aipow_epoch": "Current epoch",
    "aipow_forced_errors": "Own units whose decoy counted and was shown, since the start",
    "aipow_decoys_found": "Decoys of others that were found and opened since the start",
    "aipow_equivocations_reported": "Equivocations that were reported and charged since the start",
    "aipow_errors": "Errors that were logged and tried again",
    "aipow_loss": "Training loss of the last reported step",
}


class Metrics:
    """The gauges of one daemon and their HTTP server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._gauges = {name: Gauge(name, text, registry=self._registry) for name, text in _GAUGES.items()}
        self._runner: web.AppRunner | None = None

    def set(self, **values: float | None) -> None:
        """Sets gauges by name without the prefix; None leaves one as it is. KeyError for an unknown name."""
        for name, value in values.items():
            if value is not None:
                self._gauges["aipow_" + name].set(value)

    def render(self) -> bytes:
        """The text format."""
        return generate_latest(self._registry)

    async def start(self, port: int, host: str = "127.0.0.1") -> int:
        """Serves /metrics; the port (0 takes a free one). Raises PortInUseError."""
        app = web.Application()
        app.router.add_get("/metrics", self._on_metrics)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        return await listen(self._runner, host, port, "--metrics-port")

    async def stop(self) -> None:
        """Closes the socket."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _on_metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self.render(), headers={"Content-Type": CONTENT_TYPE_LATEST})
