"""What the node's JSON-RPC carries: `python -m benchmarks.rpc [--seconds N] [--subscribers N] [--rate N] [--json]`.

Bars of issue 6 (preset dev, an authoring node, all at once): 2,000 `state_getStorage` a second (all keys of the best
block in turn), 500 subscribers to heads on connections of their own without a missed head, answers within 50 ms in the
99th percentile. The client is one process beside the node; on a busy machine the node's CPU time per request says more
than the clock.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from rich.table import Table

CODE_KEY = "0x3a636f6465"  # :code, 1.4 MB, is left out
CONNECTIONS = 20
SPARE_CONNECTIONS = 50
START_SECONDS = 60.0
CATCH_UP_SECONDS = 5.0
SETTLE_SECONDS = 8.0  # a node that starts loads libp2p and authors its first blocks


@dataclass(frozen=True)
class Figure:
    """One line of the table. `bar`: what is asked, at least (`is_least`) or at most."""

    name: str
    value: float
    unit: str
    bar: float | None = None
    is_least: bool = False

    @property
    def verdict(self) -> str:
        """Whether the bar is held."""
        if self.bar is None:
            return ""
        return "yes" if (self.value >= self.bar) == self.is_least or self.value == self.bar else "no"


@dataclass
class Load:
    """What one kind of request met: seconds until each answer, and the node's CPU seconds meanwhile."""

    waits: list[float] = field(default_factory=list)
    seconds: float = 0.0
    node_cpu: float = 0.0

    def figures(self, name: str, rate: float | None) -> list[Figure]:
        """Rate, percentiles, CPU time per request."""
        waits = sorted(self.waits)
        return [
            Figure(f"{name}: rate", len(waits) / self.seconds, "1/s", None if rate is None else 0.99 * rate, True),
            Figure(f"{name}: median", statistics.median(waits) * 1_000, "ms"),
            Figure(f"{name}: 99th percentile", waits[int(0.99 * (len(waits) - 1))] * 1_000, "ms", rate and 50),
            Figure(f"{name}: node CPU per request", self.node_cpu / len(waits) * 1_000, "ms"),
        ]


@contextmanager
def running_node(connections: int) -> Iterator[tuple[str, int]]:
    """An authoring node of preset dev on a free port: its address and process id."""
    with tempfile.TemporaryDirectory(prefix="aipow-bench-rpc-") as folder:
        log = Path(folder) / "log"
        command = [sys.executable, "-m", "chain.node", "--chain", "dev", "--dev-key", "//Alice", "--rpc-port", "0"]
        command += ["--base-path", f"{folder}/node", "--rpc-max-connections", str(connections)]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            yield _wait_for_address(process, log), process.pid
        finally:
            process.terminate()
            process.wait(30)


def _wait_for_address(process: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        for line in log.read_text().splitlines():
            if line.startswith("Listening on "):
                return line.removeprefix("Listening on ")
        time.sleep(0.1)
    raise SystemExit(f"the node does not start:\n{log.read_text()[-2_000:]}")


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def ask(socket: aiohttp.ClientWebSocketResponse, request: str) -> Any:
    """The result of a request on a connection without subscriptions."""
    await socket.send_str(request)
    return json.loads((await socket.receive()).data)["result"]


def request_text(method: str, *params: Any) -> str:
    """A request; its id is always 1."""
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})


async def offer(
    session: aiohttp.ClientSession, url: str, pid: int, requests: list[str], seconds: float, rate: float
) -> Load:
    """Offers `rate` requests a second on some connections for a while; a late one is sent at once, none is left out.

    A wait counts from when the request should have been sent, so that a stall is not hidden.
    """
    sockets = [await session.ws_connect(url) for _ in range(CONNECTIONS)]
    load = Load()
    start = time.perf_counter()

    async def client(number: int) -> None:
        for turn in range(int(rate * seconds / CONNECTIONS)):
            due = start + (turn + number / CONNECTIONS) * CONNECTIONS / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await ask(sockets[number], requests[(turn + number) % len(requests)])
            load.waits.append(time.perf_counter() - due)

    before = cpu_seconds(pid)
    await asyncio.gather(*(client(number) for number in range(CONNECTIONS)))
    load.seconds, load.node_cpu = time.perf_counter() - start, cpu_seconds(pid) - before
    for socket in sockets:
        await socket.close()
    return load


async def flood(session: aiohttp.ClientSession, url: str, pid: int, requests: list[str], seconds: float) -> Load:
    """As many requests as are answered, each connection one at a time."""
    sockets = [await session.ws_connect(url) for _ in range(CONNECTIONS)]
    load = Load()
    start, before = time.perf_counter(), cpu_seconds(pid)

    async def client(socket: aiohttp.ClientWebSocketResponse) -> None:
        while (sent := time.perf_counter()) < start + seconds:
            await ask(socket, requests[len(load.waits) % len(requests)])
            load.waits.append(time.perf_counter() - sent)

    await asyncio.gather(*map(client, sockets))
    load.seconds, load.node_cpu = time.perf_counter() - start, cpu_seconds(pid) - before
    for socket in sockets:
        await socket.close()
    return load


async def follow_heads(socket: aiohttp.ClientWebSocketResponse, heads: list[str]) -> None:
    """Adds every notification of a head; it is read later, so as not to keep the client's other requests waiting."""
    await ask(socket, request_text("chain_subscribeNewHeads"))
    async for message in socket:
        heads.append(message.data)


def head_number(notification: str) -> int:
    """The number of the head in a notification."""
    return int(json.loads(notification)["params"]["result"]["number"], 16)


async def measure(options: argparse.Namespace, url: str, pid: int) -> list[Figure]:
    """All figures on one node."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.sleep(SETTLE_SECONDS)
        async with session.ws_connect(url) as socket:
            keys = await ask(socket, request_text("state_getKeysPaged", "0x", 1_000))
        storage = [request_text("state_getStorage", key) for key in keys if key != CODE_KEY]
        alone = await flood(session, url, pid, storage, options.seconds)
        floor = await flood(session, url, pid, [request_text("system_name")], options.seconds)
        told: list[list[str]] = [[] for _ in range(options.subscribers)]
        sockets = [await session.ws_connect(url) for _ in told]
        followers = [asyncio.create_task(follow_heads(*one)) for one in zip(sockets, told, strict=True)]
        while not all(told):
            await asyncio.sleep(0.1)
        both = await offer(session, url, pid, storage, options.seconds, options.rate)
        await asyncio.sleep(CATCH_UP_SECONDS)
        for follower in followers:
            follower.cancel()
    heads = [[head_number(one) for one in notifications] for notifications in told]
    missed = sum(numbers != list(range(numbers[0], numbers[0] + len(numbers))) for numbers in heads if numbers)
    silent = sum(len(numbers) < options.seconds / 2 for numbers in heads)
    return [
        *alone.figures("state_getStorage, flood", None),
        *floor.figures("system_name, flood", None),
        *both.figures(f"state_getStorage at {options.rate}/s beside {options.subscribers} subscribers", options.rate),
        Figure("subscribers that missed a head", missed, "", 0),
        Figure("subscribers that heard less than half the heads", silent, "", 0),
        Figure("heads told", sum(map(len, heads)), ""),
    ]


def main() -> None:
    """Prints the table; exit code 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each measurement")
    parser.add_argument("--subscribers", type=int, default=500)
    parser.add_argument("--rate", type=int, default=2_000, help="state_getStorage a second")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with running_node(options.subscribers + SPARE_CONNECTIONS) as (url, pid):
        figures = asyncio.run(measure(options, url, pid))
    if options.json:
        print(json.dumps([asdict(figure) for figure in figures], indent=2))
    else:
        table = Table(
            "figure",
            "value",
            "bar",
            "held",
            title=f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs",
        )
        for one in figures:
            bar = "" if one.bar is None else f"{'≥' if one.is_least else '≤'} {one.bar:g}"
            table.add_row(one.name, f"{one.value:.3g} {one.unit}", bar, one.verdict)
        Console().print(table)
    sys.exit(any(figure.verdict == "no" for figure in figures))


if __name__ == "__main__":
    main()
